"""The official OpenAI SDK: chat, the older completions, what else takes no state, base URLs."""

import base64
import json

import openai
import pydantic
import pytest

from sdk_fixtures import PIXEL

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}}}}}
CLOCK = {"type": "function", "function": {"name": "get_time", "parameters": {
    "type": "object", "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]}}}}}
ARGUMENTS = {"get_weather": {"city": "demo", "days": 3}, "get_time": {"zone": "UTC"}}


def user(content):
    return [{"role": "user", "content": content}]


# --- chat ---

def test_chat(gpt):
    reply = gpt.chat.completions.create(model="gpt-4o", messages=[
        {"role": "system", "content": "Be brief."}, *user('Grüße "☃"\n \U0001f600')])
    assert reply.object == "chat.completion" and reply.model == "gpt-4o"
    assert reply.choices[0].message.role == "assistant"
    assert reply.choices[0].message.content == 'You said: Grüße "☃"\n \U0001f600'
    assert reply.choices[0].finish_reason == "stop"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (5, 5)
    assert reply._request_id.startswith("req_demo")


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/", "/cursor", "/cursor/v1", "/openai/v1"])
def test_each_base_url(make_gpt, base):
    client = make_gpt(base)
    reply = client.chat.completions.create(model="gpt-4o", messages=user("Hi"))
    assert reply.choices[0].message.content == "You said: Hi"
    assert client.models.list().data[0].object == "model"


def test_chat_stream(gpt):
    chunks = list(gpt.chat.completions.create(
        model="gpt-4o", messages=user("one two three ü demo:chunks=6"), stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) \
        == "You said: one two three ü demo:chunks=6"
    assert len(chunks) == 1 + 6 + 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks] == [None] * 7 + ["stop"]
    assert all(c.usage is None for c in chunks)


def test_chat_stream_with_usage(gpt):
    chunks = list(gpt.chat.completions.create(
        model="gpt-4o", messages=user("a b c"), stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (3, 5)
    assert all(c.usage is None for c in chunks[:-1])


def test_chat_stream_helper(gpt):
    with gpt.chat.completions.stream(model="gpt-4o", messages=user("Hello there")) as stream:
        deltas = [e.delta for e in stream if e.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content == "You said: Hello there"


def test_several_choices(gpt):
    reply = gpt.chat.completions.create(model="gpt-4o", messages=user("Hi"), n=3)
    assert [(c.index, c.message.content) for c in reply.choices] == [(i, "You said: Hi") for i in range(3)]
    assert reply.usage.completion_tokens == 9
    texts = {}
    for chunk in gpt.chat.completions.create(model="gpt-4o", messages=user("Hi"), n=2, stream=True):
        for c in chunk.choices:
            texts[c.index] = texts.get(c.index, "") + (c.delta.content or "")
    assert texts == {0: "You said: Hi", 1: "You said: Hi"}


def test_logprobs(gpt):
    reply = gpt.chat.completions.create(model="gpt-4o", messages=user("Hé"), logprobs=True)
    tokens = reply.choices[0].logprobs.content
    assert "".join(t.token for t in tokens) == "You said: Hé"
    assert all(t.logprob == -0.125 and bytes(t.bytes).decode() == t.token for t in tokens)
    pieces = [c.choices[0].logprobs for c in gpt.chat.completions.create(
        model="gpt-4o", messages=user("Hé"), logprobs=True, stream=True)]
    assert "".join(p.content[0].token for p in pieces if p) == "You said: Hé"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_max_tokens(gpt, name):
    reply = gpt.chat.completions.create(model="gpt-4o", messages=user("a b c d e"), **{name: 3})
    assert reply.choices[0].finish_reason == "length"
    assert reply.choices[0].message.content == "You said: a"
    assert reply.usage.completion_tokens == 3


def test_stop(gpt):
    reply = gpt.chat.completions.create(model="gpt-4o", messages=user("a b STOP c"), stop=["STOP"])
    assert reply.choices[0].message.content == "You said: a b "


def test_images_as_data_urls(gpt):
    big = "data:image/png;base64," + base64.b64encode(bytes(300_000)).decode()
    reply = gpt.chat.completions.create(model="gpt-4o", messages=user([
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "image_url", "image_url": {"url": big, "detail": "low"}}]))
    assert reply.choices[0].message.content == "I see 2 images. You said: What is this?"


# --- tools ---

def test_tool_call(gpt):
    reply = gpt.chat.completions.create(model="gpt-4o", messages=user("Please use tool get_time"),
                                        tools=[WEATHER, CLOCK])
    assert reply.choices[0].finish_reason == "tool_calls"
    calls = reply.choices[0].message.tool_calls
    assert [c.function.name for c in calls] == ["get_time"]
    assert json.loads(calls[0].function.arguments) == ARGUMENTS["get_time"]


@pytest.mark.parametrize("choice,names", [
    ("required", ["get_weather"]), ("none", []), ("auto", []),
    ({"type": "function", "function": {"name": "get_time"}}, ["get_time"])])
def test_tool_choice(gpt, choice, names):
    reply = gpt.chat.completions.create(model="gpt-4o", messages=user("Hello"), tools=[WEATHER, CLOCK],
                                        tool_choice=choice)
    assert [c.function.name for c in reply.choices[0].message.tool_calls or []] == names


def test_parallel_tools_and_the_second_turn(gpt):
    messages = user("Please use tools")
    first = gpt.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER, CLOCK])
    message = first.choices[0].message
    assert [c.function.name for c in message.tool_calls] == ["get_weather", "get_time"]
    assert len({c.id for c in message.tool_calls}) == 2
    messages += [message, *({"role": "tool", "tool_call_id": c.id, "content": f"{c.function.name}: fine"}
                            for c in message.tool_calls)]
    second = gpt.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER, CLOCK])
    assert second.choices[0].finish_reason == "stop"
    assert "get_weather: fine" in second.choices[0].message.content
    assert "get_time: fine" in second.choices[0].message.content


def test_streamed_tool_fragments(gpt):
    calls, fragments = {}, 0
    for chunk in gpt.chat.completions.create(model="gpt-4o", messages=user("use tools"), stream=True,
                                             tools=[WEATHER, CLOCK]):
        for c in chunk.choices[0].delta.tool_calls or []:
            call = calls.setdefault(c.index, {"id": c.id, "name": c.function.name, "arguments": ""})
            call["arguments"] += c.function.arguments
            fragments += 1
    assert fragments > 4
    assert {c["name"]: json.loads(c["arguments"]) for c in calls.values()} == ARGUMENTS


# --- structured answers ---

class Step(pydantic.BaseModel):
    title: str
    minutes: int


class Plan(pydantic.BaseModel):
    goal: str
    steps: list[Step]
    done: bool


def test_parse_into_a_model(gpt):
    reply = gpt.chat.completions.parse(model="gpt-4o", messages=user("Plan"), response_format=Plan)
    assert reply.choices[0].message.parsed == Plan(goal="demo", steps=[Step(title="demo", minutes=1)],
                                                   done=True)
    with gpt.chat.completions.stream(model="gpt-4o", messages=user("Plan"), response_format=Plan) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.parsed.goal == "demo"


def test_parse_tool_arguments(gpt):
    reply = gpt.chat.completions.parse(model="gpt-4o", messages=user("use tool"),
                                       tools=[openai.pydantic_function_tool(Plan)])
    assert reply.choices[0].message.tool_calls[0].function.parsed_arguments.steps[0].minutes == 1


def test_json_object(gpt):
    reply = gpt.chat.completions.create(model="gpt-4o", messages=user('Say "x"'),
                                        response_format={"type": "json_object"})
    assert json.loads(reply.choices[0].message.content) == {"answer": 'You said: Say "x"'}


# --- other endpoints without state ---

def test_completions(gpt):
    reply = gpt.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once upon", n=2)
    assert reply.object == "text_completion"
    assert [c.text for c in reply.choices] == ["You said: Once upon"] * 2
    chunks = list(gpt.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once upon", stream=True))
    assert "".join(c.choices[0].text for c in chunks) == "You said: Once upon"
    assert chunks[-1].choices[0].finish_reason == "stop" and all(c.usage is None for c in chunks)
    last = list(gpt.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once upon", stream=True,
                                       stream_options={"include_usage": True}))[-1]
    assert last.choices == [] and last.usage.total_tokens == 6


def test_embeddings(gpt):
    one = gpt.embeddings.create(model="text-embedding-3-small", input="alpha")  # base64 on the wire
    many = gpt.embeddings.create(model="text-embedding-3-small", input=["beta", "alpha"], dimensions=64,
                                 encoding_format="float")
    assert len(one.data[0].embedding) == 64
    assert [d.index for d in many.data] == [0, 1]
    assert many.data[1].embedding == pytest.approx(one.data[0].embedding, abs=1e-5)
    assert many.data[0].embedding != many.data[1].embedding
    assert many.usage.prompt_tokens == 2
    tokens = gpt.embeddings.create(model="text-embedding-3-small", input=[[1, 2, 3], [4]])
    assert len(tokens.data) == 2 and tokens.usage.total_tokens > 0


def test_moderations(gpt):
    reply = gpt.moderations.create(input=["peace", "Violence!"])
    assert [r.flagged for r in reply.results] == [False, True]
    assert reply.results[1].categories.violence and reply.results[1].category_scores.violence > 0.9
    named = gpt.moderations.create(model="omni-moderation-latest", input="peace")
    assert named.model == "omni-moderation-latest" and not named.results[0].flagged


def test_models(gpt):
    names = [m.id for m in gpt.models.list()]
    assert "gpt-4o" in names and len(names) == len(set(names))
    assert gpt.models.retrieve("gpt-4o").id == "gpt-4o"
    assert gpt.models.delete("ft:gpt-4o:mine").deleted


@pytest.mark.parametrize("name", ["demo/meta-llama/Llama-3.3-70B-Instruct", "demo/a b/ü"])
def test_a_model_whose_id_has_slashes(gpt, name):
    assert gpt.models.retrieve(name).id == name.removeprefix("demo/")
    reply = gpt.chat.completions.create(model=name, messages=user("Hi"))
    assert reply.model == name.removeprefix("demo/")


def test_rerank(gpt):
    reply = gpt.post("/rerank", cast_to=object, body={
        "model": "rerank-v3.5", "query": "capital", "documents": ["Paris", "Lyon", "Nice"], "top_n": 2})
    assert [r["index"] for r in reply["results"]] == [0, 1]
    assert reply["results"][0]["relevance_score"] > reply["results"][1]["relevance_score"]
