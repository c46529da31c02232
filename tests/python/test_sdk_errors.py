"""How the OpenAI and Anthropic SDKs see what goes wrong, and what they learn from headers."""

import asyncio
import time
from decimal import Decimal

import anthropic
import openai
import pytest

from dialects import CHAT_REPLY, MESSAGE_REPLY
from gateway import KEY
from sdk_fixtures import ASYNC_ALONE, LIMITED_KEY, REVOKED_KEY, anthropic_at, openai_at
from wire import http_reply

HI = [{"role": "user", "content": "Hi"}]
SDKS = {"openai": openai, "anthropic": anthropic}


class Caller:
    """One of the two SDKs, one of its two forms."""

    def __init__(self, name, make):
        self.name, self.make, self.sdk = name, make, SDKS[name]
        self.model = "gpt-4o" if name == "openai" else "claude-haiku-4-5"

    def ask(self, content="Hi", client=None, raw=False, **more):
        client = client or self.make("/v1")
        to = client.chat.completions if self.name == "openai" else client.messages
        to = to.with_raw_response if raw else to
        size = {} if self.name == "openai" else {"max_tokens": 1000}
        return to.create(**({"model": self.model, "messages": [{"role": "user", "content": content}]}
                            | size | more))


@pytest.fixture(params=list(SDKS))
def caller(request, make_gpt, make_claude):
    return Caller(request.param, make_gpt if request.param == "openai" else make_claude)


def text_of(piece):
    """The text in an event of either SDK."""
    if hasattr(piece, "choices"):
        return piece.choices[0].delta.content or "" if piece.choices else ""
    return getattr(getattr(piece, "delta", None), "text", "") or ""


# --- a provider's errors ---

