"""Requests and tokens a minute, calls at once, and how each dialect is told that a limit is reached."""

import asyncio
import random
import time

import anthropic
import openai
import pytest
from google import genai

from dialects import GEMINI, GEMINI_REPLY, MESSAGE_REPLY, MESSAGES, RESPONSES, VERSION
from gateway import providers_at
from plane import Alone, Bill, Replicas, ask, chat, in_one_minute, until
from sdk_fixtures import anthropic_at, gemini_at, openai_at
from wire import call, http_reply, many

MESSAGES_PATH, GEMINI_PATH = "/v1/messages", "/v1beta/models/gemini-2.5-flash:generateContent"


@pytest.fixture(scope="module")
def replicas(tmp_path_factory, redis, postgres, upstream):
    r = Replicas(tmp_path_factory.mktemp("replicas"), redis, postgres, upstream)
    yield r
    r.stop()


@pytest.fixture(scope="module")
def alone(tmp_path_factory, upstream):
    a = Alone(tmp_path_factory.mktemp("alone"), upstream)
    yield a
    a.stop()


@pytest.fixture(params=["three replicas", "one process"])
def plane(request):
    return request.getfixturevalue("replicas" if request.param == "three replicas" else "alone")


def flood(run, plane, key, bill, calls, most=10):
    def one(i):
        return ask(plane.all[i % len(plane.all)], key, bill, chat(most=most))
    return run(many(one, range(calls), calls))


def check_rate_limited(refused):
    for m in refused:
        assert m.status == 429
        e = m.json()["error"]
        assert (e["code"], e["type"], e["param"]) == ("rate_limit_exceeded", "rate_limit_error", None)
        assert 1 <= int(m.get("retry-after")) <= 60


# --- what is let in ---

def test_requests_a_minute_are_exact(run, upstream, plane):
    def work():
        key = plane.known(plane.admin.new_key())
        plane.admin.update("enterprise/vkeys", key.id, rpm_limit=50)
        bill = Bill(upstream, delay=0.01)
        replies = flood(run, plane, key, bill, 200)
        return bill, [m for m in replies if m.status == 200], [m for m in replies if m.status != 200]

    bill, served, refused = in_one_minute(work)
    assert len(served) == bill.calls == 50
    check_rate_limited(refused)
    for m in refused:
        assert m.get("x-ratelimit-limit-requests") == "50"
        assert m.get("x-ratelimit-remaining-requests") == "0"
        assert 0 < int(m.get("x-ratelimit-reset-requests").rstrip("s")) <= 60
    left = sorted(int(m.get("x-ratelimit-remaining-requests")) for m in served)
    assert left[0] == 0 and left[-1] <= 49


