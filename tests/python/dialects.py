"""Samples of each dialect: a request, a provider's reply, and how its ends and errors look."""

import json
from dataclasses import dataclass, field


def sse(*events):
    """Events given as data, or as (name, data); data that is not text becomes compact JSON."""
    out = b""
    for e in events:
        name, data = e if isinstance(e, tuple) else (None, e)
        text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
        out += (f"event: {name}\n" if name else "").encode() + b"data: " + text.encode() + b"\n\n"
    return out


def typed(*objects):
    return sse(*((o["type"], o) for o in objects))


@dataclass
class Shape:
    """One kind of call as the tests of bad replies use it."""
    name: str
    path: str
    body: dict
    reply: bytes
    type: str = "text/event-stream"
    fields: list = field(default_factory=list)
    dialect: str = "openai"

    @property
    def streams(self):
        return self.type == "text/event-stream"

    def ended(self, events):
        """Whether the stream holds its dialect's end marker."""
        last = {"chat": lambda n, d: d == "[DONE]",
                "messages": lambda n, d: n == "message_stop",
                "responses": lambda n, d: n == "response.completed",
                "gemini": lambda n, d: '"finishReason"' in d}[self.name.split("-")[0]]
        return any(last(n, d) for n, d in events)

    def failed(self, events):
        """Whether its last event is the dialect's error."""
        if not events:
            return False
        name, data = events[-1]
        try:
            value = json.loads(data)
        except ValueError:
            return False
        if self.dialect == "anthropic":
            return name == "error" and is_error("anthropic", value)
        if self.name.startswith("responses"):
            return name == "error" and value["type"] == "error" and bool(value["message"])
        return is_error(self.dialect, value)


def is_error(dialect, value):
    """Whether a JSON body is an error as the dialect's SDKs expect it."""
    if dialect == "anthropic":
        return (value.get("type") == "error" and isinstance(value["error"]["type"], str)
                and bool(value["error"]["message"]))
    e = value.get("error")
    if not isinstance(e, dict) or not e.get("message"):
        return False
    if dialect == "gemini":
        return isinstance(e["code"], int) and e["status"].isupper()
    return isinstance(e["type"], str) and "param" in e and "code" in e


CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hé \"there\"\n"}]}
MESSAGES = {"model": "claude-sonnet-4-6", "max_tokens": 64,
            "messages": [{"role": "user", "content": "Hello"}]}
RESPONSES = {"model": "gpt-4o", "input": "Hello"}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
VERSION = ("anthropic-version", "2023-06-01")


def chunk(delta, finish=None, **more):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
USAGE_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
               "model": "gpt-4o",
               "choices": [], "usage": USAGE}
CHAT_STREAM = sse(chunk({"role": "assistant", "content": ""}), chunk({"content": "Grüße"}),
                  chunk({}, "stop"), "[DONE]")
CHAT_STREAM_USAGE = sse(chunk({"role": "assistant", "content": ""}, usage=None),
                        chunk({"content": "Grüße"}, usage=None), chunk({}, "stop", usage=None),
                        USAGE_CHUNK, "[DONE]")
CHAT_REPLY = json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "created": 1,
                         "model": "gpt-4o-2024-08-06",
                         "choices": [{"index": 0, "finish_reason": "stop",
                                      "message": {"role": "assistant",
                                                  "content": "Grüße \u2603"}}],
                         "usage": USAGE}, indent=2).encode()
MESSAGE_REPLY = json.dumps({"id": "msg_1", "type": "message", "role": "assistant",
                            "content": [{"type": "text", "text": "Hi"}],
                            "model": "claude-sonnet-4-6",
                            "stop_reason": "end_turn",
                            "usage": {"input_tokens": 5, "output_tokens": 1}}).encode()
MESSAGE_STREAM = typed(
    {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
                                          "content": [], "model": "claude-sonnet-4-6",
                                          "usage": {"input_tokens": 5, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"})
RESPONSE_STREAM = typed(
    {"type": "response.created", "sequence_number": 0,
     "response": {"id": "resp_1", "status": "in_progress"}},
    {"type": "response.output_text.delta", "sequence_number": 1, "delta": "Hi"},
    {"type": "response.completed", "sequence_number": 2,
     "response": {"id": "resp_1", "status": "completed",
                  "usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}}})
GEMINI_STREAM = sse(
    {"candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"}, "index": 0}]},
    {"candidates": [{"content": {"parts": [{"text": "!"}], "role": "model"}, "index": 0,
                     "finishReason": "STOP"}],
     "usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 2, "totalTokenCount": 4}}
).replace(b"\n", b"\r\n")
GEMINI_REPLY = json.dumps({"candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"},
                                           "finishReason": "STOP"}],
                           "usageMetadata": {"promptTokenCount": 2,
                                             "candidatesTokenCount": 2}}).encode()

SHAPES = {s.name: s for s in (
    Shape("chat-json", "/v1/chat/completions", CHAT, CHAT_REPLY, "application/json"),
    Shape("chat-sse", "/v1/chat/completions",
          CHAT | {"stream": True, "stream_options": {"include_usage": True}}, CHAT_STREAM_USAGE),
    Shape("chat-sse-edited", "/v1/chat/completions", CHAT | {"stream": True}, CHAT_STREAM_USAGE),
    Shape("messages-sse", "/v1/messages", MESSAGES | {"stream": True}, MESSAGE_STREAM,
          fields=[VERSION], dialect="anthropic"),
    Shape("responses-sse", "/v1/responses", RESPONSES | {"stream": True}, RESPONSE_STREAM),
    Shape("gemini-sse", "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", GEMINI,
          GEMINI_STREAM, dialect="gemini"),
)}
