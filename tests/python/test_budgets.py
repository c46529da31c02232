"""Budgets: never a nano-dollar too much, and none left that could have served a call; at every level
at once; and the same sums after a restart."""

import asyncio
import random

import pytest

from plane import (INPUT, OUTPUT, USD, Admin, Alone, Bill, Replicas, ask, begin, chat, chat_reply, nano,
                   until)
from wire import http_reply, many

ROUNDS = 20
CALLS = 200
SIZES = (500, 1000, 2000)


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


# --- no overspend ---

def prompt_tokens(run, upstream, plane, body):
    """What the gateway counts a prompt as: that is seen where a provider says nothing of usage."""
    reply = chat_reply(0, 0).replace(b'"usage"', b'"unknown"')
    key = plane.known(plane.admin.new_key())
    m = run(ask(plane.all[0], key, upstream.answer(http_reply(200, reply)), body))
    tokens_in = (nano(m.get("x-smartflow-cost-usd")) - OUTPUT) // INPUT  # its text is one token
    assert 5 < tokens_in < 50
    return tokens_in


def flood(plane, key, bill, sizes=SIZES, at_once=CALLS):
    """Many calls at once, spread over the replicas: replies and the calls' maxima."""
    async def one(i):
        most = sizes[i % len(sizes)]
        return await ask(plane.all[i % len(plane.all)], key, bill, chat(most=most)), most
    return many(one, range(CALLS), at_once)


def check_refusals(refused, plane=None):
    """Each for good; where one is not, its words and what the gateways said tell why."""
    for m in refused:
        error = m.json()["error"]
        assert m.status == 429 and error["code"] == "insufficient_quota"
        if m.get("x-should-retry") != "false" or m.get("retry-after"):
            said = [x for g in plane.all for x in g.log() if x["level"] != "info"] if plane else []
            pytest.fail(f"{error['message']} {said}")


