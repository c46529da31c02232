"""Lowest-cost routing: easy calls to the efficient model, demanding ones to the one asked for; one
step up where the efficient model's answer falls short; and who may say otherwise."""

import json

import pytest

from plane import until
from routing_plane import Routed, answers, completion, error, good, story, text_of
from wire import call, http_reply

EFFICIENT, CAPABLE = "model-efficient", "gpt-4o"
HARD = "Refactor this step by step: ```def f(): pass```"


@pytest.fixture(scope="module")
def gateway_(tmp_path_factory, upstream, run):
    r = Routed(tmp_path_factory.mktemp("lowest-cost"), upstream, run, {
        "SMARTFLOW_LCR": "auto", "SMARTFLOW_LCR_THRESHOLD": "0.5",
        "SMARTFLOW_LCR_EFFICIENT_PROVIDER": "openai", "SMARTFLOW_LCR_EFFICIENT_MODEL": EFFICIENT,
        "SMARTFLOW_ROUTING_RETRIES": "2", "SMARTFLOW_ROUTING_BACKOFF": "1ms",
        "SMARTFLOW_ROUTING_BREAKER_FAILURES": "0"})
    yield r
    r.stop()


@pytest.fixture
def routed(gateway_):
    """Both models answer, until a test says otherwise."""
    gateway_.models.plays |= {EFFICIENT: good, CAPABLE: good}
    gateway_.models.asked.clear()
    return gateway_


def says(text, **message):
    reply = json.loads(completion(EFFICIENT, text))
    reply["choices"][0]["message"] |= message
    return answers(http_reply(200, json.dumps(reply).encode()))


def note(routed, m):
    return routed.log(m)["routing"]["note"]


def content(text):
    return {"messages": [{"role": "user", "content": text}]}


# --- which model ---

def test_easy_and_demanding_calls(routed):
    m = routed.ask(CAPABLE)
    assert text_of(m) == EFFICIENT and m.get("x-smartflow-model") == EFFICIENT
    assert note(routed, m) == "lcr:efficient" and routed.models.calls(CAPABLE) == 0
    m = routed.ask(CAPABLE, **content(HARD))
    assert text_of(m) == CAPABLE and note(routed, m) == "lcr:capable"
    assert routed.models.calls(EFFICIENT) == 1


def test_one_sign_is_not_enough(routed):
    m = routed.ask(CAPABLE, **content("Refactor this."))
    assert note(routed, m) == "lcr:efficient"


def test_a_tool_that_failed_is_demanding(routed):
    m = routed.ask(CAPABLE, messages=[
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "Error: no such file"}])
    assert note(routed, m) == "lcr:capable"


def test_streams_are_left_alone(routed):
    m = routed.ask(CAPABLE, stream=True)
    assert text_of(m) == "from " + CAPABLE and note(routed, m) == "lcr:skipped stream"


@pytest.mark.parametrize("word, prompt, model, stamp", [
    ("local", HARD, EFFICIENT, "lcr:efficient"), ("frontier", "Hi", CAPABLE, "lcr:capable"),
    ("auto", HARD, CAPABLE, "lcr:capable"), ("OFF", "Hi", CAPABLE, None)])
def test_the_header_decides(routed, word, prompt, model, stamp):
    m = routed.ask(CAPABLE, fields=[("x-smartflow-lcr", word)], **content(prompt))
    assert text_of(m) == model and note(routed, m) == stamp
    asked = routed.models.asked[model][0][1]
    assert asked.get("x-smartflow-lcr") is None  # it is ours


def test_a_word_that_is_none(routed):
    m = routed.ask(CAPABLE, fields=[("x-smartflow-lcr", "cheap")])
    e = m.json()["error"]
    assert m.status == 400 and e["param"] == "x-smartflow-lcr" and "frontier" in e["message"]


def test_the_key_beats_the_settings(routed):
    def ask(lcr, prompt, fields=()):
        key = routed.admin.new_key(metadata=lcr)
        m = routed.ask(CAPABLE, key=key.secret, fields=fields, **content(prompt))
        return text_of(m), note(routed, m)
    routed.models.plays |= {"gpt-4o-mini": good, "gpt-4.1": good}
    assert ask({"lcr_mode": "off"}, "Hi") == (CAPABLE, None)
    assert ask({"lcr_mode": "frontier"}, "Hi") == (CAPABLE, "lcr:capable")
    assert ask({"effort_threshold": 0.95}, HARD) == (EFFICIENT, "lcr:efficient")
    both = {"efficient_model": "gpt-4o-mini", "capable_model": "gpt-4.1"}
    assert ask(both, "Hi") == ("gpt-4o-mini", "lcr:efficient")
    assert ask(both, HARD) == ("gpt-4.1", "lcr:capable")
    assert ask({"lcr_mode": "off"}, HARD, [("x-smartflow-lcr", "local")]) == (
        EFFICIENT, "lcr:efficient")


