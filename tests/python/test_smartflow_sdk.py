"""The published smartflow-sdk, unchanged, before the gateway: every public method of its asynchronous
and its synchronous client. WORKS are the methods with a server side, and what each must return;
LATER are those whose server side does not exist, and why: should one begin to answer, its test
fails until it stands under WORKS.
"""

import asyncio
import inspect
import json
import os
import subprocess
import sys
import time
from collections import namedtuple
from datetime import datetime, timezone

import pytest
import smartflow
from smartflow import exceptions as sdk

from fakes_secrets import Fake
from gateway import ADMIN_KEY, KEY, Gateway
from plane import Admin, until
from sdk_fixtures import Blocking

MESSAGES = [{"role": "user", "content": "Hello there"}]
ANSWER = "You said: Hello there"  # of the demo provider
WRONG_KEY = "sk-sf-" + "f" * 48


# --- what must work ---

def is_chat(r):
    assert r.content == ANSWER and r.model == "gpt-4o" and r.id and r.created > 0
    assert r.choices[0].message.role == "assistant" and r.choices[0].finish_reason == "stop"
    assert (r.usage.prompt_tokens, r.usage.completion_tokens, r.usage.total_tokens) == (2, 4, 6)


def are_vectors(r):
    assert [d["index"] for d in r["data"]] == [0, 1] and r["usage"]["total_tokens"] == 2
    assert all(len(d["embedding"]) == 8 for d in r["data"])


def is_ranked(r):
    assert sorted(x["index"] for x in r["results"]) == [0, 1]
    assert r["results"][0]["relevance_score"] > r["results"][1]["relevance_score"] > 0


def are_logs(rows):
    for r in rows:
        assert type(r) is smartflow.VASLog and r.request_id and r.provider == "demo"
        assert r.timestamp.startswith("20") and r.latency_ms > 0 and r.cached is False
    assert sum(r.model == "gpt-4o" and r.tokens_used == 6 for r in rows) >= 3  # those of busy


def are_sums(r):
    data = r["data"]
    assert data["group_by"] == "model" and "gpt-4o" in [g["value"] for g in data["groups"]]
    assert data["totals"]["calls"] >= 3 and len(data["trend_30d"]) == 30


def is_provider(p):
    assert type(p) is smartflow.ProviderHealth and (p.provider, p.status) == ("demo", "healthy")
    assert p.requests_total > 0 and p.latency_ms > 0 and p.success_rate > 0.9
    assert p.error_rate == p.rate_limit_rate == 0 and p.last_updated.startswith("20")


def is_health(h):
    assert type(h) is smartflow.SystemHealth and h.status == "healthy"
    assert h.uptime_seconds > 0 and h.version != "unknown" and h.timestamp.startswith("20")
    is_provider(h.providers[0])


def is_verified(r):
    assert r["success"] is True and r["data"]["valid"] is True and r["data"]["entries_checked"] > 0


def are_acts(rows):
    assert {"seq", "timestamp", "action", "actor", "target"} <= set(rows[0])
    assert "team.create" in [r["action"] for r in rows]


def is_routing(r):
    assert r["active_providers"] == ["demo"] and r["forced_provider"] in (None, "demo")


def is_ready(r):
    assert r["status"] == "ok" and r["providers_configured"] == 1


Works = namedtuple("Works", "args named check")


def works(*args, check, **named):
    return Works(args, named, check)


def equals(value):
    def check(got):
        assert got == value
    return check


def holds(condition):
    def check(got):
        assert condition(got), got
    return check


