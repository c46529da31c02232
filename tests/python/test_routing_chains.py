"""Fallback chains with faults: one clean answer whenever any target could give one and no token was
sent; an error event after that; never a token twice; and a log that tells the story."""

import asyncio
import json
import time
from email.utils import formatdate

import pytest

from gateway import providers_at
from plane import MASTER_KEY, Admin, until
from routing_plane import (CHAT, END, STREAM_HEAD, Routed, answers, chunk, completion, error, good, piece, reset,
                           role, sends, stalls, story, text_of, words)
from wire import Client, call, http_reply, request

RATE = error(429, "Slow down.", "rate_limit_exceeded", "rate_limit_error", [("retry-after", "30")])
BROKEN = error(500)
STREAM_ERROR = b'data: {"error":{"message":"It broke.","type":"server_error","code":null}}\n\n'


@pytest.fixture(scope="module")
def routed(tmp_path_factory, upstream, run):
    r = Routed(tmp_path_factory.mktemp("routed"), upstream, run)
    yield r
    r.stop()


BEFORE = {  # whole or streamed: faults before any token
    "429 with Retry-After": (answers(RATE), "rate_limit"),
    "500": (answers(BROKEN), "server_error"),
    "529": (answers(error(529, "Overloaded.")), "overloaded"),
    "401": (answers(error(401, "No such key.", "invalid_api_key")), "authentication"),
    "404": (answers(error(404, "No such model.", "model_not_found")), "not_found"),
    "402": (answers(error(402, "No money left.")), "billing"),
    "no JSON": (answers(http_reply(502, b"<html>", type_="text/html")), "server_error"),
    "reset": (reset, "server_error"),
    "nonsense": (answers(b"nonsense\r\n\r\n"), "server_error"),
    "stall before the head": (stalls(), "timeout"),
}
EARLY = {  # streams: faults behind a 200, before the first token
    "stall before the first token": (stalls(STREAM_HEAD + piece(role("x"))), "timeout"),
    "error as the first event": (sends(STREAM_ERROR), "server_error"),
    "error behind the role": (sends(role("x"), STREAM_ERROR), "server_error"),
    "cut behind the role": (sends(role("x"), then="close"), "server_error"),
    "reset behind the role": (sends(role("x"), then="reset"), "server_error"),
    "rate limit inside": (sends(b'data: {"error":{"message":"Slow","type":"rate_limit_error",'
                                b'"code":"rate_limit_exceeded"}}\n\n'), "rate_limit"),
}


def check_story(routed, reply, models, fault, chain):
    log = routed.log(reply)
    assert story(log) == [(models[0], "next", fault), (models[1], "next", fault),
                          (models[2], "served", None)]
    assert log["routing"]["chain"] == chain and log["routing"]["fallback_used"] is True
    assert log["routing"]["fallbacks"] == 2 and log["routing"]["strategy"] == "priority"
    assert log["model"] == models[2] and log["model_asked"] == chain


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", BEFORE)
def test_the_third_target_serves(routed, name, stream):
    play, fault = BEFORE[name]
    chain, models = routed.chain(play, play, good, first_token_timeout_ms=400)
    m = routed.ask(chain, stream)
    assert m.complete and m.status == 200
    assert text_of(m) == ("from " if stream else "") + models[2]
    assert m.get("x-smartflow-fallbacks") == "2"
    assert m.get("x-smartflow-model") == models[2]
    assert [routed.models.calls(x) for x in models] == [1, 1, 1]
    check_story(routed, m, models, fault, chain)


@pytest.mark.parametrize("name", EARLY)
def test_a_stream_that_failed_before_its_first_token(routed, name):
    play, fault = EARLY[name]
    chain, models = routed.chain(play, play, good, first_token_timeout_ms=400)
    m = routed.ask(chain, stream=True)
    assert m.complete and m.status == 200 and text_of(m) == "from " + models[2]
    assert m.body.count(b"[DONE]") == 1 and m.body.count(b'"role"') == 1
    assert b"error" not in m.body
    check_story(routed, m, models, fault, chain)


