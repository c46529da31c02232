"""Logs and analytics over the wire: a call's row and record, filters, export, who sees what, erasure,
amendments, and sums that are what the calls add up to."""

import asyncio
import csv
import io
import json
import time
import uuid

import pytest

from crash_rounds import Journal
from gateway import KEY, Gateway, providers_at
from plane import Bill, ask
from test_admin_api import Api

LOGS = "/api/vas/logs"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A gateway with calls of two organisations' keys behind it."""
    g = Gateway(tmp_path_factory.mktemp("logs"), {"SMARTFLOW_DEMO": "true"})
    g.api = Api(g.management)
    g.orgs, g.keys = [], []
    for name in ("acme", "umbrella"):
        org = made(g.api, "/api/organizations", {"name": name})["id"]
        user = made(g.api, "/api/users", {"name": f"{name}-ann", "org_id": org})["id"]
        g.orgs.append(org)
        g.keys.append(made(g.api, "/api/enterprise/vkeys",
                           {"name": name, "user_id": user, "tags": [name, "both"]}))
    g.calls = [call(g, 0, "hello one"), call(g, 0, "hello two", stream=True),
               call(g, 1, "hello three"), call(g, 1, "x", model="nobody/has-this")]
    yield g
    g.stop()


def made(api, path, body):
    status, reply = api("POST", path, body)
    assert status == 201, reply
    return reply["data"]


def call(g, key, text, stream=False, model="gpt-4o-mini"):
    """The id of one call."""
    api = Api(g.url, g.keys[key]["key"])
    api("POST", "/v1/chat/completions",
        {"model": model, "stream": stream, "user": f"customer-{key}",
         "messages": [{"role": "user", "content": text}]}, {"x-smartflow-trace-id": f"trace-{text}"})
    return api.headers["x-smartflow-request-id"]


def record(g, request_id, api=None):
    status, reply = (api or g.api)("GET", f"{LOGS}/{request_id}")
    assert status == 200, reply
    return reply["data"]


def rows(g, query="", api=None):
    status, reply = (api or g.api)("GET", f"{LOGS}?{query}")
    assert status == 200, reply
    assert reply["data"] == reply["logs"]
    return reply["data"]


def test_a_call_is_there_as_soon_as_it_was_answered(served):
    before = time.monotonic()
    request_id = call(served, 0, "at once")
    r = record(served, request_id)
    assert time.monotonic() - before < 5
    assert r["request_id"] == request_id and r["outcome"] == "ok" and r["status"] == 200
    assert "at once" in r["request_content"] and "at once" in r["response_content"]
    assert r["tokens_used"] == r["prompt_tokens"] + r["completion_tokens"] > 0
    assert r["trace_id"] == "trace-at once" and r["customer"] == "customer-0"
    assert r["tags"] == ["acme", "both"] and r["org_id"] == served.orgs[0]
    assert r["key_id"] == served.keys[0]["id"]


def test_the_record_has_what_the_trace_page_shows(served):
    r = record(served, served.calls[0])
    assert {"authenticate", "route", "limits"} <= {s["name"] for s in r["stages"]}
    assert all(isinstance(s["us"], int) for s in r["stages"])
    assert r["timing"]["latency_us"] >= r["timing"]["upstream_us"] >= 0
    assert [a["provider"] for a in r["attempts_made"]] == [r["provider"]]
    opened = r["journal"]["open_seq"]  # none: it was over before the journal came to write it
    assert r["journal"]["seq"] == r["seq"] and (opened is None or 0 < opened < r["seq"])
    assert len(r["journal"]["entry_hmac"]) == 64
    assert r["entry"]["id"] == served.calls[0] and r["entry"]["phase"] == "outcome"
    assert r["request"]["state"] == r["response"]["state"] == "kept"
    assert r["request"]["length"] == len(r["request_content"].encode())


def test_a_call_that_lasts_has_an_entry_before_its_outcome(run, upstream, start):
    g = start(providers_at(upstream.port))
    g.api, chain = Api(g.management), Journal(g.folder / "data" / "journal")

    def opened():
        chain.read_on()
        return set(chain.reserved)

    async def work():
        held = Bill(upstream, gate=asyncio.Event())
        answer = asyncio.create_task(ask(g, KEY, held))
        while not opened():
            await asyncio.sleep(0.01)
        assert not chain.outcomes
        held.gate.set()
        return await answer

    answer = run(work(), 20)
    request_id = answer.get("x-smartflow-request-id")
    r = record(g, request_id)
    assert answer.status == 200 and opened() == {request_id} == set(chain.outcomes)
    assert 0 < r["journal"]["open_seq"] < r["seq"] == r["journal"]["seq"]


