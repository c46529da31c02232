"""What ends a call that runs: a key revoked, deleted or expired, a budget outgrown; and how soon every
replica knows of a change, with Redis and without."""

import asyncio
import json
import time
from datetime import datetime, timedelta, timezone

import pytest

from dialects import (CHAT_STREAM_USAGE, GEMINI_STREAM, MESSAGE_STREAM, RESPONSE_STREAM, SHAPES, chunk, sse)
from plane import (CHAT, OUTPUT, USD, Admin, Alone, Bill, Key, Replicas, ask, begin, chat, until)
from servers import Redis
from test_lifecycle import OPENING, close_frame, frame, next_frame, session
from test_wire_client import HEAD
from wire import Client, call, request

STREAMS = {"chat-sse": CHAT_STREAM_USAGE, "messages-sse": MESSAGE_STREAM,
           "responses-sse": RESPONSE_STREAM, "gemini-sse": GEMINI_STREAM}
SOON = 1.0  # seconds
POLLED = 2.0  # the database is asked once a second


@pytest.fixture(scope="module")
def memory():
    """A Redis that these tests may stop."""
    server = Redis()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(scope="module")
def replicas(tmp_path_factory, memory, postgres, upstream):
    r = Replicas(tmp_path_factory.mktemp("replicas"), memory, postgres, upstream)
    yield r
    r.stop()


def first_event(stream):
    return stream.replace(b"\r\n", b"\n").partition(b"\n\n")[0] + b"\n\n"


def silent_stream(upstream, name):
    """A script that begins a stream of a shape, and is then silent until the gateway goes."""
    begun, left = asyncio.Event(), asyncio.Event()

    async def play(conn, _):
        event = first_event(STREAMS[name])
        await conn.send(HEAD + b"%x\r\n%s\r\n" % (len(event), event))
        begun.set()
        await conn.gone()
        left.set()
        return False
    return upstream.script(play), begun, left


class Open:
    """One call that runs: a stream of a shape, or a Realtime session."""

    def __init__(self, upstream, gateway, key, name):
        self.upstream, self.gateway, self.key, self.name = upstream, gateway, key, name
        self.ended_at = None

    async def begin(self):
        if self.name == "realtime":
            script, begun, *_ = session(self.upstream, frame(b"hi"))
            self.c = await Client.to(self.gateway.port)
            await self.c.send(request("GET", "/v1/realtime?model=gpt-realtime", key=self.key.secret,
                                      fields=[*OPENING, ("x-script", script)]))
            assert (await self.c.reply("GET")).status == 101
            await asyncio.wait_for(begun.wait(), 10)
            assert await next_frame(self.c) == (1, b"hi")
        else:
            shape = SHAPES[self.name]
            script, begun, _ = silent_stream(self.upstream, self.name)
            self.c = await begin(self.gateway, self.key, script, shape.body, shape.path, shape.fields)
            await asyncio.wait_for(begun.wait(), 10)
        self.task = asyncio.create_task(self.end())

    async def end(self):
        """How it ended: whether its dialect's error told of it, and the error's code."""
        if self.name == "realtime":
            opcode, data = await next_frame(self.c)
            error = json.loads(data)["error"]
            assert (opcode, await close_frame(self.c)) == (1, 1008)
            self.ended_at = time.monotonic()
            return error["code"]
        m = await self.c.reply()
        self.ended_at = time.monotonic()
        assert m.status == 200 and m.complete and SHAPES[self.name].failed(m.events()), m.body[-500:]
        return m.body

    async def check(self, since, code):
        told = await asyncio.wait_for(self.task, 10)
        assert self.ended_at - since < SOON, f"{self.name}: {self.ended_at - since:.2f} s"
        if self.name in ("realtime", "chat-sse", "responses-sse", "gemini-sse"):
            assert code in (told if isinstance(told, str) else told.decode())


NAMES = [*STREAMS, "realtime"]


async def open_all(upstream, replicas, key):
    calls = [Open(upstream, g, key, name) for g in replicas.all for name in NAMES]
    await asyncio.gather(*(c.begin() for c in calls))
    return calls


async def refused_everywhere(replicas, key, status, since, limit=SOON):
    for g in replicas.all:
        while (await ask(g, key, None, {})).status != status:
            assert time.monotonic() - since < limit, "a replica still takes the key"
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["revoke", "deactivate", "the team", "the organisation"])
def test_a_revocation_reaches_what_is_open_on_every_replica(run, upstream, replicas, how):
    admin = replicas.admin
    org = admin.make("organizations")
    team = admin.make("teams", org_id=org)
    key = replicas.known(admin.new_key(team_id=team, budgets={"daily": 10}))
    other = replicas.known(admin.new_key())
    status, code = (401, "key_revoked") if how in ("revoke", "deactivate") else (403, "key_revoked")

    def change():
        if how == "revoke":
            admin.ok("DELETE", f"/api/enterprise/vkeys/{key.id}")
        elif how == "deactivate":
            admin.update("enterprise/vkeys", key.id, is_active=False)
        elif how == "the team":
            admin.update("teams", team, is_active=False)
        else:
            admin.update("organizations", org, is_active=False)

    async def work():
        calls = await open_all(upstream, replicas, key)
        kept = [Open(upstream, g, other, "chat-sse") for g in replicas.all]
        await asyncio.gather(*(c.begin() for c in kept))
        since = time.monotonic()
        await asyncio.to_thread(change)
        await refused_everywhere(replicas, key, status, since)
        await asyncio.gather(*(c.check(since, code) for c in calls))
        assert not any(c.task.done() for c in kept)  # nobody else's
        for c in kept:
            c.c.close()
            await asyncio.wait([c.task])
            c.task.exception()

    run(work())
    admin.settled(key.id)  # nothing stays held


