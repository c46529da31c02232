"""What a translated call needs beyond its one body and one reply: signatures of another provider in
a conversation that goes on at the client's own, predictions that are not over, inputs that take
several calls, text completions by models that chat, and what is kept no longer than it should be.
"""

import json
import re
import socket
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types

from dialects import sse, typed
from gateway import KEY, Gateway, providers_at
from plane import until

SIGNATURE, THOUGHT = "EqQBCkYIBhgCKkBzaWduYXR1cmU=", "CiQBdGhvdWdodA/+gsbm90IGFuIGlkIG9mIDY0IGxldHRlcnM="
CLAUDE, GEMINI, GPT, LLAMA = "claude-sonnet-4-5", "gemini-2.5-pro", "gpt-4o", "meta/llama-3-8b"
TOOL = {"name": "weather", "description": "", "input_schema": {"type": "object", "properties": {}}}
LIMIT = 20  # seconds that anything is waited for


class Call:
    def __init__(self, method, path, fields, body):
        self.method, self.path, self.fields = method, path.split("?")[0], fields
        self.text = body.decode()
        self.body = json.loads(body) if body else None


class Provider:
    """One for all dialects: answers with what `answer(call)` gives: a value, (status, value), or
    the bytes of a stream."""

    def __init__(self):
        self.calls, self.answer, self.condition = [], None, threading.Condition()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                n = int(self.headers.get("content-length", 0))
                call = Call(self.command, self.path, self.headers, self.rfile.read(n))
                with provider.condition:
                    provider.calls.append(call)
                    provider.condition.notify_all()
                answer = provider.answer(call)
                status, answer = answer if isinstance(answer, tuple) else (200, answer)
                stream = isinstance(answer, bytes)
                data = answer if stream else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type",
                                 "text/event-stream" if stream else "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = handle_one

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a gateway that hangs up
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def wait(self, method, path):
        with self.condition:
            assert self.condition.wait_for(lambda: self.seen(method, path), LIMIT), \
                [(c.method, c.path) for c in self.calls]

    def seen(self, method, path):
        return [c for c in self.calls if c.method == method and c.path.endswith(path)]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def provider():
    p = Provider()
    yield p
    p.stop()


@pytest.fixture(scope="module")
def settings(provider):
    return providers_at(provider.port) | {
        "REPLICATE_API_KEY": "r8_x", "REPLICATE_API_BASE": f"http://127.0.0.1:{provider.port}",
        "SMARTFLOW_RESPONSES_RETENTION": "2s"}


@pytest.fixture(scope="module")
def house(tmp_path_factory, settings):
    g = Gateway(tmp_path_factory.mktemp("follow"), settings)
    yield g
    g.stop()


@pytest.fixture(autouse=True)
def fresh(provider):
    provider.calls.clear()
    yield


def at(name):
    return {"x-smartflow-provider": name}


def gpt(house):
    return openai.OpenAI(api_key=KEY, base_url=house.url + "/v1", max_retries=0, timeout=LIMIT)


def claude(house):
    return anthropic.Anthropic(api_key=KEY, base_url=house.url, max_retries=0, timeout=LIMIT)


# --- what the providers say ---

def gemini_turn(*parts):
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0,
                            "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3,
                              "totalTokenCount": 10}}


def claude_turn(*content):
    calls = any(b["type"] == "tool_use" for b in content)
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": CLAUDE,
            "content": list(content), "stop_reason": "tool_use" if calls else "end_turn",
            "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 3}}


def gpt_turn(text):
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": GPT,
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}


TEXT = {"type": "text", "text": "18 degrees"}
CALL = {"functionCall": {"name": "weather", "args": {}}, "thoughtSignature": THOUGHT}


# --- signatures of others ---

