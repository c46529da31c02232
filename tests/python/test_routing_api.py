"""The routing API: chains that come and go, tiers, forced providers, any provider for any model, the
simulation of a call, strategies by distribution, budgets of providers, hedging and shadows."""

import asyncio
import json
import re
import time
from collections import Counter

import pytest

from gateway import KEY, providers_at, run_program
from plane import Admin, until
from routing_plane import CHAT, Routed, answers, completion, error, good, stalls, story, text_of
from test_admin_api import Api
from wire import call, http_reply, many

CHAINS = "/api/routing/fallback-chains"


@pytest.fixture(scope="module")
def routed(tmp_path_factory, upstream, run):
    r = Routed(tmp_path_factory.mktemp("routing-api"), upstream, run)
    yield r
    r.stop()


# --- chains ---

def test_a_chain_comes_and_goes(routed):
    api = routed.admin
    model = routed.models.add(good)
    body = {"name": "comes", "models": ["asked-*"], "targets": [
        {"provider": "openai", "model": model}], "strategy": "round_robin"}
    status, made = api("POST", CHAINS, body)
    assert status == 201 and made["data"] == made["fallback_chain"]
    assert made["data"]["strategy"] == "round_robin" and made["data"]["source"] == "api"
    assert made["data"]["targets"] == [
        {"provider": "openai", "deployment": None, "model": model, "weight": 1, "tags": []}]
    until(lambda: routed.has("comes"), 30)
    listed = api.ok("GET", CHAINS)
    assert "comes" in [c["name"] for c in listed]
    assert api("GET", CHAINS)[1]["fallback_chains"] == listed
    assert text_of(routed.ask("asked-this")) == model
    api.ok("DELETE", CHAINS + "/comes")
    until(lambda: not routed.has("comes"), 30)
    assert routed.ask("asked-this").status == 404
    assert api("DELETE", CHAINS + "/comes")[0] == 404
    assert api("GET", CHAINS + "/comes")[0] == 404


@pytest.mark.parametrize("body, param", [
    ({"name": "x"}, "targets"),
    ({"name": "x", "targets": [{"provider": "nobody"}]}, "targets[0].provider"),
    ({"name": "x", "providers": ["openai"], "strategy": "best"}, "strategy"),
    ({"name": "a/b", "providers": ["openai"]}, "name"),
    ({"providers": ["openai"]}, "name"),
    ({"name": "x", "providers": ["openai"], "wait": 1}, "wait")])
def test_refused_chains(routed, body, param):
    status, reply = routed.admin("POST", CHAINS, body)
    assert status == 400 and reply["error"]["param"] == param and reply["success"] is False


def test_who_may(routed):
    nobody, user = Api(routed.gateway.management, None), Api(routed.gateway.management, KEY)
    for method, path in [("GET", CHAINS), ("POST", CHAINS), ("DELETE", CHAINS + "/x"),
                         ("POST", "/api/routing/force-provider"), ("PUT", "/api/routing/tiers"),
                         ("POST", "/api/routing/simulate"), ("GET", "/api/routing/performance")]:
        assert nobody(method, path, {} if method != "GET" else None)[0] == 401
        assert user(method, path, {} if method != "GET" else None)[0] == 403
    assert user("GET", "/api/routing/status")[0] == 200


def test_a_chain_is_on_the_audit(routed):
    routed.chain(good)
    acts = routed.admin.ok("GET", "/api/audit/logs?limit=50")
    assert "routing.chain.set" in json.dumps(acts)


# --- any provider for any model ---

def messages_reply(model):
    return json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": model,
                       "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn",
                       "stop_sequence": None,
                       "usage": {"input_tokens": 5, "output_tokens": 1}}).encode()


