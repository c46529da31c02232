"""The golden cases of the Responses dialect against the types of OpenAI's own SDK: what a client
must get has every member that the SDK requires, of its type, and what an upstream must see is what
the SDK would let a caller send."""

import json
import pathlib
import re
import typing

import pydantic
import pytest
from openai.types import responses as types
from openai.types.responses import response_create_params

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
EVENTS = {
    typing.get_args(model.model_fields["type"].annotation)[0]: model
    for model in typing.get_args(typing.get_args(types.ResponseStreamEvent)[0])
}
CREATE = pydantic.TypeAdapter(response_create_params.ResponseCreateParamsNonStreaming)
STREAM = pydantic.TypeAdapter(response_create_params.ResponseCreateParamsStreaming)


def cases(path):
    """(name, sections) of each case of a file."""
    for text in re.split(r"^=== ", path.read_text(), flags=re.M)[1:]:
        name, _, rest = text.partition("\n")
        parts = re.split(r"^--- (\w+)[^\n]*\n", rest, flags=re.M)
        yield name, dict(zip(parts[1::2], (p.strip() for p in parts[2::2])))


def of_files(pattern, *sections):
    return [pytest.param(found, id=f"{path.name}: {name}")
            for path in sorted(GOLDEN.glob(pattern)) for name, found in cases(path)
            if all(s in found for s in sections)]


def events_of(text):
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in lines:
            yield lines.get("event"), json.loads(lines["data"])


@pytest.mark.parametrize("found", of_files("responses-*.cases", "reply", "client"))
def test_replies(found):
    reply = types.Response.model_validate(json.loads(found["client"]))
    assert reply.object == "response"
    assert len({item.id for item in reply.output}) == len(reply.output)


class Rebuilt:
    """What a client knows of the output from the events alone."""

    def __init__(self):
        self.items, self.parts, self.done = [], {}, []

    def take(self, e):
        kind, key = e["type"], (e.get("item_id"), e.get("content_index"), e.get("summary_index"))
        if kind == "response.output_item.added":
            assert e["output_index"] == len(self.items) == len(self.done)
            self.items.append(e["item"])
        elif kind == "response.output_item.done":
            assert e["output_index"] == len(self.done)
            assert e["item"]["id"] == self.items[-1]["id"]
            self.done.append(e["item"])
        elif kind.endswith(".delta"):
            self.parts[key] = self.parts.get(key, "") + e["delta"]
        elif kind.endswith("_part.added"):
            assert key not in self.parts
            self.parts[key] = ""
        elif kind.endswith((".text.done", "_text.done", "refusal.done", "arguments.done", "input.done")):
            said = next(e[m] for m in ("text", "refusal", "arguments", "input") if m in e)
            assert self.parts.get(key, "") == said
        if "item_id" in e:
            assert e["item_id"] == self.items[-1]["id"]
            assert e["output_index"] == len(self.items) - 1


@pytest.mark.parametrize("found", of_files("responses-*.cases", "stream", "client"))
def test_streams(found):
    rebuilt, ended = Rebuilt(), False
    for number, (name, data) in enumerate(events_of(found["client"])):
        assert not ended
        assert data["type"] == name
        assert data["sequence_number"] == number
        EVENTS[name].model_validate(data)
        assert number > 1 or name in ("error", ("response.created", "response.in_progress")[number])
        rebuilt.take(data)
        if name in ("response.completed", "response.incomplete", "response.failed"):
            assert data["response"]["output"] == rebuilt.done
            assert len(rebuilt.items) == len(rebuilt.done)
        ended = name in ("response.completed", "response.incomplete", "response.failed", "error")
    assert ended


def complete(item):
    """What the types ask for and the API does not: ids of what came from another provider."""
    if item.get("role") == "assistant" and isinstance(item["content"], list):
        item |= {"id": "msg_1", "type": "message", "status": "completed"}
        for part in item["content"]:
            if part["type"] == "output_text":
                part.setdefault("annotations", [])
    if item.get("type") == "reasoning":
        item.setdefault("id", "rs_1")


@pytest.mark.parametrize("found", of_files("*-responses.cases", "upstream"))
def test_requests(found):
    body = json.loads(found["upstream"])
    for item in body["input"]:
        complete(item)
    (STREAM if body.get("stream") else CREATE).validate_python(body)


@pytest.mark.parametrize("found", of_files("*-responses.cases", "stream"))
def test_upstream_streams_are_real(found):
    numbers = []
    for name, data in events_of(found["stream"].removesuffix("<cut>")):
        numbers.append(data.get("sequence_number"))
        assert data["type"] == name
    assert numbers == sorted(numbers)