LATE = {
    "error event": sends(role("x"), words("x", "one ", "two"), STREAM_ERROR),
    "cut": sends(role("x"), words("x", "one ", "two"), then="close"),
    "reset": sends(role("x"), words("x", "one ", "two"), then="reset"),
    "stall": stalls(STREAM_HEAD + piece(role("x")) + piece(words("x", "one ", "two"))),
}


@pytest.mark.parametrize("name", LATE)
def test_after_a_token_there_is_no_other_target(routed, name):
    chain, models = routed.chain(LATE[name], good)
    m = routed.ask(chain, stream=True)
    assert m.complete and m.status == 200 and text_of(m) == "one two"
    errors = [d for _, d in m.events() if d != "[DONE]" and "error" in json.loads(d)]
    assert len(errors) == 1
    assert routed.models.calls(models[1]) == 0
    log = routed.log(m)
    assert len(log["routing"]["attempts"]) == 1 and not log["routing"]["fallback_used"]


def test_the_requests_own_fault_ends_the_chain(routed):
    refusal = error(400, "Bad temperature.", "invalid_value", "invalid_request_error")
    chain, models = routed.chain(answers(refusal), good)
    m = routed.ask(chain)
    assert m.status == 400 and m.body == refusal.split(b"\r\n\r\n", 1)[1]  # byte for byte
    assert routed.models.calls(models[1]) == 0
    assert story(routed.log(m)) == [(models[0], "gave up", "bad_request")]


def test_all_fail(routed):
    chain, models = routed.chain(answers(BROKEN), reset, answers(RATE), retry_after_max_ms=1000)
    m = routed.ask(chain)
    e = m.json()["error"]
    assert m.status == 503 and e["code"] == "fallback_chain_exhausted"
    assert all(x in e["message"] for x in models)
    assert m.get("retry-after") == "30"
    assert [r for _, r, _ in story(routed.log(m))] == ["next", "next", "gave up"]


def test_one_target_says_itself_what_is_wrong(routed):
    chain, _ = routed.chain(answers(BROKEN))
    m = routed.ask(chain)
    assert m.status == 500 and m.body == BROKEN.split(b"\r\n\r\n", 1)[1]


# --- retries ---

def failing(times, data):
    left = [times]

    async def play(conn, m):
        if left[0] > 0:
            left[0] -= 1
            await conn.send(data)
            return True
        return await good(conn, m)
    return play


def test_a_target_is_tried_again_before_the_next(routed):
    chain, models = routed.chain(failing(2, BROKEN), good, retries=2)
    m = routed.ask(chain)
    assert text_of(m) == models[0] and m.get("x-smartflow-fallbacks") is None
    assert story(routed.log(m)) == [(models[0], "retry", "server_error")] * 2 + [
        (models[0], "served", None)]
    chain, models = routed.chain(failing(3, BROKEN), good, retries=2)
    assert text_of(routed.ask(chain)) == models[1]
    assert routed.models.calls(models[0]) == 3


def test_backoff_grows_with_each_try(routed):
    """Full jitter: below 100, 200 and 400 ms; so three waits take something, and not too much."""
    waits = []
    for _ in range(6):
        chain, _ = routed.chain(failing(3, BROKEN), retries=3, backoff_ms=100, breaker_failures=0)
        m = routed.ask(chain)
        assert m.status == 200
        waits.append([a["waited_us"] / 1e6 for a in routed.log(m)["routing"]["attempts"]])
    for first, *w in waits:
        assert first < 0.05 and w[0] < 0.15 and w[1] < 0.25 and w[2] < 0.45
    assert sum(sum(w) for w in waits) > 0.3


def test_retry_after_is_waited_for_where_nobody_else_is_left(routed):
    slow = error(429, "Slow down.", "rate_limit_exceeded", fields=[("retry-after", "1")])
    chain, models = routed.chain(failing(1, slow), retries=1)
    began = time.monotonic()
    m = routed.ask(chain)
    assert m.status == 200 and 1 <= time.monotonic() - began < 4
    at = [t for t, _ in routed.models.asked[models[0]]]
    assert at[1] - at[0] >= 0.99


