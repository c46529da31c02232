"""Calls whose provider speaks another dialect: what the provider sees, and what the client gets.

The scripted upstream stands for all three providers; the model's name decides which one the gateway
takes it for. What each wire writes is in tests/golden; here is what the gateway does around it:
paths, fields, streams, errors, accounts.
"""

import asyncio
import base64
import json
import re
import zlib

import pytest

from dialects import (CHAT_REPLY, CHAT_STREAM_USAGE, GEMINI_REPLY, GEMINI_STREAM, MESSAGE_REPLY,
                      MESSAGE_STREAM, VERSION, chunk, sse, typed)
from gateway import ADMIN_KEY, PROVIDER_KEYS, Gateway, providers_at
from wire import Client, call, http_reply, many, request, sse_events

GEMINI_OF = "/v1beta/models/{}:generateContent"
GEMINI_STREAM_OF = "/v1beta/models/{}:streamGenerateContent?alt=sse"
MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-6", "gemini": "gemini-2.5-flash"}
SYSTEM, USER = "Be short.", "Grüße?"


def ask(client, model, stream=False, **more):
    """A small call in the client's dialect: path, body, fields."""
    if client == "openai":
        return "/v1/chat/completions", {"model": model, "stream": stream, "messages": [
            {"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]} | more, []
    if client == "responses":
        return "/v1/responses", {"model": model, "stream": stream, "instructions": SYSTEM,
                                 "input": USER} | more, []
    if client == "anthropic":
        return "/v1/messages", {"model": model, "max_tokens": 64, "stream": stream,
                                "system": SYSTEM,
                                "messages": [{"role": "user", "content": USER}]} | more, [VERSION]
    body = {"systemInstruction": {"parts": [{"text": SYSTEM}]},
            "contents": [{"role": "user", "parts": [{"text": USER}]}]} | more
    return (GEMINI_STREAM_OF if stream else GEMINI_OF).format(model), body, []


WHOLE = {"openai": CHAT_REPLY, "anthropic": MESSAGE_REPLY, "gemini": GEMINI_REPLY}
STREAMS = {"openai": CHAT_STREAM_USAGE, "anthropic": MESSAGE_STREAM, "gemini": GEMINI_STREAM}
SAYS = {"openai": "Grüße", "anthropic": "Hi", "gemini": "Hi"}  # what these streams say
TOKENS = {"openai": (9, 2), "anthropic": (5, 2), "gemini": (2, 4 - 2)}
PAIRS = [(c, p) for c in ("openai", "responses", "anthropic", "gemini")
         for p in ("openai", "anthropic", "gemini") if (c, p) not in (
             ("openai", "openai"), ("responses", "openai"), ("anthropic", "anthropic"),
             ("gemini", "gemini"), ("openai", "gemini"))]  # the last: Gemini has OpenAI's dialect


def text_of(client, body):
    if client == "openai":
        return body["choices"][0]["message"]["content"]
    if client == "responses":
        return "".join(p["text"] for i in body["output"] if i["type"] == "message"
                       for p in i["content"])
    if client == "anthropic":
        return "".join(b["text"] for b in body["content"] if b["type"] == "text")
    return "".join(p.get("text", "") for p in body["candidates"][0]["content"]["parts"])


def stream_text(client, events):
    out = ""
    for name, data in events:
        if data == "[DONE]":
            continue
        d = json.loads(data)
        if client == "openai" and d.get("choices"):
            out += d["choices"][0]["delta"].get("content") or ""
        elif client == "responses" and name == "response.output_text.delta":
            out += d["delta"]
        elif client == "anthropic" and d["type"] == "content_block_delta":
            out += d["delta"].get("text", "")
        elif client == "gemini" and d.get("candidates"):
            parts = d["candidates"][0].get("content", {}).get("parts", [])
            out += "".join(p.get("text", "") for p in parts)
    return out


def usage_of(client, body):
    """Input and output tokens as the client reads them."""
    if client == "openai":
        return body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]
    if client in ("responses", "anthropic"):
        return body["usage"]["input_tokens"], body["usage"]["output_tokens"]
    u = body["usageMetadata"]
    return u["promptTokenCount"], u["candidatesTokenCount"]


def ended(client, events):
    name, data = events[-1]
    return {"openai": data == "[DONE]", "responses": name == "response.completed",
            "anthropic": name == "message_stop",
            "gemini": '"finishReason"' in data}[client]


def reply_of(provider, stream=False):
    if stream:
        return http_reply(200, STREAMS[provider], type_="text/event-stream", framing="chunked")
    return http_reply(200, WHOLE[provider])


# --- what the provider sees ---

def sent_model(provider, seen):
    if provider == "gemini":
        return seen.target.split("/models/")[1].split(":")[0]
    return seen.json()["model"]


PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages",
         "gemini": "/v1beta/models/gemini-2.5-flash:generateContent"}
STREAM_PATHS = PATHS | {"gemini": "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"}
CREDENTIALS = {"openai": ("authorization", "Bearer " + PROVIDER_KEYS["OPENAI"]),
               "anthropic": ("x-api-key", PROVIDER_KEYS["ANTHROPIC"]),
               "gemini": ("x-goog-api-key", PROVIDER_KEYS["GEMINI"])}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("client,provider", PAIRS)
def test_request(run, gateway, upstream, client, provider, stream):
    """Path, credential, model and fields are the provider's; the prompt arrives."""
    script = upstream.answer(reply_of(provider, stream))
    path, body, fields = ask(client, MODELS[provider], stream)
    fields = fields + [("x-stainless-lang", "python"), ("anthropic-beta", "b1"),
                       ("OpenAI-Organization", "org"), ("x-goog-api-client", "genai"),
                       ("x-own", "kept"), ("x-forwarded-for", "1.2.3.4")]
    m = run(call(gateway.port, path, body, script, fields))
    assert m.status == 200, m.body
    (seen,) = upstream.seen[script]
    assert seen.target == (STREAM_PATHS if stream else PATHS)[provider]
    assert sent_model(provider, seen) == MODELS[provider]
    name, value = CREDENTIALS[provider]
    assert seen.get(name) == value
    assert seen.get("content-type") == "application/json"
    assert seen.get("x-own") == "kept"
    assert seen.get("x-stainless-lang") is None and seen.get("x-forwarded-for") is None
    assert (seen.get("anthropic-version") is not None) == (provider == "anthropic")
    assert (seen.get("anthropic-beta") == "b1") == (provider == "anthropic")
    assert (seen.get("openai-organization") == "org") == (provider == "openai")
    assert (seen.get("x-goog-api-client") == "genai") == (provider == "gemini")
    assert len(seen.all("authorization") + seen.all("x-api-key") + seen.all("x-goog-api-key")) == 1
    assert seen.get("accept") == ("text/event-stream" if stream else "application/json")
    sent = json.dumps(seen.json(), ensure_ascii=False)
    assert SYSTEM in sent and USER in sent
    if provider == "openai" and stream:
        assert seen.json()["stream_options"] == {"include_usage": True}


def test_own_dialect_untouched(run, gateway, upstream):
    """Where the provider has the client's dialect, the bytes pass as they came."""
    body = b'{ "model" : "gpt-4o", "unknown":1.50, "messages":[{"role":"user","content":"\\u00e9"}] }'
    script = upstream.answer(reply_of("openai"))
    m = run(call(gateway.port, "/v1/chat/completions", body, script))
    assert upstream.seen[script][0].body == body
    assert m.body == CHAT_REPLY
    assert m.get("x-smartflow-dropped-params") is None


# --- whole replies ---

@pytest.mark.parametrize("client,provider", PAIRS)
def test_whole(run, gateway, upstream, client, provider):
    path, body, fields = ask(client, MODELS[provider])
    script = upstream.answer(http_reply(200, WHOLE[provider], [
        ("request-id", "req_42"), ("x-ratelimit-remaining-requests", "7"),
        ("anthropic-organization-id", "o"), ("Server", "there")]))
    m = run(call(gateway.port, path, body, script, fields))
    assert m.status == 200 and m.get("content-type") == "application/json"
    assert text_of(client, m.json()).startswith(SAYS[provider])
    shown = m.json()["modelVersion" if client == "gemini" else "model"]
    assert shown == MODELS[provider]
    tokens = {"openai": (9, 2), "anthropic": (5, 1), "gemini": (2, 2)}[provider]
    assert usage_of(client, m.json()) == tokens
    assert m.get("x-smartflow-provider") == provider
    assert float(m.get("x-smartflow-cost-usd")) > 0
    assert m.get("x-ratelimit-remaining-requests") == "7"
    assert m.get("request-id" if client == "anthropic" else "x-request-id") == "req_42"
    assert m.get("anthropic-organization-id") is None and m.get("server") != "there"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_whole_compressed(run, gateway, upstream, coding):
    packed = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    data = packed.compress(MESSAGE_REPLY) + packed.flush()
    script = upstream.answer(http_reply(200, data, [("content-encoding", coding)]))
    path, body, fields = ask("openai", MODELS["anthropic"])
    m = run(call(gateway.port, path, body, script, fields))
    assert text_of("openai", m.json()) == "Hi" and m.get("content-encoding") is None


def test_alias_is_shown(run, start, upstream):
    """The answer names the model that the client asked for."""
    g = start(providers_at(upstream.port) | {
        "SMARTFLOW_MODEL_ALIASES": "quick=claude-sonnet-4-6"})
    for stream in (False, True):
        script = upstream.answer(reply_of("anthropic", stream))
        path, body, fields = ask("openai", "quick", stream)
        m = run(call(g.port, path, body, script, fields))
        assert upstream.seen[script][0].json()["model"] == "claude-sonnet-4-6"
        first = m.json() if not stream else json.loads(m.events()[0][1])
        assert first["model"] == "quick"


# --- streams ---

@pytest.mark.parametrize("client,provider", PAIRS)
def test_stream(run, gateway, upstream, client, provider):
    path, body, fields = ask(client, MODELS[provider], True)
    script = upstream.answer(reply_of(provider, True))
    m = run(call(gateway.port, path, body, script, fields))
    assert m.complete and m.get("content-type").startswith("text/event-stream")
    events = m.events()
    assert stream_text(client, events).startswith(SAYS[provider])
    assert ended(client, events), events[-1]
    assert ("usage" in m.body.decode()) == (client != "openai")


def once_whole(run, gateway, upstream, client, provider):
    path, body, fields = ask(client, MODELS[provider], True)
    m = run(call(gateway.port, path, body, upstream.answer(reply_of(provider, True)), fields))
    return path, body, fields, stable(m.body)


def stable(stream):
    """Without what a call makes anew: ids and times."""

    text = stream.decode()
    text = re.sub(r'"(chatcmpl-|msg_|resp_|rs_|fc_|call_|toolu_)[^"]*"', '"ID"', text)
    text = re.sub(r'"(created|created_at|completed_at)":[\d.]+', r'"\1":0', text)
    return re.sub(r'"responseId":"[^"]*"', '"responseId":"ID"', text)


@pytest.mark.parametrize("client,provider", PAIRS)
def test_stream_bytewise(run, gateway, upstream, client, provider):
    """However the provider's bytes are cut, the client gets the same."""
    path, body, fields, want = once_whole(run, gateway, upstream, client, provider)
    data = STREAMS[provider]

    async def bytes_alone(conn, _):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n")
        for i in range(len(data)):
            await conn.send(b"1\r\n" + data[i:i + 1] + b"\r\n")
            if i % 40 == 0:
                await asyncio.sleep(0)
        await conn.send(b"0\r\n\r\n")
        return True

    m = run(call(gateway.port, path, body, upstream.script(bytes_alone), fields))
    assert stable(m.body) == want


@pytest.mark.parametrize("client,provider", [("openai", "anthropic"), ("anthropic", "openai"),
                                             ("gemini", "anthropic")])
def test_stream_every_cut(run, gateway, upstream, client, provider):
    """Cut once, at every place of it."""
    path, body, fields, want = once_whole(run, gateway, upstream, client, provider)
    data = STREAMS[provider]

    async def at(i):
        async def play(conn, _):
            await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                            b"Content-Length: %d\r\n\r\n" % len(data) + data[:i])
            await conn.taken()
            await conn.send(data[i:])
            return True
        return await call(gateway.port, path, body, upstream.script(play), fields)

    for m in run(many(at, range(1, len(data), 7))):
        assert stable(m.body) == want


