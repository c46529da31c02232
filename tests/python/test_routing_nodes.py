"""Several nodes: what one was told by a provider the others know, too, and what was changed at one
counts at all of them."""

import asyncio

import pytest

from plane import MASTER_KEY, until
from routing_plane import Routed, answers, completion, error, good, text_of
from wire import call, http_reply

RATE = error(429, "Slow down.", "rate_limit_exceeded", "rate_limit_error", [("retry-after", "30")])
CHAINS = "/api/routing/fallback-chains"
WAIT = 30


class Pair:
    """Two gateways over one database, and over one Redis where there is one."""

    def __init__(self, folder, upstream, run, postgres, redis=None):
        env = {"DATABASE_URL": postgres.url_of(postgres.new_database()),
               "SMARTFLOW_MASTER_KEY": MASTER_KEY, "SMARTFLOW_DATABASE_CONNECTIONS": "4",
               "SMARTFLOW_PROVIDER_BUDGETS": "gemini:0.0001"}
        if redis:
            env["REDIS_URL"] = redis.url
        self.a = Routed(folder / "a", upstream, run, env | {"SMARTFLOW_NODE": "node-a"})
        try:
            self.b = Routed(folder / "b", upstream, run, env | {"SMARTFLOW_NODE": "node-b"},
                            self.a.models)
        except BaseException:
            self.a.stop()
            raise

    def chain(self, *plays, **settings):
        """Made at the first node, and in force at both."""
        name, models = self.a.chain(*plays, **settings)
        until(lambda: self.b.has(name), WAIT, "the other node does not know the chain")
        return name, models

    def stop(self):
        self.a.stop()
        self.b.stop()


@pytest.fixture(scope="module")
def with_redis(tmp_path_factory, upstream, run, postgres, redis):
    pair = Pair(tmp_path_factory.mktemp("pair"), upstream, run, postgres, redis)
    yield pair
    pair.stop()


@pytest.fixture(scope="module")
def without_redis(tmp_path_factory, upstream, run, postgres):
    pair = Pair(tmp_path_factory.mktemp("plain-pair"), upstream, run, postgres)
    yield pair
    pair.stop()


@pytest.fixture(params=["with_redis", "without_redis"])
def pair(request):
    return request.getfixturevalue(request.param)


# --- what providers said, over Redis ---

def test_latencies(with_redis):
    """The second node never called a target, and goes to the fast one from its first call on."""
    async def slow(conn, m):
        await asyncio.sleep(0.2)
        return await good(conn, m)
    a, b = with_redis.a, with_redis.b
    chain, (far, near) = with_redis.chain(slow, good, strategy="latency")
    for _ in range(6):
        a.ask(chain)
    assert a.models.calls(far) and a.models.calls(near)

    def heard(model):
        t = b.target(model)
        return t and t["p95_ms"]
    until(lambda: heard(far) and heard(near), WAIT, "the other node heard no latency")
    assert heard(far) > 150 > heard(near)
    assert b.target(near)["calls"] == 0
    before = a.models.calls(far)
    assert {text_of(b.ask(chain)) for _ in range(10)} == {near}
    assert a.models.calls(far) == before


def test_cooldowns(with_redis):
    a, b = with_redis.a, with_redis.b
    chain, (limited, other) = with_redis.chain(answers(RATE), good)
    assert text_of(a.ask(chain)) == other
    until(lambda: (t := b.target(limited)) and t["available_in_ms"] > 20000, WAIT,
          "the other node did not hear that it rests")
    assert text_of(b.ask(chain)) == other
    assert a.models.calls(limited) == 1


def test_a_cooldown_ends_on_all_nodes(with_redis):
    """Nodes that tell each other of it must not make it longer."""
    brief = error(429, "Slow down.", "rate_limit_exceeded", fields=[("retry-after", "2")])
    a, b = with_redis.a, with_redis.b
    chain, (limited, other) = with_redis.chain(answers(brief), good)
    assert text_of(a.ask(chain)) == other
    until(lambda: (t := b.target(limited)) and t["available_in_ms"], WAIT, "it was not heard")
    for node in (a, b):
        until(lambda n=node: n.target(limited)["available_in_ms"] == 0, 6, "it does not end")
    a.models.plays[limited] = good
    assert text_of(b.ask(chain)) == text_of(a.ask(chain)) == limited