def test_no_overspend_and_nothing_left_over(run, upstream, plane):
    chance = random.Random(4)
    tokens_in = prompt_tokens(run, upstream, plane, chat(most=SIZES[0]))
    keys = [plane.admin.new_key(budgets={"lifetime": 1}) for _ in range(ROUNDS)]
    plane.known(keys[-1])
    for key in keys:
        bill = Bill(upstream, lambda body: chance.randint(body["max_tokens"] // 2, body["max_tokens"]),
                    tokens_in, delay=0.01)
        replies = run(flood(plane, key, bill))
        served = [m for m, _ in replies if m.status == 200]
        check_refusals([m for m, _ in replies if m.status != 200], plane)
        assert len(served) == bill.calls < CALLS
        least = tokens_in * INPUT + min(most for m, most in replies if m.status != 200) * OUTPUT
        assert bill.nano <= USD, f"{bill.nano - USD} nano-dollars too much"
        assert USD - bill.nano < least, f"{USD - bill.nano} left could have served another call"
        assert bill.nano == sum(nano(m.get("x-smartflow-cost-usd")) for m in served)
        assert plane.admin.settled(key.id) == bill.nano


def test_calls_without_a_maximum_overspend_by_what_runs_alone(run, upstream, tmp_path):
    """An estimate of 100 tokens, and calls that take 500: what was admitted may exceed it."""
    a = Alone(tmp_path, upstream, {"SMARTFLOW_DEFAULT_MAX_TOKENS": "100"})
    try:
        at_once = 16
        bill = Bill(upstream, lambda body: 500, delay=0.005)
        key = a.admin.new_key(budgets={"lifetime": "0.5"})
        replies = [m for m, _ in run(flood(a, key, bill, (None,), at_once))]
        check_refusals([m for m in replies if m.status != 200])
        assert bill.calls == sum(m.status == 200 for m in replies) < CALLS
        assert bill.nano >= USD // 2
        assert bill.nano - USD // 2 <= at_once * (500 - 100) * OUTPUT
        assert a.admin.settled(key.id) == bill.nano
    finally:
        a.stop()


def test_what_is_only_held_is_waited_for(run, upstream, alone):
    """The budget has room for one such call's estimate, and for ten calls' true cost."""
    bill = Bill(upstream, lambda body: 50, delay=0.01)
    key = alone.admin.new_key(budgets={"daily": "0.011"})
    replies = run(many(lambda _: ask(alone.all[0], key, bill, chat(most=1000)), range(10), 10))
    served = sum(m.status == 200 for m in replies)
    assert bill.most_open == 1
    assert served == bill.calls and bill.nano <= 11 * USD // 1000
    check_refusals([m for m in replies if m.status != 200])
    assert served == 2  # 520,000 nano-dollars each: the third finds too little for its maximum


def test_a_wait_for_what_is_held_ends(run, upstream, tmp_path):
    a = Alone(tmp_path, upstream, {"SMARTFLOW_BUDGET_WAIT": "200ms"})

    async def work():
        bill = Bill(upstream, gate=asyncio.Event())
        key = a.admin.new_key(budgets={"daily": "0.011"})
        first = asyncio.create_task(ask(a.all[0], key, bill, chat(most=1000)))
        while not bill.calls:
            await asyncio.sleep(0.01)
        refused = await ask(a.all[0], key, bill, chat(most=1000))
        bill.gate.set()
        return refused, await first, await ask(a.all[0], key, bill, chat(most=1000))

    try:
        refused, first, after = run(work())
        assert (refused.status, first.status, after.status) == (429, 200, 200)
        assert refused.json()["error"]["code"] == "insufficient_quota"
        assert refused.get("retry-after") == "1" and refused.get("x-should-retry") is None
    finally:
        a.stop()


# --- levels, periods, models, tags ---

class Chain:
    """An organisation, a team, a user, a key and a customer, one above the other."""

    WORDS = {"organizations": "organisation", "teams": "team", "users": "user", "key": "key",
             "customers": "end user"}

    def __init__(self, plane, budgets):
        """budgets: by the level's name; a lifetime budget in USD, or the whole field."""
        admin = self.admin = plane.admin
        more = {k: {"budgets": v if isinstance(v, list) else {"lifetime": v}} for k, v in budgets.items()}
        self.ids = {"organizations": admin.make("organizations", **more.get("organizations", {}))}
        org = {"org_id": self.ids["organizations"]}
        self.ids["teams"] = admin.make("teams", **org, **more.get("teams", {}))
        self.ids["users"] = admin.make("users", **org, **more.get("users", {}))
        self.ids["customers"] = admin.make("customers", **more.get("customers", {}))
        self.key = admin.new_key(team_id=self.ids["teams"], user_id=self.ids["users"], **org,
                             **more.get("key", {}))
        self.ids["key"] = self.key.id
        plane.known(self.key)

    def spend(self):
        """Of every level but the customer's, whose counters are apart for each organisation."""
        return {k: self.admin.spend(v, "enterprise/vkeys" if k == "key" else k)
                for k, v in self.ids.items() if k != "customers"}


@pytest.mark.parametrize("level", Chain.WORDS)
@pytest.mark.parametrize("named_in", ["body", "header"])
def test_every_level_holds(run, upstream, alone, level, named_in):
    chain = Chain(alone, {k: "0.001" if k == level else "1" for k in Chain.WORDS})
    bill = Bill(upstream, lambda body: 50)
    body, fields = chat(most=60), []
    if named_in == "body":
        body["user"] = chain.ids["customers"]
    else:
        body["user"] = "somebody else"
        fields = [("x-smartflow-user", chain.ids["customers"])]

    def one():
        return run(ask(alone.all[0], chain.key, bill, body, fields=fields))

    assert one().status == 200 and bill.nano == 520000
    before = chain.spend()
    assert before == {k: (520000, 0) for k in before}
    refused = one()
    check_refusals([refused])
    assert f"lifetime budget of the {Chain.WORDS[level]}" in refused.json()["error"]["message"]
    assert bill.calls == 1 and chain.spend() == before  # it cost nothing, anywhere


@pytest.mark.parametrize("period", ["daily", "weekly", "monthly", "lifetime"])
def test_every_period_holds_beside_the_others(run, upstream, alone, period):
    budgets = [{"period": p, "limit_usd": "0.001" if p == period else 1}
               for p in ("daily", "weekly", "monthly", "lifetime")]
    key = alone.admin.new_key(budgets=budgets)
    bill = Bill(upstream, lambda body: 50)
    assert run(ask(alone.all[0], key, bill, chat(most=60))).status == 200
    refused = run(ask(alone.all[0], key, bill, chat(most=60)))
    assert f"The {period} budget" in refused.json()["error"]["message"]
    assert ("It begins anew" in refused.json()["error"]["message"]) == (period != "lifetime")
    for p in ("daily", "weekly", "monthly", "lifetime"):
        assert alone.admin.spend(key.id, period=p) == (520000, 0)


def test_a_monthly_cap_is_the_monthly_budget(run, upstream, alone):
    key = alone.admin.new_key(monthly_spend_cap=0)
    refused = run(ask(alone.all[0], key, Bill(upstream)))
    check_refusals([refused])
    assert "The monthly budget" in refused.json()["error"]["message"]


def test_a_models_budget_is_of_that_model(run, upstream, alone):
    key = alone.admin.new_key(budgets=[{"period": "daily", "limit_usd": "0.001", "model": "gpt-4o"}])
    bill = Bill(upstream, lambda body: 50)
    got = [run(ask(alone.all[0], key, bill, chat(most=60, model=m))).status
           for m in ("gpt-4o", "gpt-4o", "gpt-4.1", "openai/gpt-4o", "gpt-4.1")]
    assert got == [200, 429, 200, 429, 200]


def test_a_tags_budget_is_of_that_tag(run, upstream, alone):
    key = alone.admin.new_key(budgets=[{"period": "daily", "limit_usd": "0.001", "tag": "night"}])
    tagged = alone.admin.new_key(tags=["night"],
                             budgets=[{"period": "daily", "limit_usd": "0.001", "tag": "night"}])
    bill = Bill(upstream, lambda body: 50)

    def one(key, tags):
        fields = [("x-smartflow-tags", tags)] if tags else []
        return run(ask(alone.all[0], key, bill, chat(most=60), fields=fields)).status

    tags = ("night", "a, night", "", "nightly", "night,b")
    assert [one(key, t) for t in tags] == [200, 429, 200, 200, 429]
    assert [one(tagged, t) for t in ("", "")] == [200, 429]


def test_a_soft_budget_refuses_nothing(run, upstream, alone):
    key = alone.admin.new_key(budgets=[{"period": "daily", "limit_usd": 0, "soft": True},
                                   {"period": "daily", "limit_usd": "0.0015"}])
    bill = Bill(upstream, lambda body: 50)
    assert [run(ask(alone.all[0], key, bill, chat(most=60))).status for _ in range(3)] == [200, 200, 429]


def test_a_budget_below_what_is_spent_blocks_at_once_and_a_reset_opens(run, upstream, plane):
    key = plane.known(plane.admin.new_key(budgets={"lifetime": 1}))
    bill = Bill(upstream, lambda body: 50)

    def statuses():
        return [run(ask(g, key, bill, chat(most=60))).status for g in plane.all]

    assert set(statuses()) == {200}
    spent = bill.nano
    plane.admin.update("enterprise/vkeys", key.id, budgets={"lifetime": "0.0001"})
    until(lambda: set(statuses()) == {429}, 1, "a budget below what is spent does not block")
    spent = bill.nano
    assert plane.admin.settled(key.id) == spent
    plane.admin.update("enterprise/vkeys", key.id, budgets={"lifetime": "0.01"})
    until(lambda: set(statuses()) == {200}, 1, "a raised budget does not open")
    plane.admin.update("enterprise/vkeys", key.id, budgets={"lifetime": "0.002"})
    until(lambda: set(statuses()) == {429}, 1)
    plane.admin.ok("POST", f"/api/enterprise/vkeys/{key.id}/reset-spend", {})
    assert plane.admin.spend(key.id) == (0, 0)
    before = bill.nano
    assert set(statuses()) == {200}
    assert plane.admin.settled(key.id) == bill.nano - before


def test_what_has_no_price_is_not_let_in_under_a_budget(run, upstream, alone):
    bill = Bill(upstream)
    refused = run(ask(alone.all[0], alone.admin.new_key(budgets={"daily": 1}), bill,
                      chat(model="openai/of-no-price")))
    assert refused.status == 403 and refused.json()["error"]["code"] == "model_unpriced"
    assert run(ask(alone.all[0], alone.admin.new_key(), bill, chat(model="openai/of-no-price"))).status == 200


# --- nothing stays held ---

async def reset(conn, _):
    return await conn.answer(b"", "reset")


async def half_a_stream(conn, _):
    await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n")
    return await conn.answer(b"6\r\ndata: \r\n", "reset")


async def silent(conn, _):
    await conn.gone()
    return False


@pytest.fixture(scope="module")
def impatient(tmp_path_factory, upstream):
    a = Alone(tmp_path_factory.mktemp("impatient"), upstream, {"SMARTFLOW_FIRST_BYTE_TIMEOUT": "200ms"})
    yield a
    a.stop()


FAILURES = {  # a script, the caller's status, and whether it surely cost nothing
    "500": (http_reply(500, b"{}"), 500, True), "429": (http_reply(429, b"{}"), 429, True),
    "401": (http_reply(401, b"{}"), 502, True), "reset": (reset, 502, False),
    "timeout": (silent, 504, False), "cut": (half_a_stream, 200, False)}


@pytest.mark.parametrize("how", FAILURES)
def test_a_failed_call_leaves_nothing_held(run, upstream, impatient, how):
    what, status, free = FAILURES[how]
    script = upstream.answer(what) if isinstance(what, bytes) else upstream.script(what)
    key = impatient.admin.new_key(budgets={"lifetime": "0.004"})
    body = chat(most=100, stream=how == "cut")
    for _ in range(3):
        assert run(ask(impatient.all[0], key, script, body)).status == status
    used = impatient.admin.settled(key.id)
    if free:  # none of many could make it refuse a good one
        assert used == 0
        assert run(ask(impatient.all[0], key, Bill(upstream), chat(most=300))).status == 200
    else:  # whether the provider did the work is not known: it costs what was held
        assert 0 < used <= 4 * USD // 1000
    assert until(lambda: impatient.charged(key)[1] == 3 + free)
    assert impatient.charged(key)[0] == impatient.admin.settled(key.id)


def test_an_unreachable_provider_costs_nothing(run, tmp_path, unused_port):
    class Nowhere:
        port = unused_port
    a = Alone(tmp_path, Nowhere)
    try:
        key = a.admin.new_key(budgets={"lifetime": "0.002"})
        for _ in range(5):
            assert run(ask(a.all[0], key, None, chat(most=100))).status == 502
        assert a.admin.spend(key.id) == (0, 0)
    finally:
        a.stop()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_leaves_nothing_held(run, upstream, alone, stream):
    key = alone.admin.new_key(budgets={"lifetime": "0.01"}, max_parallel_requests=2)
    reached = asyncio.Event()

    async def play(conn, _):
        if stream:
            await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                            b"Transfer-Encoding: chunked\r\n\r\n6\r\ndata: \r\n")
        reached.set()
        await conn.gone()
        return False

    async def leave():
        for _ in range(5):
            reached.clear()
            c = await begin(alone.all[0], key, upstream.script(play), chat(most=100, stream=stream))
            await asyncio.wait_for(reached.wait(), 10)
            c.close()
            while alone.admin.spend(key.id)[1]:
                await asyncio.sleep(0.01)

    run(leave())
    assert alone.admin.settled(key.id) <= USD // 100
    until(lambda: alone.charged(key)[1] == 5)
    assert alone.charged(key)[0] == alone.admin.settled(key.id)


