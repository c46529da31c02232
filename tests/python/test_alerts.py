"""Alerts: what arrives at Slack, Teams, Discord and a signed webhook, byte by byte; what is told once;
second tries; and what is kept of them."""

import hashlib
import hmac
import json
import re
import time
import urllib.error
import urllib.request

import pytest

from dialects import CHAT, CHAT_REPLY
from fakes_telemetry import Receiver
from gateway import ADMIN_KEY, providers_at
from wire import call, http_reply

SECRET = "whsec-4f1a"


@pytest.fixture
def receiver():
    made = []

    def make():
        made.append(Receiver())
        return made[-1]

    yield make
    for r in made:
        r.stop()


def api(g, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(g.management + path, data, method=method, headers={
        "authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def alerts(g, query="", until=lambda items: items):
    deadline = time.monotonic() + 20
    while True:
        status, reply = api(g, "GET", "/api/alerts" + query)
        assert status == 200, reply
        if until(reply["data"]) or time.monotonic() > deadline:
            return reply["data"]
        time.sleep(0.05)


def settings(slack=None, teams=None, discord=None, webhook=None, **more):
    named = {"SLACK_WEBHOOK_URL": slack, "TEAMS_WEBHOOK_URL": teams,
             "DISCORD_WEBHOOK_URL": discord, "SMARTFLOW_ALERT_WEBHOOK_URL": webhook}
    return {k: v.url + "/hook" for k, v in named.items() if v} | more


CUSTOM = {"title": "Nightly <import> failed", "message": "Look *here* & there",
          "severity": "critical", "subject": "job:import", "details": {"rows": 7}}


def test_every_destination_gets_its_form(receiver, start):
    slack, teams, discord, hook = (receiver() for _ in range(4))
    g = start(settings(slack, teams, discord, hook, SMARTFLOW_ALERT_WEBHOOK_SECRET=SECRET,
                       SMARTFLOW_NODE="n1"))
    status, reply = api(g, "POST", "/api/alerts", CUSTOM)
    assert status == 200 and reply["data"]["queued"], reply
    id_ = reply["data"]["id"]

    got = slack.wait()[0]
    assert got.method == "POST" and got.path == "/hook"
    assert got.headers["content-type"] == "application/json"
    body = json.loads(got.body)
    assert body["text"].startswith(":rotating_light: *Nightly &lt;import&gt; failed*")
    assert [b["type"] for b in body["blocks"]] == ["header", "section", "context"]
    assert body["blocks"][0]["text"] == {"type": "plain_text", "text": CUSTOM["title"]}
    assert body["blocks"][1]["text"] == {"type": "mrkdwn", "text": "Look *here* &amp; there"}

    body = json.loads(teams.wait()[0].body)
    card, = body["attachments"]
    assert body["type"] == "message"
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert card["content"]["type"] == "AdaptiveCard" and card["content"]["version"] == "1.4"
    assert [b["type"] for b in card["content"]["body"]] == ["TextBlock", "TextBlock", "FactSet"]
    facts = {f["title"]: f["value"] for f in card["content"]["body"][2]["facts"]}
    assert facts["Kind"] == "Custom" and facts["Node"] == "n1"

    body = json.loads(discord.wait()[0].body)
    assert body["allowed_mentions"] == {"parse": []} and body["username"] == "Smartflow"
    embed, = body["embeds"]
    assert embed["title"] == "Nightly \\<import\\> failed" and embed["color"] == 0xe74c3c
    assert embed["footer"]["text"] == id_
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", embed["timestamp"])

    got = hook.wait()[0]
    body = json.loads(got.body)
    assert body | {"timestamp": ""} == {
        "id": id_, "kind": "Custom", "severity": "critical", "subject": "job:import",
        "title": CUSTOM["title"], "message": CUSTOM["message"], "details": {"rows": 7},
        "repeats": 0, "node": "n1", "timestamp": ""}
    assert got.headers["idempotency-key"] == id_
    stamp, mac = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})",
                              got.headers["x-smartflow-signature"]).groups()
    assert abs(int(stamp) - time.time()) < 60
    assert mac == hmac.new(SECRET.encode(), stamp.encode() + b"." + got.body,
                           hashlib.sha256).hexdigest()

    row, = alerts(g, until=lambda x: x and x[0]["status"] == "sent")
    assert row["id"] == id_ and row["details"] == {"rows": 7}
    assert {k: v["status"] for k, v in row["deliveries"].items()} == {
        "slack": "sent", "teams": "sent", "discord": "sent", "webhook": "sent"}


