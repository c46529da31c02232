"""Stored responses of models whose provider stores none: previous_response_id, retrieve, delete,
input_items and item references, by OpenAI's SDK before a provider that speaks Anthropic's dialect."""

import json
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest

from gateway import Gateway, providers_at
from test_ownership import furnished

MODEL = "claude-sonnet-4-5"
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}},
        "strict": False}


class Claude:
    """Answers with the content that stands in `says`, and keeps the bodies it was sent."""

    def __init__(self):
        self.bodies, self.says = [], [{"type": "text", "text": "Hello"}]
        claude = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                claude.bodies.append(body)
                stream = body.get("stream")
                data = (claude.stream() if stream else json.dumps(claude.reply())).encode()
                self.send_response(200)
                self.send_header("content-type",
                                 "text/event-stream" if stream else "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def reply(self):
        calls = any(b["type"] == "tool_use" for b in self.says)
        return {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
                "content": self.says, "stop_reason": "tool_use" if calls else "end_turn",
                "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 2}}

    def stream(self):
        start = self.reply() | {"content": [], "stop_reason": None}
        events = [{"type": "message_start", "message": start}]
        for i, block in enumerate(self.says):
            events += [{"type": "content_block_start", "index": i,
                        "content_block": {"type": "text", "text": ""}},
                       {"type": "content_block_delta", "index": i,
                        "delta": {"type": "text_delta", "text": block["text"]}},
                       {"type": "content_block_stop", "index": i}]
        events += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                    "usage": {"output_tokens": 2}}, {"type": "message_stop"}]
        return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def claude():
    c = Claude()
    yield c
    c.stop()


@pytest.fixture(scope="module")
def house(tmp_path_factory, claude):
    h = furnished(Gateway(tmp_path_factory.mktemp("kept"), providers_at(claude.port)))
    yield h
    h.close()
    h.gateway.stop()


@pytest.fixture
def red(house, claude):
    claude.says = [{"type": "text", "text": "Hello"}]
    claude.bodies.clear()
    return house.gpt("red1")


def texts(body):
    """Role and text of each message that the provider saw."""
    return [(m["role"], b if isinstance(b, str) else b.get("text")) for m in body["messages"]
            for b in ([m["content"]] if isinstance(m["content"], str) else m["content"])]


def gone(use, *args, **named):
    with pytest.raises(openai.NotFoundError):
        use(*args, **named)


def test_a_conversation_goes_on(red, claude):
    first = red.responses.create(model=MODEL, input="I am Ann", instructions="Be brief.")
    assert first.id.startswith("resp_") and first.output_text == "Hello" and first.store
    claude.says = [{"type": "text", "text": "Ann"}]
    second = red.responses.create(model=MODEL, input="Who am I?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert texts(claude.bodies[1]) == [("user", "I am Ann"), ("assistant", "Hello"),
                                       ("user", "Who am I?")]
    assert "system" in claude.bodies[0] and "system" not in claude.bodies[1]
    red.responses.create(model=MODEL, input="Sure?", previous_response_id=second.id)
    assert texts(claude.bodies[2])[2:] == [("user", "Who am I?"), ("assistant", "Ann"),
                                           ("user", "Sure?")]
    # from the first again: another branch
    red.responses.create(model=MODEL, input="Else?", previous_response_id=first.id)
    assert texts(claude.bodies[3]) == [("user", "I am Ann"), ("assistant", "Hello"),
                                       ("user", "Else?")]


def test_it_is_retrieved_listed_and_deleted(red):
    first = red.responses.create(model=MODEL, input="One", metadata={"a": "b"})
    second = red.responses.create(model=MODEL, input=[
        {"role": "user", "content": [{"type": "input_text", "text": "Two"}]}],
        previous_response_id=first.id)
    again = red.responses.retrieve(first.id)
    assert again == first and again.metadata == {"a": "b"}
    items = list(red.responses.input_items.list(second.id, order="asc"))
    assert [(i.role, i.content[0].text) for i in items] == [
        ("user", "One"), ("assistant", "Hello"), ("user", "Two")]
    assert len({i.id for i in items}) == 3 and items[1].id == first.output[0].id
    page = red.responses.input_items.list(second.id, limit=2)
    assert [i.id for i in page.data] == [items[2].id, items[1].id] and page.has_more
    assert [i.id for i in red.responses.input_items.list(second.id, after=items[1].id)] == [
        items[0].id]
    assert red.responses.delete(first.id) is None
    gone(red.responses.retrieve, first.id)
    gone(red.responses.delete, first.id)
    gone(red.responses.input_items.list, first.id)
    with pytest.raises(openai.BadRequestError) as e:
        red.responses.create(model=MODEL, input="x", previous_response_id=first.id)
    assert e.value.code == "previous_response_not_found"
    assert e.value.param == "previous_response_id"
    red.responses.create(model=MODEL, input="x", previous_response_id=second.id)  # is whole itself