def test_tokens_a_minute_are_never_above_the_limit(run, upstream, plane):
    limit, most = 20000, 900
    chance = random.Random(11)

    def work():
        key = plane.known(plane.admin.new_key(tpm_limit=limit))
        bill = Bill(upstream, lambda body: chance.randint(most // 2, most), delay=0.01)
        return bill, flood(run, plane, key, bill, 120, most)

    bill, replies = in_one_minute(work)
    check_rate_limited([m for m in replies if m.status != 200])
    assert sum(m.status == 200 for m in replies) == bill.calls
    assert bill.tokens <= limit
    assert bill.most_open * most <= limit
    assert limit - bill.tokens < most + 100  # no other call would have fitted: prompts are short
    refused = next(m for m in replies if m.status == 429)
    assert refused.get("x-ratelimit-limit-tokens") == "20000"


def test_a_call_larger_than_its_minute_is_told_not_to_retry(run, upstream, alone):
    key = alone.admin.new_key(tpm_limit=500)
    bill = Bill(upstream)
    refused = run(ask(alone.all[0], key, bill, chat(most=1000)))
    assert refused.status == 429 and refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.get("x-should-retry") == "false" and not bill.calls
    assert run(ask(alone.all[0], key, bill, chat(most=100))).status == 200


def test_calls_at_once_are_exact(run, upstream, plane):
    key = plane.known(plane.admin.new_key(max_parallel_requests=7))

    async def work(gate):
        bill = Bill(upstream, gate=gate)
        tasks = [asyncio.create_task(ask(plane.all[i % len(plane.all)], key, bill)) for i in range(60)]
        while sum(t.done() for t in tasks) < 53 or bill.calls < 7:
            await asyncio.sleep(0.01)
        assert bill.calls == bill.open == 7
        gate.set()
        return await asyncio.gather(*tasks)

    for _ in range(3):  # what ended makes room again
        replies = run(work(asyncio.Event()))
        assert sum(m.status == 200 for m in replies) == 7
        check_rate_limited([m for m in replies if m.status != 200])


def test_calls_of_a_replica_that_came_back_are_over(run, upstream, replicas):
    """Once it is asked for that key. Otherwise they end with its lease, 30 s after its last word."""
    key = replicas.known(replicas.admin.new_key(max_parallel_requests=4))

    async def crash():
        held = Bill(upstream, gate=asyncio.Event())
        tasks = [asyncio.create_task(ask(replicas.all[2], key, held)) for _ in range(4)]
        while held.calls < 4:
            await asyncio.sleep(0.01)
        assert (await ask(replicas.all[0], key, held)).status == 429
        replicas.all[2].kill()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (await ask(replicas.all[0], key, held)).status == 429
        held.gate.set()

    run(crash())
    replicas.all[2] = replicas.node(2)
    bill = Bill(upstream)
    assert run(ask(replicas.all[2], key, bill)).status == 200
    until(lambda: run(ask(replicas.all[0], key, bill)).status == 200, 5, "its calls are still counted")


@pytest.mark.parametrize("level", ["organizations", "teams", "users", "customers"])
@pytest.mark.parametrize("limit", ["rpm_limit", "max_parallel_requests", "tpm_limit"])
def test_rate_limits_hold_at_every_level(run, upstream, alone, level, limit):
    def work():
        value = {limit: 200 if limit == "tpm_limit" else 1}
        admin = alone.admin
        org = admin.make("organizations", **(value if level == "organizations" else {}))
        team = admin.make("teams", org_id=org, **(value if level == "teams" else {}))
        user = admin.make("users", org_id=org, **(value if level == "users" else {}))
        customer = admin.make("customers", **(value if level == "customers" else {}))
        key = admin.new_key(org_id=org, team_id=team, user_id=user)
        return run(two(key, customer))

    async def two(key, customer):
        bill = Bill(upstream, gate=asyncio.Event(), output=lambda body: 130)
        first = asyncio.create_task(ask(alone.all[0], key, bill, chat(most=130, user=customer)))
        while not bill.calls:
            await asyncio.sleep(0.01)
        if limit != "max_parallel_requests":
            bill.gate.set()
            assert (await first).status == 200
        refused = await ask(alone.all[0], key, bill, chat(most=70, user=customer))
        bill.gate.set()
        await first
        return bill, refused

    bill, refused = in_one_minute(work)
    assert bill.calls == 1
    check_rate_limited([refused])


# --- how it is told ---

@pytest.fixture(scope="module")
def poor(alone):
    """A key whose budget is used up."""
    return alone.admin.new_key(budgets={"monthly": 0})


def refused_as(run, alone, key, path, body, fields=()):
    m = run(call(alone.all[0].port, path, body, None, fields, key=key.secret))
    assert m.get("x-should-retry") == "false" and m.get("retry-after") is None
    assert m.get("content-type") == "application/json" and m.get("x-smartflow-request-id")
    return m


@pytest.mark.parametrize("path,body", [("/v1/chat/completions", chat(most=5)), ("/v1/responses", RESPONSES),
                                       ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "x"})])
def test_a_used_up_budget_in_openais_dialect(run, alone, poor, path, body):
    m = refused_as(run, alone, poor, path, body)
    e = m.json()["error"]
    assert m.status == 429 and set(m.json()) == {"error"} and set(e) == {"message", "type", "param", "code"}
    assert (e["type"], e["param"], e["code"]) == ("budget_exceeded", None, "insufficient_quota")
    assert "The monthly budget of the key (0 USD) is used up" in e["message"]


def test_a_used_up_budget_in_anthropics_dialect(run, alone, poor):
    m = refused_as(run, alone, poor, MESSAGES_PATH, MESSAGES, [VERSION])
    assert m.status == 429 and m.json()["type"] == "error"
    assert m.json()["error"]["type"] == "billing_error"
    assert m.json()["request_id"] == m.get("request-id")


def test_a_used_up_budget_in_geminis_dialect(run, alone, poor):
    m = refused_as(run, alone, poor, GEMINI_PATH, GEMINI)
    e = m.json()["error"]
    assert (m.status, e["code"], e["status"]) == (429, 429, "RESOURCE_EXHAUSTED")
    assert e["details"][0]["reason"] == "insufficient_quota"


def test_sdks_raise_and_do_not_retry(alone):
    """Each with the retries that it comes with."""
    url = alone.all[0].url
    poor = alone.admin.new_key(budgets={"monthly": 0})
    with pytest.raises(openai.RateLimitError) as e:
        openai.OpenAI(**openai_at(url + "/v1") | {"api_key": poor.secret, "max_retries": 2}) \
            .chat.completions.create(**chat(most=5))
    assert (e.value.code, e.value.type) == ("insufficient_quota", "budget_exceeded")
    with pytest.raises(anthropic.RateLimitError) as e:
        anthropic.Anthropic(**anthropic_at(url + "/anthropic") | {"api_key": poor.secret, "max_retries": 2}) \
            .messages.create(**MESSAGES)
    assert e.value.body["error"]["type"] == "billing_error"
    client = genai.Client(**gemini_at(url + "/gemini") | {"api_key": poor.secret})
    with pytest.raises(genai.errors.ClientError) as e:
        client.models.generate_content(model="gemini-2.5-flash", contents="Hi")
    assert (e.value.code, e.value.status) == (429, "RESOURCE_EXHAUSTED")
    until(lambda: alone.charged(poor)[1] >= 3)
    assert alone.charged(poor) == (0, 3)  # one request each