# --- one step up ---

STEPS = {
    "an error": (answers(error(500)), "server_error"),
    "no text": (says(""), "empty"),
    "white space": (says(" \n"), "empty"),
    "no body": (answers(http_reply(200, b"")), "empty"),
    "a refusal that is marked": (says(None, refusal="No."), "refusal"),
    "a refusal in words": (says("I\u2019m sorry, but I can\u2019t help with that."), "refusal"),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_up(routed, name):
    play, why = STEPS[name]
    routed.models.plays[EFFICIENT] = play
    m = routed.ask(CAPABLE)
    assert m.status == 200 and text_of(m) == CAPABLE
    assert [routed.models.calls(x) for x in (EFFICIENT, CAPABLE)] == [1, 1]  # one, and no retries
    assert m.get("x-smartflow-fallbacks") == "1"
    assert story(routed.log(m)) == [(EFFICIENT, "next", why), (CAPABLE, "served", None)]


def test_only_one_step(routed):
    """What the capable model says is the answer."""
    routed.models.plays |= {EFFICIENT: says(""), CAPABLE: says("I can't help with that.")}
    m = routed.ask(CAPABLE)
    assert text_of(m) == "I can't help with that."
    assert [routed.models.calls(x) for x in (EFFICIENT, CAPABLE)] == [1, 1]


def test_a_good_answer_passes_as_it_is(routed):
    reply = completion(EFFICIENT, "Fine.").replace(b'": ', b'" :   ')
    routed.models.plays[EFFICIENT] = answers(http_reply(200, reply))
    m = routed.ask(CAPABLE)
    assert m.status == 200 and m.body == reply
    log = routed.log(m)
    assert (log["prompt_tokens"], log["completion_tokens"]) == (8, 2)
    assert routed.models.calls(CAPABLE) == 0


def test_what_fell_short_is_paid_for(routed):
    """The efficient model's tokens are part of the call's cost: here it has a price."""
    key = routed.admin.new_key(metadata={"efficient_model": "gpt-4o-mini"})
    refusal = json.loads(completion("gpt-4o-mini", "I cannot help with that."))
    refusal["usage"] = {"prompt_tokens": 1000, "completion_tokens": 0, "total_tokens": 1000}
    routed.models.plays["gpt-4o-mini"] = answers(http_reply(200, json.dumps(refusal).encode()))
    m = routed.ask(CAPABLE, key=key.secret)
    assert text_of(m) == CAPABLE
    log = until(lambda: routed.log(m), 30)
    assert round(float(log["cost_usd"]) * 10**9) == 1000 * 150 + 8 * 2500 + 2 * 10000


def test_over_dialects(routed):
    """A client of Anthropic's: both models answer in another dialect."""
    def ask():
        return routed.run(call(routed.gateway.port, "/v1/messages", {
            "model": CAPABLE, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
            routed.models.script, [("anthropic-version", "2023-06-01")]))
    m = ask()
    assert m.status == 200 and m.json()["content"][0]["text"] == EFFICIENT
    assert m.json()["usage"]["input_tokens"] == 8
    routed.models.plays[EFFICIENT] = says("I cannot help with that.")
    m = ask()
    assert m.status == 200 and m.json()["content"][0]["text"] == CAPABLE
    assert story(routed.log(m))[0] == (EFFICIENT, "next", "refusal")


def test_a_chain_with_that_strategy(routed):
    cheap, dear = "gpt-4o-mini", "gpt-4.1"
    routed.models.plays |= {cheap: good, dear: good}
    routed.save({"name": "by-effort", "strategy": "lowest_cost", "retries": 0, "targets": [
        {"provider": "openai", "model": dear}, {"provider": "openai", "model": cheap}]})
    assert text_of(routed.ask("by-effort")) == cheap
    assert text_of(routed.ask("by-effort", **content(HARD))) == dear
    routed.models.plays[cheap] = says("")
    m = routed.ask("by-effort")
    assert text_of(m) == dear and story(routed.log(m))[0] == (cheap, "next", "empty")


def test_simulation(routed):
    to = routed.admin.ok("POST", "/api/routing/simulate", {
        "model": CAPABLE, "body": content("Hi") | {"model": CAPABLE}})
    assert to["target"]["model"] == EFFICIENT and to["note"] == "lcr:efficient"
    assert [c["model"] for c in to["candidates"]] == [EFFICIENT, CAPABLE]
    to = routed.admin.ok("POST", "/api/routing/simulate", {"model": CAPABLE, "lcr": "frontier"})
    assert to["target"]["model"] == CAPABLE and to["note"] == "lcr:capable"
    to = routed.admin.ok("POST", "/api/routing/simulate", {"model": CAPABLE, "lcr": "much"})
    assert to["target"] is None and to["error"]["status"] == 400