@pytest.mark.parametrize("client,provider", [("openai", "anthropic"), ("anthropic", "openai")])
def test_stream_compressed(run, gateway, upstream, client, provider):
    path, body, fields, want = once_whole(run, gateway, upstream, client, provider)
    packed = zlib.compressobj(wbits=31)
    data = packed.compress(STREAMS[provider]) + packed.flush()
    script = upstream.answer(http_reply(200, data, [("Content-Encoding", "gzip")],
                                        "text/event-stream", "chunked"))
    m = run(call(gateway.port, path, body, script, fields))
    assert stable(m.body) == want and m.get("content-encoding") is None


def test_stream_of_a_whole_reply(run, gateway, upstream):
    """A provider that does not stream: its answer comes as the stream that it would have been."""
    path, body, fields = ask("openai", MODELS["anthropic"], True)
    m = run(call(gateway.port, path, body, upstream.answer(reply_of("anthropic")), fields))
    assert m.get("content-type").startswith("text/event-stream")
    assert stream_text("openai", m.events()) == "Hi" and ended("openai", m.events())


def test_usage_is_shown_where_asked(run, gateway, upstream):
    path, body, fields = ask("openai", MODELS["anthropic"], True,
                             stream_options={"include_usage": True})
    m = run(call(gateway.port, path, body, upstream.answer(reply_of("anthropic", True)), fields))
    last = json.loads(m.events()[-2][1])
    assert last["choices"] == [] and last["usage"]["prompt_tokens"] == 5
    assert last["usage"]["total_tokens"] == 5 + last["usage"]["completion_tokens"]


