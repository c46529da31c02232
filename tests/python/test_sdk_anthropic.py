"""The official Anthropic SDK: messages in all forms, token counts, batches, models, files."""

import base64

import anthropic
import pydantic
import pytest

from sdk_fixtures import PIXEL

WEATHER = {"name": "get_weather", "description": "Weather", "input_schema": {
    "type": "object", "required": ["city"], "properties": {
        "city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}}}}
CLOCK = {"name": "get_time", "input_schema": {
    "type": "object", "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]}}}}
INPUTS = {"get_weather": {"city": "demo", "days": 3}, "get_time": {"zone": "UTC"}}


def user(content):
    return [{"role": "user", "content": content}]


def ask(client, content, **more):
    return client.messages.create(**({"model": "claude-sonnet-4-6", "max_tokens": 100,
                                      "messages": user(content)} | more))


# --- messages ---

def test_message(claude):
    m = ask(claude, 'Grüße "☃" \U0001f600', system="Be brief.", metadata={"user_id": "u1"})
    assert m.type == "message" and m.role == "assistant" and m.model == "claude-sonnet-4-6"
    assert [b.type for b in m.content] == ["text"]
    assert m.content[0].text == 'You said: Grüße "☃" \U0001f600'
    assert m.stop_reason == "end_turn"
    assert (m.usage.input_tokens, m.usage.output_tokens) == (5, 5)
    assert m._request_id.startswith("req_demo")


BASES = ["", "/", "/v1", "/anthropic", "/anthropic/", "/anthropic/v1", "/cursor", "/cursor/v1"]


@pytest.mark.parametrize("base", BASES)
def test_each_base_url(make_claude, base):
    client = make_claude(base)
    assert ask(client, "Hi").content[0].text == "You said: Hi"
    assert client.models.list().data[0].type == "model"
    assert client.messages.count_tokens(model="claude-sonnet-4-6", messages=user("a b")).input_tokens == 2


def test_the_key_as_a_bearer_token(make_claude):
    from gateway import KEY
    assert ask(make_claude("/anthropic", api_key=None, auth_token=KEY), "Hi").content[0].text


def test_the_mark_of_long_contexts_is_cut(claude):
    assert ask(claude, "Hi", model="claude-sonnet-4-6[1m]").model == "claude-sonnet-4-6"


def test_stream_of_events(claude):
    events = list(ask(claude, "a b c demo:chunks=5", stream=True))
    kinds = [e.type for e in events]
    assert kinds == ["message_start", "content_block_start"] + ["content_block_delta"] * 5 \
        + ["content_block_stop", "message_delta", "message_stop"]
    assert "".join(e.delta.text for e in events[2:7]) == "You said: a b c demo:chunks=5"
    assert events[0].message.usage.input_tokens == 4 and events[-2].usage.output_tokens == 6
    assert events[-2].delta.stop_reason == "end_turn"


def test_stream_helper(claude):
    with claude.messages.stream(model="claude-sonnet-4-6", max_tokens=50, messages=user("Hello ü")) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text == "You said: Hello ü"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (2, 4)


def test_limits_and_stop(claude):
    m = ask(claude, "a b c d e", max_tokens=3)
    assert m.stop_reason == "max_tokens" and m.usage.output_tokens == 3
    m = ask(claude, "a b STOP c", stop_sequences=["STOP"])
    assert m.stop_reason == "stop_sequence" and m.stop_sequence == "STOP"


def test_images_and_a_document(claude):
    pdf = base64.b64encode(b"%PDF-1.4" + bytes(300_000)).decode()
    m = ask(claude, [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": pdf}},
        {"type": "text", "text": "What?"}])
    assert m.content[0].text == "I see 2 images. I see 1 file. You said: What?"


def test_thinking(claude):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    m = ask(claude, "Why?", max_tokens=2000, thinking=thinking)
    assert [b.type for b in m.content] == ["thinking", "text"]
    assert m.content[0].thinking and m.content[0].signature
    with claude.messages.stream(model="claude-sonnet-4-6", max_tokens=2000, thinking=thinking,
                                messages=user("Why?")) as stream:
        kinds = {e.delta.type for e in stream if e.type == "content_block_delta"}
        final = stream.get_final_message()
    assert kinds == {"thinking_delta", "signature_delta", "text_delta"}
    assert [b.model_dump() for b in final.content] == [b.model_dump() for b in m.content]


# --- tools ---

def test_parallel_tools_and_the_second_turn(claude):
    messages = user("Please use tools")
    first = ask(claude, None, messages=messages, tools=[WEATHER, CLOCK])
    assert first.stop_reason == "tool_use"
    calls = [b for b in first.content if b.type == "tool_use"]
    assert {c.name: c.input for c in calls} == INPUTS and len({c.id for c in calls}) == 2
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": c.id, "content": f"{c.name}: fine"} for c in calls]}]
    second = ask(claude, None, messages=messages, tools=[WEATHER, CLOCK])
    assert second.stop_reason == "end_turn" and "get_time: fine" in second.content[0].text


def test_streamed_tool_input(claude):
    with claude.messages.stream(model="claude-sonnet-4-6", max_tokens=100, tools=[WEATHER, CLOCK],
                                messages=user("use tools")) as stream:
        fragments = [e.partial_json for e in stream if e.type == "input_json"]
        final = stream.get_final_message()
    assert len(fragments) > 4 and {b.name: b.input for b in final.content} == INPUTS


@pytest.mark.parametrize("choice,names", [({"type": "any"}, ["get_weather"]), ({"type": "none"}, []),
                                          ({"type": "tool", "name": "get_time"}, ["get_time"])])
def test_tool_choice(claude, choice, names):
    m = ask(claude, "Hi", tools=[WEATHER, CLOCK], tool_choice=choice)
    assert [b.name for b in m.content if b.type == "tool_use"] == names


def test_the_tool_runner(claude, asynchronous):
    asked = []
    if asynchronous:
        @anthropic.beta_async_tool
        async def get_city(name: str) -> str:
            """Looks a city up."""
            asked.append(name)
            return "population 7"
    else:
        @anthropic.beta_tool
        def get_city(name: str) -> str:
            """Looks a city up."""
            asked.append(name)
            return "population 7"
    runner = claude.beta.messages.tool_runner(model="claude-sonnet-4-6", max_tokens=100, tools=[get_city],
                                              messages=user("use tool"))
    assert "population 7" in runner.until_done().content[0].text and asked == ["demo"]


class City(pydantic.BaseModel):
    name: str
    people: int


def test_parse_into_a_model(claude):
    m = claude.messages.parse(model="claude-sonnet-4-6", max_tokens=100, messages=user("Which?"),
                              output_format=City)
    assert m.parsed_output == City(name="demo", people=1)


# --- the rest ---

def test_count_tokens(claude):
    n = claude.messages.count_tokens(model="claude-sonnet-4-6", system="Be brief.", messages=user("a b c"))
    assert n.input_tokens == 5


def test_completions(claude):
    """The older endpoint, which this version of the SDK reaches only by its raw call."""
    reply = claude.post("/v1/complete", cast_to=object, body={
        "model": "claude-2.1", "prompt": "Hello", "max_tokens_to_sample": 20})
    assert reply["type"] == "completion" and "You said:" in reply["completion"]


def test_models(claude):
    names = [m.id for m in claude.models.list()]
    assert "claude-sonnet-4-5" in names
    assert claude.models.retrieve("claude-sonnet-4-6").display_name == "claude-sonnet-4-6"


def test_batches(claude):
    made = claude.messages.batches.create(requests=[
        {"custom_id": f"r{i}", "params": {"model": "claude-sonnet-4-6", "max_tokens": 20,
                                          "messages": user(f"Line {i}")}} for i in range(3)])
    assert made.processing_status == "in_progress" and made.request_counts.processing == 3
    done = claude.messages.batches.retrieve(made.id)
    assert done.processing_status == "ended" and done.request_counts.succeeded == 3
    assert done.results_url == f"/v1/messages/batches/{made.id}/results"  # of the gateway, not elsewhere
    results = list(claude.messages.batches.results(made.id))
    assert [r.custom_id for r in results] == ["r0", "r1", "r2"]
    assert results[2].result.message.content[0].text == "You said: Line 2"
    listed = {b.id: b.results_url for b in claude.messages.batches.list(limit=2)}
    assert listed[made.id] == done.results_url
    assert claude.messages.batches.cancel(made.id).cancel_initiated_at
    assert claude.messages.batches.delete(made.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.batches.retrieve(made.id)


@pytest.mark.parametrize("door", ["files", "beta"])
def test_files(claude, door):
    files = claude.files if door == "files" else claude.beta.files
    data = bytes(range(256)) * 2000
    made = files.upload(file=("a ü.pdf", data, "application/pdf"))
    assert (made.filename, made.size_bytes, made.mime_type) == ("a ü.pdf", len(data), "application/pdf")
    assert files.retrieve_metadata(made.id).id == made.id
    assert files.download(made.id).read() == data
    assert made.id in [f.id for f in files.list(limit=2)]
    files.delete(made.id)
    with pytest.raises(anthropic.NotFoundError):
        files.retrieve_metadata(made.id)
