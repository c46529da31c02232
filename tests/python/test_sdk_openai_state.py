"""The official OpenAI SDK: what the provider keeps: responses, conversations, files, uploads, batches."""

import json

import openai
import pydantic
import pytest

from sdk_fixtures import PIXEL
from test_sdk_openai import ARGUMENTS, CLOCK, WEATHER

TOOLS = [{"type": "function", "strict": False, **t["function"]} for t in (WEATHER, CLOCK)]


class Capital(pydantic.BaseModel):
    country: str
    people: int


# --- responses ---

def test_response(gpt):
    r = gpt.responses.create(model="gpt-4o", input="Hello ü", instructions="Be brief.",
                             metadata={"a": "b"})
    assert r.status == "completed" and r.output_text == "You said: Hello ü"
    assert (r.usage.input_tokens, r.usage.output_tokens) == (4, 4)
    assert r.metadata == {"a": "b"} and r.instructions == "Be brief."


def test_response_stream(gpt):
    events = list(gpt.responses.create(model="gpt-4o", input="a b c demo:chunks=5", stream=True))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert [events[0].type, events[-1].type] == ["response.created", "response.completed"]
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert len(deltas) == 5 and "".join(deltas) == events[-1].response.output_text
    assert events[-1].response.usage.input_tokens == 4
    assert gpt.responses.retrieve(events[-1].response.id).output_text == "".join(deltas)


def test_response_stream_helper(gpt):
    with gpt.responses.stream(model="gpt-4o", input="Hello", text_format=Capital) as stream:
        kinds = [e.type for e in stream]
        final = stream.get_final_response()
    assert kinds[-1] == "response.completed"
    assert final.output_parsed == Capital(country="demo", people=1)


def test_response_parse(gpt):
    r = gpt.responses.parse(model="gpt-4o", input="Which?", text_format=Capital)
    assert r.output_parsed == Capital(country="demo", people=1)


def test_response_with_an_image_and_a_file(gpt):
    r = gpt.responses.create(model="gpt-4o", input=[{"role": "user", "content": [
        {"type": "input_text", "text": "See"},
        {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}]}])
    assert r.output_text == "I see 1 image. I see 1 file. You said: See"


def test_response_tools(gpt):
    first = gpt.responses.create(model="gpt-4o", input="use tools", tools=TOOLS)
    calls = [x for x in first.output if x.type == "function_call"]
    assert {c.name: json.loads(c.arguments) for c in calls} == ARGUMENTS
    second = gpt.responses.create(
        model="gpt-4o", previous_response_id=first.id, tools=TOOLS, input=[
            {"type": "function_call_output", "call_id": c.call_id, "output": f"{c.name} ok"} for c in calls])
    assert "get_weather ok" in second.output_text and second.previous_response_id == first.id
    streamed = list(gpt.responses.create(model="gpt-4o", input="use tool", tools=TOOLS, stream=True))
    parts = [e.delta for e in streamed if e.type == "response.function_call_arguments.delta"]
    assert len(parts) > 1 and json.loads("".join(parts)) == ARGUMENTS["get_weather"]


def test_response_max_output_tokens(gpt):
    r = gpt.responses.create(model="gpt-4o", input="a b c d e", max_output_tokens=3)
    assert r.status == "incomplete" and r.incomplete_details.reason == "max_output_tokens"


def test_response_get_items_delete(gpt):
    made = gpt.responses.create(model="gpt-4o", input=[{"role": "user", "content": "first"},
                                                       {"role": "user", "content": "second"}])
    assert gpt.responses.retrieve(made.id).output_text == made.output_text
    items = list(gpt.responses.input_items.list(made.id))
    assert [i.content[0].text for i in items] == ["first", "second"]
    replayed = list(gpt.responses.retrieve(made.id, stream=True))
    assert replayed[-1].response.id == made.id
    gpt.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        gpt.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError):
        gpt.responses.create(model="gpt-4o", input="go on", previous_response_id=made.id)