WAITS = {  # a status, fields that say when, and how long that is, in seconds
    "milliseconds": (429, lambda: [("retry-after-ms", "400"), ("retry-after", "9")], 0.4, 2),
    "a fraction": (429, lambda: [("retry-after", "0.4")], 0.4, 2),
    "a date": (429, lambda: [("retry-after", formatdate(time.time() + 2, usegmt=True))], 0.9, 4),
    "a date that is past": (429, lambda: [("retry-after", formatdate(time.time() - 60, usegmt=True))],
                            0, 3),
    "a limit that is used up": (429, lambda: [
        ("x-ratelimit-remaining-requests", "7"), ("x-ratelimit-reset-requests", "1h0m0s"),
        ("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "400ms")], 0.4, 2),
    "overloaded": (503, lambda: [("retry-after", "0.4")], 0.4, 2),
}


@pytest.mark.parametrize("name", WAITS)
def test_every_form_of_retry_after(routed, name):
    status, fields, least, most = WAITS[name]
    failed = []

    async def once(conn, m):
        if failed:
            return await good(conn, m)
        failed.append(True)
        await conn.send(error(status, "Slow down.", fields=fields()))
        return True
    chain, models = routed.chain(once, retries=1)
    m = routed.ask(chain)
    assert m.status == 200
    (first, _), (second, _) = routed.models.asked[models[0]]
    assert least - 0.01 <= second - first < most
    waited = routed.log(m)["routing"]["attempts"][1]["waited_us"] / 1e6
    assert least - 0.01 <= waited < most


def test_an_overload_that_lasts_longer_than_may_be_waited(routed):
    chain, models = routed.chain(answers(error(503, fields=[("retry-after", "60")])), good, retries=3,
                                 retry_after_max_ms=500)
    assert text_of(routed.ask(chain)) == models[1]
    assert routed.models.calls(models[0]) == 1


def test_retry_after_beyond_the_maximum(routed):
    chain, models = routed.chain(answers(RATE), retries=3, retry_after_max_ms=500)
    began = time.monotonic()
    m = routed.ask(chain)
    assert m.status == 429 and time.monotonic() - began < 2
    assert routed.models.calls(models[0]) == 1


def test_geminis_retry_delay(routed):
    """In the body, of an upstream of another dialect."""
    refusal = {"error": {"code": 429, "message": "Slow", "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}]}}
    play = failing(1, http_reply(429, json.dumps(refusal).encode()))
    seen = []

    async def gemini(conn, m):
        seen.append(time.monotonic())
        if len(seen) == 1:
            return await play(conn, m)
        assert m.target.startswith("/v1beta/models/")
        await conn.send(http_reply(200, json.dumps({
            "candidates": [{"content": {"role": "model", "parts": [{"text": "late"}]},
                            "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1,
                              "totalTokenCount": 4}}).encode()))
        return True
    script = routed.upstream.script(gemini)
    routed.save({"name": "to-gemini", "retries": 1, "targets": [
        {"provider": "gemini", "model": "gemini-2.5-pro"}]})
    m = routed.run(call(routed.gateway.port, "/v1/messages", {
        "model": "to-gemini", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
        script))
    assert m.status == 200 and m.json()["content"] == [{"type": "text", "text": "late"}]
    assert m.json()["model"] == "to-gemini"
    assert seen[1] - seen[0] >= 0.99


def test_the_deadline_ends_all_attempts(routed):
    chain, _ = routed.chain(stalls(), stalls(), good, timeout_ms=700)
    began = time.monotonic()
    m = routed.ask(chain)
    assert m.status in (503, 504) and 0.6 < time.monotonic() - began < 3


# --- typed fallbacks ---

LONG = error(400, "This model's maximum context length is 8192 tokens.",
             "context_length_exceeded", "invalid_request_error")
REFUSED = error(400, "Refused.", "content_policy_violation", "invalid_request_error")


@pytest.mark.parametrize("kind, refusal", [
    ("context_window", LONG), ("content_policy", REFUSED), ("rate_limit", RATE), ("error", BROKEN)])
def test_typed_fallbacks(routed, kind, refusal):
    chain, models = routed.chain(answers(refusal), answers(BROKEN), fallbacks={kind: good})
    m = routed.ask(chain)
    assert m.status == 200 and text_of(m) == models[2]
    assert routed.models.calls(models[1]) == 0
    assert story(routed.log(m))[0][1:] == (
        "next", {"error": "server_error"}.get(kind, kind))


def test_content_policy_goes_nowhere_by_itself(routed):
    chain, models = routed.chain(answers(REFUSED), good)
    assert routed.ask(chain).status == 400 and routed.models.calls(models[1]) == 0


# --- breaker and cooldown ---

def test_the_breaker_opens_and_closes(routed):
    down = {"is": True}

    async def flaky(conn, m):
        return await (answers(BROKEN) if down["is"] else good)(conn, m)
    chain, models = routed.chain(flaky, good, breaker_failures=3, breaker_cooldown_ms=600)
    for _ in range(3):
        assert text_of(routed.ask(chain)) == models[1]
    assert routed.models.calls(models[0]) == 3
    for _ in range(5):
        assert text_of(routed.ask(chain)) == models[1]
    assert routed.models.calls(models[0]) == 3  # left alone
    state = [t for t in routed.admin.ok("GET", "/api/routing/status")["targets"]
             if t["model"] == models[0]][0]
    assert state["breaker"] == "open" and state["failed"] == 3
    down["is"] = False
    until(lambda: text_of(routed.ask(chain)) == models[0], 30)  # tried out, and closed
    assert text_of(routed.ask(chain)) == models[0]
    of_it = f'{{provider="openai",model="{models[0]}"}}'

    def metrics():
        return routed.gateway.get("/metrics")[1].decode()
    until(lambda: f"smartflow_breaker_state{of_it} 0" in metrics(), 30)
    assert f"smartflow_breaker_opened_total{of_it} 1" in metrics()


def test_open_breakers_are_the_last_resort(routed):
    chain, models = routed.chain(failing(1, BROKEN), breaker_failures=1, breaker_cooldown_ms=60000)
    assert routed.ask(chain).status == 500
    assert text_of(routed.ask(chain)) == models[0]  # there is nobody else


def test_a_target_that_asked_to_rest_is_left_alone(routed):
    chain, models = routed.chain(answers(RATE), good)
    for _ in range(4):
        assert text_of(routed.ask(chain)) == models[1]
    assert routed.models.calls(models[0]) == 1


# --- nothing leaks from one attempt to the next ---

def test_each_attempt_is_its_own(routed):
    chain, models = routed.chain(answers(BROKEN), sends(role("x"), STREAM_ERROR), good)
    fields = [("x-custom", "kept")]
    m = routed.ask(chain, stream=True, fields=fields, temperature=0.5)
    assert m.status == 200
    bodies = [routed.models.asked[x][0][1] for x in models]
    for model, b in zip(models, bodies):
        assert b.json() == {"model": model, "temperature": 0.5, "stream": True,
                            "stream_options": {"include_usage": True},
                            "messages": [{"role": "user", "content": "Hi"}]}
        assert b.get("x-custom") == "kept" and len(b.all("authorization")) == 1
        assert b.get("content-length") == str(len(b.body))


def test_money_of_attempts(routed):
    """What a failed stream had used is part of the call's cost; what was held is given back."""
    key = routed.admin.new_key(budgets={"lifetime": 1})
    usage = (b'data: {"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":0,'
             b'"total_tokens":1000}}\n\n')
    model = routed.models.add(sends(role("x"), usage, STREAM_ERROR))
    fine = routed.models.add(good)
    routed.models.plays |= {"gpt-4o": routed.models.plays.pop(model),
                            "gpt-4o-mini": routed.models.plays.pop(fine)}
    routed.save({"name": "priced", "targets": [{"provider": "openai", "model": "gpt-4o"},
                                               {"provider": "openai", "model": "gpt-4o-mini"}],
                 "retries": 0})
    m = routed.run(call(routed.gateway.port, CHAT, {
        "model": "priced", "stream": True, "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": "Hi"}]}, routed.models.script, key=key.secret))
    assert m.status == 200 and text_of(m).startswith("from ")
    spent = routed.admin.settled(key.id)
    assert spent >= 1000 * 2500  # gpt-4o's input
    assert spent < 1000 * 2500 + 100000


def test_the_budget_ends_all_attempts(routed):
    """What the first attempt used was all that the key had: the second target is not called."""
    key = routed.admin.new_key(budgets={"lifetime": 0.0025})
    usage = (b'data: {"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":0,'
             b'"total_tokens":1000}}\n\n')
    routed.models.plays |= {"gpt-4o-2024-08-06": sends(role("x"), usage, STREAM_ERROR),
                            "gpt-4o-2024-11-20": good}
    routed.save({"name": "poor", "retries": 0, "targets": [
        {"provider": "openai", "model": "gpt-4o-2024-08-06"},
        {"provider": "openai", "model": "gpt-4o-2024-11-20"}]})
    m = routed.ask("poor", stream=True, key=key.secret, max_tokens=1,
                   stream_options={"include_usage": True})
    assert m.status == 429 and m.json()["error"]["code"] == "insufficient_quota"
    assert routed.models.calls("gpt-4o-2024-08-06") == 1
    assert routed.models.calls("gpt-4o-2024-11-20") == 0
    assert routed.admin.settled(key.id) == 1000 * 2500
    assert story(routed.log(m))[0] == ("gpt-4o-2024-08-06", "next", "server_error")


def test_another_key_of_the_same_provider(start, run, upstream, tmp_path):
    """A target's first key is rate limited, or refused: the next one is tried, then the next target."""
    refused, asked = {}, []

    async def play(conn, m):
        asked.append((m.json()["model"], m.get("authorization")[7:]))
        status = refused.get(asked[-1][1])
        await conn.send(error(status, fields=[("retry-after", "30")]) if status else
                        http_reply(200, completion(asked[-1][0])))
        return True
    script = upstream.script(play)
    g = start(providers_at(upstream.port) | {"SMARTFLOW_MASTER_KEY": MASTER_KEY,
                                             "OPENAI_API_KEY": "sk-first"})
    admin = Admin(g)
    admin.ok("POST", "/api/admin/provider-keys", {
        "provider": "openai", "name": "second", "api_key": "sk-second"})
    admin.ok("POST", "/api/routing/fallback-chains", {"name": "keyed", "retries": 0, "targets": [
        {"provider": "openai", "model": "one"}, {"provider": "openai", "model": "two"}]})

    def ask():
        return run(call(g.port, CHAT, {
            "model": "keyed", "messages": [{"role": "user", "content": "Hi"}]}, script))
    until(lambda: ask().status == 200 and {k for _, k in asked} == {"sk-first", "sk-second"}, 30)
    asked.clear()
    refused["sk-first"] = 429
    until(lambda: ask().status == 200 and len(asked) > 1 and asked[-2][1] == "sk-first", 30)
    assert asked[-2:] == [("one", "sk-first"), ("one", "sk-second")]
    asked.clear()
    assert ask().status == 200
    assert asked == [("one", "sk-second")]  # the other one rests


def test_metrics(routed):
    chain, models = routed.chain(failing(9, BROKEN), good, retries=1)
    routed.ask(chain)
    metrics = routed.gateway.get("/metrics")[1].decode()
    assert f'smartflow_fallbacks_total{{chain="{chain}",fault="server_error"}} 1' in metrics
    assert 'smartflow_retries_total{provider="openai"}' in metrics
    assert (f'smartflow_routing_attempts_total{{provider="openai",model="{models[0]}",'
            'result="server_error"} 2') in metrics
    assert (f'smartflow_routing_attempts_total{{provider="openai",model="{models[1]}",'
            'result="ok"} 1') in metrics


def test_a_client_that_leaves_ends_the_chain(routed):
    chain, models = routed.chain(stalls(), good)

    async def leave():
        c = await Client.to(routed.gateway.port)
        await c.send(request("POST", CHAT, {"model": chain, "messages": [
            {"role": "user", "content": "Hi"}]}, [("x-script", routed.models.script)]))
        while not routed.models.calls(models[0]):
            await asyncio.sleep(0.01)
        c.close()
    routed.run(leave())

    def logged():
        return [x for x in routed.admin.ok("GET", "/api/vas/logs?limit=50")
                if x["model"] == models[0]]
    row = until(logged, 30, "the call does not end")[0]
    log = routed.admin.ok("GET", f"/api/vas/logs/{row['request_id']}")
    assert story(log)[0][:2] == (models[0], "cancelled") and len(story(log)) == 1
    assert routed.models.calls(models[1]) == 0