INFERENCE = {  # with a virtual key
    "chat": works("Hello there", system_prompt="Be brief.", max_tokens=20, check=equals(ANSWER)),
    "chat_completions": works(MESSAGES, check=is_chat),
    "stream_chat": works("Hello there", check=holds(
        lambda deltas: len(deltas) >= 2 and "".join(deltas) == ANSWER)),
    "claude_message": works("Hello there", system="Be brief.", check=equals(ANSWER)),
    "embeddings": works(["a", "b"], dimensions=8, check=are_vectors),
    "image_generation": works("a cat", quality="hd", check=holds(
        lambda r: r["data"][0]["url"] and r["created"] > 0)),
    "audio_transcription": works(b"abc", language="en", filename="a.mp3", check=holds(
        lambda r: r["text"] == "You said: file a.mp3 of 3 bytes")),
    "text_to_speech": works("Hello", voice="nova", check=holds(
        lambda r: type(r) is bytes and len(r) > 100)),
    "rerank": works("red fox", ["blue whale", "red fox"], top_n=2, check=is_ranked),
    "list_models": works(check=holds(lambda r: "gpt-4o" in [m["id"] for m in r])),
}
OF_ANYONE = {  # likewise, and with the admin key
    "health": works(check=holds(lambda r: r["status"] == "ok" and r["version"])),
    "readiness": works(check=is_ready),
    "health_comprehensive": works(check=is_health),
    "get_provider_health": works(check=holds(lambda r: [is_provider(p) for p in r])),
    "get_routing_status": works(check=is_routing),
    "get_logs": works(1000, "demo", check=are_logs),
    "get_logs_hybrid": works(1000, check=holds(
        lambda rows: sum(r["model"] == "gpt-4o" and r["provider"] == "demo" for r in rows) >= 3)),
    "get_analytics": works(str(datetime.now(timezone.utc).date()), check=are_sums),
}
OF_ADMINS = {
    "get_audit_logs": works(5, actor="admin", check=are_acts),
    "verify_audit_chain": works(check=is_verified),
    "force_provider": works("demo", 60, check=holds(lambda r: r["data"]["forced_provider"] == "demo")),
}
LOCAL = {"close", "is_direct_mode", "is_gateway_mode"}
ASYNC_ALONE = {  # the synchronous client of 0.5.1 lacks them
    "commit_trajectory", "compress_text", "discard_trajectory", "discover_tools",
    "get_discovery_cache_stats", "get_tool_call_benchmark", "get_trajectory_stats",
    "lookup_trajectory", "record_trajectory_step", "start_trajectory", "stream_chat"}

# --- what has no server side yet: by the part that is missing, the methods and their arguments ---