def test_response_in_the_background_and_cancel(gpt):
    made = gpt.responses.create(model="gpt-4o", input="long work", background=True)
    assert made.status == "queued"
    assert gpt.responses.retrieve(made.id).status == "completed"
    assert gpt.responses.cancel(made.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        gpt.responses.cancel(gpt.responses.create(model="gpt-4o", input="x").id)


def test_response_count_and_compact(gpt):
    assert gpt.responses.input_tokens.count(model="gpt-4o", input="one two three").input_tokens == 3
    compacted = gpt.responses.compact(model="gpt-4o", input="one two three")
    assert compacted.object == "response.compaction" and compacted.output[-1].type == "compaction"


# --- conversations ---

def test_conversation(gpt):
    talk = gpt.conversations.create(metadata={"topic": "x"}, items=[
        {"type": "message", "role": "user", "content": "Hello"}])
    assert talk.id.startswith("conv_") and gpt.conversations.retrieve(talk.id).metadata == {"topic": "x"}
    assert gpt.conversations.update(talk.id, metadata={"topic": "y"}).metadata == {"topic": "y"}
    gpt.responses.create(model="gpt-4o", input="And now?", conversation=talk.id)
    items = list(gpt.conversations.items.list(talk.id))
    assert [i.content[0].text for i in items] == ["Hello", "And now?", "You said: And now?"]
    assert gpt.conversations.delete(talk.id).deleted
    with pytest.raises(openai.NotFoundError):
        gpt.conversations.retrieve(talk.id)


def test_conversation_items(gpt):
    talk = gpt.conversations.create()
    added = gpt.conversations.items.create(talk.id, items=[
        {"type": "message", "role": "user", "content": t} for t in ("one", "two")])
    first, second = added.data
    assert gpt.conversations.items.retrieve(first.id, conversation_id=talk.id).content[0].text == "one"
    gpt.conversations.items.delete(first.id, conversation_id=talk.id)
    assert [i.id for i in gpt.conversations.items.list(talk.id)] == [second.id]
    with pytest.raises(openai.NotFoundError):
        gpt.conversations.items.retrieve(first.id, conversation_id=talk.id)


# --- files ---

def test_files(gpt):
    data = bytes(range(256)) * 4096  # beyond what a form may hold in memory
    made = gpt.files.create(file=("a b ü.bin", data), purpose="user_data")
    assert (made.bytes, made.filename, made.purpose) == (len(data), "a b ü.bin", "user_data")
    assert gpt.files.retrieve(made.id).id == made.id
    assert gpt.files.content(made.id).read() == data
    with gpt.files.with_streaming_response.content(made.id) as reply:
        assert b"".join(reply.iter_bytes(65536)) == data
    assert gpt.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        gpt.files.content(made.id)


def test_list_of_files_goes_on_page_by_page(gpt):
    made = [gpt.files.create(file=(f"{i}.txt", b"x"), purpose="user_data").id for i in range(5)]
    listed = [f.id for f in gpt.files.list(limit=2)]
    assert len(listed) == len(set(listed)) and set(made) <= set(listed)
    page = gpt.files.list(limit=2)
    assert len(page.data) == 2 and page.has_next_page()
    for name in made:
        gpt.files.delete(name)


def test_upload_in_parts(gpt):
    up = gpt.uploads.create(bytes=10, filename="big.jsonl", mime_type="application/jsonl",
                            purpose="fine-tune")
    parts = [gpt.uploads.parts.create(up.id, data=piece).id for piece in (b"01234", b"56789")]
    done = gpt.uploads.complete(up.id, part_ids=parts)
    assert done.status == "completed" and done.file.bytes == 10
    assert gpt.files.content(done.file.id).read() == b"0123456789"
    given_up = gpt.uploads.create(bytes=1, filename="x", mime_type="text/plain", purpose="user_data")
    assert gpt.uploads.cancel(given_up.id).status == "cancelled"


def test_upload_helper(gpt):
    data = bytes(1000) + b"end"
    done = gpt.uploads.upload_file_chunked(file=data, filename="c.bin", bytes=len(data), part_size=300,
                                           mime_type="application/octet-stream", purpose="user_data")
    assert done.status == "completed" and gpt.files.content(done.file.id).read() == data


# --- batches ---

def test_batch(gpt):
    lines = [{"custom_id": f"r{i}", "method": "POST", "url": "/v1/chat/completions", "body": {
        "model": "gpt-4o", "messages": [{"role": "user", "content": f"Line {i}"}]}} for i in range(3)]
    file = gpt.files.create(file=("in.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    batch = gpt.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions",
                               completion_window="24h", metadata={"k": "v"})
    assert batch.status == "validating"
    done = gpt.batches.retrieve(batch.id)
    assert done.status == "completed" and done.request_counts.completed == 3
    assert done.metadata == {"k": "v"}
    out = [json.loads(x) for x in gpt.files.content(done.output_file_id).text.splitlines()]
    assert [o["custom_id"] for o in out] == ["r0", "r1", "r2"]
    assert out[1]["response"]["body"]["choices"][0]["message"]["content"] == "You said: Line 1"
    assert batch.id in [b.id for b in gpt.batches.list()]
    assert gpt.batches.cancel(batch.id).status == "cancelling"
    with pytest.raises(openai.NotFoundError):
        gpt.batches.retrieve("batch_none")