def test_a_stream_is_kept(red, claude):
    events = list(red.responses.create(model=MODEL, input="One", stream=True))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    last = events[-1].response
    assert red.responses.retrieve(last.id) == last
    red.responses.create(model=MODEL, input="Two", previous_response_id=last.id)
    assert texts(claude.bodies[1]) == [("user", "One"), ("assistant", "Hello"), ("user", "Two")]


def test_tools_and_thinking_go_on(red, claude):
    thinking = {"type": "thinking", "thinking": "hm", "signature": "EqQB+/="}
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1.5}}
    claude.says = [thinking, {"type": "redacted_thinking", "data": "EmwK"}, call]
    first = red.responses.create(model=MODEL, input="Go", tools=[TOOL])
    assert [i.type for i in first.output] == ["reasoning", "reasoning", "function_call"]
    claude.says = [{"type": "text", "text": "Done"}]
    red.responses.create(model=MODEL, tools=[TOOL], previous_response_id=first.id, input=[
        {"type": "function_call_output", "call_id": first.output[2].call_id, "output": "7"}])
    said = claude.bodies[1]["messages"]
    assert [m["role"] for m in said] == ["user", "assistant", "user"]
    assert said[1]["content"] == [thinking, {"type": "redacted_thinking", "data": "EmwK"}, call]
    assert said[2]["content"][0]["tool_use_id"] == "toolu_1"


def test_items_are_referred_to(red, claude):
    first = red.responses.create(model=MODEL, input="One")
    red.responses.create(model=MODEL, input=[
        {"role": "user", "content": "Zero"},
        {"type": "item_reference", "id": first.output[0].id},
        {"role": "user", "content": "Two"}])
    assert texts(claude.bodies[1]) == [("user", "Zero"), ("assistant", "Hello"), ("user", "Two")]
    for name in ("msg_1", first.output[0].id[:-1] + "9"):
        gone(red.responses.create, model=MODEL, input=[{"type": "item_reference", "id": name}])


def test_store_false_keeps_nothing(red, house):
    made = red.responses.create(model=MODEL, input="One", store=False)
    assert made.store is False
    gone(red.responses.retrieve, made.id)
    assert house.rows("SELECT 1 FROM kept_responses WHERE id = ?", made.id) == []


def test_it_belongs_to_the_team(red, house):
    made = red.responses.create(model=MODEL, input="One")
    assert house.gpt("red2").responses.retrieve(made.id) == made
    house.gpt("red2").responses.create(model=MODEL, input="x", previous_response_id=made.id)
    for who in ("blue", "alone"):
        other = house.gpt(who)
        gone(other.responses.retrieve, made.id)
        gone(other.responses.delete, made.id)
        gone(other.responses.input_items.list, made.id)
        gone(other.responses.create, model=MODEL,
             input=[{"type": "item_reference", "id": made.output[0].id}])
        with pytest.raises(openai.BadRequestError):
            other.responses.create(model=MODEL, input="x", previous_response_id=made.id)
    own = house.gpt("alone").responses.create(model=MODEL, input="One")
    assert house.gpt("alone").responses.retrieve(own.id) == own
    gone(red.responses.retrieve, own.id)


def test_what_cannot_be_done_with_it(red, house):
    made = red.responses.create(model=MODEL, input="One")
    with pytest.raises(openai.BadRequestError):
        red.responses.cancel(made.id)
    assert house.raw("red1", "GET", f"/v1/responses/{made.id}?stream=true")[0] == 400
    for query in ("limit=0", "limit=101", "limit=x", "order=up", "after=nothing"):
        assert house.raw("red1", "GET", f"/v1/responses/{made.id}/input_items?{query}")[0] == 400


def test_what_is_too_large_is_not_kept(red):
    made = red.responses.create(model=MODEL, input="x" * (1 << 20))
    assert made.output_text == "Hello"
    gone(red.responses.retrieve, made.id)


def test_it_expires(red, house):
    made = red.responses.create(model=MODEL, input="One")
    (created, expires), = house.rows(
        "SELECT created_at, expires_at FROM kept_responses WHERE id = ?", made.id)
    assert expires - created == 30 * 86400 * 10**9
    db = sqlite3.connect(f"{house.gateway.folder}/data/smartflow.db", timeout=10)
    with db:
        db.execute("UPDATE kept_responses SET expires_at = ? WHERE id = ?",
                   (time.time_ns() - 1, made.id))
    db.close()
    gone(red.responses.retrieve, made.id)