CLASSES = {400: "BadRequestError", 403: "PermissionDeniedError", 404: "NotFoundError", 409: "ConflictError",
           422: "UnprocessableEntityError", 429: "RateLimitError", 500: "InternalServerError",
           503: "InternalServerError", 529: "InternalServerError"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", CLASSES)
def test_a_providers_error(caller, status, stream):
    with pytest.raises(getattr(caller.sdk, CLASSES[status])) as e:
        caller.ask(f"demo:status={status}", stream=stream)
    assert e.value.status_code == status and "told to fail" in str(e.value)
    assert e.value.request_id.startswith("req_demo")  # the provider's own
    assert e.value.type if caller.name == "anthropic" else e.value.type.endswith("_error")
    if status == 429:
        assert e.value.response.headers["retry-after"] == "1"
        assert caller.name == "anthropic" or e.value.code == "rate_limit_exceeded"


def test_a_provider_that_refuses_the_gateways_key(caller):
    """It is not the caller's key that is wrong, so it is no AuthenticationError."""
    with pytest.raises(caller.sdk.InternalServerError) as e:
        caller.ask("demo:status=401")
    assert e.value.status_code == 502
    assert e.value.code == "provider_auth_failed" if caller.name == "openai" else e.value.type == "api_error"


def test_an_error_in_the_middle_of_a_stream(caller):
    got = []
    with pytest.raises(caller.sdk.APIError) as e:
        for piece in caller.ask("a b c d e demo:error_after=5", stream=True):
            got.append(text_of(piece))
    assert "".join(got).startswith("You said:") and "told to fail" in str(e.value)


def test_a_stream_that_breaks_off(caller):
    with pytest.raises(caller.sdk.APIError):
        list(caller.ask("a b c d e f g demo:cut_after=700,interval=1", stream=True))


# --- the gateway's own errors ---

@pytest.mark.parametrize("kind,status,code,param,change", [
    ("AuthenticationError", 401, "invalid_api_key", None, {"key": "sk-sf-unknown-key-0000"}),
    ("AuthenticationError", 401, "invalid_api_key", None, {"key": REVOKED_KEY}),
    ("AuthenticationError", 401, "invalid_api_key", None, {"key": "sk-not-a-virtual-key"}),
    ("PermissionDeniedError", 403, "not_allowed", "model", {"key": LIMITED_KEY, "model": "demo/other"}),
    ("NotFoundError", 404, "model_not_found", "model", {"model": "no-such-model-at-all"}),
    ("BadRequestError", 400, "invalid_request_error", "messages", {"messages": []}),
    ("BadRequestError", 400, "invalid_request_error", "max_tokens", {"max_tokens": "many"}),
    ("BadRequestError", 400, "unknown_provider", "x-smartflow-provider",
     {"extra_headers": {"x-smartflow-provider": "nobody"}})], ids=lambda x: str(x)[:24])
def test_an_error_of_the_gateway(caller, kind, status, code, param, change):
    change = dict(change)
    client = caller.make("/v1", api_key=change.pop("key", KEY))
    with pytest.raises(getattr(caller.sdk, kind)) as e:
        caller.ask(client=client, **change)
    assert e.value.status_code == status
    assert e.value.request_id == e.value.response.headers["x-smartflow-request-id"]
    if caller.name == "openai":
        assert (e.value.code, e.value.param) == (code, param)
    else:
        assert e.value.body["type"] == "error" and e.value.body["request_id"] == e.value.request_id


def test_a_path_that_nobody_serves(make_gpt):
    with pytest.raises(openai.NotFoundError) as e:
        make_gpt("/v1/extra").embeddings.create(model="gpt-4o", input="x")
    assert e.value.code == "unknown_url"


# --- retries are the SDK's own affair: the gateway passes on what they go by ---

def beyond(run, gateway, name, asynchronous, **named):
    """Asks the scripted upstream, which lives on the loop of this thread."""
    sdk, form = SDKS[name], ("Async" if asynchronous else "") + ("OpenAI" if name == "openai" else "Anthropic")
    defaults = openai_at if name == "openai" else anthropic_at
    client = getattr(sdk, form)(**(defaults(gateway.url + "/v1") | named))

    def do(script, **more):
        to = (client.chat.completions if name == "openai" else client.messages).with_raw_response
        model = {"model": "gpt-4o"} if name == "openai" else {"model": "claude-haiku-4-5", "max_tokens": 9}
        args = model | {"messages": HI, "extra_headers": {"x-script": script}} | more
        return run(to.create(**args) if asynchronous else asyncio.to_thread(to.create, **args))

    return do


def flaky(upstream, *replies):
    """A script that plays its replies in order, the last for ever; None closes the connection."""
    left = list(replies)

    async def play(conn, _):
        data = left.pop(0) if len(left) > 1 else left[0]
        return await conn.answer(data or b"", "keep" if data else "reset")

    return upstream.script(play)


OK = {"openai": http_reply(200, CHAT_REPLY), "anthropic": http_reply(200, MESSAGE_REPLY)}


def refusal(status, *fields):
    return http_reply(status, b'{"type":"error","error":{"type":"x","message":"no"}}', fields)


@pytest.mark.parametrize("name", SDKS)
def test_retry_after_429_and_503(run, gateway, upstream, name, asynchronous):
    script = flaky(upstream, refusal(429, ("retry-after-ms", "5")),
                   refusal(503, ("retry-after-ms", "5")), OK[name])
    reply = beyond(run, gateway, name, asynchronous, max_retries=2)(script)
    assert reply.retries_taken == 2
    seen = upstream.seen[script]
    assert [m.get("x-stainless-retry-count") for m in seen] == ["0", "1", "2"]
    assert seen[0].body == seen[1].body == seen[2].body


@pytest.mark.parametrize("name", SDKS)
def test_no_retry_where_the_provider_says_so(run, gateway, upstream, name, asynchronous):
    script = flaky(upstream, refusal(429, ("x-should-retry", "false")), OK[name])
    with pytest.raises(SDKS[name].RateLimitError):
        beyond(run, gateway, name, asynchronous, max_retries=2)(script)
    assert len(upstream.seen[script]) == 1


@pytest.mark.parametrize("name", SDKS)
def test_retry_after_a_connection_that_broke(run, gateway, upstream, name, asynchronous):
    script = flaky(upstream, None, OK[name])
    reply = beyond(run, gateway, name, asynchronous, max_retries=2)(script)
    assert reply.http_response.status_code == 200 and len(upstream.seen[script]) >= 2


@pytest.mark.parametrize("name,model,variable", [("openai", "groq/llama-3.3-70b", "GROQ_API_KEY"),
                                                 ("anthropic", "deepseek/deepseek-chat", "DEEPSEEK_API_KEY")])
def test_no_retry_where_the_gateway_cannot_help(run, gateway, name, model, variable, asynchronous):
    with pytest.raises(SDKS[name].InternalServerError) as e:
        beyond(run, gateway, name, asynchronous, max_retries=2)("none", model=model)
    assert e.value.status_code == 503 and variable in str(e.value)
    assert e.value.response.headers["x-should-retry"] == "false"
    assert e.value.response.request.headers["x-stainless-retry-count"] == "0"


# --- clients that do not wait ---

def outcome(demo, request_id, within=5):
    """How a call ended, from its log line."""
    assert demo.err.wait_for(f'"request_id":"{request_id}"', within), "no log line"
    return next(x["outcome"] for x in demo.log() if x.get("request_id") == request_id)


def test_closing_a_stream(caller, demo):
    stream = caller.ask("demo:chunks=5000,interval=20", stream=True)
    request_id = stream.response.headers["x-smartflow-request-id"]
    for i, _ in enumerate(stream):
        if i == 4:
            break
    stream.close()
    assert outcome(demo, request_id) == "cancelled"


@ASYNC_ALONE
def test_cancelling_a_task(make_gpt, demo, run):
    client, before = make_gpt("/v1")._thing, len(demo.err.text())

    async def cancel_one():
        task = asyncio.create_task(client.chat.completions.create(
            model="gpt-4o", user="cancelled", messages=[{"role": "user", "content": "demo:delay=60000"}]))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancel_one())
    assert demo.err.wait_for('"outcome":"cancelled"', 5, before)


