"""Gateways with a control plane: replicas over one Redis and one PostgreSQL, or one alone; an
upstream that bills; and what the management API and the database say of keys and money.

Money is nano-dollars, integers, everywhere.
"""

import asyncio
import itertools
import json
import sqlite3
import time
from decimal import Decimal

from gateway import Gateway, providers_at
from test_admin_api import Api
from wire import Client, call, http_reply, request

CHAT = "/v1/chat/completions"
USD = 10 ** 9
INPUT, OUTPUT = 2500, 10000  # of gpt-4o, a token
MASTER_KEY = "0123456789abcdef" * 4
number = itertools.count()


def nano(usd):
    """What a decimal of the API is, exactly."""
    n = Decimal(str(usd)) * USD
    assert n == int(n)
    return int(n)


def until(condition, limit=5, what="it did not come"):
    """The first true value of condition(), which is asked again until then."""
    deadline = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return value


def in_one_minute(work):
    """What work() returns, of a run that lay within one calendar minute."""
    while True:
        minute = time.time() // 60
        result = work()
        if time.time() // 60 == minute:
            return result


# --- the management API ---

class Key:
    def __init__(self, made):
        self.secret, self.id = made["key"], made["id"]


class Admin(Api):
    """The administrator of one gateway; money and keys in the units of the tests."""

    def __init__(self, gateway):
        super().__init__(gateway.management)

    def ok(self, method, path, body=None):
        status, reply = self(method, path, body)
        assert status in (200, 201), (method, path, status, reply)
        return reply["data"]

    def new_key(self, **fields):
        return Key(self.ok("POST", "/api/enterprise/vkeys", {"name": f"key {next(number)}"} | fields))

    def make(self, kind, **fields):
        """The id of an organisation, team, user or customer."""
        field = "id" if kind == "customers" else "name"
        named = {field: f"{kind}-{next(number)}"}
        return self.ok("POST", f"/api/{kind}", named | fields)["id"]

    def update(self, kind, which, **fields):
        return self.ok("PUT", f"/api/{kind}/{which}", fields)

    def spend(self, which, kind="enterprise/vkeys", period="lifetime"):
        """What was used and what is held of a period."""
        spend = self.ok("GET", f"/api/{kind}/{which}")["spend"][period]
        return nano(spend["used_usd"]), nano(spend["held_usd"])

    def settled(self, which, kind="enterprise/vkeys", limit=5):
        """What was used, once nothing is held any more."""
        last = []

        def at_rest():
            last[:] = [self.spend(which, kind)]
            return last[0][1] == 0
        until(at_rest, limit, "money stays held")
        return last[0][0]


def takes(gateway, key):
    """Whether a gateway lets the key in: then it finds fault with the call."""
    return Api(gateway.url, key.secret)("POST", CHAT, {})[0] == 400


# --- the upstream ---

def chat_reply(tokens_in, tokens_out):
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out,
             "total_tokens": tokens_in + tokens_out}
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
                       "choices": [{"index": 0, "finish_reason": "stop",
                                    "message": {"role": "assistant", "content": "x"}}],
                       "usage": usage}).encode()


class Bill:
    """A script of the upstream that counts what its calls truly cost. output(body): the tokens that
    a call takes; gate: an event that replies wait for."""

    def __init__(self, upstream, output=lambda body: 10, tokens_in=8, delay=0.0, gate=None):
        self.output, self.tokens_in, self.delay, self.gate = output, tokens_in, delay, gate
        self.nano = self.tokens = self.calls = self.open = self.most_open = 0
        self.script = upstream.script(self.play)

    async def play(self, conn, m):
        self.calls += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            if self.gate:
                await self.gate.wait()
            await asyncio.sleep(self.delay)
        finally:
            self.open -= 1
        n = self.output(m.json())
        self.nano += self.tokens_in * INPUT + n * OUTPUT
        self.tokens += self.tokens_in + n
        await conn.send(http_reply(200, chat_reply(self.tokens_in, n)))
        return True


def chat(text="Hello", most=None, **more):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]} | more
    return body | ({"max_tokens": most} if most else {})


async def ask(gateway, key, bill=None, body=None, path=CHAT, fields=()):
    """One call; bill: a Bill, or a script's name."""
    script = getattr(bill, "script", bill)
    return await call(gateway.port, path, chat(most=10) if body is None else body, script, fields,
                      key=getattr(key, "secret", key))


async def begin(gateway, key, script, body, path=CHAT, fields=()):
    """A call whose reply is read later."""
    c = await Client.to(gateway.port)
    await c.send(request("POST", path, body, [*fields, ("x-script", script)], key=key.secret))
    return c


# --- replicas ---

class Replicas:
    """Three gateways that are one."""

    def __init__(self, folder, redis, postgres, upstream, env=None):
        self.database = postgres.new_database()
        self.postgres, self.folder = postgres, folder
        self.env = {"REDIS_URL": redis.url, "DATABASE_URL": postgres.url_of(self.database),
                    "SMARTFLOW_MASTER_KEY": MASTER_KEY, "SMARTFLOW_DATABASE_CONNECTIONS": "4",
                    "SMARTFLOW_REDIS_TIMEOUT": "250ms",  # sums are exact while Redis is not given up
                    **providers_at(upstream.port), **(env or {})}
        self.all = []
        try:
            for i in range(3):
                self.all.append(self.node(i))
        except BaseException:
            self.stop()
            raise
        self.admin = Admin(self.all[0])

    def node(self, i):
        return Gateway(self.folder / f"node{i}", self.env | {"SMARTFLOW_NODE": f"node-{i}"})

    def known(self, key, limit=5):
        """Waits until every replica takes the key. (Those of one gateway come in their order.)"""
        for g in self.all:
            until(lambda: takes(g, key), limit, "a replica does not know the key")
        return key

    def charged(self, key):
        """The sum of a key's log rows, and how many there are; calls that takes() made apart."""
        rows = self.postgres.sql(f"SELECT COALESCE(SUM(charged), 0), COUNT(*) FROM logs "
                                 f"WHERE key_id = '{key.id}' AND status <> 400", self.database)
        return int(rows[0][0]), int(rows[0][1])

    def stop(self):
        for g in self.all:
            g.stop()


class Alone:
    """The same of one process with SQLite and nothing else."""

    def __init__(self, folder, upstream, env=None):
        self.env = {**providers_at(upstream.port), "SMARTFLOW_DATA": str(folder / "data"), **(env or {})}
        self.folder = folder
        self.start()

    def start(self):
        self.all = [Gateway(self.folder, self.env)]
        self.admin = Admin(self.all[0])

    def known(self, key, limit=5):
        return key

    def charged(self, key):
        db = sqlite3.connect(f"file:{self.folder}/data/smartflow.db?mode=ro", uri=True)
        try:
            return db.execute("SELECT COALESCE(SUM(charged), 0), COUNT(*) FROM logs WHERE key_id = ? "
                              "AND status <> 400",
                              [key.id]).fetchone()
        finally:
            db.close()

    def stop(self):
        for g in self.all:
            g.stop()
