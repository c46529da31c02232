"""AWS' own SDK before the gateway: Bedrock's endpoints as a front door.

Converse and InvokeModel (with Claude's bodies), whole and streamed, before providers of three other
dialects; what goes wrong as botocore's exceptions; and before Bedrock itself, where every byte
passes as it came.
"""

import asyncio
import base64
import binascii
import functools
import json
import os
import struct
from contextlib import contextmanager

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from dialects import sse, typed
from gateway import KEY, Gateway
from sdk_fixtures import PIXEL
from test_translate_sdk import CITY, DEGREES, FAKES, MODELS, SCHEMA, fakes  # noqa: F401 - a fixture
from test_wire_tls import certs, client_tls  # noqa: F401 - a fixture
from wire import RawUpstream, chunked, exchange, http_reply, request

CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/" + CLAUDE
FRAMES = "application/vnd.amazon.eventstream"
CHAIN = ("routing: {chains: [{name: both, retries: 0, targets: ["
         "{provider: bedrock, model: amazon.nova-x}, {provider: openai, model: gpt-x}]}]}")


# --- clients ---

@pytest.fixture(scope="module", autouse=True)
def environment():
    """The SDK looks into the environment at each call; what was there before comes back."""
    with pytest.MonkeyPatch.context() as env:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            env.delenv(name, raising=False)
        env.setenv("AWS_EC2_METADATA_DISABLED", "true")
        env.setenv("AWS_BEARER_TOKEN_BEDROCK", KEY)
        yield


@functools.cache
def made(url, ca, key):
    """A client costs the SDK a second. Without a key it signs its calls."""
    keys = {} if key else {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
                           "aws_secret_access_key": "secret"}
    return boto3.session.Session(**keys).client(
        "bedrock-runtime", region_name="eu-west-1", endpoint_url=url, verify=ca,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20))


def aws(g, door="", key=KEY):
    """A client whose key is in AWS_BEARER_TOKEN_BEDROCK, until the next one is asked for."""
    if key:
        os.environ["AWS_BEARER_TOKEN_BEDROCK"] = key
    else:
        os.environ.pop("AWS_BEARER_TOKEN_BEDROCK", None)
    return made(g.url + door, g.ca, key)


def frame(headers, payload):
    head = b"".join(bytes([len(n)]) + n.encode() + b"\x07" + struct.pack(">H", len(v)) + v.encode()
                    for n, v in headers.items())
    start = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    start += struct.pack(">I", binascii.crc32(start))
    return start + head + payload + struct.pack(">I", binascii.crc32(start + head + payload))


def event(name, data):
    return frame({":event-type": name, ":content-type": "application/json",
                  ":message-type": "event"}, json.dumps(data).encode())


def exception(name, message):
    return frame({":exception-type": name, ":content-type": "application/json",
                  ":message-type": "exception"}, json.dumps({"message": message}).encode())


# --- a loop of two turns; each gives the final text ---