def test_a_time_out(caller):
    client = caller.make("/v1", timeout=0.3)
    began = time.monotonic()
    with pytest.raises(caller.sdk.APITimeoutError):
        caller.ask("demo:delay=20000", client=client)
    assert time.monotonic() - began < 5
    assert caller.ask(client=caller.make("/v1"))


@ASYNC_ALONE
@pytest.mark.parametrize("stream", [False, True])
def test_many_at_once(caller, run, stream):
    client = caller.make("/v1")._thing

    async def one(i):
        reply = await caller.ask(f"n{i} demo:delay=20", client=client, stream=stream)
        if stream:
            return "".join([text_of(piece) async for piece in reply])
        return reply.choices[0].message.content if caller.name == "openai" else reply.content[0].text

    async def all_of_them():
        return await asyncio.gather(*(one(i) for i in range(50)))

    assert run(all_of_them()) == [f"You said: n{i} demo:delay=20" for i in range(50)]


# --- headers ---

PRICES = {"openai": {"gpt-4o": ("2.5", "10"), "gpt-4o-mini": ("0.15", "0.6")},
          "anthropic": {"claude-sonnet-4-6": ("3", "15"), "claude-haiku-4-5": ("1", "5")}}


@pytest.mark.parametrize("row", [0, 1])
def test_headers_and_cost(caller, row):
    model, (price_in, price_out) = list(PRICES[caller.name].items())[row]
    reply = caller.ask("demo:usage_in=1234,usage_out=567", raw=True, model=model)
    h = reply.headers
    expected = (1234 * Decimal(price_in) + 567 * Decimal(price_out)) / 1_000_000
    assert Decimal(h["x-smartflow-cost-usd"]) == Decimal(h["x-smartflow-response-cost"]) == expected
    assert h["x-smartflow-request-id"] == h["x-smartflow-call-id"]
    assert int(h["x-smartflow-latency-ms"]) == int(h["x-smartflow-duration-ms"]) >= 0
    assert (h["x-smartflow-provider"], h["x-smartflow-model"]) == ("demo", model)
    assert h["x-smartflow-cache-hit"] == "false"
    assert reply.parse().model == model


def test_an_unknown_price_is_no_cost(caller):
    h = caller.ask(raw=True, model="demo/nobody-prices-this").headers
    assert "x-smartflow-cost-usd" not in h and h["x-smartflow-model"] == "nobody-prices-this"


def test_headers_of_a_stream(caller):
    stream = caller.ask(stream=True)
    h = stream.response.headers
    assert h["x-accel-buffering"] == "no" and h["content-type"].startswith("text/event-stream")
    assert h["x-smartflow-provider"] == "demo" and "x-smartflow-cost-usd" not in h
    assert "".join(text_of(piece) for piece in stream) == "You said: Hi"


def test_cost_of_other_endpoints(make_gpt):
    reply = make_gpt("/v1").embeddings.with_raw_response.create(
        model="text-embedding-3-small", input="w " * 1000)
    assert Decimal(reply.headers["x-smartflow-cost-usd"]) == Decimal("0.00002")
    reply = make_gpt("/v1").responses.with_raw_response.create(
        model="gpt-4o", input="demo:usage_in=1000,usage_out=100")
    assert Decimal(reply.headers["x-smartflow-cost-usd"]) == Decimal("0.0035")