def test_messages_begin_with_input(run, gateway, upstream):
    """Anthropic's first event has a number of input tokens that is not zero."""
    path, body, fields = ask("anthropic", MODELS["openai"], True)
    m = run(call(gateway.port, path, body, upstream.answer(reply_of("openai", True)), fields))
    events = [json.loads(d) for _, d in m.events()]
    assert events[0]["message"]["usage"]["input_tokens"] > 0
    delta = next(e for e in events if e["type"] == "message_delta")
    assert delta["usage"]["output_tokens"] == 2 and delta["usage"]["input_tokens"] == 9


def test_late_usage_is_not_waited_for(run, gateway, upstream):
    """A provider that says nothing after the finish reason holds nobody up for long."""
    data = sse(chunk({"role": "assistant", "content": "Hi"}), chunk({}, "stop"))

    async def silent(conn, _):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(data), data))
        return await conn.gone() is None

    path, body, fields = ask("anthropic", MODELS["openai"], True)
    m = run(call(gateway.port, path, body, upstream.script(silent), fields))
    assert m.complete and ended("anthropic", m.events())


# --- errors ---

ERRORS = {
    "openai": lambda status, what: {"error": {"message": what, "type": "x", "param": None,
                                              "code": None}},
    "anthropic": lambda status, what: {"type": "error", "error": {"type": {
        400: "invalid_request_error", 404: "not_found_error", 429: "rate_limit_error",
        529: "overloaded_error"}.get(status, "api_error"), "message": what}},
    "gemini": lambda status, what: {"error": {"code": status, "message": what, "status": {
        400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
        503: "UNAVAILABLE"}.get(status, "INTERNAL")}},
}