def test_a_stream_is_kept_as_it_came_and_as_text(served):
    r = record(served, served.calls[1])
    assert r["streamed"] is True
    assert r["response"]["raw"].startswith("data: ") and "[DONE]" in r["response"]["raw"]
    assert "hello two" in r["response_content"] and "data:" not in r["response_content"]


def test_lists_are_filtered(served):
    ids = served.calls
    own = rows(served, f"key={served.keys[1]['id']}")
    assert {ids[2], ids[3]} <= {r["request_id"] for r in own}
    assert {r["key_id"] for r in own} == {served.keys[1]["id"]}
    for query, wanted in (("trace=trace-hello%20two", ids[1]), (f"q={ids[2][:23]}", ids[2]),
                          ("outcome=refused", ids[3]), (f"org={served.orgs[1]}&status=200", ids[2]),
                          ("streamed=1", ids[1])):
        assert wanted in [r["request_id"] for r in rows(served, query)], query
    for query in ("provider=none", "tag=none", "status=418", "to=1h", "min_cost=1000",
                  "min_latency_ms=86000000"):
        assert not rows(served, query), query
    assert [r["timestamp"] for r in own] == sorted((r["timestamp"] for r in own), reverse=True)


def test_content_comes_when_it_is_asked_for(served):
    query = f"q={served.calls[0]}"
    assert rows(served, query)[0]["request_content"] is None
    assert "hello one" in rows(served, query + "&content=true")[0]["request_content"]


def test_pages_go_on_where_they_ended(served):
    whole = [r["request_id"] for r in rows(served, "limit=1000&to=0s")]
    got, cursor = [], ""
    for _ in range(len(whole) + 1):
        status, reply = served.api("GET", f"{LOGS}?limit=1&to=0s{cursor}")
        assert status == 200
        got += [r["request_id"] for r in reply["data"]]
        if not reply["has_more"]:
            break
        cursor = f"&cursor={reply['next_cursor']}"
    assert set(whole) <= set(got) and len(got) == len(set(got))


def test_export(served):
    query = f"{LOGS}?key={served.keys[0]['id']}"
    status, text = served.api("GET", query, headers={"accept": "text/csv"})
    lines = list(csv.DictReader(io.StringIO(text.decode())))
    assert status == 200 and served.calls[0] in [r["request_id"] for r in lines]
    assert lines[0]["model"] == "gpt-4o-mini"
    status, text = served.api("GET", query, headers={"accept": "application/x-ndjson"})
    assert served.calls[1] in [json.loads(r)["request_id"] for r in text.splitlines()]


@pytest.mark.parametrize("query, param", [
    ("from=yesterday", "from"), ("from=1h&to=2h", "from"), ("status=abc", "status"),
    ("outcome=fine", "outcome"), ("min_cost=-1", "min_cost"), ("limit=0", "limit"),
    ("cursor=abc", "cursor"), ("modle=x", "modle")])
def test_wrong_parameters_are_named(served, query, param):
    status, reply = served.api("GET", f"{LOGS}?{query}")
    assert status == 400 and reply["error"]["param"] == param


def test_nothing_is_not_found(served):
    for request_id in (str(uuid.uuid4()), "nothing", served.calls[0][:-1]):
        status, reply = served.api("GET", f"{LOGS}/{request_id}")
        assert status == 404 and reply["error"]["code"] == "not_found"


def test_everybody_sees_their_own(served):
    admin = made(served.api, "/api/admin/users",
                 {"name": "otto", "role": "org_admin", "org_id": served.orgs[0]})["token"]
    for who in (Api(served.management, admin), Api(served.management, served.keys[0]["key"])):
        assert {r["org_id"] for r in rows(served, "", who)} == {served.orgs[0]}
        assert not rows(served, f"key={served.keys[1]['id']}", who)
        assert record(served, served.calls[0], who)["request_id"] == served.calls[0]
        assert who("GET", f"{LOGS}/{served.calls[2]}")[0] == 404
        mine = who("GET", "/api/analytics?group_by=key")[1]["data"]
        assert [g["value"] for g in mine["groups"]] == [served.keys[0]["id"]]
        assert who("DELETE", f"{LOGS}/{served.calls[0]}/content")[0] == 403


