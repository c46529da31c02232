"""The management API over the wire: keys that come and go while calls run, roles, settings, CLI."""

import json
import time
import urllib.error
import urllib.request

import pytest

from gateway import ADMIN_KEY, KEY, Gateway, run_program


class Api:
    """Calls of one credential; the last reply's headers stay in self.headers."""

    def __init__(self, base, key=ADMIN_KEY):
        self.base, self.key, self.headers = base, key, {}

    def __call__(self, method, path, body=None, headers=None):
        send = {"authorization": f"Bearer {self.key}"} if self.key else {}
        send |= headers or {}
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            send["content-type"] = "application/json"
        request = urllib.request.Request(self.base + path, data, send, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                status, text, self.headers = reply.status, reply.read(), reply.headers
        except urllib.error.HTTPError as e:
            status, text, self.headers = e.code, e.read(), e.headers
        if self.headers.get("content-type", "").startswith("application/json") and text:
            return status, json.loads(text)
        return status, text


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A gateway before its own demo provider."""
    g = Gateway(tmp_path_factory.mktemp("admin"), {"SMARTFLOW_DEMO": "true",
                                                   "SMARTFLOW_CORS_ORIGINS": "https://a.example"})
    yield g
    g.stop()


@pytest.fixture
def api(plain):
    return Api(plain.management)


def chat(gateway, key):
    """The status of one call."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    return Api(gateway.url, key)("POST", "/v1/chat/completions", body)


def test_a_key_works_until_it_is_revoked(plain, api):
    status, made = api("POST", "/api/enterprise/vkeys", {"name": "wire", "tags": ["t"]})
    assert status == 201 and made["success"] is True
    secret, key_id = made["data"]["key"], made["data"]["id"]
    assert secret.startswith("sk-sf-") and len(secret) == 54
    assert made["vkey"] == made["data"]
    assert chat(plain, secret)[0] == 200
    status, shown = api("GET", f"/api/enterprise/vkeys/{key_id}")
    assert status == 200 and secret not in json.dumps(shown)
    assert shown["data"]["last4"] == secret[-4:]
    status, _ = api("DELETE", f"/api/enterprise/vkeys/{key_id}")
    assert status == 200
    deadline = time.monotonic() + 5
    while chat(plain, secret)[0] != 401:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_both_ports_and_both_names(plain, api):
    on_proxy = Api(plain.url)
    status, a = api("GET", "/api/enterprise/vkeys?limit=1000")
    assert status == 200 and a["data"] == a["keys"]
    status, b = on_proxy("GET", "/api/auth/virtual-keys?limit=1000")
    assert status == 200 and a["keys"] == b["keys"]


def test_the_proxy_port_can_be_without(start):
    g = start({"SMARTFLOW_ADMIN_ON_PROXY": "false"})
    assert Api(g.url)("GET", "/api/teams")[0] == 404
    assert Api(g.management)("GET", "/api/teams")[0] == 200


def test_nothing_without_a_credential(plain, api):
    status, document = api("GET", "/api/openapi.json")
    assert status == 200
    nobody = Api(plain.management, None)
    checked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if operation.get("security") == []:
                continue
            url = "/".join("x" if p.startswith("{") else p for p in path.split("/"))
            status, reply = nobody(method.upper(), url, {} if "requestBody" in operation else None)
            assert status == 401, (method, path)
            assert reply["error"]["request_id"] and reply["success"] is False
            checked += 1
    assert checked > 40


def test_a_host_header_changes_nothing(plain):
    """What is asked for is the path alone."""
    nobody = Api(plain.management, None)
    for host in ("localhost:4000", "127.0.0.1/health", "x#@127.0.0.1"):
        assert nobody("GET", "/api/teams", headers={"host": host})[0] in (400, 401)


def test_a_virtual_key_sees_itself(plain):
    me = Api(plain.management, KEY)
    assert me("GET", "/api/auth/me")[1]["data"]["role"] == "internal_user"
    assert me("GET", "/api/providers/perf")[0] == 200
    assert me("GET", "/api/health/comprehensive")[0] == 200
    assert me("GET", "/api/config")[0] == 403
    assert me("POST", "/api/enterprise/vkeys", {"name": "mine"})[0] == 403


def test_perf_counts_calls(plain, api):
    def snapshots():
        status, reply = api("GET", "/api/providers/perf")
        assert status == 200
        return reply["data"]["snapshots"]

    def requests():
        return sum(s["requests"] for s in snapshots() if s["provider"] == "demo")

    before, deadline = requests(), time.monotonic() + 5
    assert chat(plain, KEY)[0] == 200
    while requests() != before + 1:  # counted once the reply has gone
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for s in snapshots():
        assert set(s) == {"provider", "status", "avg_latency_ms", "success_rate", "error_rate",
                          "rate_limit_rate", "requests", "last_updated"}


def test_a_setting_counts_at_once_and_after_a_restart(start, tmp_path):
    env = {"SMARTFLOW_DATA": str(tmp_path / "data")}
    g = start(env)
    api = Api(g.management)
    body = json.dumps({"model": "m", "messages": [], "x": "y" * 4000}).encode()

    def too_large():
        return Api(g.url, KEY)("POST", "/v1/chat/completions", body)[0] == 413

    assert not too_large()
    status, reply = api("PUT", "/api/config", {"SMARTFLOW_MAX_BODY": "2KiB"})
    assert status == 200 and reply["data"]["restart_required"] is False
    deadline = time.monotonic() + 10
    while not too_large():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    setting = [s for s in api("GET", "/api/config")[1]["settings"]
               if s["name"] == "SMARTFLOW_MAX_BODY"]
    assert setting[0]["source"] == "store" and setting[0]["value"] == "2048"
    g.stop()
    g = start(env)
    api = Api(g.management)
    assert too_large()
    assert api("DELETE", "/api/config/SMARTFLOW_MAX_BODY")[0] == 200
    deadline = time.monotonic() + 10
    while too_large():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_secret_is_shown(plain, api):
    for path in ("/api/config", "/api/providers", "/api/audit/logs", "/api/audit/export",
                 "/api/auth/sessions", "/api/admin/users"):
        status, reply = api("GET", path)
        text = json.dumps(reply) if isinstance(reply, dict) else reply.decode()
        assert status == 200 and ADMIN_KEY not in text and KEY not in text, path
    assert ADMIN_KEY not in plain.err.text()


def test_a_session_of_a_browser(plain):
    browser = Api(plain.management, None)
    status, reply = browser("POST", "/api/auth/login", {"api_key": ADMIN_KEY})
    assert status == 200
    cookies = browser.headers.get_all("set-cookie")
    token = next(c for c in cookies if c.startswith("smartflow_token="))
    assert "HttpOnly" in token and "SameSite=Lax" in token and "Secure" not in token
    cookie = {"cookie": token.split(";")[0]}
    assert browser("GET", "/api/auth/me", headers=cookie)[0] == 200
    status, reply = browser("POST", "/api/teams", {"name": "by cookie"}, cookie)
    assert status == 403 and reply["error"]["code"] == "csrf_failed"
    csrf = browser("GET", "/api/auth/me", headers=cookie)[1]["data"]["csrf_token"]
    assert browser("POST", "/api/teams", {"name": "by cookie"},
                   cookie | {"x-csrf-token": csrf})[0] == 201
    assert browser("POST", "/api/auth/logout", headers=cookie | {"x-csrf-token": csrf})[0] == 200
    assert browser("GET", "/api/auth/me", headers=cookie)[0] == 401


def test_cors(plain):
    nobody = Api(plain.management, None)
    asked = {"origin": "https://a.example", "access-control-request-method": "PUT"}
    assert nobody("OPTIONS", "/api/teams/x", headers=asked)[0] == 204
    assert nobody.headers["access-control-allow-origin"] == "https://a.example"
    assert "PUT" in nobody.headers["access-control-allow-methods"]
    nobody("OPTIONS", "/api/teams/x", headers=asked | {"origin": "https://b.example"})
    assert nobody.headers["access-control-allow-origin"] is None


def test_the_chain_of_acts_verifies(api):
    status, reply = api("POST", "/api/organizations", {"name": f"org {time.time_ns()}"})
    assert status == 201
    acts = api("GET", "/api/audit/logs?limit=1")[1]["logs"]
    assert acts[0]["action"] == "organization.create" and acts[0]["target"] == reply["data"]["id"]
    exported = api("GET", "/api/audit/export")[1].decode().splitlines()
    assert any(json.loads(line)["seq"] == acts[0]["seq"] for line in exported)
    status, reply = api("POST", "/api/admin/audit/verify_chain", {})
    assert status == 200 and reply["data"]["valid"] is True
    assert reply["data"]["entries_checked"] >= len(exported)


def cli(gateway, *args, key=ADMIN_KEY):
    return run_program(*args, "--url", gateway.management, env={"SMARTFLOW_ADMIN_KEY": key})


def test_keys_on_the_command_line(plain):
    made = cli(plain, "keys", "create", "--name", "cli", "--rpm", "60", "--models", "gpt-4o*,m")
    assert made.returncode == 0, made.stderr
    key_id = next(l.split()[1] for l in made.stdout.splitlines() if l.startswith("id "))
    assert "sk-sf-" in made.stdout and "shown this once" in made.stderr
    listed = cli(plain, "keys", "list")
    assert listed.returncode == 0 and key_id in listed.stdout and "NAME" in listed.stdout
    shown = cli(plain, "keys", "get", key_id, "--json")
    data = json.loads(shown.stdout)["data"]
    assert data["rpm_limit"] == 60 and data["model_allowlist"] == ["gpt-4o*", "m"]
    rotated = cli(plain, "keys", "rotate", key_id, "--grace", "60")
    assert rotated.returncode == 0 and "sk-sf-" in rotated.stdout
    assert cli(plain, "keys", "revoke", key_id).returncode == 0
    gone = cli(plain, "keys", "get", "0000000000000000")
    assert gone.returncode == 1 and "404" in gone.stderr
    assert cli(plain, "keys", "list", key="sk-admin-wrong").returncode == 1
    assert cli(plain, "keys", "list", "--colour", "red").returncode == 2
    assert run_program("keys").returncode == 2
    away = run_program("keys", "list", "--url", "http://127.0.0.1:9")
    assert away.returncode == 1 and "cannot reach" in away.stderr