def check_error(client, m, status, what):
    assert m.status == status, m.body
    e = m.json()["error"]
    assert what in e["message"]
    if client == "anthropic":
        assert m.json()["type"] == "error" and e["type"]
    elif client == "gemini":
        assert e["code"] == status and e["status"].isupper()
    else:
        assert e["type"] and "code" in e and "param" in e


@pytest.mark.parametrize("status", [400, 404, 429, 500])
@pytest.mark.parametrize("client,provider", PAIRS)
def test_error(run, gateway, upstream, client, provider, status):
    """The provider's error, in the client's dialect, with what it says of waiting."""
    error = json.dumps(ERRORS[provider](status, "because of it")).encode()
    for stream in (False, True):
        script = upstream.answer(http_reply(status, error, [
            ("retry-after", "1"), ("x-ratelimit-limit-requests", "9")]))
        path, body, fields = ask(client, MODELS[provider], stream)
        m = run(call(gateway.port, path, body, script, fields))
        check_error(client, m, status, "because of it")
        assert m.get("content-type") == "application/json"
        if status == 429:
            assert m.get("retry-after") == "1" and m.get("x-ratelimit-limit-requests") == "9"


def test_error_overloaded(run, gateway, upstream):
    """529 is Anthropic's own; others get 503, and the reverse."""
    script = upstream.answer(http_reply(529, json.dumps(
        ERRORS["anthropic"](529, "Overloaded")).encode()))
    path, body, fields = ask("openai", MODELS["anthropic"])
    check_error("openai", run(call(gateway.port, path, body, script, fields)), 503, "Overloaded")
    script = upstream.answer(http_reply(503, json.dumps(ERRORS["gemini"](503, "busy")).encode()))
    path, body, fields = ask("anthropic", MODELS["gemini"])
    m = run(call(gateway.port, path, body, script, fields))
    check_error("anthropic", m, 529, "busy")
    assert m.json()["error"]["type"] == "overloaded_error"


def test_error_context(run, gateway, upstream):
    """Claude Code looks for these words, OpenAI's clients for that code."""
    error = {"error": {"message": "This model's maximum context length is 128000 tokens.",
                       "type": "invalid_request_error", "param": "messages",
                       "code": "context_length_exceeded"}}
    script = upstream.answer(http_reply(400, json.dumps(error).encode()))
    path, body, fields = ask("anthropic", MODELS["openai"])
    m = run(call(gateway.port, path, body, script, fields))
    check_error("anthropic", m, 400, "prompt is too long")
    error = ERRORS["anthropic"](400, "prompt is too long: 210000 tokens > 200000 maximum")
    script = upstream.answer(http_reply(400, json.dumps(error).encode()))
    path, body, fields = ask("openai", MODELS["anthropic"])
    m = run(call(gateway.port, path, body, script, fields))
    assert m.json()["error"]["code"] == "context_length_exceeded"


