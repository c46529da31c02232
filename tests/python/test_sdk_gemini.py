"""The official Google SDK: content, streams, chats, tools, counts, embeddings, models, files, caches."""

import asyncio
import base64
import json
import urllib.request

import pydantic
import pytest
from google.genai import errors, types

from gateway import KEY
from sdk_fixtures import ASYNC_ALONE, LIMITED_KEY, PIXEL

MODEL = "gemini-2.5-flash"
WEATHER = types.FunctionDeclaration(name="get_weather", description="Weather", parameters_json_schema={
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}}})
CLOCK = types.FunctionDeclaration(name="get_time", parameters=types.Schema(
    type="OBJECT", properties={"zone": types.Schema(type="STRING", enum=["UTC", "CET"])}))
TOOLS = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[WEATHER, CLOCK])])
ARGUMENTS = {"get_weather": {"city": "demo", "days": 3}, "get_time": {"zone": "UTC"}}


# --- content ---

def test_content(gemini):
    r = gemini.models.generate_content(model=MODEL, contents='Grüße "☃" \U0001f600', config={
        "system_instruction": "Be brief.", "temperature": 0.5})
    assert r.text == 'You said: Grüße "☃" \U0001f600' and r.model_version == MODEL
    assert r.candidates[0].finish_reason.value == "STOP"
    assert (r.usage_metadata.prompt_token_count, r.usage_metadata.candidates_token_count) == (5, 5)


@pytest.mark.parametrize("base,version", [
    ("", None), ("/", None), ("/gemini", None), ("/gemini/", None), ("", "v1"), ("/gemini", "v1"),
    ("/gemini", "v1alpha"), ("", "v1beta"), ("/gemini/v1beta", "")])
def test_each_base_url(make_gemini, demo, base, version):
    options = {"base_url": demo.url + base, "timeout": 20000}
    if version is not None:
        options["api_version"] = version
    client = make_gemini(http_options=options)
    assert client.models.generate_content(model=MODEL, contents="Hi").text == "You said: Hi"
    assert "".join(r.text for r in client.models.generate_content_stream(model=MODEL, contents="Hi")) \
        == "You said: Hi"
    assert client.models.count_tokens(model=MODEL, contents="a b").total_tokens == 2


def test_stream(gemini):
    pieces = list(gemini.models.generate_content_stream(model=MODEL, contents="a b c demo:chunks=6"))
    assert len(pieces) == 6 and "".join(p.text for p in pieces) == "You said: a b c demo:chunks=6"
    assert [bool(p.candidates[0].finish_reason) for p in pieces] == [False] * 5 + [True]
    assert pieces[-1].usage_metadata.prompt_token_count == 4


def test_max_output_tokens(gemini):
    r = gemini.models.generate_content(model=MODEL, contents="a b c d", config={"max_output_tokens": 3})
    assert r.candidates[0].finish_reason.value == "MAX_TOKENS" and r.text == "You said: a"


def test_images_and_audio(gemini):
    r = gemini.models.generate_content(model=MODEL, contents=[
        types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png"),
        types.Part.from_bytes(data=bytes(300_000), mime_type="audio/wav"), "What?"])
    assert r.text == "I see 1 image. I see 1 audio clip. You said: What?"


def test_thinking(gemini):
    r = gemini.models.generate_content(model=MODEL, contents="Why?", config={
        "thinking_config": {"include_thoughts": True, "thinking_budget": 100}})
    assert [bool(p.thought) for p in r.candidates[0].content.parts] == [True, False]
    assert r.usage_metadata.thoughts_token_count == 4


class City(pydantic.BaseModel):
    name: str
    people: int


def test_structured_answer(gemini):
    r = gemini.models.generate_content(model=MODEL, contents="Which?", config={
        "response_mime_type": "application/json", "response_schema": City})
    assert r.parsed == City(name="demo", people=1)


# --- chats and tools ---

def test_chat(gemini):
    chat = gemini.chats.create(model=MODEL)
    assert chat.send_message("First").text == "You said: First"
    assert "".join(p.text for p in chat.send_message_stream("Second")) == "You said: Second"
    assert [c.role for c in chat.get_history()][:2] == ["user", "model"]
    assert chat.send_message("Third").usage_metadata.prompt_token_count == 9