def test_a_conversation_leaves_gemini_for_claude(house, provider):
    client, said = claude(house), [{"role": "user", "content": "How warm?"}]
    asked = {"max_tokens": 4000, "tools": [TOOL],
             "thinking": {"type": "enabled", "budget_tokens": 2000}}
    provider.answer = lambda c: gemini_turn({"text": "Hm", "thought": True}, CALL)
    first = client.messages.create(model=GEMINI, messages=said, **asked)
    call = next(b for b in first.content if b.type == "tool_use")
    assert "__thought__" in call.id
    said += [{"role": "assistant", "content": [b.model_dump(exclude_none=True)
                                               for b in first.content]},
             {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id,
                                           "content": "18"}]}]
    provider.answer = lambda c: claude_turn(TEXT)
    raw = client.messages.with_raw_response.create(model=CLAUDE, messages=said, **asked)
    assert raw.parse().content[0].text == TEXT["text"]
    assert "thinking" in raw.headers["x-smartflow-dropped-params"]
    turns = provider.calls[-1].body["messages"]
    assert [b["type"] for b in turns[1]["content"]] == ["tool_use"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", turns[1]["content"][0]["id"])
    assert turns[2]["content"][0]["tool_use_id"] == turns[1]["content"][0]["id"]
    assert "thinking" not in provider.calls[-1].body  # its turn came back without it

    # and back: the signature is Gemini's own again
    provider.answer = lambda c: gemini_turn({"text": "18"})
    client.messages.create(model=GEMINI, messages=said, **asked)
    assert CALL["thoughtSignature"] in provider.calls[-1].text


def marked_thinking(house, provider):
    """A turn of Gemini's whose text is signed, as an Anthropic client keeps it."""
    provider.answer = lambda c: gemini_turn({"text": "Hm", "thought": True},
                                            {"text": "Warm.", "thoughtSignature": THOUGHT})
    first = claude(house).messages.create(
        model=GEMINI, max_tokens=4000, messages=[{"role": "user", "content": "How warm?"}],
        thinking={"type": "enabled", "budget_tokens": 2000})
    turn = {"role": "assistant",
            "content": [b.model_dump(exclude_none=True) for b in first.content]}
    assert "c21mbHd" in json.dumps(turn)
    return [{"role": "user", "content": "How warm?"}, turn, {"role": "user", "content": "Sure?"}]


def test_a_stream_and_a_count_of_such_a_conversation(house, provider):
    said = marked_thinking(house, provider)
    provider.answer = lambda c: {"input_tokens": 12}
    assert claude(house).messages.count_tokens(model=CLAUDE, messages=said).input_tokens == 12
    assert "c21mbHd" not in provider.calls[-1].text
    assert provider.calls[-1].path == "/v1/messages/count_tokens"

    message = claude_turn(TEXT)
    provider.answer = lambda c: typed(
        {"type": "message_start", "message": message | {"content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0,
         "delta": {"type": "text_delta", "text": "18 degrees"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
         "usage": {"output_tokens": 3}}, {"type": "message_stop"})
    with claude(house).messages.stream(model=CLAUDE, max_tokens=100, messages=said) as stream:
        assert stream.get_final_message().content[0].text == "18 degrees"
    assert "c21mbHd" not in provider.calls[-1].text
    assert [b["text"] for b in provider.calls[-1].body["messages"][1]["content"]] == ["Warm."]


def test_what_is_not_ours_passes_byte_for_byte(house, provider):
    body = ('{"model":"%s", "max_tokens":10,"messages":[{"role":"user","content":"an '
            '__thought__ and c21mbHdH"},{"role":"assistant","content":[{"type":"thinking",'
            '"thinking":"","signature":"%s"},{"type":"text","text":"x"}]},'
            '{"role":"user","content":"c__thought__A"}],"new": 1.50}' % (CLAUDE, SIGNATURE))
    provider.answer = lambda c: claude_turn(TEXT)
    httpx.post(house.url + "/v1/messages", content=body, headers={
        "x-api-key": KEY, "content-type": "application/json"}).raise_for_status()
    assert provider.calls[-1].text == body


def test_ids_of_calls_at_openai(house, provider):
    provider.answer = lambda c: gpt_turn("18 degrees")
    long = f"call_1__thought__{THOUGHT}"
    raw = gpt(house).chat.completions.with_raw_response.create(
        model=GPT, metadata={"a": "b"}, messages=[
            {"role": "user", "content": "How warm?"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": long, "type": "function",
                 "function": {"name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": long, "content": "18"}],
        tools=[{"type": "function", "function": {"name": "weather"}}])
    assert raw.parse().choices[0].message.content == "18 degrees"
    body = provider.calls[-1].body
    assert body["messages"][1]["tool_calls"][0]["id"] == "call_1"
    assert body["messages"][2]["tool_call_id"] == "call_1"
    assert body["metadata"] == {"a": "b"}


def test_a_conversation_leaves_claude_for_gemini(house, provider):
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=house.url))
    tools = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[{"name": "weather"}])],
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=2000),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))
    said = [types.Content(role="user", parts=[types.Part(text="How warm?")])]
    provider.answer = lambda c: claude_turn(
        {"type": "thinking", "thinking": "Hm", "signature": SIGNATURE},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}})
    first = client.models.generate_content(model=CLAUDE, contents=said, config=tools)
    said += [first.candidates[0].content, types.Content(role="user", parts=[
        types.Part.from_function_response(name="weather", response={"degrees": 18})])]
    provider.answer = lambda c: gemini_turn({"text": "18"})
    assert client.models.generate_content(model=GEMINI, contents=said, config=tools).text == "18"
    sent = provider.calls[-1].text
    assert "c21mbHd" not in sent and SIGNATURE not in sent
    assert [p for p in provider.calls[-1].body["contents"][1]["parts"] if "functionCall" in p]