def test_the_same_is_told_once(receiver, start):
    hook = receiver()
    g = start(settings(webhook=hook))
    for n in range(5):
        status, reply = api(g, "POST", "/api/alerts", CUSTOM)
        assert status == 200 and reply["data"]["repeated"] == (n > 0)
    api(g, "POST", "/api/alerts", CUSTOM | {"subject": "job:other"})
    assert [json.loads(r.body)["subject"] for r in hook.wait(2)] == ["job:import", "job:other"]
    metrics = g.get("/metrics")[1].decode()
    assert 'smartflow_alerts_total{kind="Custom",what="repeated"} 4' in metrics
    assert hook.count() == 2 and len(alerts(g)) == 2


def test_it_is_tried_again_and_pauses_are_kept(receiver, start):
    hook = receiver()
    hook.answers = [(500, {}), (429, {"retry-after": "9"})]
    g = start(settings(webhook=hook, SMARTFLOW_ALERT_WEBHOOK_SECRET=SECRET))
    api(g, "POST", "/api/alerts", CUSTOM)
    first, second, third = hook.wait(3, timeout=40)
    assert 0.9 < second.at - first.at < 6 and 8.9 < third.at - second.at < 20
    assert first.body == second.body == third.body
    assert len({r.headers["idempotency-key"] for r in (first, second, third)}) == 1
    row, = alerts(g, until=lambda x: x and x[0]["status"] == "sent")
    assert row["deliveries"]["webhook"]["tries"] == 3


def test_what_is_refused_is_not_tried_again(receiver, start):
    slack, hook = receiver(), receiver()
    hook.answers = [(404, {})]
    g = start(settings(slack, webhook=hook))
    api(g, "POST", "/api/alerts", CUSTOM)
    row, = alerts(g, until=lambda x: x and x[0]["status"] != "pending")
    assert row["status"] == "partial" and row["deliveries"]["webhook"]["http_status"] == 404
    assert row["deliveries"]["webhook"]["tries"] == 1
    log = g.err.wait_for(r"an alert could not be sent")
    assert log and hook.url not in g.err.text()


def test_a_provider_that_fails(receiver, run, upstream, start):
    hook = receiver()
    g = start(providers_at(upstream.port) | settings(webhook=hook))
    bad = upstream.answer(http_reply(503, b'{"error":{"message":"no"}}'))
    for _ in range(9):
        run(call(g.port, "/v1/chat/completions", CHAT, bad))
    api(g, "POST", "/api/alerts", CUSTOM)
    assert [json.loads(x.body)["kind"] for x in hook.wait()] == ["Custom"]  # nine calls say nothing
    for _ in range(3):
        run(call(g.port, "/v1/chat/completions", CHAT, bad))
    body = json.loads(hook.wait(2)[1].body)
    assert body["kind"] == "ProviderFailure" and body["subject"] == "provider:openai"
    assert body["details"]["calls"] == 10 and body["details"]["percent"] == 100
    api(g, "POST", "/api/alerts", CUSTOM | {"subject": "job:another"})
    kinds = [json.loads(x.body)["kind"] for x in hook.wait(3)]
    assert kinds == ["Custom", "ProviderFailure", "Custom"]


def test_a_slow_call(receiver, run, upstream, start):
    hook = receiver()
    g = start(providers_at(upstream.port) | settings(webhook=hook, SMARTFLOW_SLOW_REQUEST="1ms"))
    m = run(call(g.port, "/v1/chat/completions", CHAT,
                 upstream.answer(http_reply(200, CHAT_REPLY))))
    body = json.loads(hook.wait()[0].body)
    assert body["kind"] == "SlowRequest" and body["severity"] == "warning"
    assert body["subject"].startswith("model:openai/")
    assert body["details"]["request_id"] == m.get("x-smartflow-request-id")
    assert body["details"]["latency_ms"] >= 1