def until(stream, mark, times=1):
    """The stream up to and with the n-th mark."""
    at = 0
    for _ in range(times):
        at = stream.index(mark, at) + len(mark)
    return stream[:at]


HALVES = {"openai": until(CHAT_STREAM_USAGE, b"\n\n", 2),  # behind the first token
          "anthropic": MESSAGE_STREAM[:MESSAGE_STREAM.index(b"event: content_block_stop")],
          "gemini": until(GEMINI_STREAM, b"\r\n\r\n")}


@pytest.mark.parametrize("client,provider", PAIRS)
def test_broken_off(run, gateway, upstream, client, provider):
    """A stream that ends without its end: an error event, no end marker."""
    script = upstream.answer(http_reply(200, HALVES[provider], type_="text/event-stream", framing="eof"),
                             "close")
    path, body, fields = ask(client, MODELS[provider], True)
    m = run(call(gateway.port, path, body, script, fields))
    assert m.complete
    events = m.events()
    assert not ended(client, events)
    last = json.loads(events[-1][1])
    assert last.get("error") or last["type"] == "error"


def test_broken_off_before_a_token(run, gateway, upstream):
    """Nothing was said yet: an ordinary error, with a status."""
    data = MESSAGE_STREAM[:MESSAGE_STREAM.index(b"event: content_block_start")]
    script = upstream.answer(http_reply(200, data, type_="text/event-stream", framing="eof"),
                             "close")
    path, body, fields = ask("openai", MODELS["anthropic"], True)
    m = run(call(gateway.port, path, body, script, fields))
    assert m.status == 502 and m.json()["error"]["code"] == "upstream_closed"