# --- predictions that are not over ---

class Replicate:
    """A prediction that ends after so many polls."""

    def __init__(self, polls, output="Hello", status="succeeded", faults=()):
        self.polls, self.output, self.status, self.faults = polls, output, status, list(faults)

    def __call__(self, call):
        if call.path.endswith("/cancel"):
            return self.prediction("canceled")
        if call.method == "POST":
            assert call.fields["prefer"] == "wait=60"
            assert re.fullmatch(r"\d+s", call.fields["cancel-after"])
            return 201, self.prediction("starting" if self.polls else self.status)
        if self.faults:
            return self.faults.pop(0)
        self.polls -= 1
        return self.prediction(self.status if self.polls <= 0 else "processing")

    def prediction(self, status):
        over = status == "succeeded"
        return {"id": "ab12", "status": status, "output": self.output if over else None,
                "error": "out of memory" if status == "failed" else None,
                "urls": {"get": "https://elsewhere.example/v1/predictions/ab12"},
                "metrics": {"input_token_count": 5, "output_token_count": 2} if over else {}}


SAY = {"model": LLAMA, "messages": [{"role": "user", "content": "Hi"}],
       "extra_headers": at("replicate")}


def test_a_prediction_is_waited_for(house, provider):
    provider.answer = Replicate(2, output=["Hel", "lo"])
    reply = gpt(house).chat.completions.create(**SAY)
    assert reply.choices[0].message.content == "Hello"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (5, 2)
    polls = provider.seen("GET", "/v1/predictions/ab12")
    assert len(polls) == 2
    assert all(c.fields["authorization"] == "Bearer r8_x" and not c.text for c in polls)
    assert not provider.seen("POST", "/cancel")


def test_a_stream_hears_keep_alives_meanwhile(settings, provider, start):
    house = start(settings | {"SMARTFLOW_KEEP_ALIVE": "100ms"})
    provider.answer = Replicate(1)
    with httpx.stream("POST", house.url + "/v1/chat/completions", timeout=LIMIT, headers={
            "authorization": f"Bearer {KEY}", **at("replicate")}, json={
                "model": LLAMA, "messages": SAY["messages"], "stream": True}) as reply:
        text = "".join(reply.iter_text())
    assert reply.status_code == 200 and text.count(": keep-alive\n") >= 3
    chunks = [json.loads(x[6:]) for x in text.splitlines() if x.startswith("data: {")]
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == "Hello"
    assert text.endswith("data: [DONE]\n\n")


def test_a_poll_may_fail_now_and_then(house, provider):
    provider.answer = Replicate(1, faults=[(500, {"detail": "oops"}), (429, {"detail": "slowly"})])
    assert gpt(house).chat.completions.create(**SAY).choices[0].message.content == "Hello"


def test_a_prediction_that_fails(house, provider):
    provider.answer = Replicate(1, status="failed")
    with pytest.raises(openai.InternalServerError) as e:
        gpt(house).chat.completions.create(**SAY)
    assert e.value.status_code == 502 and "out of memory" in str(e.value)
    assert len(provider.seen("POST", "/predictions")) == 1