def test_402_for_those_who_want_it(run, upstream, tmp_path):
    a = Alone(tmp_path, upstream, {"SMARTFLOW_BUDGET_STATUS": "402"})
    try:
        key = a.admin.new_key(budgets={"monthly": 0})
        m = refused_as(run, a, key, "/v1/chat/completions", chat(most=5))
        assert m.status == 402 and m.json()["error"]["type"] == "budget_exceeded"
        m = refused_as(run, a, key, MESSAGES_PATH, MESSAGES, [VERSION])
        assert m.status == 402 and m.json()["error"]["type"] == "billing_error"
        m = refused_as(run, a, key, GEMINI_PATH, GEMINI)
        assert m.status == 402 and m.json()["error"]["code"] == 402
        with pytest.raises(openai.APIStatusError) as e:
            openai.OpenAI(**openai_at(a.all[0].url + "/v1") | {"api_key": key.secret, "max_retries": 2}) \
                .chat.completions.create(**chat(most=5))
        assert e.value.status_code == 402
        limited = a.admin.new_key(tpm_limit=1)  # a rate limit stays 429
        assert run(ask(a.all[0], limited, None, chat(most=5))).status == 429
    finally:
        a.stop()


def test_headers_say_how_near_the_limits_are(run, upstream, alone):
    def work():
        key = alone.admin.new_key(rpm_limit=10, tpm_limit=100000)
        team = alone.admin.make("teams", rpm_limit=5)
        tighter = alone.admin.new_key(rpm_limit=10, team_id=team)
        openai_reply = run(ask(alone.all[0], key, Bill(upstream), chat(most=50)))
        script = upstream.answer(http_reply(200, MESSAGE_REPLY))
        claude = run(call(alone.all[0].port, MESSAGES_PATH, MESSAGES, script, [VERSION], key=key.secret))
        gemini = run(call(alone.all[0].port, GEMINI_PATH, GEMINI,
                          upstream.answer(http_reply(200, GEMINI_REPLY)), key=key.secret))
        return openai_reply, claude, gemini, run(ask(alone.all[0], tighter, Bill(upstream)))

    gpt, claude, gemini, tighter = in_one_minute(work)
    assert {gpt.status, claude.status, gemini.status, tighter.status} == {200}
    assert gpt.get("x-ratelimit-limit-requests") == "10"
    assert gpt.get("x-ratelimit-remaining-requests") == "9"
    assert gpt.get("x-ratelimit-limit-tokens") == "100000"
    assert 99800 < int(gpt.get("x-ratelimit-remaining-tokens")) < 99950
    assert gpt.get("x-ratelimit-reset-tokens").endswith("s")
    assert claude.get("anthropic-ratelimit-requests-limit") == "10"
    assert claude.get("anthropic-ratelimit-requests-remaining") == "8"
    assert claude.get("anthropic-ratelimit-tokens-limit") == "100000"
    assert time.strptime(claude.get("anthropic-ratelimit-tokens-reset"), "%Y-%m-%dT%H:%M:%SZ")
    assert claude.get("x-ratelimit-limit-requests") is None
    assert gemini.get("x-ratelimit-remaining-requests") == "7"
    assert tighter.get("x-ratelimit-limit-requests") == "5"
    assert tighter.get("x-ratelimit-limit-tokens") is None


# --- who guesses keys ---

def test_a_flood_of_wrong_keys_is_slowed(run, upstream, start):
    g = start(providers_at(upstream.port) | {"SMARTFLOW_THREADS": "1",
                                             "SMARTFLOW_TRUSTED_PROXIES": "127.0.0.1"})
    bill = Bill(upstream)

    def guess(i, address):
        return call(g.port, "/v1/chat/completions", chat(most=5), None, [("X-Forwarded-For", address)],
                    key=f"sk-sf-{i:048x}")

    def work():
        guesses = run(many(lambda i: guess(i, "192.0.2.1"), range(100), 20))
        good = run(many(lambda i: call(g.port, "/v1/chat/completions", chat(most=5), bill.script,
                                       [("X-Forwarded-For", "192.0.2.1")]), range(10)))
        return guesses, good, run(guess(0, "192.0.2.2")), run(guess(0, "2001:db8::1"))

    guesses, good, other, six = work()
    assert sorted(m.status for m in guesses) == [401] * 20 + [429] * 80
    check_rate_limited([m for m in guesses if m.status == 429])
    assert {m.status for m in good} == {200} and bill.calls == 10
    assert (other.status, six.status) == (401, 401)