def test_content_is_erased_and_the_record_stays(served):
    request_id = call(served, 0, "forget me")
    record(served, request_id)
    status, reply = served.api("DELETE", f"{LOGS}/{request_id}/content", {"reason": "asked to"})
    assert status == 200 and reply["data"]["erased"] is True
    r = record(served, request_id)
    assert r["request_content"] is None and r["response_content"] is None
    assert r["request"]["state"] == "gone" and len(r["request"]["sha256"]) == 64
    assert [(e["reason"], e["actor"]) for e in r["erasures"]] == [("asked to", "admin")]
    status, reply = served.api("POST", "/api/admin/audit/verify_chain", {})
    assert status == 200 and reply["data"]["valid"] is True


def test_amendments_stand_beside_the_record(served):
    request_id = served.calls[0]
    body = {"field": "customer", "value": "customer-7", "reason": "it was another one"}
    status, reply = served.api("POST", f"{LOGS}/{request_id}/amend", body)
    assert status == 200, reply
    r = record(served, request_id)
    assert r["customer"] == "customer-0"
    assert [(a["field"], a["value"], a["reason"]) for a in r["amendments"]] == [
        ("customer", "customer-7", "it was another one")]
    status, reply = served.api("POST", f"{LOGS}/{request_id}/amend", body | {"field": "cost"})
    assert status == 400 and reply["error"]["param"] == "field"


def test_analytics_add_up(served):
    deadline = time.monotonic() + 20
    while True:
        listed = rows(served, "limit=1000")
        status, reply = served.api("GET", "/api/analytics?period=7d&group_by=org")
        assert status == 200
        data = reply["data"]
        if data["totals"]["calls"] == len(listed):
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    total = data["totals"]
    assert total["total_tokens"] == sum(r["tokens_used"] for r in listed)
    assert total["cost_usd"] == pytest.approx(sum(r["cost_usd"] or 0 for r in listed), abs=1e-12)
    assert total["errors"] == sum(r["status"] >= 400 for r in listed)
    assert sum(s["calls"] for s in data["series"]) == total["calls"] and len(data["series"]) == 7
    assert sum(g["calls"] for g in data["groups"]) == total["calls"]
    assert sum(s["calls"] for s in data["by_status"]) == total["calls"]
    assert data["trend_30d"][-1]["calls"] == total["calls"] and len(data["trend_30d"]) == 30
    assert 0 < total["latency_ms"]["p50"] <= total["latency_ms"]["p90"] <= total["latency_ms"]["p99"]
    assert "gpt-4o-mini" in [m["value"] for m in data["top_models"]]


@pytest.mark.parametrize("query, param", [
    ("period=8d", "period"), ("group_by=colour", "group_by"), ("interval=minute", "interval"),
    ("period=30d&interval=hour", "interval"), ("period=7d&from=3d", "period"), ("to=1h", "from"),
    ("from=2y", "from"), ("from=500d", "from")])
def test_wrong_periods_are_named(served, query, param):
    status, reply = served.api("GET", f"/api/analytics?{query}")
    assert status == 400 and reply["error"]["param"] == param
    if query == "period=8d":
        assert "90d" in reply["error"]["message"]


def test_rows_outlive_the_process(tmp_path):
    g = Gateway(tmp_path / "twice", {"SMARTFLOW_DEMO": "true"})
    g.api, g.orgs = Api(g.management), []
    g.keys = [made(g.api, "/api/enterprise/vkeys", {"name": "k"})]
    ids = [call(g, 0, f"number {i}") for i in range(20)]
    g.stop()  # at once: what was not projected yet is at its end
    g = Gateway(tmp_path / "twice", {"SMARTFLOW_DEMO": "true"})
    g.api = Api(g.management)
    try:
        assert [r["request_id"] for r in rows(g, "limit=1000")] == ids[::-1]
        assert record(g, ids[0])["response"]["state"] == "kept"
    finally:
        g.stop()