def converse_reply(client, how, stream):
    """message, stopReason and usage, of a stream put together as its reader would."""
    if not stream:
        r = client.converse(**how)
        assert r["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/json"
        return r["output"]["message"], r["stopReason"], r["usage"]
    blocks, stop, usage = {}, None, None
    for e in client.converse_stream(**how)["stream"]:
        (name, v), = e.items()
        at = v.get("contentBlockIndex")
        if name == "contentBlockStart":
            blocks[at] = {"toolUse": v["start"]["toolUse"] | {"input": ""}}
        elif name == "contentBlockDelta":
            add_delta(blocks, at, v["delta"])
        elif name == "messageStop":
            stop = v["stopReason"]
        elif name == "metadata":
            usage = v["usage"]
    for b in blocks.values():
        if "toolUse" in b:
            b["toolUse"]["input"] = json.loads(b["toolUse"]["input"])
    assert sorted(blocks) == list(range(len(blocks)))
    return {"role": "assistant", "content": [blocks[i] for i in sorted(blocks)]}, stop, usage


def add_delta(blocks, at, delta):
    if "toolUse" in delta:
        blocks[at]["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "reasoningContent" in delta:
        thought = blocks.setdefault(at, {"reasoningContent": {"reasoningText": {"text": ""}}})
        thought = thought["reasoningContent"]["reasoningText"]
        for k, v in delta["reasoningContent"].items():
            thought[k] = thought.get(k, "") + v
    else:
        blocks.setdefault(at, {"text": ""})["text"] += delta["text"]


def converse_loop(g, model, stream):
    client = aws(g, "/bedrock")
    messages = [{"role": "user", "content": [
        {"text": "How warm is it there?"},
        {"image": {"format": "png", "source": {"bytes": base64.b64decode(PIXEL)}}}]}]
    how = {"modelId": model, "messages": messages, "inferenceConfig": {"maxTokens": 4000},
           "toolConfig": {"tools": [{"toolSpec": {"name": "weather", "description": "Weather",
                                                  "inputSchema": {"json": SCHEMA}}}]},
           "additionalModelRequestFields": {
               "thinking": {"type": "enabled", "budget_tokens": 2000}}}
    message, stop, _ = converse_reply(client, how, stream)
    assert stop == "tool_use"
    (called,) = [b["toolUse"] for b in message["content"] if "toolUse" in b]
    assert called["name"] == "weather" and called["input"] == {"city": CITY}
    messages.append(message)
    messages.append({"role": "user", "content": [{"toolResult": {
        "toolUseId": called["toolUseId"], "content": [{"text": DEGREES}]}}]})
    message, stop, usage = converse_reply(client, how, stream)
    assert stop == "end_turn"
    assert (usage["inputTokens"], usage["outputTokens"], usage["totalTokens"]) == (50, 20, 70)
    return "".join(b.get("text", "") for b in message["content"])


def invoke_reply(client, model, body, stream):
    how = {"modelId": model, "body": json.dumps(body), "contentType": "application/json"}
    if not stream:
        r = client.invoke_model(**how)
        fields = r["ResponseMetadata"]["HTTPHeaders"]
        reply = json.loads(r["body"].read())
        assert fields["x-amzn-bedrock-input-token-count"] == "50"
        assert fields["x-amzn-bedrock-output-token-count"] == "20"
        return reply
    made = None
    for e in client.invoke_model_with_response_stream(**how)["body"]:
        v = json.loads(e["chunk"]["bytes"])
        if v["type"] == "message_start":
            made = v["message"]
        elif v["type"] == "content_block_start":
            made["content"].append(v["content_block"] | ({"input": ""} if v["content_block"][
                "type"] == "tool_use" else {}))
        elif v["type"] == "content_block_delta":
            d = v["delta"]
            to = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta":
                  "signature", "input_json_delta": "input"}[d["type"]]
            made["content"][v["index"]][to] += d.get(to, d.get("partial_json"))
        elif v["type"] == "message_delta":
            made |= v["delta"]
            made["usage"] |= v["usage"]
    for b in made["content"]:
        if b["type"] == "tool_use":
            b["input"] = json.loads(b["input"])
    return made


def invoke_loop(g, model, stream):
    client = aws(g)
    messages = [{"role": "user", "content": [
        {"type": "text", "text": "How warm is it there?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                     "data": PIXEL}}]}]
    body = {"anthropic_version": "bedrock-2023-05-31", "anthropic_beta": ["some-beta-2026-01-01"],
            "max_tokens": 4000, "messages": messages,
            "thinking": {"type": "enabled", "budget_tokens": 2000},
            "tools": [{"name": "weather", "description": "Weather", "input_schema": SCHEMA}]}
    first = invoke_reply(client, model, body, stream)
    assert first["stop_reason"] == "tool_use" and first["model"] == model
    (called,) = [b for b in first["content"] if b["type"] == "tool_use"]
    assert called["input"] == {"city": CITY}
    messages.append({"role": "assistant", "content": first["content"]})
    messages.append({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": called["id"], "content": DEGREES}]})
    second = invoke_reply(client, model, body, stream)
    assert second["stop_reason"] == "end_turn"
    assert second["usage"]["input_tokens"] == 50 and second["usage"]["output_tokens"] == 20
    return "".join(b["text"] for b in second["content"] if b["type"] == "text")


# --- the gateway, and a Bedrock of our own ---

@pytest.fixture(scope="module")
def bedrock(run):
    up = run(RawUpstream().start())
    yield up
    run(up.stop())


@pytest.fixture(scope="module")
def served(tmp_path_factory, fakes, bedrock, certs):  # noqa: F811
    env = {"SMARTFLOW_TLS_CERT": certs / "server.pem", "SMARTFLOW_TLS_KEY": certs / "server.key",
           "AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key",
           "BEDROCK_API_BASE": f"http://127.0.0.1:{bedrock.port}"}
    for name, up in fakes.items():
        env |= {f"{name.upper()}_API_KEY": "sk-provider",
                f"{name.upper()}_API_BASE": f"http://127.0.0.1:{up.port}"}
    folder = tmp_path_factory.mktemp("bedrock")
    (folder / "smartflow.yaml").write_text(CHAIN, encoding="utf-8")
    g = Gateway(folder, env, config=folder / "smartflow.yaml")
    g.ca = str(certs / "ca.pem")
    yield g
    g.stop()


@contextmanager
def playing(up, data, then="keep"):
    """The provider gives this answer meanwhile."""
    async def play(conn, _):
        return await conn.answer(data, then)

    was, up.default = up.default, play
    try:
        yield
    finally:
        up.default = was


def apart(run, what, *args, **named):
    """A blocking call beside the loop that the upstreams live on."""
    return run(asyncio.to_thread(what, *args, **named))


def ask(text="Hello"):
    return {"messages": [{"role": "user", "content": [{"text": text}]}]}


# --- other dialects ---

@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("provider", FAKES)
@pytest.mark.parametrize("loop", [converse_loop, invoke_loop])
def test_tool_loop(run, served, fakes, loop, provider, stream):  # noqa: F811
    before = len(fakes[provider].requests)
    assert apart(run, loop, served, MODELS[provider], stream) == DEGREES + "."
    seen = fakes[provider].requests[before:]
    assert len(seen) == 2
    for m in seen:  # nothing of AWS's own goes out
        assert not [n for n, _ in m.fields if n.lower().startswith(("x-amz", "amz-sdk"))]
        assert KEY not in str(m.fields)
    if provider == "anthropic" and loop is invoke_loop:
        assert seen[0].get("anthropic-beta") == "some-beta-2026-01-01"
        assert "anthropic_beta" not in seen[0].json()


def test_provider_said_outright(run, served, fakes):  # noqa: F811
    """The model's id may have a provider before it, as in every dialect."""
    reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-x", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}
    with playing(fakes["openai"], http_reply(200, json.dumps(reply).encode(), [
            ("x-request-id", "req_upstream")])):
        r = apart(run, aws(served).converse, modelId="openai/gpt-x", **ask(),
                  inferenceConfig={"maxTokens": 7, "stopSequences": ["END"]})
    assert r["output"]["message"]["content"] == [{"text": "Yes."}]
    assert r["ResponseMetadata"]["RequestId"] == "req_upstream"
    assert r["metrics"]["latencyMs"] == 0
    body = fakes["openai"].requests[-1].json()
    assert body["model"] == "gpt-x" and body["stop"] == ["END"]


# --- what goes wrong ---

def fails(run, what, *args, **named):
    with pytest.raises(ClientError) as e:
        apart(run, what, *args, **named)
    return e.value.response["Error"]["Code"], e.value.response["Error"]["Message"], \
        e.value.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("status,type_,code", [
    (429, "rate_limit_error", "ThrottlingException"),
    (400, "invalid_request_error", "ValidationException"),
    (403, "permission_error", "AccessDeniedException"),
    (404, "not_found_error", "ResourceNotFoundException"),
    (529, "overloaded_error", "ServiceUnavailableException"),
    (500, "api_error", "InternalServerException"),
])
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_errors_of_providers(run, served, fakes, operation, status, type_, code):  # noqa: F811
    client = aws(served)
    body = json.dumps({"type": "error", "error": {"type": type_, "message": "No way."}}).encode()
    with playing(fakes["anthropic"], http_reply(status, body)):
        with pytest.raises(getattr(client.exceptions, code)) as e:
            apart(run, getattr(client, operation), modelId=MODELS["anthropic"], **ask())
    error = e.value.response
    assert error["Error"]["Message"] == "No way."
    assert error["ResponseMetadata"]["HTTPStatusCode"] == {529: 503}.get(status, status)
    assert len(error["ResponseMetadata"]["RequestId"]) == 36


def test_unknown_keys(run, served):
    for key in ("sk-sf-" + "9" * 48, "some-key-of-aws"):
        code, message, status = fails(run, aws(served, key=key).converse, modelId="gpt-4o", **ask())
        assert (code, status) == ("AccessDeniedException", 403) and "virtual key" in message


def test_signed_calls(run, served):
    """A signature cannot be checked; a key beside it counts."""
    client = aws(served, key=None)
    code, message, status = fails(run, client.converse, modelId="gpt-4o", **ask())
    assert (code, status) == ("AccessDeniedException", 403)
    assert "AWS_BEARER_TOKEN_BEDROCK" in message
    client.meta.events.register("before-sign.bedrock-runtime", lambda request, **_: request.headers
                                .add_header("x-api-key", KEY))
    code, _, _ = fails(run, client.converse, modelId="no-such-model", **ask())
    assert code == "ResourceNotFoundException"


def test_wrong_requests(run, served):
    client = aws(served)
    code, message, status = fails(run, client.converse, modelId="gpt-4o", messages=[])
    assert (code, status) == ("ValidationException", 400) and "messages" in message
    code, message, _ = fails(run, client.invoke_model, modelId="gpt-4o",
                             body=json.dumps({"inputText": "Hello"}))
    assert code == "ValidationException" and "anthropic_version" in message
    code, message, _ = fails(run, client.invoke_model, modelId=MODELS["anthropic"], body=json.dumps({
        "anthropic_version": "bedrock-2023-05-31", "anthropic_beta": ["a\r\nx-evil: 1"],
        "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}))
    assert code == "ValidationException" and "anthropic_beta" in message


def read_to_the_end(stream):
    events = []
    with pytest.raises(EventStreamError) as e:
        for one in stream:
            events.append(one)
    return events, e.value.response["Error"]


BEGUN = typed(
    {"type": "message_start", "message": {
        "id": "m", "type": "message", "role": "assistant", "content": [], "model": "c",
        "stop_reason": None, "usage": {"input_tokens": 5, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}})


def test_stream_breaks_off(run, served, fakes):  # noqa: F811
    client = aws(served)
    whole = http_reply(200, BEGUN, type_="text/event-stream", framing="chunked")
    with playing(fakes["anthropic"], whole.removesuffix(b"0\r\n\r\n"), "reset"):
        r = apart(run, client.converse_stream, modelId=MODELS["anthropic"], **ask())
        events, error = apart(run, read_to_the_end, r["stream"])
    assert [next(iter(e)) for e in events] == ["messageStart", "contentBlockDelta"]
    assert error["Code"] == "internalServerException" and "broke off" in error["Message"]


def test_stream_has_an_error(run, served, fakes):  # noqa: F811
    client = aws(served)
    late = BEGUN + typed({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}})
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5,
            "messages": [{"role": "user", "content": "Hi"}]}
    with playing(fakes["anthropic"], http_reply(200, late, type_="text/event-stream")):
        r = apart(run, client.invoke_model_with_response_stream, modelId=MODELS["anthropic"],
                  body=json.dumps(body))
        events, error = apart(run, read_to_the_end, r["body"])
    types = [json.loads(e["chunk"]["bytes"])["type"] for e in events]
    assert types == ["message_start", "content_block_start", "content_block_delta"]
    assert error["Code"] == "serviceUnavailableException" and error["Message"] == "Busy"


# --- Bedrock itself: bytes as they came ---

def booked(g, request_id):
    """Usage of a call, as the log has it."""
    assert g.err.wait_for(rf'"{request_id}".*"output_tokens"|"output_tokens".*"{request_id}"')
    (line,) = [x for x in g.log() if x.get("request_id") == request_id and "output_tokens" in x]
    return line["input_tokens"], line["output_tokens"], line["provider"]


@pytest.mark.parametrize("model", [CLAUDE, ARN, "bedrock/amazon.nova-pro-v1:0"])
def test_converse_passes(run, served, bedrock, model):
    reply = json.dumps({"output": {"message": {"role": "assistant", "content": [{"text": "Hö."}]}},
                        "stopReason": "end_turn", "metrics": {"latencyMs": 7}, "usage": {
                            "inputTokens": 11, "outputTokens": 3, "totalTokens": 14}}, indent=1)
    with playing(bedrock, http_reply(200, reply.encode(), [("x-amzn-RequestId", "of-aws")])):
        r = apart(run, aws(served, "/bedrock").converse, modelId=model, **ask(),
                  guardrailConfig={"guardrailIdentifier": "g", "guardrailVersion": "1"})
    m = bedrock.requests[-1]
    id_ = model.removeprefix("bedrock/").replace(":", "%3A").replace("/", "%2F")
    assert m.target == f"/model/{id_}/converse"
    assert m.json() == ask() | {"guardrailConfig": {"guardrailIdentifier": "g",
                                                    "guardrailVersion": "1"}}
    assert m.all("authorization") == ["Bearer bedrock-api-key"]
    assert not [n for n, _ in m.fields if n.lower().startswith(("x-amz-", "amz-sdk"))]
    assert r["metrics"]["latencyMs"] == 7 and r["ResponseMetadata"]["RequestId"] == "of-aws"
    request_id = r["ResponseMetadata"]["HTTPHeaders"]["x-smartflow-request-id"]
    assert booked(served, request_id) == (11, 3, "bedrock")


def test_stream_passes(run, served, bedrock, certs):  # noqa: F811
    frames = (event("messageStart", {"role": "assistant", "p": "abc"})
              + event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}})
              + event("contentBlockStop", {"contentBlockIndex": 0})
              + event("messageStop", {"stopReason": "end_turn"})
              + event("metadata", {"usage": {"inputTokens": 4, "outputTokens": 2,
                                             "totalTokens": 6}, "metrics": {"latencyMs": 5}}))
    with playing(bedrock, http_reply(200, type_=FRAMES, framing="chunked").removesuffix(
            b"0\r\n\r\n") + chunked(frames, 7)):
        m = run(exchange(served.port, request("POST", f"/model/{CLAUDE}/converse-stream", ask()),
                         ssl=client_tls(certs)))
        r = apart(run, aws(served).converse_stream, modelId=CLAUDE, **ask())
        events = apart(run, list, r["stream"])
    assert m.body == frames and m.get("content-type") == FRAMES
    assert events[-1]["metadata"]["metrics"]["latencyMs"] == 5
    assert booked(served, m.get("x-smartflow-request-id")) == (4, 2, "bedrock")


def test_broken_stream_of_bedrock(run, served, bedrock):
    whole = event("messageStart", {"role": "assistant"}) + event(
        "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}})
    data = http_reply(200, whole + event("messageStop", {})[:20], type_=FRAMES, framing="chunked")
    with playing(bedrock, data.removesuffix(b"0\r\n\r\n"), "reset"):
        r = apart(run, aws(served).converse_stream, modelId=CLAUDE, **ask())
        events, error = apart(run, read_to_the_end, r["stream"])
    assert len(events) == 2 and error["Code"] == "internalServerException"


def test_exception_of_bedrock(run, served, bedrock):
    whole = event("messageStart", {"role": "assistant"}) + exception("throttlingException", "Slow.")
    with playing(bedrock, http_reply(200, whole, type_=FRAMES)):
        r = apart(run, aws(served).converse_stream, modelId=CLAUDE, **ask())
        events, error = apart(run, read_to_the_end, r["stream"])
    assert len(events) == 1 and error == {"Code": "throttlingException", "Message": "Slow."}
    with playing(bedrock, http_reply(400, b'{"message":"Bad id."}', [
            ("x-amzn-ErrorType", "ValidationException:http://internal.amazon.com/")])):
        code, message, status = fails(run, aws(served).converse, modelId=CLAUDE, **ask())
    assert (code, message, status) == ("ValidationException", "Bad id.", 400)


def test_invoke_passes_any_body(run, served, bedrock):
    """Bodies of other publishers: their usage stands in the reply's head."""
    body = b'{"inputText" : "Hello", "textGenerationConfig":{"maxTokenCount":5}}'
    with playing(bedrock, http_reply(200, b'{"results":[{"outputText":"Hi."}]}', [
            ("X-Amzn-Bedrock-Input-Token-Count", "9"),
            ("X-Amzn-Bedrock-Output-Token-Count", "2")])):
        r = apart(run, aws(served).invoke_model, modelId="amazon.titan-text-express-v1",
                  body=body, trace="ENABLED")
    m = bedrock.requests[-1]
    assert m.target == "/model/amazon.titan-text-express-v1/invoke" and m.body == body
    assert m.get("x-amzn-bedrock-trace") == "ENABLED"
    assert json.loads(r["body"].read())["results"][0]["outputText"] == "Hi."
    fields = r["ResponseMetadata"]["HTTPHeaders"]
    assert booked(served, fields["x-smartflow-request-id"]) == (9, 2, "bedrock")


def test_invoke_stream_passes(run, served, bedrock):
    def chunk(v):
        return event("chunk", {"bytes": base64.b64encode(json.dumps(v).encode()).decode()})

    frames = (chunk({"type": "message_start", "message": {"usage": {"input_tokens": 8,
                                                                    "output_tokens": 1}}})
              + chunk({"type": "content_block_delta", "index": 0,
                       "delta": {"type": "text_delta", "text": "Hi"}})
              + chunk({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 6}})
              + chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": {
                  "inputTokenCount": 8, "outputTokenCount": 6}}))
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5,
            "messages": [{"role": "user", "content": "Hi"}]}
    with playing(bedrock, http_reply(200, frames, type_=FRAMES)):
        r = apart(run, aws(served).invoke_model_with_response_stream, modelId=CLAUDE,
                  body=json.dumps(body))
        events = apart(run, list, r["body"])
    assert len(events) == 4
    assert bedrock.requests[-1].target.endswith("-v1%3A0/invoke-with-response-stream")
    fields = r["ResponseMetadata"]["HTTPHeaders"]
    assert booked(served, fields["x-smartflow-request-id"]) == (8, 6, "bedrock")


def chat_stream(*words):
    base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x"}
    return sse(*(base | {"choices": [{"index": 0, "delta": {"content": w}}]} for w in words),
               base | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
               base | {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
               "[DONE]")


@pytest.mark.parametrize("failure", ["exception", "status"])
def test_next_target(run, served, fakes, bedrock, failure):  # noqa: F811
    """Bedrock fails before its first token: the client sees one clean stream of the other's."""
    frames = event("messageStart", {"role": "assistant"}) + exception("throttlingException", "Slow.")
    first = http_reply(200, frames, type_=FRAMES) if failure == "exception" else http_reply(
        429, b'{"message":"Slow."}', [("x-amzn-errortype", "ThrottlingException")])
    with playing(bedrock, first), playing(fakes["openai"], http_reply(
            200, chat_stream("He", "llo"), type_="text/event-stream")):
        r = apart(run, aws(served).converse_stream, modelId="both", **ask())
        events = apart(run, list, r["stream"])
    assert [next(iter(e)) for e in events] == [
        "messageStart", "contentBlockDelta", "contentBlockDelta", "contentBlockStop",
        "messageStop", "metadata"]
    assert r["ResponseMetadata"]["HTTPHeaders"]["x-smartflow-provider"] == "openai"
    assert bedrock.requests[-1].target == "/model/amazon.nova-x/converse-stream"


def test_bedrock_in_a_chain(run, served, bedrock):
    """Its head waits for the first token; the frames stay as they came."""
    frames = b"".join(event(n, d) for n, d in [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}}),
        ("contentBlockStop", {"contentBlockIndex": 0}), ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": {"inputTokens": 4, "outputTokens": 2, "totalTokens": 6},
                      "metrics": {"latencyMs": 5}})])
    with playing(bedrock, http_reply(200, frames, type_=FRAMES)):
        r = apart(run, aws(served).converse_stream, modelId="both", **ask())
        events = apart(run, list, r["stream"])
    assert len(events) == 5 and events[-1]["metadata"]["metrics"]["latencyMs"] == 5
    assert r["ResponseMetadata"]["HTTPHeaders"]["x-smartflow-provider"] == "bedrock"