def test_a_prediction_that_is_gone_is_cancelled(house, provider):
    provider.answer = Replicate(1, faults=[(404, {"detail": "no such prediction"})])
    with pytest.raises(openai.NotFoundError, match="no such prediction"):
        gpt(house).chat.completions.create(**SAY)
    provider.wait("POST", "/v1/predictions/ab12/cancel")


def test_a_client_that_leaves_cancels_it(house, provider):
    provider.answer = Replicate(1000)
    body = json.dumps({"model": LLAMA, "messages": SAY["messages"]})
    with socket.create_connection(("127.0.0.1", house.port), LIMIT) as s:
        s.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\n"
                  "x-smartflow-provider: replicate\r\ncontent-type: application/json\r\n"
                  f"content-length: {len(body)}\r\n\r\n{body}".encode())
        provider.wait("GET", "/v1/predictions/ab12")
    provider.wait("POST", "/v1/predictions/ab12/cancel")
    assert provider.seen("POST", "/cancel")[0].fields.get("prefer") is None


def test_a_deadline_cancels_it(settings, provider, start):
    house = start(settings | {"SMARTFLOW_TOTAL_TIMEOUT": "1500ms"})
    provider.answer = Replicate(1000)
    with pytest.raises(openai.InternalServerError) as e:
        gpt(house).chat.completions.create(**SAY)
    assert e.value.status_code == 504 and e.value.code == "upstream_timeout"
    provider.wait("POST", "/v1/predictions/ab12/cancel")


def test_a_picture_is_waited_for(house, provider):
    provider.answer = Replicate(1, output=["data:image/png;base64,iVBORw0KGgo="])
    reply = gpt(house).images.generate(model="black-forest-labs/flux", prompt="a cat",
                                       response_format="b64_json", extra_headers=at("replicate"))
    assert reply.data[0].b64_json == "iVBORw0KGgo="
    assert provider.seen("GET", "/v1/predictions/ab12")


# --- embeddings in several calls ---

def vectors(call, usage=True):
    texts = call.body["input"]
    texts = texts if isinstance(texts, list) else [texts]
    reply = {"object": "list", "model": "e", "data": [
        {"object": "embedding", "index": i, "embedding": [float(t), 0.5]}
        for i, t in enumerate(texts)]}
    return reply | ({"usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)}}
                    if usage else {})


EMBED = {"model": "gemini-embedding-001", "input": [str(i) for i in range(250)],
         "extra_headers": at("gemini")}


def test_more_inputs_than_the_provider_takes(house, provider):
    provider.answer = vectors
    reply = gpt(house).embeddings.create(**EMBED)
    assert [d.embedding[0] for d in reply.data] == list(range(250))
    assert [d.index for d in reply.data] == list(range(250))
    assert reply.usage.prompt_tokens == 250
    assert [len(c.body["input"]) for c in provider.calls] == [100, 100, 50]
    assert len({c.path for c in provider.calls}) == 1
    assert len({c.fields["authorization"] for c in provider.calls}) == 1


def test_what_fits_passes_as_it_came(house, provider):
    provider.answer = vectors
    body = '{"model":"gemini-embedding-001", "input":["1","2"],"x":1.0}'
    reply = httpx.post(house.url + "/v1/embeddings", content=body, headers={
        "authorization": f"Bearer {KEY}", "content-type": "application/json", **at("gemini")})
    assert reply.status_code == 200 and provider.calls[-1].text == body


def test_a_call_that_fails_fails_them_all(house, provider):
    provider.answer = lambda c: vectors(c) if c.body["input"][0] != "100" else (
        429, {"error": {"message": "slowly", "code": 429}})
    with pytest.raises(openai.RateLimitError, match="slowly"):
        gpt(house).embeddings.create(**EMBED)
    assert len(provider.calls) == 2


def test_they_are_tried_again_as_a_whole(settings, provider, start):
    house = start(settings | {"SMARTFLOW_ROUTING_RETRIES": "1", "SMARTFLOW_ROUTING_BACKOFF": "1ms"})
    faults = [(503, {"error": {"message": "later", "code": 503}})]
    provider.answer = lambda c: faults.pop() if c.body["input"][0] == "100" and faults \
        else vectors(c)
    reply = gpt(house).embeddings.create(**EMBED)
    assert [d.embedding[0] for d in reply.data] == list(range(250))
    assert [c.body["input"][0] for c in provider.calls] == ["0", "100", "0", "100", "200"]


def test_usage_that_nobody_reports_is_counted(house, provider):
    provider.answer = lambda c: vectors(c, usage=False)
    raw = gpt(house).embeddings.with_raw_response.create(**EMBED)
    assert raw.parse().usage.prompt_tokens >= 250
    assert raw.headers["x-smartflow-tokens-estimated"] == "true"


# --- text completions by models that chat ---

PROMPT = {"prompt": "Say hi", "max_tokens": 9}


@pytest.mark.parametrize("model,turn", [
    (CLAUDE, claude_turn({"type": "text", "text": "Hi"})), (GEMINI, gemini_turn({"text": "Hi"})),
    (GPT, gpt_turn("Hi"))])
def test_a_text_is_completed(house, provider, model, turn):
    provider.answer = lambda c: turn
    raw = gpt(house).completions.with_raw_response.create(model=model, echo=True, logprobs=2,
                                                          suffix="!", best_of=2, **PROMPT)
    reply = raw.parse()
    assert (reply.object, reply.model) == ("text_completion", model)
    assert reply.choices[0].text == "Hi" and reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == 10
    dropped = raw.headers["x-smartflow-dropped-params"].split(", ")
    assert {"echo", "logprobs", "suffix", "best_of"} <= set(dropped)
    assert "Say hi" in provider.calls[-1].text and "prompt" not in provider.calls[-1].body


def claude_stream(_):
    message = claude_turn() | {"stop_reason": None}
    return typed(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}}
          for t in ("H", "i")),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
         "usage": {"output_tokens": 3}}, {"type": "message_stop"})


