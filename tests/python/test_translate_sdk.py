"""Official SDKs before providers of each other dialect: a loop of two turns with a picture, thinking and
a tool, streamed and not. The provider's fake insists on what its API would: in the second turn the
call, its result under the same id, and its own signatures, byte for byte.
"""

import asyncio
import json

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from dialects import sse, typed
from gateway import KEY, Gateway
from sdk_fixtures import PIXEL
from wire import RawUpstream, call, http_reply

SIGNATURE = "EqQBCkYIBhgCKkBzaWduYXR1cmU="
THOUGHT_SIGNATURE = "CiQBdGhvdWdodC1zaWduYXR1cmU="
THINKING, CITY, DEGREES = "Let me look it up.", "Köln", "18 degrees"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-pro"}


# --- the providers ---

class Fault(Exception):
    """What the provider would answer with 400."""


def need(truth, why):
    if not truth:
        raise Fault(why)


class AnthropicFake:
    @staticmethod
    def answer(body, _):
        need(body["max_tokens"] > 0, "max_tokens")
        need(body["tools"][0]["name"] == "weather", "tools")
        need(body["tools"][0]["input_schema"]["required"] == ["city"], "schema")
        first = body["messages"][0]["content"]
        need(any(b["type"] == "image" and b["source"]["data"] == PIXEL for b in first), "picture")
        if len(body["messages"]) == 1:
            need(body["thinking"]["type"] in ("enabled", "adaptive"), "thinking")
            return [{"type": "thinking", "thinking": THINKING, "signature": SIGNATURE},
                    {"type": "tool_use", "id": "toolu_01A", "name": "weather",
                     "input": {"city": CITY}}], "tool_use"
        need([m["role"] for m in body["messages"]] == ["user", "assistant", "user"], "roles")
        said, result = body["messages"][1]["content"], body["messages"][2]["content"]
        need(said[0] == {"type": "thinking", "thinking": THINKING, "signature": SIGNATURE},
             f"thinking first and as it came: {said[0]}")
        need(said[-1]["id"] == "toolu_01A" and said[-1]["input"] == {"city": CITY}, "tool_use")
        need(result[0]["type"] == "tool_result" and result[0]["tool_use_id"] == "toolu_01A",
             "tool_result")
        need(DEGREES in json.dumps(result[0]["content"]), "what the tool said")
        return [{"type": "text", "text": DEGREES + "."}], "end_turn"

    @classmethod
    def reply(cls, body, target):
        content, stop = cls.answer(body, target)
        message = {"id": "msg_01", "type": "message", "role": "assistant", "content": content,
                   "model": body["model"], "stop_reason": stop, "stop_sequence": None,
                   "usage": {"input_tokens": 50, "output_tokens": 20}}
        if not body.get("stream"):
            return json.dumps(message).encode(), "application/json"
        events = [{"type": "message_start", "message": message | {
            "content": [], "stop_reason": None, "usage": {"input_tokens": 50, "output_tokens": 1}}}]
        for i, block in enumerate(content):
            events += cls.block(i, block)
        events += [{"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None},
                    "usage": {"output_tokens": 20}}, {"type": "message_stop"}]
        return typed(*events), "text/event-stream"

    @staticmethod
    def block(i, block):
        def delta(**d):
            return {"type": "content_block_delta", "index": i, "delta": d}
        if block["type"] == "thinking":
            start = block | {"thinking": "", "signature": ""}
            deltas = [delta(type="thinking_delta", thinking=c) for c in THINKING]
            deltas.append(delta(type="signature_delta", signature=SIGNATURE))
        elif block["type"] == "tool_use":
            start = block | {"input": {}}
            deltas = [delta(type="input_json_delta", partial_json=c)
                      for c in ["", *json.dumps(block["input"], ensure_ascii=False)]]
        else:
            start = block | {"text": ""}
            deltas = [delta(type="text_delta", text=c) for c in block["text"]]
        return [{"type": "content_block_start", "index": i, "content_block": start}, *deltas,
                {"type": "content_block_stop", "index": i}]