LATER = {
    "compliance scanning": {
        "check_compliance": ["text"], "redact_pii": ["text"], "intelligent_scan": ["text"],
        "submit_compliance_feedback": ["scan_1", True], "get_learning_status": ["u"],
        "get_learning_summary": [], "get_ml_stats": [], "get_org_summary": [],
        "get_org_baseline": ["o"], "get_persistence_stats": [], "save_compliance_data": [],
        "get_intelligent_health": []},
    "cache and compression": {"get_cache_stats": [], "compress_text": ["text"]},
    "chatbot": {"chatbot_query": ["show cache stats"]},
    "MCP gateway": {
        "list_mcp_servers": [], "register_mcp_server": ["s", "http://127.0.0.1:1"],
        "remove_mcp_server": ["s"], "discover_mcp_tools": ["http://127.0.0.1:1"],
        "list_mcp_connectors": [], "register_mcp_connector": ["c"], "list_mcp_skills": [],
        "get_mcp_catalog": [], "search_mcp_tools": ["q"], "list_mcp_tools": ["s"],
        "get_mcp_logs": [], "get_mcp_usage": [], "call_mcp_tool": ["s", "t"],
        "get_mcp_trust": [], "evaluate_mcp_trust": ["s"], "get_tool_call_benchmark": [],
        "discover_tools": ["s"], "get_discovery_cache_stats": [], "lookup_trajectory": ["k"],
        "start_trajectory": ["k"], "record_trajectory_step": ["k", "t"],
        "commit_trajectory": ["k"], "discard_trajectory": ["k"], "get_trajectory_stats": []},
    "A2A gateway": {
        "list_agents": [], "register_agent": ["a", "http://127.0.0.1:1"], "get_agent": ["a"],
        "remove_agent": ["a"], "list_agent_tasks": ["a"], "get_agent_task": ["t"],
        "get_agent_card": ["a"], "send_agent_task": ["a", "text"]},
    "agent credentials (AIDA)": {
        "aida_health": [], "issue_agent_credential": ["a"], "list_agent_credentials": [],
        "get_agent_credential": ["c"], "revoke_agent_credential": ["c"],
        "verify_agent_credential": ["token"], "get_agent_credentials_for": ["a"],
        "get_aida_pubkey": [], "get_aida_jwks": []},
    "guardrail policies": {
        "list_policies": [], "create_policy": [{}], "get_policy": ["p"], "delete_policy": ["p"],
        "list_guardrails": [], "list_policy_attachments": [], "attach_policy": [{}],
        "detach_policy": ["a"], "resolve_policies": [{}]},
    "Policy Perfect": {
        "list_builder_policies": [], "create_builder_policy": [{}],
        "assign_policy": [["p"], "user", "u"], "list_policy_assignments": [],
        "delete_policy_assignment": ["a"], "list_policy_presets": [],
        "generate_policies_from_document": ["text"], "get_document_job": ["j"],
        "get_document_job_results": ["j"]},
    "examination, conformity, barriers": {
        "list_ai_inventory": [], "add_ai_inventory": [{}], "get_detected_models": [],
        "generate_examination_report": [], "list_examination_reports": [],
        "get_examination_report": ["r"], "get_conformity_summary": [],
        "list_conformity_articles": [], "get_conformity_article": ["9"], "list_barriers": [],
        "create_barrier": [{}], "list_barrier_violations": [], "get_barrier_attestation": []},
    "vector stores and RAG": {
        "create_vector_store": ["v"], "list_vector_stores": [], "get_vector_store": ["v"],
        "delete_vector_store": ["v"], "add_vector_store_file": ["v"],
        "search_vector_store": ["v", "q"], "rag_ingest": [], "rag_query": ["q"]},
    "single sign-on": {
        "get_sso_config": [], "set_sso_config": [{}], "get_sso_status": [], "list_sso_teams": []},
}
MISSING = [(part, name, args) for part, methods in LATER.items() for name, args in methods.items()]


# --- clients ---

def public(client):
    return {name for name, _ in inspect.getmembers(client, inspect.isfunction) if name[0] != "_"}


def ports(g):
    """The roles with ports of their own do not exist, so the management port stands for them."""
    return {f"{name}_port": g.management_port
            for name in ("management", "compliance", "bridge", "policy_perfect")}