# --- restarts ---

def test_sums_are_the_same_after_a_restart_and_after_a_crash(run, upstream, tmp_path):
    a = Alone(tmp_path, upstream)
    chance = random.Random(7)
    bill = Bill(upstream, lambda body: chance.randint(1, 90))

    async def load(key, n):
        await many(lambda _: ask(a.all[0], key, bill, chat(most=100)), range(n), 20)

    async def crash(key):
        """With calls that run, some of them just being answered."""
        held = Bill(upstream, gate=asyncio.Event())
        tasks = [asyncio.create_task(ask(a.all[0], key, held, chat(most=100))) for _ in range(5)]
        while held.calls < 5:
            await asyncio.sleep(0.01)
        tasks.append(asyncio.create_task(load(key, 40)))
        await asyncio.sleep(0.05)
        a.all[0].kill()
        await asyncio.gather(*tasks, return_exceptions=True)
        held.gate.set()

    def check(key):
        used = a.admin.settled(key.id)
        until(lambda: a.charged(key)[0] == used, what=f"rows hold {a.charged(key)}, not {used}")
        return used

    try:
        key = a.admin.new_key(budgets={"lifetime": 1, "daily": 1})
        run(load(key, 50))
        before = check(key)
        assert before == bill.nano
        a.stop()
        a.start()
        assert check(key) == before
        run(crash(key))
        a.start()
        after = check(key)
        assert after >= bill.nano + 5 * 10 * OUTPUT  # what was answered, and five of unknown outcome
        assert a.admin.spend(key.id, period="daily") == (after, 0)
        a.all[0].kill()  # at rest
        a.start()
        assert check(key) == after
        rest = (USD - after) // OUTPUT
        assert run(ask(a.all[0], key, bill, chat(most=rest))).status == 429
        assert run(ask(a.all[0], key, bill, chat(most=rest - 100))).status == 200
    finally:
        a.stop()


def test_a_replica_that_crashed_counts_right_again(run, upstream, replicas):
    key = replicas.known(replicas.admin.new_key(budgets={"lifetime": 1}))
    bill = Bill(upstream, lambda body: 70)
    held = Bill(upstream, gate=asyncio.Event())

    async def crash():
        await many(lambda i: ask(replicas.all[i % 3], key, bill, chat(most=100)), range(30), 20)
        tasks = [asyncio.create_task(ask(replicas.all[2], key, held, chat(most=100))) for _ in range(4)]
        while held.calls < 4:
            await asyncio.sleep(0.01)
        replicas.all[2].kill()
        await asyncio.gather(*tasks, return_exceptions=True)
        held.gate.set()

    run(crash())
    used, still_held = replicas.admin.spend(key.id)
    assert used + still_held > bill.nano  # what it held is not free for others
    replicas.all[2] = replicas.node(2)
    used = replicas.admin.settled(key.id)
    assert used - bill.nano >= 4 * 100 * OUTPUT
    until(lambda: replicas.charged(key) == (used, 34), what="the rows hold another sum")
    for g in replicas.all:
        assert Admin(g).spend(key.id) == (used, 0)