def test_tools_and_the_second_turn(gemini):
    first = gemini.models.generate_content(model=MODEL, contents="use tools", config=TOOLS)
    assert {c.name: c.args for c in first.function_calls} == ARGUMENTS
    second = gemini.models.generate_content(model=MODEL, config=TOOLS, contents=[
        types.UserContent("use tools"), first.candidates[0].content, types.Content(role="user", parts=[
            types.Part.from_function_response(name=c.name, response={"result": f"{c.name} fine"})
            for c in first.function_calls])])
    assert "get_weather fine" in second.text and "get_time fine" in second.text


def test_streamed_tools(gemini):
    calls = [c for r in gemini.models.generate_content_stream(model=MODEL, contents="use tools", config=TOOLS)
             for c in r.function_calls or []]
    assert {c.name: c.args for c in calls} == ARGUMENTS


def test_functions_that_the_sdk_calls_itself(gemini):
    asked = []

    def get_city(name: str) -> str:
        """Looks a city up."""
        asked.append(name)
        return "population 7"

    r = gemini.models.generate_content(model=MODEL, contents="use tool", config={"tools": [get_city]})
    assert "population 7" in r.text and asked == ["demo"]


# --- the rest ---

def test_embeddings(gemini):
    one = gemini.models.embed_content(model="gemini-embedding-001", contents="alpha")
    two = gemini.models.embed_content(model="gemini-embedding-001", contents=["beta", "alpha"],
                                      config={"output_dimensionality": 64})
    assert [len(e.values) for e in two.embeddings] == [64, 64]
    assert two.embeddings[1].values == one.embeddings[0].values != two.embeddings[0].values


def test_count_tokens(gemini):
    assert gemini.models.count_tokens(model=MODEL, contents="one two three").total_tokens == 3


def test_models(gemini):
    assert f"models/{MODEL}" in [m.name for m in gemini.models.list()]
    assert gemini.models.get(model=MODEL).name == f"models/{MODEL}"


def test_cached_contents(gemini):
    made = gemini.caches.create(model=MODEL, config={"contents": ["a long text"], "ttl": "60s"})
    assert made.name.startswith("cachedContents/")
    assert gemini.caches.get(name=made.name).name == made.name
    assert made.name in [c.name for c in gemini.caches.list()]
    assert gemini.caches.update(name=made.name, config={"ttl": "90s"}).name == made.name
    gemini.caches.delete(name=made.name)
    with pytest.raises(errors.ClientError):
        gemini.caches.get(name=made.name)


def test_batches(gemini):
    made = gemini.batches.create(model=MODEL, src=[
        {"contents": [{"parts": [{"text": text}]}]} for text in ("Hi", "Hello there")])
    assert made.name.startswith("batches/") and made.state.name == "JOB_STATE_PENDING"
    done = gemini.batches.get(name=made.name)
    assert done.state.name == "JOB_STATE_SUCCEEDED" and done.model == f"models/{MODEL}"
    replies = [r.response for r in done.dest.inlined_responses]
    assert len(replies) == 2 and all(r.text and r.usage_metadata for r in replies)
    assert made.name in [b.name for b in gemini.batches.list()]
    gemini.batches.cancel(name=made.name)
    gemini.batches.delete(name=made.name)
    with pytest.raises(errors.ClientError):
        gemini.batches.get(name=made.name)