@pytest.mark.parametrize("when", ["from the start", "while it runs"])
def test_a_key_that_expires_ends_what_is_open(run, upstream, replicas, when):
    ends = datetime.now(timezone.utc) + timedelta(seconds=2.5)
    at = time.monotonic() + 2.5
    key = replicas.admin.new_key(**({"expires_at": ends.isoformat()} if when == "from the start" else {}))
    replicas.known(key)

    async def work():
        calls = await open_all(upstream, replicas, key)
        if when == "while it runs":
            await asyncio.to_thread(replicas.admin.update, "enterprise/vkeys", key.id,
                                    expires_at=ends.isoformat())
        assert time.monotonic() < at
        assert not any(c.task.done() for c in calls)
        await asyncio.gather(*(c.check(at, "key_revoked") for c in calls))
        assert all(c.ended_at > at - 0.1 for c in calls)
        await refused_everywhere(replicas, key, 401, at)

    run(work())


def test_a_longer_life_lets_what_is_open_go_on(run, upstream, replicas):
    ends = datetime.now(timezone.utc) + timedelta(seconds=1.5)
    key = replicas.known(replicas.admin.new_key(expires_at=ends.isoformat()))

    async def work():
        c = Open(upstream, replicas.all[0], key, "chat-sse")
        await c.begin()
        await asyncio.to_thread(replicas.admin.update, "enterprise/vkeys", key.id, expires_at=None)
        await asyncio.wait([c.task], timeout=2.2)
        assert not c.task.done()
        assert (await ask(replicas.all[0], key, None, {})).status == 400
        c.c.close()
        await asyncio.wait([c.task])
        c.task.exception()

    run(work())


# --- a budget outgrown ---

def long_stream(upstream, pieces, usage=True):
    """A script whose stream has 100 tokens of text in each piece, as the provider counts them."""
    left = asyncio.Event()

    async def play(conn, _):
        await conn.send(HEAD)
        try:
            for _ in range(pieces):
                event = sse(chunk({"content": " word" * 100}, usage=None))
                await conn.send(b"%x\r\n%s\r\n" % (len(event), event))
                await asyncio.sleep(0.002)
            n = pieces * 100
            end = sse(chunk({}, "stop", usage=None),
                      chunk({}, usage={"prompt_tokens": 8, "completion_tokens": n, "total_tokens": n + 8})
                      | {"choices": []}, "[DONE]")
            await conn.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(end), end))
            return True
        finally:
            left.set()
    return upstream.script(play), left


@pytest.mark.parametrize("finish", [False, True])
def test_a_stream_that_outgrows_its_budget(run, upstream, tmp_path, finish):
    """Without a maximum, at 100 tokens by estimate; its text takes 10,000, or 0.1 USD."""
    a = Alone(tmp_path, upstream, {"SMARTFLOW_DEFAULT_MAX_TOKENS": "100",
                                   "SMARTFLOW_FINISH_OVER_BUDGET": str(finish).lower()})
    try:
        key = a.admin.new_key(budgets={"lifetime": "0.02"})
        script, left = long_stream(upstream, 100)
        m = run(ask(a.all[0], key, script, chat(stream=True)))
        events = m.events()
        used = a.admin.settled(key.id)
        assert m.status == 200 and m.complete
        assert run(ask(a.all[0], key, script, chat(most=5000))).status == 429
        if finish:
            assert events[-1][1] == "[DONE]" and len(events) >= 101
            assert used == 100 * 100 * OUTPUT + 8 * 2500
        else:
            e = json.loads(events[-1][1])["error"]
            assert (e["code"], e["type"]) == ("insufficient_quota", "budget_exceeded")
            assert SHAPES["chat-sse"].failed(events) and 5 < len(events) < 60
            # It had what its text says, and ran ahead by no more than one look at it.
            assert USD // 100 < used <= 2 * USD // 100 + 1000 * OUTPUT
            run(asyncio.wait_for(left.wait(), 5))
        assert until(lambda: a.charged(key)[0] == used)
    finally:
        a.stop()


# --- changes reach every replica ---

def takes_larger(gateway, key):
    """Whether a body of 4 KB is let in."""
    return call(gateway.port, CHAT, {"model": 1, "x": "y" * 4000}, key=key.secret)


async def seen_everywhere(replicas, key, status, since, limit):
    for g in replicas.all:
        while (await takes_larger(g, key)).status != status:
            assert time.monotonic() - since < limit, "a replica does not see the setting"
            await asyncio.sleep(0.01)