def test_the_header_takes_a_call_anywhere(routed):
    async def anthropic(conn, m):
        assert m.target == "/v1/messages" and m.get("x-api-key") == "sk-provider-anthropic-91bc"
        assert m.get("authorization") is None and m.get("x-smartflow-provider") is None
        await conn.send(http_reply(200, messages_reply(m.json()["model"])))
        return True
    script = routed.upstream.script(anthropic)
    m = routed.run(call(routed.gateway.port, CHAT, {
        "model": "gpt-5.4", "messages": [{"role": "user", "content": "Hi"}]}, script,
        [("x-smartflow-provider", "anthropic")]))
    assert m.status == 200 and m.json()["model"] == "gpt-5.4"
    assert m.json()["choices"][0]["message"]["content"] == "Hello"
    assert m.get("x-smartflow-provider") == "anthropic"
    assert m.get("x-smartflow-model") == "claude-opus-4-6"
    assert routed.upstream.seen[script][0].json()["model"] == "claude-opus-4-6"

    async def openai(conn, m):
        assert m.target == "/v1/chat/completions"
        assert m.get("authorization") == "Bearer sk-provider-openai-7f3a"
        await conn.send(http_reply(200, completion(m.json()["model"])))
        return True
    script = routed.upstream.script(openai)
    m = routed.run(call(routed.gateway.port, "/v1/messages", {
        "model": "claude-sonnet-4-6", "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}]}, script,
        [("x-smartflow-provider", "openai"), ("anthropic-version", "2023-06-01")]))
    assert m.status == 200 and m.json()["model"] == "claude-sonnet-4-6"
    assert m.json()["content"][0]["text"] == "Hello"
    assert routed.upstream.seen[script][0].json()["model"] == "gpt-4.1"


def test_a_chain_over_dialects(routed):
    """The first target speaks another dialect and fails; the second the client's own."""
    seen = []

    async def play(conn, m):
        seen.append((m.target, m.json()["model"]))
        if m.target == "/v1/messages":
            await conn.send(http_reply(529, b'{"type":"error","error":{"type":"overloaded_error",'
                                            b'"message":"Overloaded"}}'))
        else:
            await conn.send(http_reply(200, completion("gpt-4.1")))
        return True
    routed.save({"name": "both", "providers": ["anthropic", "openai"], "models": ["gpt-4.1"],
                 "retries": 0})
    m = routed.run(call(routed.gateway.port, CHAT, {
        "model": "gpt-4.1", "messages": [{"role": "user", "content": "Hi"}]},
        routed.upstream.script(play)))
    assert m.status == 200 and m.json()["model"] == "gpt-4.1"
    assert seen == [("/v1/messages", "claude-sonnet-4-6"), (CHAT, "gpt-4.1")]
    assert story(routed.log(m))[0] == ("claude-sonnet-4-6", "next", "overloaded")
    routed.admin.ok("DELETE", CHAINS + "/both")
    until(lambda: not routed.has("both"), 30)


def test_tiers_can_be_changed(routed):
    api = routed.admin
    built_in = api.ok("GET", "/api/routing/tiers")
    assert built_in["changed"] is False and len(built_in["tiers"]) == 5
    flagship = [t for t in built_in["tiers"] if t["name"] == "flagship"][0]
    assert flagship["equivalents"]["anthropic"] == "claude-opus-4-6"
    own = {"tiers": [{"name": "all", "models": ["*"], "equivalents": {"openai": "my-own-model"}}]}
    assert api.ok("PUT", "/api/routing/tiers", own)["tiers"] == own["tiers"]
    until(lambda: api.ok("GET", "/api/routing/tiers")["changed"], 30)
    simulated = api.ok("POST", "/api/routing/simulate", {
        "model": "claude-sonnet-4-6", "provider": "openai"})
    assert simulated["target"]["model"] == "my-own-model"
    api.ok("DELETE", "/api/routing/tiers")
    until(lambda: not api.ok("GET", "/api/routing/tiers")["changed"], 30)
    assert api("PUT", "/api/routing/tiers", {"tiers": [{"name": "x"}]})[0] == 400


# --- forced ---

@pytest.mark.parametrize("path, length", [
    ("/api/routing/force-provider", {"duration_seconds": 60}),
    ("/api/routing/override", {"ttl_minutes": 0})])
def test_a_forced_provider(routed, path, length):
    api = routed.admin
    made = api.ok("POST", path, {"provider": "anthropic"} | length)
    assert made["forced_provider"] == "anthropic" and made["until"]

    def forced():
        return api.ok("GET", "/api/routing/status")["forced_provider"]
    until(lambda: forced() == "anthropic", 30)
    to = api.ok("POST", "/api/routing/simulate", {"model": "gpt-5.4"})
    assert to["decided_by"] == "forced" and to["target"]["model"] == "claude-opus-4-6"
    api.ok("DELETE", "/api/routing/force-provider")
    until(lambda: forced() is None, 30)
    assert api.ok("POST", "/api/routing/simulate", {"model": "gpt-5.4"})["decided_by"] == "name"
    assert api("POST", path, {"provider": "nobody"})[0] == 400
    assert api("POST", path, {"provider": "groq"})[0] == 400  # not configured


def test_force_ends_by_itself(routed):
    routed.admin.ok("POST", "/api/routing/force-provider",
                    {"provider": "anthropic", "duration_seconds": 4})

    def forced():
        return routed.admin.ok("GET", "/api/routing/status")["forced_provider"]
    until(lambda: forced() == "anthropic", 30)
    until(lambda: forced() is None, 30)


# --- what would be done ---

def test_simulation(routed):
    routed.save({"name": "looked-at", "strategy": "tag", "targets": [
        {"provider": "openai", "model": "a", "tags": ["us"]},
        {"provider": "anthropic", "model": "b", "tags": ["eu"]},
        {"provider": "groq", "model": "c", "tags": ["eu"]}]})
    seen = len(routed.upstream.requests)
    to = routed.admin.ok("POST", "/api/routing/simulate", {"model": "looked-at", "tags": ["eu"]})
    assert to["target"] == {"provider": "anthropic", "deployment": None, "model": "b"}
    assert to["decided_by"] == "chain" and to["chain"] == "looked-at" and to["strategy"] == "tag"
    assert [(c["model"], c["usable"], c["reason"]) for c in to["candidates"]] == [
        ("b", True, "chosen"),
        ("c", False, "not configured"),
        ("a", False, "it lacks the tags that are asked for")]
    assert to["candidates"][0]["translated"] is True and to["error"] is None
    assert [c["why"] for c in to["candidates"]] == [
        "it has the tags", "not configured", "it lacks the tags that are asked for"]
    to = routed.admin.ok("POST", "/api/routing/simulate", {"model": "looked-at", "tags": ["moon"]})
    assert to["target"] is None and to["error"]["status"] == 503
    to = routed.admin.ok("POST", "/api/routing/simulate", {"model": "no-such-model"})
    assert to["error"]["code"] == "model_not_found" and to["candidates"] == []
    for asked, why in [({"model": "gpt-4o"}, "the model's name leads there"),
                       ({"model": "gpt-4o", "provider": "anthropic"}, "the call names it")]:
        to = routed.admin.ok("POST", "/api/routing/simulate", asked)
        assert [(c["reason"], c["why"]) for c in to["candidates"]] == [("chosen", why)]
    assert routed.admin("POST", "/api/routing/simulate", {})[0] == 400
    assert len(routed.upstream.requests) == seen


def test_performance_by_model(routed):
    chain, models = routed.chain(answers(error(500)), good)
    for _ in range(3):
        routed.ask(chain)

    def rows():
        return {r["model"]: r for r in routed.admin.ok("GET", "/api/routing/performance?limit=500")}
    until(lambda: models[1] in rows(), 30)
    row = until(lambda: (r := rows()[models[1]]) and r["requests"] == 3 and r, 30)
    assert row["provider"] == "openai" and row["errors"] == 0 and row["avg_latency_ms"] > 0
    assert row["breaker"] == "closed"


# --- strategies over the wire ---

def test_round_robin_takes_turns(routed):
    chain, models = routed.chain(good, good, good, strategy="round_robin")
    got = [text_of(routed.ask(chain)) for _ in range(9)]
    assert Counter(got) == {m: 3 for m in models} and got[:3] == got[3:6] == got[6:]


def test_weights_over_the_wire(routed):
    models = [routed.models.add(good) for _ in range(2)]
    routed.save({"name": "split", "strategy": "weighted", "targets": [
        {"provider": "openai", "model": models[0], "weight": 9},
        {"provider": "openai", "model": models[1], "weight": 1}]})

    async def one(_):
        return text_of(await routed.ask_async("split"))
    got = Counter(routed.run(many(one, range(400))))
    assert 330 <= got[models[0]] <= 385


def test_latency_finds_the_fast_one_and_leaves_it(routed):
    delays = {}

    async def slow(conn, m):
        await asyncio.sleep(delays[m.json()["model"]])
        return await good(conn, m)
    chain, models = routed.chain(slow, slow, slow, strategy="latency")
    delays |= dict(zip(models, (0.3, 0.01, 0.15)))
    for _ in range(20):
        routed.ask(chain)
    assert {text_of(routed.ask(chain)) for _ in range(15)} == {models[1]}
    delays[models[1]] = 0.6
    for _ in range(25):
        routed.ask(chain)
    assert models[1] not in [text_of(routed.ask(chain)) for _ in range(15)]


def test_affinity_over_the_wire(routed):
    chain, _ = routed.chain(good, good, good, strategy="random", affinity=True)

    async def two(i):
        first = {"role": "user", "content": f"Question {i}"}
        a = await call(routed.gateway.port, CHAT, {"model": chain, "messages": [first]},
                       routed.models.script)
        b = await call(routed.gateway.port, CHAT, {"model": chain, "messages": [
            first, {"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]},
            routed.models.script)
        return text_of(a), text_of(b)
    pairs = routed.run(many(two, range(60)))
    assert all(a == b for a, b in pairs) and len({a for a, _ in pairs}) == 3


# --- hedging, shadows ---

def test_hedging_cuts_the_tail(routed):
    """One call in a hundred stalls: the p99 falls by far more than five times, at under 2 % more
    calls."""
    calls = [0]

    async def stalling(conn, m):
        calls[0] += 1
        await asyncio.sleep(1.5 if calls[0] % 100 == 99 else 0.01)
        return await good(conn, m)

    async def timed(chain, n):
        took = []
        for _ in range(n):
            began = time.monotonic()
            m = await routed.ask_async(chain)
            assert m.status == 200
            took.append(time.monotonic() - began)
        return sorted(took)

    def p99(took):
        return took[int(len(took) * 0.99)]
    plain, _ = routed.chain(stalling)
    without = routed.run(timed(plain, 300), 300)
    calls[0] = 0
    hedged, models = routed.chain(stalling, hedge=True, hedge_percent=2)
    took = routed.run(timed(hedged, 400), 300)
    assert p99(without) > 1.4
    assert p99(took) < p99(without) / 5
    assert routed.models.calls(models[0]) < 400 * 1.02
    metrics = routed.gateway.get("/metrics")[1].decode()
    assert 'smartflow_hedged_calls_total{provider="openai",result="won"}' in metrics


def test_a_hedge_in_the_log(routed):
    chain, models = routed.chain(stalls(), good, hedge=True, hedge_after_ms=100, hedge_percent=100)
    m = routed.ask(chain)
    assert text_of(m) == models[1]
    log = routed.log(m)
    assert story(log) == [(models[0], "lost", None), (models[1], "served", None)]
    assert log["routing"]["hedges"] == 1 and log["attempts"] == 2
    m = routed.ask(chain, stream=True)
    assert text_of(m) == "from " + models[1]


def test_a_hedge_that_loses(routed):
    """The slower one is cancelled, and its prompt is part of the call's cost."""
    gone = []

    async def stalling(conn, m):
        await conn.gone()
        gone.append(m.json()["model"])
        return False
    routed.models.plays |= {"gpt-4.1": stalling, "gpt-4o": good}
    routed.save({"name": "raced", "hedge": True, "hedge_after_ms": 100, "hedge_percent": 100,
                 "targets": [{"provider": "openai", "model": "gpt-4.1"},
                             {"provider": "openai", "model": "gpt-4o"}]})
    m = routed.ask("raced")
    assert text_of(m) == "gpt-4o"
    until(lambda: gone == ["gpt-4.1"], 10, "the loser was not cancelled")
    cost = round(float(routed.log(m)["cost_usd"]) * 10**9)
    alone = 8 * 2500 + 2 * 10000  # of the one that served; the prompt is counted by its bytes
    assert alone + 3 * 2000 <= cost <= alone + 100 * 2000


def test_a_hedge_that_fails_is_held_against_its_target(routed):
    gate = asyncio.Event()

    async def late(conn, m):
        await gate.wait()
        return await good(conn, m)

    async def fails(conn, m):
        await conn.send(error(500))
        gate.set()
        return True
    chain, models = routed.chain(late, fails, hedge=True, hedge_after_ms=50, hedge_percent=100)
    m = routed.ask(chain)
    assert text_of(m) == models[0]
    assert story(routed.log(m)) == [(models[0], "served", None), (models[1], "lost", "server_error")]
    assert routed.target(models[1])["failed"] == 1


def test_the_share_of_shadow_traffic(routed):
    model, shadow = routed.models.add(good), routed.models.add(good)
    routed.save({"name": "some-mirrored", "targets": [{"provider": "openai", "model": model}],
                 "shadow": {"provider": "openai", "model": shadow}, "shadow_percent": 25})

    async def one(_):
        return (await routed.ask_async("some-mirrored")).status
    assert set(routed.run(many(one, range(400)))) == {200}

    def counted():
        metrics = routed.gateway.get("/metrics")[1].decode()
        found = re.search(r'smartflow_shadow_calls_total{provider="openai",model="%s",result="ok"} '
                          r"(\d+)" % shadow, metrics)
        return found and int(found[1]) == routed.models.calls(shadow) > 50
    until(counted, 30)
    assert 60 <= routed.models.calls(shadow) <= 145


def test_the_log_tells_of_all_candidates(routed):
    """Who was considered, why some could not serve, who was tried, and who got a copy."""
    models = [routed.models.add(good) for _ in range(2)]
    routed.save({"name": "told", "strategy": "tag", "targets": [
        {"provider": "groq", "model": "nowhere", "tags": ["eu"]},
        {"provider": "openai", "model": models[0], "tags": ["us"]},
        {"provider": "openai", "model": models[1], "tags": ["eu"]}],
        "shadow": {"provider": "openai", "model": models[0]}, "shadow_percent": 100})
    m = routed.ask("told", fields=[("x-smartflow-tags", "eu")])
    assert text_of(m) == models[1]
    routing = routed.log(m)["routing"]
    assert routing["strategy"] == "tag" and routing["chain"] == "told" and routing["skipped"] == 2
    assert routing["candidates"] == [
        {"provider": "openai", "model": models[1], "skipped": None},
        {"provider": "groq", "model": "nowhere", "skipped": "not configured"},
        {"provider": "openai", "model": models[0],
         "skipped": "it lacks the tags that are asked for"}]
    assert routing["shadow"] == {"provider": "openai", "model": models[0]}
    assert [(a["result"], a["status"]) for a in routing["attempts"]] == [("served", 200)]
    assert routing["attempts"][0]["waited_us"] < 100000


def test_shadow_traffic(routed):
    model, shadow = routed.models.add(good), routed.models.add(good)
    routed.save({"name": "mirrored", "targets": [{"provider": "openai", "model": model}],
                 "shadow": {"provider": "openai", "model": shadow}, "shadow_percent": 100})
    for stream in (False, True):
        m = routed.ask("mirrored", stream)
        assert text_of(m).endswith(model)
    until(lambda: routed.models.calls(shadow) == 2, 20)
    seen = [m.json() for _, m in routed.models.asked[shadow]]
    assert seen[0]["messages"] == [{"role": "user", "content": "Hi"}]
    until(lambda: 'smartflow_shadow_calls_total{provider="openai",model="%s",result="ok"} 2' % shadow
          in routed.gateway.get("/metrics")[1].decode(), 20)
    def shadows():
        return [x for x in routed.admin.ok("GET", "/api/vas/logs?limit=200") if x["model"] == shadow]
    until(lambda: len(shadows()) == 2, 20)
    logs = shadows()
    assert {x["endpoint"] for x in logs} == {"shadow"}
    assert all(x["key_id"] is None for x in logs)


# --- budgets of providers ---

def test_a_provider_over_its_daily_budget_is_left_out(start, run, upstream, tmp_path):
    """Once its cap is reached; a chain goes on with the next; and after a restart, too."""
    async def play(conn, m):
        await conn.send(http_reply(200, completion(m.json()["model"])))
        return True
    script = upstream.script(play)
    config = tmp_path / "c.yaml"
    config.write_text("routing: {chains: [{name: both, targets: [{provider: openai, model: gpt-4o}, "
                      "{provider: gemini, model: other}]}]}\n")
    env = providers_at(upstream.port) | {"SMARTFLOW_PROVIDER_BUDGETS": "openai:0.0001",
                                         "SMARTFLOW_DATA": str(tmp_path / "data")}

    def ask(g, model):
        return run(call(g.port, CHAT, {
            "model": model, "messages": [{"role": "user", "content": "Hi"}]}, script))
    g = start(env, config=config)
    replies = [ask(g, "gpt-4o") for _ in range(6)]
    assert [m.status for m in replies] == [200] * 3 + [429] * 3  # 40 millionths of a dollar each
    e = replies[-1].json()["error"]
    assert e["code"] == "insufficient_quota" and e["type"] == "budget_exceeded"
    m = ask(g, "both")
    assert m.status == 200 and m.get("x-smartflow-provider") == "gemini"
    budget = Admin(g).ok("GET", "/api/routing/status")["provider_budgets"][0]
    assert budget["used_up"] is True and float(budget["used_usd"]) == 0.00012
    g.stop()
    assert ask(start(env, config=config), "gpt-4o").status == 429


# --- the configuration file ---

CONFIG = """
routing:
  strategy: none
  chain_retries: 0
  provider_budgets: {openai: 1000}
  deployments:
    - {name: near, provider: openai, base_url: "http://127.0.0.1:%d/near", api_key: sk-of-near}
  chains:
    - name: filed
      models: ["filed-*"]
      strategy: priority
      targets:
        - {deployment: near, model: one}
        - {provider: openai, model: two}
"""


def test_rules_of_the_file(start, run, upstream, tmp_path):
    seen = []

    async def play(conn, m):
        seen.append((m.target, m.get("authorization"), m.json()["model"]))
        await conn.send(error(500) if m.json()["model"] == "one" else
                        http_reply(200, completion("two")))
        return True
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG % upstream.port)
    g = start(providers_at(upstream.port), config=path)
    m = run(call(g.port, CHAT, {"model": "filed-x", "messages": [{"role": "user", "content": "Hi"}]}, upstream.script(play)))
    assert m.status == 200
    assert seen == [("/near/v1/chat/completions", "Bearer sk-of-near", "one"),
                    ("/v1/chat/completions", "Bearer sk-provider-openai-7f3a", "two")]
    api = Admin(g)
    assert api.ok("GET", CHAINS)[0]["source"] == "file"
    assert api("DELETE", CHAINS + "/filed")[0] == 409
    assert "sk-of-near" not in json.dumps(api.ok("GET", CHAINS))
    bad = tmp_path / "bad.yaml"
    bad.write_text("routing:\n  chains:\n    - {name: x, targets: [{provider: nobody}]}\n")
    checked = run_program("config", "check", "--config", str(bad))
    assert checked.returncode != 0
    assert "bad.yaml:3" in checked.stdout + checked.stderr and "nobody" in checked.stdout + checked.stderr