class GeminiFake:
    @staticmethod
    def answer(body, _):
        need(body["tools"][0]["functionDeclarations"][0]["name"] == "weather", "tools")
        first = body["contents"][0]["parts"]
        need(any(p.get("inlineData", {}).get("data") == PIXEL for p in first), "picture")
        if len(body["contents"]) == 1:
            need(body["generationConfig"]["thinkingConfig"]["includeThoughts"], "thoughts")
            return [{"text": THINKING, "thought": True},
                    {"functionCall": {"name": "weather", "args": {"city": CITY}},
                     "thoughtSignature": THOUGHT_SIGNATURE}]
        need([c["role"] for c in body["contents"]] == ["user", "model", "user"], "roles")
        said = [p for p in body["contents"][1]["parts"] if "functionCall" in p]
        need(len(said) == 1 and said[0]["functionCall"]["args"] == {"city": CITY}, "functionCall")
        need(said[0].get("thoughtSignature") == THOUGHT_SIGNATURE, f"signature: {said[0]}")
        result = body["contents"][2]["parts"][0]["functionResponse"]
        need(result["name"] == "weather" and DEGREES in json.dumps(result["response"]),
             "functionResponse")
        return [{"text": DEGREES}, {"text": "."}]

    @classmethod
    def reply(cls, body, target):
        parts = cls.answer(body, target)
        usage = {"promptTokenCount": 50, "candidatesTokenCount": 15, "thoughtsTokenCount": 5,
                 "totalTokenCount": 70}

        def chunk(parts, **more):
            return {"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0} | more],
                    "usageMetadata": usage, "modelVersion": "gemini-2.5-pro", "responseId": "r1"}
        if "streamGenerateContent" not in target:
            return json.dumps(chunk(parts, finishReason="STOP")).encode(), "application/json"
        chunks = [chunk([p]) for p in parts[:-1]] + [chunk(parts[-1:], finishReason="STOP")]
        return sse(*chunks), "text/event-stream"


class OpenaiFake:
    @staticmethod
    def answer(body, _):
        need(body["tools"][0]["function"]["name"] == "weather", "tools")
        first = next(m for m in body["messages"] if m["role"] == "user")["content"]
        need(any(p["type"] == "image_url" and PIXEL in p["image_url"]["url"] for p in first),
             "picture")
        if len(body["messages"]) == 1:
            return {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_A1", "type": "function", "function": {
                    "name": "weather", "arguments": json.dumps({"city": CITY})}}]}, "tool_calls"
        need([m["role"] for m in body["messages"]] == ["user", "assistant", "tool"], "roles")
        said, result = body["messages"][1], body["messages"][2]
        need(said["tool_calls"][0]["id"] == "call_A1", f"id: {said}")
        need(json.loads(said["tool_calls"][0]["function"]["arguments"]) == {"city": CITY}, "call")
        need(result["tool_call_id"] == "call_A1" and DEGREES in json.dumps(result["content"]),
             f"result: {result}")
        return {"role": "assistant", "content": DEGREES + "."}, "stop"

    @classmethod
    def reply(cls, body, target):
        message, finish = cls.answer(body, target)
        usage = {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}
        base = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            return json.dumps(base | {"object": "chat.completion", "usage": usage, "choices": [
                {"index": 0, "message": message, "finish_reason": finish}]}).encode(), \
                "application/json"

        def chunk(delta, finish=None):
            return base | {"object": "chat.completion.chunk", "usage": None, "choices": [
                {"index": 0, "delta": delta, "finish_reason": finish}]}
        deltas = [{"role": "assistant", "content": ""}]
        for i, c in enumerate(message.get("tool_calls", [])):
            f = c["function"]
            deltas.append({"tool_calls": [c | {"index": i, "function": f | {"arguments": ""}}]})
            deltas += [{"tool_calls": [{"index": i, "function": {"arguments": a}}]}
                       for a in f["arguments"]]
        deltas += [{"content": c} for c in message.get("content") or ""]
        return sse(*map(chunk, deltas), chunk({}, finish),
                   base | {"object": "chat.completion.chunk", "choices": [], "usage": usage},
                   "[DONE]"), "text/event-stream"


FAKES = {"openai": OpenaiFake, "anthropic": AnthropicFake, "gemini": GeminiFake}


@pytest.fixture(scope="module")
def fakes(run):
    """An upstream a provider, each with its dialect's fake, in pieces of three bytes."""
    made = {}
    for name, fake in FAKES.items():
        async def play(conn, m, fake=fake):
            try:
                body, type_ = fake.reply(m.json(), m.target)
                status = 200
            except Fault as e:
                conn.faults.append(str(e))
                status, type_ = 400, "application/json"
                body = json.dumps({"error": {"message": f"FAULT {e}", "type": "error"}}).encode()
            data = http_reply(status, body, type_=type_)
            head = data.index(b"\r\n\r\n") + 4
            await conn.send(data[:head])
            for i in range(head, len(data), 3):
                await conn.send(data[i:i + 3])
            return True
        up = run(RawUpstream().start())
        up.default, up.faults = play, []
        made[name] = up
    from wire import Connection
    Connection.faults = []
    yield made
    for up in made.values():
        run(up.stop())