@pytest.fixture(params=["with Redis", "Redis stopped", "Redis paused"])
def link(request, memory, replicas):
    """What replicas hear of each other by, and how soon."""
    if request.param == "with Redis":
        yield SOON
        return
    memory.pause() if request.param == "Redis paused" else memory.stop()
    yield POLLED
    if request.param == "Redis paused":
        memory.resume()
    else:
        memory.start()
    back = time.monotonic()
    metric = b"smartflow_shared_store_up 1"
    until(lambda: all(metric in g.get("/metrics")[1] for g in replicas.all), 5, "Redis is not taken again")
    assert time.monotonic() - back < 5


def test_changes_reach_every_replica(run, upstream, replicas, link):
    admin = Admin(replicas.all[1])

    async def work():
        began = time.monotonic()
        key = await asyncio.to_thread(admin.new_key)
        await refused_everywhere(replicas, key, 400, began, link)  # known, that is
        since = time.monotonic()
        await asyncio.to_thread(admin.ok, "PUT", "/api/config", {"SMARTFLOW_MAX_BODY": "2KiB"})
        await seen_everywhere(replicas, key, 413, since, link)
        since = time.monotonic()
        await asyncio.to_thread(admin.ok, "DELETE", "/api/config/SMARTFLOW_MAX_BODY")
        await seen_everywhere(replicas, key, 400, since, link)
        since = time.monotonic()
        await asyncio.to_thread(admin.update, "enterprise/vkeys", key.id, endpoint_allowlist=["models"])
        await refused_everywhere(replicas, key, 403, since, link)
        since = time.monotonic()
        made = await asyncio.to_thread(admin.ok, "POST", f"/api/enterprise/vkeys/{key.id}/rotate",
                                       {"grace_seconds": 0, "changes": {"endpoint_allowlist": []}})
        await refused_everywhere(replicas, key, 401, since, link)
        await refused_everywhere(replicas, Key(made), 400, since, link)
        since = time.monotonic()
        await asyncio.to_thread(admin.ok, "DELETE", f"/api/enterprise/vkeys/{made['id']}")
        await refused_everywhere(replicas, Key(made), 401, since, link)

    run(work())


def test_budgets_go_on_without_redis_and_are_exact_afterwards(run, upstream, memory, replicas):
    """Each replica grants its share while Redis is away; a key that was new then counts as well."""
    known = replicas.known(replicas.admin.new_key(budgets={"lifetime": "0.3"}))
    bill = Bill(upstream, lambda body: 400)

    def everywhere(key, n):
        return [run(ask(replicas.all[i % 3], key, bill, chat(most=400))).status for i in range(n)]

    def lost(up):
        metric = b"smartflow_shared_store_up %d" % up
        return all(metric in g.get("/metrics")[1] for g in replicas.all)

    assert set(everywhere(known, 6)) == {200}
    memory.stop()
    try:
        until(lambda: lost(0), 5, "the loss of Redis is not noticed")
        new = replicas.known(replicas.admin.new_key(budgets={"lifetime": "0.06"}))
        fresh = Bill(upstream, lambda body: 400)
        got = [run(ask(replicas.all[i % 3], new, fresh, chat(most=400))).status for i in range(30)]
        assert got.count(200) == fresh.calls == 12  # four by each third of 0.06
        assert set(got) == {200, 429} and fresh.nano <= 6 * USD // 100
        assert set(everywhere(known, 9)) == {200}
        ready, body = replicas.all[0].get("/health/readiness")
        assert ready == 200
    finally:
        memory.start()
    until(lambda: lost(1), 5, "Redis is not taken again")
    for key, truth in ((known, bill), (new, fresh)):
        for g in replicas.all:
            until(lambda: Admin(g).spend(key.id) == (truth.nano, 0), 5,
                  f"{Admin(g).spend(key.id)} is not {truth.nano}")
    rest = [run(ask(g, known, bill, chat(most=400))).status for g in replicas.all * 30]
    assert 429 in rest and bill.nano <= 3 * USD // 10
    assert 3 * USD // 10 - bill.nano < 400 * OUTPUT + 100 * 2500


def test_an_empty_redis_learns_what_was_spent(run, upstream, memory, replicas):
    """Also of replicas that do not run any more."""
    key = replicas.known(replicas.admin.new_key(budgets={"lifetime": "0.1"}))
    bill = Bill(upstream, lambda body: 400)
    for i in range(12):
        assert run(ask(replicas.all[i % 3], key, bill, chat(most=400))).status == 200
    replicas.stop()
    memory.restart()
    replicas.all[0] = replicas.node(0)
    replicas.admin = Admin(replicas.all[0])
    until(lambda: replicas.admin.spend(key.id) == (bill.nano, 0), 5, "the sum of all nodes is not there")
    spent = bill.nano
    got = [run(ask(replicas.all[0], key, bill, chat(most=400))).status for _ in range(20)]
    assert got.count(200) == 12 and bill.nano <= USD // 10
    assert replicas.admin.settled(key.id) == bill.nano == 2 * spent