def test_error_in_stream(run, gateway, upstream):
    """An error event of the provider's, before and after the first token."""
    error = typed({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    start = MESSAGE_STREAM[:MESSAGE_STREAM.index(b"event: content_block_start")]
    path, body, fields = ask("openai", MODELS["anthropic"], True)
    script = upstream.answer(http_reply(200, start + error, type_="text/event-stream"))
    m = run(call(gateway.port, path, body, script, fields))
    check_error("openai", m, 503, "Overloaded")
    said = MESSAGE_STREAM[:MESSAGE_STREAM.index(b"event: content_block_stop")]
    script = upstream.answer(http_reply(200, said + error, type_="text/event-stream"))
    m = run(call(gateway.port, path, body, script, fields))
    assert m.status == 200 and stream_text("openai", m.events()[:-1]) == "Hi"
    assert json.loads(m.events()[-1][1])["error"]["message"] == "Overloaded"


def test_reply_that_cannot_be_read(run, gateway, upstream):
    path, body, fields = ask("openai", MODELS["anthropic"])
    for data in (b"{", b"[]", b'{"type":"message"', b"", b"<html>"):
        m = run(call(gateway.port, path, body, upstream.answer(http_reply(200, data)), fields))
        check_error("openai", m, 502, "")


def test_bad_request_names_the_clients_field(run, gateway, upstream):
    before = len(upstream.requests)
    path, body, fields = ask("openai", MODELS["anthropic"])
    body["messages"][1]["content"] = [{"type": "image_url", "image_url": 7}]
    m = run(call(gateway.port, path, body, None, fields))
    assert m.status == 400
    assert m.json()["error"]["param"].startswith("messages[1].content[0]")
    assert len(upstream.requests) == before


# --- losses ---

def test_dropped_params(run, gateway, upstream):
    for stream in (False, True):
        path, body, fields = ask("openai", MODELS["anthropic"], stream, seed=7,
                                 logit_bias={"1": 2}, **{"odd\r\nname: é": 1})
        script = upstream.answer(reply_of("anthropic", stream))
        m = run(call(gateway.port, path, body, script, fields))
        assert m.status == 200
        names = m.get("x-smartflow-dropped-params").split(", ")
        assert "seed" in names and "logit_bias" in names
        assert m.get("name") is None and "seed" not in upstream.seen[script][0].json()
        row = record(gateway, m.get("x-smartflow-request-id"))
        assert row["entry"]["dropped"].split(", ")[:2] == names[:2]


def test_losses_refused(run, start, upstream):
    g = start(providers_at(upstream.port) | {"SMARTFLOW_LOSSES": "refuse"})
    path, body, fields = ask("openai", MODELS["anthropic"], seed=7)
    m = run(call(g.port, path, body, None, fields))
    assert m.status == 400 and m.json()["error"]["param"] == "seed"


# --- clients that are slow, or leave ---

def test_client_leaves(run, gateway, upstream):
    """The provider's connection is closed at once."""
    gone = asyncio.Event()

    async def endless(conn, _):
        head = MESSAGE_STREAM[:MESSAGE_STREAM.index(b"event: content_block_stop")]
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + head)
        await conn.gone()
        gone.set()
        return False

    async def play():
        path, body, fields = ask("openai", MODELS["anthropic"], True)
        c = await Client.to(gateway.port)
        await c.send(request("POST", path, body,
                             fields + [("x-script", upstream.script(endless))]))
        await c.until(b'"Hi"')
        c.reset()
        await asyncio.wait_for(gone.wait(), 10)

    run(play())


def test_slow_client(run, gateway, upstream):
    """A client that does not read holds up the provider; it gets everything in the end."""
    text = "0123456789" * 800
    delta = typed({"type": "content_block_delta", "index": 0,
                   "delta": {"type": "text_delta", "text": text}}) * 8
    begin = MESSAGE_STREAM[:MESSAGE_STREAM.index(b"event: ping")]
    end = MESSAGE_STREAM[MESSAGE_STREAM.index(b"event: content_block_stop"):]
    total = 50 << 20

    async def slow():
        sent, stuck = 0, asyncio.Event()

        async def play(conn, _):
            nonlocal sent
            await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + begin)
            conn.writer.transport.set_write_buffer_limits(high=65536)
            while sent < total:
                conn.writer.write(delta)
                try:
                    await asyncio.wait_for(conn.writer.drain(), 1)
                except asyncio.TimeoutError:
                    stuck.set()
                    await asyncio.wait_for(conn.writer.drain(), 60)
                sent += len(delta)
            await conn.send(end)
            conn.close()
            return False

        path, body, fields = ask("openai", MODELS["anthropic"], True)
        c = await Client.to(gateway.port)
        c.reader._transport.pause_reading()
        await c.send(request("POST", path, body, fields + [("x-script", upstream.script(play))]))
        await asyncio.wait_for(stuck.wait(), 30)
        passed = sent
        c.reader._transport.resume_reading()
        m = await c.reply()
        c.close()
        return sent, passed, m

    sent, passed, m = run(slow())
    assert passed < 16 << 20, "the kernel's buffers and ours cannot hold that much"
    assert len(stream_text("openai", m.events())) == sent // len(delta) * 8 * len(text)
    assert ended("openai", m.events())


# --- accounts ---

def record(g, request_id):
    """The log's record of a call."""
    status, body = g.get(f"/api/vas/logs/{request_id}", {"authorization": "Bearer " + ADMIN_KEY})
    assert status == 200, body
    return json.loads(body)["data"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("client,provider", PAIRS)
def test_account(run, gateway, upstream, client, provider, stream):
    """Usage and cost in the log are the provider's; the reply there is what the client got."""
    script = upstream.answer(reply_of(provider, stream))
    path, body, fields = ask(client, MODELS[provider], stream)
    m = run(call(gateway.port, path, body, script, fields))
    row = record(gateway, m.get("x-smartflow-request-id"))
    tokens = {"openai": (9, 2), "anthropic": (5, 2 if stream else 1), "gemini": (2, 2)}[provider]
    assert (row["prompt_tokens"], row["completion_tokens"]) == tokens
    assert row["provider"] == provider and row["cost_usd"] > 0
    assert row["response_body"] if "response_body" in row else row["entry"]["resp_len"] == len(m.body)


# --- pictures by URL ---

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))


def with_picture(url):
    path, body, fields = ask("openai", "bedrock/anthropic.claude-3-haiku-20240307-v1:0")
    body["messages"][1]["content"] = [{"type": "text", "text": "What is it?"},
                                      {"type": "image_url", "image_url": {"url": url}}]
    return path, body, fields