@pytest.fixture(scope="module")
def served(tmp_path_factory, fakes):
    env = {}
    for name, up in fakes.items():
        env |= {f"{name.upper()}_API_KEY": "sk-provider",
                f"{name.upper()}_API_BASE": f"http://127.0.0.1:{up.port}"}
    g = Gateway(tmp_path_factory.mktemp("translated"), env)
    yield g
    g.stop()


# --- the clients: two turns each; they give the final text ---

def chat_sdk(url, model, stream):
    client = openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0, timeout=20)
    messages = [{"role": "user", "content": [
        {"type": "text", "text": "How warm is it there?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}]}]
    tools = [{"type": "function", "function": {"name": "weather", "description": "Weather",
                                               "parameters": SCHEMA}}]

    def ask():
        how = {"model": model, "messages": messages, "tools": tools, "reasoning_effort": "low"}
        if not stream:
            return client.chat.completions.create(**how)
        with client.chat.completions.stream(**how) as s:
            for _ in s:
                pass
            return s.get_final_completion()

    first = ask().choices[0]
    assert first.finish_reason == "tool_calls"
    (called,) = first.message.tool_calls
    assert json.loads(called.function.arguments) == {"city": CITY}
    messages.append(first.message.model_dump(exclude_none=True, exclude={"parsed"}))
    messages.append({"role": "tool", "tool_call_id": called.id, "content": DEGREES})
    second = ask()
    assert second.choices[0].finish_reason == "stop" and second.model == model
    if not stream:
        assert second.usage.prompt_tokens == 50 and second.usage.completion_tokens == 20
    return second.choices[0].message.content


def responses_sdk(url, model, stream):
    client = openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0, timeout=20)
    items = [{"role": "user", "content": [
        {"type": "input_text", "text": "How warm is it there?"},
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64," + PIXEL}]}]
    tools = [{"type": "function", "name": "weather", "description": "Weather",
              "parameters": SCHEMA, "strict": False}]

    def ask():
        how = {"model": model, "input": items, "tools": tools, "store": False,
               "reasoning": {"effort": "low", "summary": "auto"},
               "include": ["reasoning.encrypted_content"]}
        if not stream:
            return client.responses.create(**how)
        with client.responses.stream(**how) as s:
            for _ in s:
                pass
            return s.get_final_response()

    first = ask()
    (called,) = [i for i in first.output if i.type == "function_call"]
    assert json.loads(called.arguments) == {"city": CITY}
    items += [i.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for i in first.output]
    items.append({"type": "function_call_output", "call_id": called.call_id, "output": DEGREES})
    second = ask()
    assert second.status == "completed" and second.model == model
    assert second.usage.input_tokens == 50 and second.usage.output_tokens == 20
    return second.output_text


def anthropic_sdk(url, model, stream):
    client = anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0, timeout=20)
    messages = [{"role": "user", "content": [
        {"type": "text", "text": "How warm is it there?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                     "data": PIXEL}}]}]
    tools = [{"name": "weather", "description": "Weather", "input_schema": SCHEMA}]

    def ask():
        how = {"model": model, "messages": messages, "tools": tools, "max_tokens": 4000,
               "thinking": {"type": "enabled", "budget_tokens": 2000}}
        if not stream:
            return client.messages.create(**how)
        with client.messages.stream(**how) as s:
            return s.get_final_message()

    first = ask()
    assert first.stop_reason == "tool_use"
    (called,) = [b for b in first.content if b.type == "tool_use"]
    assert called.input == {"city": CITY}
    messages.append({"role": "assistant", "content": [
        b.model_dump(exclude_none=True, exclude={"parsed_output"}) for b in first.content]})
    messages.append({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": called.id, "content": DEGREES}]})
    second = ask()
    assert second.stop_reason == "end_turn" and second.model == model
    assert second.usage.input_tokens == 50 and second.usage.output_tokens == 20
    return "".join(b.text for b in second.content if b.type == "text")


def gemini_sdk(url, model, stream):
    import base64
    client = genai.Client(api_key=KEY, http_options={"base_url": url, "timeout": 20000})
    contents = [types.Content(role="user", parts=[
        types.Part.from_text(text="How warm is it there?"),
        types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")])]
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[types.FunctionDeclaration(
            name="weather", description="Weather", parameters_json_schema=SCHEMA)])],
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=2000),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))

    def ask():
        """The parts and the last usage."""
        how = {"model": model, "contents": contents, "config": config}
        replies = (client.models.generate_content_stream(**how) if stream
                   else [client.models.generate_content(**how)])
        parts, usage = [], None
        for r in replies:
            usage = r.usage_metadata or usage
            parts += (r.candidates[0].content.parts or []) if r.candidates else []
        return parts, usage

    parts, _ = ask()
    (called,) = [p.function_call for p in parts if p.function_call]
    assert called.args == {"city": CITY}
    contents.append(types.Content(role="model", parts=parts))
    contents.append(types.Content(role="user", parts=[types.Part(
        function_response=types.FunctionResponse(id=called.id, name=called.name,
                                                 response={"result": DEGREES}))]))
    parts, usage = ask()
    assert usage.prompt_token_count == 50
    assert usage.candidates_token_count + (usage.thoughts_token_count or 0) == 20
    return "".join(p.text for p in parts if p.text and not p.thought)


CLIENTS = {"chat": chat_sdk, "responses": responses_sdk, "anthropic": anthropic_sdk,
           "gemini": gemini_sdk}
OWN = {("anthropic", "anthropic"), ("gemini", "gemini"), ("chat", "openai"),
       ("responses", "openai")}
PAIRS = [(c, p) for c in CLIENTS for p in FAKES if (c, p) not in OWN]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("client,provider", PAIRS)
def test_tool_loop(run, served, fakes, client, provider, stream):
    before = len(fakes[provider].requests)
    text = run(asyncio.to_thread(CLIENTS[client], served.url, MODELS[provider], stream))
    assert text == DEGREES + "."
    assert len(fakes[provider].requests) == before + 2


# --- counts and embeddings ---

def test_count_tokens(run, served, fakes):
    """Gemini counts by itself; what OpenAI's models would count is estimated."""
    async def play(conn, m):
        need(m.target.endswith(":countTokens"), m.target)
        return await conn.answer(http_reply(200, b'{"totalTokens":31}'))

    was, fakes["gemini"].default = fakes["gemini"].default, play

    def count(model):
        client = anthropic.Anthropic(base_url=served.url, api_key=KEY, max_retries=0, timeout=20)
        return client.messages.with_raw_response.count_tokens(
            model=model, system="Be short.", messages=[{"role": "user", "content": "Hello there"}])

    m = run(asyncio.to_thread(count, MODELS["gemini"]))
    fakes["gemini"].default = was
    assert m.parse().input_tokens == 31 and "x-smartflow-tokens-estimated" not in m.headers
    m = run(asyncio.to_thread(count, MODELS["openai"]))
    assert 4 < m.parse().input_tokens < 40
    assert m.headers["x-smartflow-tokens-estimated"] == "true"


def test_gemini_counts_elsewhere(run, served, fakes):
    async def play(conn, m):
        need(m.target == "/v1/messages/count_tokens", m.target)
        return await conn.answer(http_reply(200, b'{"input_tokens":12}'))

    was, fakes["anthropic"].default = fakes["anthropic"].default, play
    m = run(call(served.port, f"/v1beta/models/{MODELS['anthropic']}:countTokens",
                 {"contents": [{"parts": [{"text": "Hello"}]}]}))
    fakes["anthropic"].default = was
    assert m.json()["totalTokens"] == 12


def test_gemini_embeds_elsewhere(run, served, fakes):
    async def play(conn, m):
        need(m.target == "/v1/embeddings", m.target)
        n = len(m.json()["input"])
        return await conn.answer(http_reply(200, json.dumps({
            "object": "list", "model": "text-embedding-3-small", "data": [
                {"object": "embedding", "index": i, "embedding": [0.5, -0.25]} for i in range(n)],
            "usage": {"prompt_tokens": 6, "total_tokens": 6}}).encode()))

    was, fakes["openai"].default = fakes["openai"].default, play

    def embed():
        client = genai.Client(api_key=KEY, http_options={"base_url": served.url, "timeout": 20000})
        return client.models.embed_content(model="text-embedding-3-small", contents=["a", "b"])

    r = run(asyncio.to_thread(embed))
    fakes["openai"].default = was
    assert [e.values for e in r.embeddings] == [[0.5, -0.25]] * 2