def test_breakers_are_each_nodes_own(with_redis):
    """A node that cannot reach a provider does not close it to the others."""
    a, b = with_redis.a, with_redis.b
    chain, (down, other) = with_redis.chain(answers(error(500)), good, breaker_failures=2,
                                            breaker_cooldown_ms=60000)
    for _ in range(3):
        assert text_of(a.ask(chain)) == other
    assert a.models.calls(down) == 2 and a.target(down)["breaker"] == "open"
    assert text_of(b.ask(chain)) == other
    assert a.models.calls(down) == 3


def test_daily_budgets(with_redis):
    """What the first node spent with a provider closes it to the second."""
    async def bills(conn, m):
        await conn.send(http_reply(200, completion(m.json()["model"])))
        return True
    a, b = with_redis.a, with_redis.b
    script = a.upstream.script(bills)

    def ask(node):
        return node.run(call(node.gateway.port, "/v1/chat/completions", {
            "model": "gemini-2.5-pro", "messages": [{"role": "user", "content": "Hi"}]}, script))

    def used(node):
        return node.admin.ok("GET", "/api/routing/status")["provider_budgets"][0]["used_up"]
    until(lambda: ask(a).status == 429, WAIT, "the budget is never used up")
    until(lambda: used(b), WAIT, "the other node does not know of it")
    m = ask(b)
    assert m.status == 429 and m.json()["error"]["code"] == "insufficient_quota"


# --- what was changed, in the database ---

def test_chains(pair):
    a, b = pair.a, pair.b
    chain, (first, second) = pair.chain(good, good)
    assert text_of(b.ask(chain)) == first
    b.admin.ok("POST", CHAINS, {"name": chain, "targets": [{"provider": "openai", "model": second}]})
    until(lambda: text_of(a.ask(chain)) == second, WAIT, "the change is not in force")
    b.admin.ok("DELETE", f"{CHAINS}/{chain}")
    until(lambda: not a.has(chain), WAIT, "it is still there")
    assert a.ask(chain).status == 404


@pytest.mark.parametrize("path", ["/api/routing/force-provider", "/api/routing/override"])
def test_forced_providers(pair, path):
    a, b = pair.a, pair.b

    def forced(node):
        return node.admin.ok("GET", "/api/routing/status")["forced_provider"]
    made = a.admin.ok("POST", path, {"provider": "anthropic", "duration_seconds": 300})
    until(lambda: forced(b) == "anthropic", WAIT, "the other node forces nobody")
    assert b.admin.ok("GET", "/api/routing/status")["forced_until"] == made["until"]
    to = b.admin.ok("POST", "/api/routing/simulate", {"model": "gpt-5.4"})
    assert to["decided_by"] == "forced" and to["target"]["model"] == "claude-opus-4-6"
    b.admin.ok("DELETE", "/api/routing/force-provider")
    until(lambda: forced(a) is None and forced(b) is None, WAIT, "it is still forced")


def test_tiers(pair):
    a, b = pair.a, pair.b
    own = {"tiers": [{"name": "all", "models": ["*"], "equivalents": {"openai": "my-own-model"}}]}
    a.admin.ok("PUT", "/api/routing/tiers", own)
    until(lambda: b.admin.ok("GET", "/api/routing/tiers")["tiers"] == own["tiers"], WAIT,
          "the other node has the old table")
    to = b.admin.ok("POST", "/api/routing/simulate", {
        "model": "claude-sonnet-4-6", "provider": "openai"})
    assert to["target"]["model"] == "my-own-model"
    b.admin.ok("DELETE", "/api/routing/tiers")
    until(lambda: not a.admin.ok("GET", "/api/routing/tiers")["changed"], WAIT)