def gemini_stream(_):
    whole = gemini_turn({"text": "i"})
    whole["candidates"][0]["finishReason"] = "MAX_TOKENS"
    return sse({"candidates": [{"content": {"role": "model", "parts": [{"text": "H"}]}}]}, whole)


@pytest.mark.parametrize("model,stream", [(CLAUDE, claude_stream), (GEMINI, gemini_stream)])
def test_a_completion_streams(house, provider, model, stream):
    provider.answer = stream
    chunks = list(gpt(house).completions.create(model=model, stream=True, **PROMPT))
    assert "".join(c.choices[0].text for c in chunks) == "Hi"
    assert chunks[-1].choices[0].finish_reason == "length"
    assert all(c.object == "text_completion" and not c.usage for c in chunks)
    chunks = list(gpt(house).completions.create(
        model=model, stream=True, stream_options={"include_usage": True}, **PROMPT))
    assert chunks[-1].usage.total_tokens == 10 and not chunks[-1].choices


def test_models_that_complete_are_asked_so(house, provider):
    provider.answer = lambda c: {"id": "c", "object": "text_completion", "created": 1, "model": "m",
                                 "choices": [{"index": 0, "text": "Hi", "finish_reason": "stop",
                                              "logprobs": None}]}
    gpt(house).completions.create(model="gpt-3.5-turbo-instruct", prompt=["a", "b"])
    assert provider.calls[-1].path == "/v1/completions"
    assert provider.calls[-1].body["prompt"] == ["a", "b"]


def test_several_prompts_are_refused(house, provider):
    with pytest.raises(openai.BadRequestError) as e:
        gpt(house).completions.create(model=CLAUDE, prompt=["a", "b"])
    assert e.value.param == "prompt" and not provider.calls


# --- what is kept ---

def test_responses_are_kept_as_long_as_is_set(house, provider):
    def rows(sql):
        db = sqlite3.connect(f"file:{house.folder}/data/smartflow.db?mode=ro", uri=True, timeout=10)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    provider.answer = lambda c: claude_turn(TEXT)
    made = gpt(house).responses.create(model=CLAUDE, input="How warm?")
    assert rows("SELECT id, expires_at - created_at FROM kept_responses") == [(made.id, 2 * 10**9)]
    until(lambda: rows("SELECT COUNT(*) FROM kept_responses") == [(0,)], LIMIT)