@pytest.fixture
def make(run, asynchronous, monkeypatch):
    """Makes clients of either form that are called alike."""
    for name in ("SMARTFLOW_API_KEY", "SMARTFLOW_ATTESTATION", "APERION_ATTESTATION"):
        monkeypatch.delenv(name, raising=False)
    made = []

    def do(g, key):
        form = smartflow.SmartflowClient if asynchronous else smartflow.SyncSmartflowClient
        made.append(form(g.url, key, timeout=20, **ports(g)))
        return Blocking(run, made[-1]) if asynchronous else made[-1]

    yield do
    for client in made:
        run(client.close()) if asynchronous else client.close()


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A gateway that has something to tell: calls in its log, an act in its audit, a first second."""
    g = Gateway(tmp_path_factory.mktemp("sdk"), {"SMARTFLOW_DEMO": "true"})
    with smartflow.SyncSmartflowClient(g.url, KEY, **ports(g)) as client:
        for _ in range(3):
            client.chat("Hello there")
        Admin(g).make("teams")
        until(lambda: len(client.get_logs(3)) == 3, what="the log has no rows")
        until(lambda: client.health_comprehensive().uptime_seconds > 0)
    yield g
    g.stop()


def check(client, name, how, asynchronous):
    if not asynchronous and name in ASYNC_ALONE:
        assert not hasattr(client, name)
        return
    got = getattr(client, name)(*how.args, **how.named)
    how.check(list(got) if name == "stream_chat" else got)


def test_no_method_is_forgotten():
    named = {*INFERENCE, *OF_ANYONE, *OF_ADMINS, *(name for _, name, _ in MISSING), *LOCAL}
    assert public(smartflow.SmartflowClient) == named
    assert public(smartflow.SyncSmartflowClient) == named - ASYNC_ALONE


@pytest.mark.parametrize("name", [*INFERENCE, *OF_ANYONE])
def test_with_a_virtual_key(make, busy, asynchronous, name):
    check(make(busy, KEY), name, (INFERENCE | OF_ANYONE)[name], asynchronous)


@pytest.mark.parametrize("name", [*OF_ANYONE, *OF_ADMINS])
def test_with_the_admin_key(make, busy, asynchronous, name):
    check(make(busy, ADMIN_KEY), name, (OF_ANYONE | OF_ADMINS)[name], asynchronous)


@pytest.mark.parametrize("part,name,args", MISSING, ids=[m[1] for m in MISSING])
def test_what_is_not_there_says_so(make, busy, asynchronous, part, name, args):
    client = make(busy, ADMIN_KEY)
    if not asynchronous and name in ASYNC_ALONE:
        assert not hasattr(client, name)
        return
    with pytest.raises(sdk.SmartflowError) as e:
        getattr(client, name)(*args)
    assert type(e.value) is sdk.SmartflowError and e.value.code == "unknown_url", part
    assert "There is no " in e.value.message


def test_another_clients_logs_stay_hidden(make, busy):
    """A virtual key sees its own calls alone."""
    other = Admin(busy).new_key()
    assert make(busy, other.secret).get_logs() == []


# --- what stands on the client ---

def test_an_agent_remembers(run, busy):
    async def talk():
        async with smartflow.SmartflowClient(busy.url, KEY, **ports(busy)) as client:
            agent = smartflow.SmartflowAgent(client, system_prompt="Be kind.",
                                             enable_compliance_scan=False)
            first, second = await agent.chat("one"), await agent.chat("two")
            return first, second, agent.message_count

    assert run(talk()) == ("You said: one", "You said: two", 5)


def test_a_workflow_chains_calls(run, busy):
    async def flow():
        async with smartflow.SmartflowClient(busy.url, KEY, **ports(busy)) as client:
            w = smartflow.SmartflowWorkflow(client)
            w.add_step("a", "chat", {"prompt": "{input}"}, ["b"])
            w.add_step("b", "chat", {"prompt": "again: {output}"})
            return await w.execute("Hello there")

    result = run(flow())
    assert result.success and result.errors == [] and result.steps_executed == ["a", "b"]
    assert result.output == f"You said: again: {ANSWER}"


@pytest.mark.parametrize("args,wanted", [(["status"], "reachable"), (["chat", "Hello there"], ANSWER)])
def test_its_command_line(busy, tmp_path, args, wanted):
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "SMARTFLOW_GATEWAY_URL": busy.url,
           "SMARTFLOW_API_KEY": KEY}
    done = subprocess.run([sys.executable, "-m", "smartflow.cli", *args], env=env, timeout=60,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert wanted in done.stdout.split() or wanted in done.stdout.splitlines()


# --- forced errors ---

POLICY = {"message": "Blocked by compliance policy pii.", "type": "permission_error", "param": None,
          "code": "policy_violation", "violations": ["ssn"], "risk_score": 0.93}


class Provider(Fake):
    """OpenAI as it fails: the prompt says how."""

    def handle(self, rq, body):
        word = json.loads(body)["messages"][-1]["content"]
        if word == "slow":
            time.sleep(1.5)
        status = {"our key is wrong": 401, "policy": 403, "theirs": 502, "full": 503}.get(word, 500)
        error = POLICY if word == "policy" else {"message": word, "type": "x", "code": "theirs"}
        return status, {"error": error}


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    provider = Provider()
    g = Gateway(tmp_path_factory.mktemp("failing"), {
        "OPENAI_API_KEY": "k", "OPENAI_API_BASE": provider.url, "GROQ_API_KEY": "k",
        "GROQ_API_BASE": "http://127.0.0.1:1", "SMARTFLOW_FIRST_BYTE_TIMEOUT": "500ms"})
    yield g
    g.stop()
    provider.stop()


def fails(client, exact, word="x", **named):
    with pytest.raises(sdk.SmartflowError) as e:
        client.chat(word, **named)
    assert type(e.value) is exact, repr(e.value)
    return e.value


def test_a_wrong_key(make, failing):
    client = make(failing, WRONG_KEY)
    assert fails(client, sdk.AuthenticationError).code == "invalid_api_key"
    with pytest.raises(sdk.AuthenticationError):
        client.claude_message("x")
    with pytest.raises(sdk.AuthenticationError):
        client.get_logs()


def test_a_model_that_is_not_allowed(make, failing):
    """A 403 that no policy made has no class of its own in the SDK."""
    key = Admin(failing).new_key(model_allowlist=["gpt-4o-mini"])
    e = fails(make(failing, key.secret), sdk.SmartflowError)
    assert e.code == "not_allowed" and "gpt-4o" in e.message


def test_not_with_this_role(make, failing):
    with pytest.raises(sdk.SmartflowError) as e:
        make(failing, KEY).verify_audit_chain()
    assert type(e.value) is sdk.SmartflowError and e.value.code == "not_allowed"


def test_a_policys_refusal(make, failing):
    """As a provider words it; it passes unchanged."""
    e = fails(make(failing, KEY), sdk.ComplianceError, "policy")
    assert (e.violations, e.risk_score, e.code) == (["ssn"], 0.93, "policy_violation")


def test_a_budget_that_is_used_up(make, failing):
    key = Admin(failing).new_key(budgets={"lifetime": "0.000001"})
    e = fails(make(failing, key.secret), sdk.BudgetExceededError, max_tokens=100)
    assert e.code == "insufficient_quota"


def test_a_rate_limit_says_when_to_come_again(make, failing):
    key = Admin(failing).new_key(rpm_limit=1)
    client = make(failing, key.secret)

    def refused():
        try:
            client.chat("full", max_tokens=1)
        except sdk.SmartflowError as e:
            return e if type(e) is sdk.RateLimitError else None

    e = until(refused, what="two calls were never within one minute")
    assert e.code == "rate_limit_exceeded" and 1 <= e.retry_after <= 60


@pytest.mark.parametrize("word,model,exact,code", [
    ("our key is wrong", "gpt-4o", sdk.ProviderError, "provider_auth_failed"),
    ("theirs", "gpt-4o", sdk.ProviderError, "theirs"),
    ("full", "gpt-4o", sdk.ProviderError, "theirs"),
    ("x", "groq/llama", sdk.ProviderError, None),
    ("slow", "gpt-4o", sdk.TimeoutError, None),
    ("x", "no-such-model", sdk.SmartflowError, "model_not_found"),
])
def test_what_a_provider_does_wrong(make, failing, word, model, exact, code):
    e = fails(make(failing, KEY), exact, word, model=model)
    assert e.message and (e.code == code or code is None and e.code)


def test_a_bad_field(make, failing):
    client = make(failing, KEY)
    assert fails(client, sdk.ValidationError, model="").code
    with pytest.raises(sdk.ValidationError) as e:
        make(failing, ADMIN_KEY).get_logs(limit=-1)
    assert type(e.value) is sdk.ValidationError and "limit" in e.value.message


def test_no_gateway_there(make, asynchronous, unused_port, run):
    form = smartflow.SmartflowClient if asynchronous else smartflow.SyncSmartflowClient
    client = form(f"http://127.0.0.1:{unused_port}", KEY)
    with pytest.raises(sdk.ConnectionError):
        (Blocking(run, client) if asynchronous else client).chat("x")
    asyncio.run(client.close()) if asynchronous else client.close()