def test_a_batch_of_a_file(gemini, tmp_path):
    lines = [{"key": f"r{i}", "request": {"contents": [{"parts": [{"text": f"Line {i}"}]}]}}
             for i in range(3)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    source = gemini.files.upload(file=tmp_path / "in.jsonl", config={"mime_type": "application/jsonl"})
    made = gemini.batches.create(model=MODEL, src=source.name)
    results = gemini.batches.get(name=made.name).dest.file_name
    got = [json.loads(line) for line in gemini.files.download(file=results).splitlines()]
    assert [g["key"] for g in got] == ["r0", "r1", "r2"]
    assert all(g["response"]["candidates"] for g in got)


@pytest.mark.filterwarnings("ignore:batches.create_embeddings")  # the SDK: it is experimental
def test_a_batch_of_vectors(gemini):
    made = gemini.batches.create_embeddings(model="gemini-embedding-001", src={
        "inlined_requests": {"contents": ["one two three", "four"]}})
    replies = gemini.batches.get(name=made.name).dest.inlined_embed_content_responses
    assert [r.response.token_count for r in replies] == [3, 1]
    assert all(r.response.embedding.values for r in replies)


def test_files(gemini, demo):
    """Listed, read and deleted; what the SDK uploads in resumable pieces has no endpoint."""
    request = urllib.request.Request(
        f"{demo.url}/gemini/v1beta/files", json.dumps({"file": {"displayName": "A file"}}).encode(),
        {"x-goog-api-key": KEY, "content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        name = json.load(reply)["file"]["name"]
    assert gemini.files.get(name=name).display_name == "A file"
    assert name in [f.name for f in gemini.files.list()]
    gemini.files.delete(name=name)
    with pytest.raises(errors.ClientError):
        gemini.files.get(name=name)


# --- errors ---

@pytest.mark.parametrize("status,kind,name", [
    (400, errors.ClientError, "INVALID_ARGUMENT"), (403, errors.ClientError, "PERMISSION_DENIED"),
    (404, errors.ClientError, "NOT_FOUND"), (429, errors.ClientError, "RESOURCE_EXHAUSTED"),
    (500, errors.ServerError, "INTERNAL"), (503, errors.ServerError, "UNAVAILABLE")])
def test_a_providers_error(gemini, status, kind, name):
    with pytest.raises(kind) as e:
        gemini.models.generate_content(model=MODEL, contents=f"demo:status={status}")
    assert (e.value.code, e.value.status) == (status, name) and "told to fail" in e.value.message
    with pytest.raises(kind) as e:
        list(gemini.models.generate_content_stream(model=MODEL, contents=f"demo:status={status}"))
    assert e.value.code == status


@pytest.mark.parametrize("key,model,status,reason", [
    ("sk-sf-unknown-key-0000", MODEL, 401, "invalid_api_key"),
    (LIMITED_KEY, MODEL, 403, "not_allowed"), (KEY, "gemni-2.5-flash", 404, "model_not_found")])
def test_an_error_of_the_gateway(make_gemini, key, model, status, reason):
    with pytest.raises(errors.ClientError) as e:
        make_gemini("/gemini", api_key=key).models.generate_content(model=model, contents="Hi")
    assert e.value.code == status and e.value.details["error"]["details"][0]["reason"] == reason


def test_an_error_in_the_middle_of_a_stream(gemini):
    got = []
    with pytest.raises(errors.APIError):
        for piece in gemini.models.generate_content_stream(
                model=MODEL, contents="a b c d e demo:error_after=3"):
            got.append(piece.text)
    assert got


@ASYNC_ALONE
def test_many_at_once(make_gemini, run):
    client = make_gemini("/gemini")._thing

    async def all_of_them():
        return await asyncio.gather(*(client.models.generate_content(model=MODEL, contents=f"n{i}")
                                      for i in range(50)))

    assert [r.text for r in run(all_of_them())] == [f"You said: n{i}" for i in range(50)]


# --- uploads ---

@pytest.mark.parametrize("size", [0, 5, 9 << 20], ids=["empty", "one chunk", "two chunks"])
@pytest.mark.parametrize("door,version", [("", "v1beta"), ("/gemini", "v1beta"), ("/gemini/v1beta", "")])
def test_a_file_is_uploaded(make_gemini, demo, tmp_path, size, door, version):
    """The SDK sends the bytes to the address of a reply, without a key."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"x" * size)
    client = make_gemini(http_options={"base_url": demo.url + door, "api_version": version, "timeout": 20000})
    made = client.files.upload(file=path)
    assert made.name.startswith("files/")
    assert client.files.get(name=made.name).name == made.name