CONVERSE_REPLY = {"output": {"message": {"role": "assistant", "content": [{"text": "A dot"}]}},
                  "stopReason": "end_turn",
                  "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}}


@pytest.fixture(scope="module")
def bedrock(tmp_path_factory, upstream):
    g = Gateway(tmp_path_factory.mktemp("bedrock"), {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
        "BEDROCK_API_BASE": f"http://127.0.0.1:{upstream.port}",
        "SMARTFLOW_FETCH_ALLOW": "127.0.0.1"})
    yield g
    g.stop()


@pytest.mark.parametrize("how", ["straight", "redirected"])
def test_picture_is_fetched(run, bedrock, upstream, how):


    async def play(conn, m):
        if m.target == "/there":
            return await conn.answer(http_reply(302, fields=[("Location", "/dot.png")]))
        if m.target.endswith("/dot.png?a=1") or m.target == "/dot.png":
            return await conn.answer(http_reply(200, PNG, type_="image/png"))
        return await conn.answer(http_reply(200, json.dumps(CONVERSE_REPLY).encode()))

    upstream.default = play
    url = f"http://127.0.0.1:{upstream.port}" + (
        "/dot.png?a=1" if how == "straight" else "/there")
    path, body, fields = with_picture(url)
    m = run(call(bedrock.port, path, body, None, fields))
    upstream.default = None
    assert m.status == 200, m.body
    sent = upstream.requests[-1].json()["messages"][0]["content"][1]["image"]
    assert sent == {"format": "png", "source": {"bytes": base64.b64encode(PNG).decode()}}


def test_picture_from_inside_is_refused(run, start, upstream):
    """A caller cannot make the gateway reach what only it can."""
    g = start({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
               "BEDROCK_API_BASE": f"http://127.0.0.1:{upstream.port}"})
    before = len(upstream.requests)
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"):
        path, body, fields = with_picture(f"http://{host}:{upstream.port}/dot.png?secret=1")
        m = run(call(g.port, path, body, None, fields))
        assert m.status == 400 and "secret=1" not in m.body.decode(), m.body
    assert len(upstream.requests) == before


@pytest.mark.parametrize("reply", [
    http_reply(404, b"no", type_="image/png"), http_reply(200, b"<html>", type_="text/html"),
    http_reply(200, b"", type_="image/png"),
    http_reply(200, b"x" * (21 << 20), type_="image/png"),
    http_reply(302, fields=[("Location", "file:///etc/passwd")]),
    http_reply(302, fields=[("Location", "/again")])], ids=range(6))
def test_picture_that_is_none(run, bedrock, upstream, reply):
    async def play(conn, _):
        return await conn.answer(reply)

    upstream.default = play
    path, body, fields = with_picture(f"http://127.0.0.1:{upstream.port}/dot")
    m = run(call(bedrock.port, path, body, None, fields))
    upstream.default = None
    assert m.status == 400, m.body
    assert m.json()["error"]["param"].startswith("messages[1].content[1]")


def test_picture_not_fetched_where_switched_off(run, start, upstream):
    g = start({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
               "BEDROCK_API_BASE": f"http://127.0.0.1:{upstream.port}",
               "SMARTFLOW_FETCH_ALLOW": "127.0.0.1", "SMARTFLOW_FETCH_IMAGES": "off"})
    before = len(upstream.requests)
    path, body, fields = with_picture(f"http://127.0.0.1:{upstream.port}/dot.png")
    assert run(call(g.port, path, body, None, fields)).status == 400
    assert len(upstream.requests) == before


# --- stored responses ---

@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_responses_are_kept(run, gateway, upstream, stream):
    """A conversation that goes on by previous_response_id, with a provider that keeps nothing."""
    def response_of(m):
        return json.loads(m.events()[-1][1])["response"] if stream else m.json()

    path, body, _ = ask("responses", MODELS["anthropic"], stream)
    m = run(call(gateway.port, path, body, upstream.answer(reply_of("anthropic", stream))))
    first = response_of(m)["id"]
    script = upstream.answer(reply_of("anthropic", stream))
    body = {"model": MODELS["anthropic"], "stream": stream, "input": "And then?",
            "previous_response_id": first}
    second = response_of(run(call(gateway.port, path, body, script)))
    assert second["previous_response_id"] == first
    said = [(x["role"], json.dumps(x["content"], ensure_ascii=False))
            for x in upstream.seen[script][0].json()["messages"]]
    assert [r for r, _ in said] == ["user", "assistant", "user"]
    assert USER in said[0][1] and "Hi" in said[1][1] and "And then?" in said[2][1]

    got = run(call(gateway.port, f"/v1/responses/{second['id']}", method="GET"))
    assert got.status == 200 and got.json()["id"] == second["id"]
    assert text_of("responses", got.json()) == "Hi"
    items = run(call(gateway.port, f"/v1/responses/{second['id']}/input_items?order=asc",
                     method="GET")).json()
    assert [i["role"] for i in items["data"]] == ["user", "assistant", "user"]
    gone = run(call(gateway.port, f"/v1/responses/{first}", method="DELETE"))
    assert gone.json() == {"id": first, "object": "response", "deleted": True}
    assert run(call(gateway.port, f"/v1/responses/{first}", method="GET")).status == 404
    m = run(call(gateway.port, path, body))
    assert m.status == 400 and m.json()["error"]["code"] == "previous_response_not_found"


def test_kept_response_goes_on_elsewhere(run, gateway, upstream):
    """Even with a provider that has responses of its own, but not this one."""
    path, body, _ = ask("responses", MODELS["anthropic"])
    first = run(call(gateway.port, path, body, upstream.answer(reply_of("anthropic")))).json()["id"]
    reply = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-4o",
             "output": [{"type": "message", "id": "msg_1", "role": "assistant",
                         "status": "completed", "content": [
                             {"type": "output_text", "text": "Ja", "annotations": []}]}],
             "usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}}
    script = upstream.answer(http_reply(200, json.dumps(reply).encode()))
    m = run(call(gateway.port, path, {"model": "gpt-4o", "input": "Now?",
                                      "previous_response_id": first}, script))
    seen = upstream.seen[script][0].json()
    assert seen.get("previous_response_id") is None and len(seen["input"]) == 3
    assert text_of("responses", m.json()) == "Ja"
    assert m.json()["previous_response_id"] == first


# --- Claude in Vertex AI's envelope ---

VERTEX = "/v1/projects/p/locations/global/publishers/anthropic/models/claude-sonnet-4-6:{}"


@pytest.mark.parametrize("verb", ["rawPredict", "streamRawPredict"])
def test_vertex_envelope(run, gateway, upstream, verb):
    """At Anthropic's own: another path and envelope; the members and the reply pass as they came."""
    stream = verb.startswith("stream")
    script = upstream.answer(reply_of("anthropic", stream))
    body = (b'{"anthropic_version":"vertex-2023-10-16","max_tokens":64,"odd":1.50,'
            b'"messages":[{"role":"user","content":"Gr\\u00fc\\u00dfe"}]%s}'
            % (b',"stream":true' if stream else b""))
    m = run(call(gateway.port, VERTEX.format(verb), body, script))
    assert m.status == 200, m.body
    seen = upstream.seen[script][0]
    assert seen.target == "/v1/messages" and seen.json()["model"] == MODELS["anthropic"]
    assert "anthropic_version" not in seen.json()
    assert b'"odd":1.50' in seen.body and b'"Gr\\u00fc\\u00dfe"' in seen.body
    assert m.body == (MESSAGE_STREAM if stream else MESSAGE_REPLY)


def test_vertex_envelope_elsewhere(run, gateway, upstream):
    script = upstream.answer(reply_of("openai"))
    path = VERTEX.format("rawPredict").replace("claude-sonnet-4-6", "gpt-4o")
    m = run(call(gateway.port, path, {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9,
                                      "messages": [{"role": "user", "content": "Hi"}]}, script))
    assert text_of("anthropic", m.json()).startswith("Gr")
    assert upstream.seen[script][0].json()["model"] == "gpt-4o"


# --- a provider that thinks for long ---

@pytest.mark.parametrize("client,provider,mark", [
    ("anthropic", "openai", b"event: ping\n"), ("openai", "anthropic", b": keep-alive\n"),
    ("responses", "anthropic", b": keep-alive\n")])
def test_keep_alive(run, start, upstream, client, provider, mark):
    """Before the first token and behind it; the provider goes on when it was seen."""
    g = start(providers_at(upstream.port) | {"SMARTFLOW_KEEP_ALIVE": "50ms"})
    seen = asyncio.Event()
    data = STREAMS[provider]
    cuts = [0, data.index(b"\n\n") + 2, len(HALVES[provider]), len(data)]

    async def play(conn, _):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                        b"Content-Length: %d\r\n\r\n" % len(data))
        for a, b in zip(cuts, cuts[1:]):
            await conn.send(data[a:b])
            if b < len(data):
                seen.clear()
                await asyncio.wait_for(seen.wait(), 10)
        return True

    async def slow():
        path, body, fields = ask(client, MODELS[provider], True)
        c = await Client.to(g.port)
        await c.send(request("POST", path, body, fields + [("x-script", upstream.script(play))]))
        got = b""
        for _ in range(2):
            got += await c.until(mark)
            seen.set()
        return got + await c.until(b"0\r\n\r\n")

    got = run(slow())
    assert got.startswith(b"HTTP/1.1 200") and got.count(mark) >= 2
    assert SAYS[provider].encode() in got or b"Gr" in got