def test_a_budget_that_is_used(receiver, run, upstream, start):
    hook = receiver()
    g = start(providers_at(upstream.port) | settings(webhook=hook))
    status, made = api(g, "POST", "/api/enterprise/vkeys", {
        "name": "small", "budgets": [{"period": "daily", "limit_usd": "0.000001", "soft": True}]})
    assert status in (200, 201), made
    key = re.search(r"sk-sf-[\w-]+", json.dumps(made))[0]
    run(call(g.port, "/v1/chat/completions", CHAT, upstream.answer(http_reply(200, CHAT_REPLY)),
             key=key))
    body = json.loads(hook.wait()[0].body)
    assert body["kind"] == "BudgetThreshold" and body["details"]["percent"] == 100
    assert body["details"]["period"] == "daily" and body["details"]["soft"] is True
    assert body["details"]["subject_name"] == "small" and key not in json.dumps(body)


def test_the_list_pages_and_filters(start):
    g = start()
    for n in range(5):
        api(g, "POST", "/api/alerts", CUSTOM | {"subject": f"s{n}"})
    alerts(g, until=lambda x: len(x) == 5 and all(i["status"] == "recorded" for i in x))
    status, first = api(g, "GET", "/api/alerts?limit=2&kind=Custom")
    assert status == 200 and first["has_more"]
    status, rest = api(g, "GET", f"/api/alerts?limit=9&cursor={first['next_cursor']}")
    assert [i["subject"] for i in first["data"] + rest["data"]] == ["s4", "s3", "s2", "s1", "s0"]
    assert api(g, "GET", "/api/alerts?kind=SlowRequest")[1]["data"] == []
    assert api(g, "GET", "/api/alerts?kind=Nonsense")[0] == 400
    assert api(g, "GET", "/api/alerts?cursor=abc")[0] == 400
    assert api(g, "POST", "/api/alerts", {"message": "no title"})[0] == 400
    assert api(g, "POST", "/api/alerts", CUSTOM | {"webhook_url": "ftp://x"})[0] == 400


def test_addresses_given_over_the_api_are_guarded(receiver, start):
    inside = receiver()
    g = start()
    for host in ("127.0.0.1", "localhost", "[::1]"):
        status, _ = api(g, "POST", "/api/alerts", CUSTOM | {
            "subject": host, "webhook_url": f"http://{host}:{inside.port}/"})
        assert status == 200
    rows = alerts(g, until=lambda x: len(x) == 3 and all(i["status"] == "failed" for i in x))
    assert len(rows) == 3 and inside.count() == 0
    assert all(r["deliveries"]["webhook_url"]["tries"] == 1 for r in rows)


def test_the_test_says_what_each_answers(receiver, start):
    slack, hook = receiver(), receiver()
    hook.answers = [(403, {})]
    g = start(settings(slack, webhook=hook))
    status, reply = api(g, "POST", "/api/alerts/test")
    assert status == 200, reply
    results = {r["destination"]: r for r in reply["data"]["results"]}
    assert results["slack"]["ok"] and not results["webhook"]["ok"]
    assert results["webhook"]["http_status"] == 403
    assert "test" in json.loads(slack.wait()[0].body)["text"]


def test_switched_off(receiver, start):
    hook = receiver()
    g = start(settings(webhook=hook, SMARTFLOW_ALERTS_ENABLED="false"))
    assert api(g, "POST", "/api/alerts", CUSTOM)[0] == 503
    assert alerts(g, until=lambda _: True) == [] and hook.count() == 0


def test_what_waits_at_the_end_is_tried_once_more(receiver, start):
    hook = receiver()
    g = start(settings(webhook=hook))
    api(g, "POST", "/api/alerts", CUSTOM)
    g.stop()
    assert len(hook.wait()) == 1
