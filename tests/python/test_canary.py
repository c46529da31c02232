"""A canary in every credential, and a byte search for all of them wherever the gateway writes: replies,
logs, sinks, metrics, traces, alerts, the database, Redis, the journal, backups. Both columns of
stores, with successes, refusals, errors of providers, reloads, and configurations that are wrong.

What may hold a secret, by design, and is left out of the search for that one alone:
  the reply that makes a key, a token or a session, which is shown there once;
  `admin.key` and `master.key` in the data folder, with mode 0600, where the gateway makes them;
  an archive made with with_master_key=true;
  the start-up lines, which print an admin key that the gateway made, once;
  the journal's bodies, their copies in the database and the logs API with content=true: prompts and
  replies as they were, and a caller may put a secret into a prompt.
A peer gets its own credential (a collector its headers, a webhook its address), and no other's.
"""

import gzip
import json
import re
import signal
import stat

import pytest

from dialects import CHAT, CHAT_REPLY, CHAT_STREAM, GEMINI, GEMINI_REPLY, MESSAGE_REPLY, MESSAGES, VERSION
from fakes_secrets import ACCESS_KEY, SECRET_KEY, FakeSecretsManager, FakeVault
from fakes_telemetry import Receiver, Syslog
from gateway import run_program
from plane import until
from servers import Postgres, Redis
from test_wire_secrets import forms
from urllib.parse import quote
from wire import call, http_reply

CORE = "Zq8cAnArYx7"  # in each canary of ours, so that a part of one is found, too


def canary(name, before="", after="/+=~!"):
    return f"{before}{name}{CORE}{name}{after}"


WORD = {"after": ""}  # where a credential has letters, digits and hyphens alone
KEY_TAIL = "0123456789abcdef0123456789"
SECRETS = {
    "configured virtual key": canary("demo", "sk-sf-", KEY_TAIL),
    "virtual key of the file": canary("file", "sk-sf-", KEY_TAIL),
    "virtual key of the reloaded file": canary("next", "sk-sf-", KEY_TAIL),
    "virtual key of a wrong file": canary("odd", "sk-sf-", KEY_TAIL),
    "unknown virtual key": canary("none", "sk-sf-", KEY_TAIL),
    "admin key": canary("admin", "sk-admin-", KEY_TAIL),
    "unknown admin key": canary("guess", "sk-admin-", KEY_TAIL),
    "metrics token": canary("metrics"),
    "provider key of the environment": canary("openai", "sk-"),
    "provider key in the vault": canary("sealed", "sk-"),
    "provider key after rotation": canary("rotated", "sk-"),
    "provider key that was refused": canary("twice", "sk-"),
    "provider key from HashiCorp Vault": canary("hashi", "sk-"),
    "provider key from AWS": canary("amazon", "sk-"),
    "provider key set as a setting": canary("setting", "sk-"),
    "token for HashiCorp Vault": canary("hvs", "hvs.", ""),
    "secret key for AWS": SECRET_KEY,
    "caller's own OpenAI key": canary("ownopenai", "sk-"),
    "caller's own Anthropic key": canary("ownclaude", "sk-ant-"),
    "caller's own Gemini key": canary("owngemini", "AIza", ""),
    "database password": canary("postgres"),
    "Redis password": canary("redis"),
    "Slack webhook": canary("slack", **WORD),
    "Teams webhook": canary("teams", **WORD),
    "Discord webhook": canary("discord", **WORD),
    "webhook's address": canary("hook", **WORD),
    "webhook's secret": canary("whsec", "whsec-"),
    "OTLP header": canary("otlp"),
    "Splunk token": canary("splunk", **WORD),
    "S3 secret": canary("object"),
    "master key": "c4" * 12 + "a9e7" * 10,
    "next master key": "d5" * 12 + "b8f6" * 10,
}
SECRETS |= {f"{name}, as bytes": bytes.fromhex(SECRETS[name])
            for name in ("master key", "next master key")}
PROMPT = canary("prompt")
SENT_UPSTREAM = {"provider key of the environment", "provider key in the vault",
                 "provider key after rotation", "provider key from HashiCorp Vault",
                 "provider key from AWS", "caller's own OpenAI key", "caller's own Anthropic key",
                 "caller's own Gemini key"}
CHAT_PATH = "/v1/chat/completions"
GEMINI_PATH = "/v1beta/models/gemini-2.5-flash:generateContent"
SECRET_SETTINGS = (
    "SMARTFLOW_ADMIN_KEY SMARTFLOW_MASTER_KEY SMARTFLOW_MASTER_KEY_NEXT SMARTFLOW_METRICS_TOKEN "
    "SMARTFLOW_DEMO_KEY DATABASE_URL REDIS_URL SLACK_WEBHOOK_URL TEAMS_WEBHOOK_URL DISCORD_WEBHOOK_URL "
    "SMARTFLOW_ALERT_WEBHOOK_URL SMARTFLOW_ALERT_WEBHOOK_SECRET OTEL_EXPORTER_OTLP_HEADERS "
    "SMARTFLOW_SINK_HEC_TOKEN SMARTFLOW_SINK_S3_SECRET_ACCESS_KEY OPENAI_API_KEY ANTHROPIC_API_KEY "
    "GEMINI_API_KEY").split()


# --- the search ---

def compact(data):
    """Without what was laid out in advance, and unpacked."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return re.sub(rb"\0{32,}", b"\0" * 8, data)


class Search:
    """secrets: by name; those that a run made are added to it."""

    def __init__(self):
        self.secrets, self.forms, self.searched = {}, {}, 0
        for name, secret in SECRETS.items():
            self.add(name, secret)
        self.core = forms(CORE)

    def add(self, name, secret):
        assert len(secret) >= 16
        self.secrets[name], self.forms[name] = secret, forms(secret)
        return secret

    def found(self, data, but=()):
        data = compact(data)
        for name in but:
            for form in self.forms.get(name, []):
                data = data.replace(form, b"")
        names = [n for n, all_forms in self.forms.items() if any(f in data for f in all_forms)]
        part = next((data.index(f) for f in self.core if f in data), None)
        if not names and part is not None:
            names.append(f"a part of one: {data[max(part - 40, 0):part + 60]}")
        return names

    def clean(self, where, data, but=()):
        self.searched += len(data)
        found = self.found(data, but)
        assert not found, f"{where} shows {found}"

    def folder(self, top, but=None):
        """but: by a file's name, what it may hold. A file that ends meanwhile is none."""
        seen = set()
        for path in sorted(p for p in top.rglob("*") if p.is_file()):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            seen.add(path.name)
            allowed = (but or {}).get(path.name.partition("-")[0], ())  # bodies-0-0, master.key
            self.clean(path, data, allowed)
            if allowed and path.name.endswith(".key"):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        return seen


def test_the_search_sees_what_it_looks_for():
    s = Search()
    for name, secret in SECRETS.items():
        for form in forms(secret):
            assert name in s.found(b"\0" * 100 + b'{"x":"' + form + b'"}'), (name, form)
            assert s.found(gzip.compress(b"x" + form)) == s.found(b"x" + form)
            assert s.found(form, [name]) == []
    assert s.found(b"sk-openaiZq8cAnArYx7op") and not s.found(b"sk-openai Zq8")


# --- peers ---

class Peers:
    """Whom the gateway tells something. Each may be told its own credential."""

    def __init__(self):
        self.own = {"slack": "Slack webhook", "teams": "Teams webhook", "discord": "Discord webhook",
                    "hook": "webhook's address", "otlp": "OTLP header", "splunk": "Splunk token",
                    "s3": "S3 secret"}
        self.http = {name: Receiver() for name in self.own}
        self.syslog = Syslog("udp")
        self.vault, self.aws = FakeVault(), FakeSecretsManager()
        self.vault.tokens[SECRETS["token for HashiCorp Vault"]] = float("inf")
        self.vault.kv2["groq"] = {"key": SECRETS["provider key from HashiCorp Vault"]}
        self.aws.secrets["mistral"] = SECRETS["provider key from AWS"]

    def settings(self):
        s, at = SECRETS, {name: r.url for name, r in self.http.items()}
        hook = s["webhook's address"]
        return {
            "SLACK_WEBHOOK_URL": f"{at['slack']}/services/T0/{s['Slack webhook']}",
            "TEAMS_WEBHOOK_URL": f"{at['teams']}/workflows/x?sig={s['Teams webhook']}",
            "DISCORD_WEBHOOK_URL": f"{at['discord']}/api/webhooks/1/{s['Discord webhook']}",
            "SMARTFLOW_ALERT_WEBHOOK_URL": f"{at['hook']}/in?token={hook}",
            "SMARTFLOW_ALERT_WEBHOOK_SECRET": s["webhook's secret"],
            "OTEL_EXPORTER_OTLP_ENDPOINT": at["otlp"],
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=" + quote(s["OTLP header"], safe=""),
            "SMARTFLOW_SINK_HEC_URL": at["splunk"], "SMARTFLOW_SINK_HEC_TOKEN": s["Splunk token"],
            "SMARTFLOW_SINK_S3_URL": at["s3"] + "/bucket/calls",
            "SMARTFLOW_SINK_S3_ACCESS_KEY_ID": "AKIATEST", "SMARTFLOW_SINK_S3_INTERVAL": "1s",
            "SMARTFLOW_SINK_S3_SECRET_ACCESS_KEY": s["S3 secret"],
            "SMARTFLOW_SINK_SYSLOG": self.syslog.address,
            "VAULT_ADDR": self.vault.url, "VAULT_TOKEN": s["token for HashiCorp Vault"],
            "GROQ_API_KEY": "vault:secret/groq#key", "MISTRAL_API_KEY": "aws-sm:mistral",
            "AWS_ENDPOINT_URL": self.aws.url, "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_REGION": self.aws.region, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def search(self, search):
        for name, receiver in self.http.items():
            for r in receiver.wait(1, 40):
                head = "\n".join([r.path, *(f"{k}: {v}" for k, v in r.headers.items())]).encode()
                search.clean(f"what {name} gets, its head", head, [self.own[name]])
                search.clean(f"what {name} gets", r.body)
        for line in self.syslog.arrived.wait(1):
            search.clean("syslog", line)

    def stop(self):
        for peer in (*self.http.values(), self.syslog, self.vault, self.aws):
            peer.stop()


# --- a run ---

class Scene:
    def __init__(self, run, upstream, g, search, key):
        self.run, self.upstream, self.g, self.search = run, upstream, g, search
        self.key, self.admin = key, SECRETS["admin key"]
        self.first = len(upstream.requests)
        self.good = upstream.answer(http_reply(200, CHAT_REPLY))

    def ask(self, path, body=None, script=None, fields=(), but=(), port=None, method=None, **how):
        """One call; its reply is searched."""
        how = {"key": self.key} | how
        m = self.run(call(port or self.g.port, path, body, script, fields,
                          method or ("GET" if body is None else "POST"), **how))
        self.search.clean(f"the reply to {method or ''} {path.split('?')[0]}", m.head + m.body, but)
        return m

    def manage(self, method, path, body=None, status=200, **how):
        m = self.ask(path, body, method=method, port=self.g.management_port,
                     **{"key": self.admin} | how)
        assert m.status in (status if isinstance(status, tuple) else (status,)), (path, m.status, m.body)
        return m

    def made(self, what, path, body, member, but=()):
        """What a reply shows once; from then on it is one more secret."""
        m = self.run(call(self.g.management_port, path, body, key=self.admin))
        assert m.status in (200, 201), m.body
        self.search.clean(path, m.head + m.body.replace(m.json()["data"][member].encode(), b""), but)
        self.search.add(what, m.json()["data"][member])
        return m.json()["data"]

    def comes_to_use(self, name):
        """Keys of a provider take turns."""
        def used():
            before = len(self.upstream.requests)
            assert self.ask(CHAT_PATH, CHAT, self.good).status == 200
            return SECRETS[name].encode() in self.upstream.requests[before].head
        until(used, 10, f"{name} is not used")

    # calls

    def successes(self):
        stream = self.upstream.answer(http_reply(200, CHAT_STREAM, type_="text/event-stream"))
        assert self.ask(CHAT_PATH, CHAT, self.good).status == 200
        assert self.ask(CHAT_PATH, CHAT | {"stream": True}, stream).status == 200
        messages = self.upstream.answer(http_reply(200, MESSAGE_REPLY))
        gemini = self.upstream.answer(http_reply(200, GEMINI_REPLY))
        for fields in ([("x-api-key", self.key)], [("api-key", self.key)]):
            assert self.ask("/v1/messages", MESSAGES, messages, [VERSION, *fields],
                            key=None).status == 200
        assert self.ask(GEMINI_PATH, GEMINI, gemini, [("x-goog-api-key", self.key)],
                        key=None).status == 200
        assert self.ask(f"{GEMINI_PATH}?key={self.key}", GEMINI, gemini, key=None).status == 200
        for model in ("groq/llama-3.3-70b", "mistral/mistral-small"):
            assert self.ask(CHAT_PATH, CHAT | {"model": model}, self.good).status == 200
        # callers with keys of their own
        own = {n: SECRETS[f"caller's own {n} key"] for n in ("OpenAI", "Anthropic", "Gemini")}
        assert self.ask(CHAT_PATH, CHAT, self.good, key=own["OpenAI"]).status == 200
        assert self.ask("/v1/messages", MESSAGES, messages, [VERSION, ("x-api-key", own["Anthropic"])],
                        key=None).status == 200
        assert self.ask(f"{GEMINI_PATH}?key={own['Gemini']}", GEMINI, gemini, key=None).status == 200

    def refusals(self):
        wrong, guess = SECRETS["unknown virtual key"], SECRETS["unknown admin key"]
        for fields in ([], [("x-api-key", wrong)], [("api-key", wrong)], [("x-goog-api-key", wrong)]):
            key = None if fields else wrong
            assert self.ask(CHAT_PATH, CHAT, None, fields, key=key).status == 401
        assert self.ask(f"{GEMINI_PATH}?key={wrong}", GEMINI, key=None).status == 401
        assert self.ask(CHAT_PATH, CHAT, None, [("x-api-key", wrong)]).status == 400  # two of them
        assert self.ask(f"/v1/nothing?key={wrong}&token={guess}", {}, key=None).status >= 400
        assert self.ask(f"/api/nothing?token={guess}", key=guess).status >= 400
        assert self.ask(CHAT_PATH, b'{"model": "gpt-4o", "api_key": "' + wrong.encode()).status == 400
        assert self.ask("/metrics", key=wrong).status == 401
        small = self.made("key without money", "/api/enterprise/vkeys",
                          {"name": "small", "budgets": {"lifetime": "0.0000001"},
                           "model_allowlist": ["gpt-4o"]}, "key")["key"]
        assert self.ask(CHAT_PATH, CHAT | {"max_tokens": 99}, self.good, key=small).status == 429
        assert self.ask(CHAT_PATH, CHAT | {"model": "gpt-4o-mini"}, key=small).status == 403

    def errors_of_providers(self):
        s = SECRETS["provider key of the environment"]
        echo = self.upstream.answer(http_reply(
            401, json.dumps({"error": {"message": f"Incorrect API key: {s}"}}).encode(), [("x-echo", s)]))
        garbage = self.upstream.answer(s.encode() + b"\r\n\r\n", "close")
        cut = self.upstream.answer(http_reply(200, CHAT_REPLY)[:-9], "close")

        async def stall(conn, _):
            await conn.gone()

        for script in (garbage, self.upstream.script(stall), echo):
            assert self.ask(CHAT_PATH, CHAT, script).status in (502, 503, 504)
        self.ask(CHAT_PATH, CHAT, cut)
        assert self.ask(CHAT_PATH, CHAT | {"model": "deepseek/x"}).status in (502, 503)

    def prompts(self):
        body = CHAT | {"messages": [{"role": "user", "content": f"My password is {PROMPT}."}]}
        m = self.ask(CHAT_PATH, body, self.good)
        assert m.status == 200
        path = f"/api/vas/logs/{m.get('x-smartflow-request-id')}"
        self.search.add("a secret in a prompt", PROMPT)
        until(lambda: PROMPT.encode() in self.run(
            call(self.g.management_port, path, method="GET", key=self.admin)).body)

    # administration

    def keys(self):
        v = self.made("virtual key", "/api/enterprise/vkeys", {"name": "one", "tags": ["t"]}, "key")
        assert self.ask(CHAT_PATH, CHAT, self.good, key=v["key"]).status == 200
        self.manage("POST", "/api/enterprise/vkeys", {"name": 7, "key": v["key"]}, 400)
        self.made("virtual key after rotation", f"/api/enterprise/vkeys/{v['id']}/rotate", {}, "key")
        self.manage("DELETE", f"/api/enterprise/vkeys/{v['id']}")
        until(lambda: self.ask(CHAT_PATH, CHAT, self.good, key=v["key"]).status == 401)

    def administrators(self):
        t = self.made("admin user's token", "/api/admin/users",
                      {"name": "ann", "role": "proxy_admin"}, "token")["token"]
        m = self.run(call(self.g.management_port, "/api/auth/login", {"api_key": t}, key=None))
        assert m.status == 200, m.body
        cookies = dict(c.split(";")[0].split("=", 1) for c in m.all("set-cookie"))
        cookie = self.search.add("session cookie", cookies["smartflow_token"])
        self.search.add("signature of the cookie", cookie.rpartition(".")[2])
        csrf = self.search.add("CSRF token", m.json()["data"]["csrf_token"])
        fields = [("cookie", f"smartflow_token={cookie}"), ("x-csrf-token", csrf)]
        self.manage("GET", "/api/auth/me", key=None, fields=fields, but=["CSRF token"])
        self.manage("POST", "/api/teams", {"name": "by cookie"}, 201, key=None, fields=fields)
        self.manage("POST", "/api/teams", {"name": "no"}, 403, key=None, fields=fields[:1])
        for key in (SECRETS["unknown admin key"], cookie):
            self.manage("GET", "/api/teams", status=401, key=key)
        self.manage("POST", "/api/auth/login", {"api_key": SECRETS["unknown admin key"]}, 401, key=None)

    def vault(self):
        s, path = SECRETS, "/api/admin/provider-keys"
        given = {"provider": "openai", "name": "main", "api_key": s["provider key in the vault"]}
        which = f"{path}/{self.manage('POST', path, given, 201).json()['data']['id']}"
        refused = s["provider key that was refused"]
        self.manage("POST", path, given | {"api_key": refused}, 409)
        for wrong in ({"provider": "nobody"}, {"name": 7}, {"weight": refused}, {"provider": refused},
                      {"api_key": refused + "\n"}, {"unheard-of": refused}):
            self.manage("POST", path, given | {"name": "b", "api_key": refused} | wrong, 400,
                        but=["provider key that was refused"] if "provider" in wrong else ())
        self.manage("POST", path, b'{"api_key": "' + refused.encode(), 400)
        self.comes_to_use("provider key in the vault")
        self.manage("POST", f"{which}/rotate", {"api_key": s["provider key after rotation"]})
        self.comes_to_use("provider key after rotation")
        assert self.manage("POST", f"{which}/test", {}).json()["data"]["result"]
        assert self.manage("POST", "/api/admin/vault/rotate-master", {}).json()["data"]["sealed_anew"] == 1
        for name, secret in (("OPENAI_API_KEY", s["provider key set as a setting"]),
                             ("REDIS_URL", f"redis://:{s['provider key set as a setting']}@h")):
            self.manage("PUT", "/api/config", {name: secret}, (400, 403))

    def alerts(self):
        self.manage("POST", "/api/alerts", {"title": "Look", "message": "here", "severity": "critical",
                                            "subject": "job:x"}, (200, 201, 202))
        self.manage("POST", "/api/alerts/test", {})

    def lists(self):
        document = self.manage("GET", "/api/openapi.json").json()
        asked = 0
        for path, methods in document["paths"].items():
            if "get" in methods and "{" not in path:
                self.manage("GET", path, status=(200, 400, 404, 503))
                asked += 1
        assert asked > 20

    def everything_that_is_told(self):
        self.lists()
        for path in ("/health", "/health/liveliness", "/health/readiness", "/debug/coroutines"):
            self.manage("GET", path)
        for port in (self.g.port, self.g.management_port):
            assert b"smartflow_requests_total" in self.ask("/metrics", port=port,
                                                           key=SECRETS["metrics token"]).body
        self.manage("POST", "/api/admin/audit/verify_chain", {})
        logs = self.manage("GET", "/api/vas/logs?limit=1000&content=true", but=["a secret in a prompt"])
        assert len(logs.json()["data"]) > 10
        for row in logs.json()["data"][:3]:
            self.manage("GET", f"/api/vas/logs/{row['request_id']}", but=["a secret in a prompt"])
        archive = self.manage("POST", "/api/admin/backup", {}).body
        assert len(archive) > 10000 and b"manifest" in archive

    def all(self):
        self.successes()
        self.refusals()
        self.keys()
        self.administrators()
        self.vault()
        self.errors_of_providers()
        self.prompts()
        self.alerts()
        self.everything_that_is_told()

    def sent_upstream(self):
        seen = self.upstream.requests[self.first:]
        heads = [m.head for m in seen]
        for head in heads:
            self.search.clean("what a provider gets", head, SENT_UPSTREAM)
        for name in SENT_UPSTREAM - {"caller's own Gemini key"}:
            assert any(SECRETS[name].encode() in h for h in heads), f"{name} was never used"


def reload(g, text, words):
    before = len(g.err.data)
    g.config.write_text(text, encoding="utf-8")
    g.signal(signal.SIGHUP)
    said = g.err.wait_for(words, 20, before)
    assert said, g.err.text()[before:]
    return said[0]


def file_with(key, more=""):
    return f"virtual_keys:\n  - name: file\n    key: {key}\n{more}"


def reloads(g):
    odd = SECRETS["virtual key of a wrong file"]
    wrong = (f"virtual_keys: {odd}\n", f"virtual_keys:\n  - {odd}\n",
             f"virtual_keys:\n  - name: a\n    key: [{odd}]\n",
             f"virtual_keys:\n  - name: a\n    key: {odd}\n    is_active: {odd}\n",
             file_with(odd, f"  - name: file\n    key: {odd}\n"), f"cohere:\n  api_key: [{odd}]\n",
             f"cohere:\n  api_key: {odd}\n  api_base: 'http//{odd}'\n", f"a: [{odd}\n",
             f"key: 'sk-{odd}\n", f"database_url: http://u:{odd}@h/\n", f"redis_url: {odd}\n",
             f"slack_webhook_url: ftp://h/{odd}\n")
    good, taken = file_with(SECRETS["virtual key of the reloaded file"]), "configuration reloaded"
    reload(g, good, taken)
    said = [reload(g, text, f"{taken}|the old one stays") for text in wrong]
    assert said[:9] == ["the old one stays"] * 9  # of the others the environment's settings win
    reload(g, good, taken)


@pytest.fixture
def peers():
    p = Peers()
    yield p
    p.stop()


def settings(upstream, tmp_path, peers):
    local = f"http://127.0.0.1:{upstream.port}"
    return peers.settings() | {
        "OPENAI_API_KEY": SECRETS["provider key of the environment"], "OPENAI_API_BASE": local,
        "ANTHROPIC_API_KEY": SECRETS["provider key of the environment"], "ANTHROPIC_API_BASE": local,
        "GEMINI_API_KEY": SECRETS["provider key of the environment"], "GEMINI_API_BASE": local,
        "GROQ_API_BASE": local, "MISTRAL_API_BASE": local,
        "DEEPSEEK_API_KEY": SECRETS["provider key of the environment"],
        "DEEPSEEK_API_BASE": "http://127.0.0.1:1", "SMARTFLOW_PASSTHROUGH_KEYS": "true",
        "SMARTFLOW_ADMIN_KEY": SECRETS["admin key"],
        "SMARTFLOW_DEMO_KEY": SECRETS["configured virtual key"],
        "SMARTFLOW_METRICS_TOKEN": SECRETS["metrics token"],
        "SMARTFLOW_MASTER_KEY": SECRETS["master key"],
        "SMARTFLOW_MASTER_KEY_NEXT": SECRETS["next master key"],
        "SMARTFLOW_LOG_LEVEL": "debug",
        "SMARTFLOW_SINK_FILE": tmp_path / "calls.jsonl", "SMARTFLOW_FIRST_BYTE_TIMEOUT": "500ms"}


def command_lines(g, search):
    """What the program's own commands print with such an environment."""
    for args in (("config", "check"), ("config", "list"), ("keys", "list"), ("logs", "tail"),
                 ("audit", "verify", str(g.folder / "data" / "journal"))):
        more = ["--url", g.management] if args[0] in ("keys", "logs") else []
        env = {k: v for k, v in g.env.items() if not k.startswith("LD_")}
        try:
            done = run_program(*args, *more, env=env, timeout=20)
        except Exception as e:  # noqa: BLE001 - one that follows the log ends with the test
            search.clean(" ".join(args), (getattr(e, "output", None) or b""))
            continue
        search.clean(" ".join(args), (done.stdout + done.stderr).encode())


BODIES = dict.fromkeys(("bodies", "stage"), ("a secret in a prompt",))


def play(run, upstream, start, tmp_path, peers, more, files):
    """files: what a file of the data folder may hold, by the first word of its name."""
    search = Search()
    config = tmp_path / "smartflow.yaml"
    config.write_text(file_with(SECRETS["virtual key of the file"]), encoding="utf-8")
    g = start(settings(upstream, tmp_path, peers) | more, config=config)
    g.config = config
    scene = Scene(run, upstream, g, search, SECRETS["configured virtual key"])
    assert scene.ask(CHAT_PATH, CHAT, scene.good, key=SECRETS["virtual key of the file"]).status == 200
    scene.all()
    reloads(g)
    until(lambda: scene.ask(CHAT_PATH, CHAT, scene.good, key=SECRETS[
        "virtual key of the reloaded file"]).status == 200)
    command_lines(g, search)
    scene.sent_upstream()
    live = search.folder(g.folder / "data", files)
    yield g, search, live
    g.stop()
    peers.search(search)
    search.folder(g.folder / "data", files)
    for where, data in (("stdout", g.out.data), ("the log", g.err.data),
                        ("the sink's file", (tmp_path / "calls.jsonl").read_bytes())):
        assert len(data) > 100, where
        search.clean(where, data)
    bodies = b"".join(p.read_bytes() for p in (g.folder / "data").rglob("bodies-*"))
    assert PROMPT.encode() in bodies  # so that the search would see a secret there
    assert not peers.vault.faults and not peers.aws.faults
    assert search.searched > 1_000_000


def test_embedded_stores(run, upstream, start, tmp_path, peers):
    for _, _, live in play(run, upstream, start, tmp_path, peers, {}, BODIES):
        assert {"smartflow.db", "smartflow.db-wal", "smartflow.db-shm", "head", "keys.json"} <= live
        assert any(n.startswith("ring-") for n in live) and any(n.startswith("chain-") for n in live)
        assert not {"admin.key", "master.key"} & live  # where both are given


class Guarded:
    """Redis and PostgreSQL that ask for the canaries."""

    def __init__(self):
        self.redis, self.postgres = Redis(), Postgres()
        self.redis.start()
        self.redis.call("ACL", "SETUSER", "canary", "on", ">" + SECRETS["Redis password"], "~*", "&*",
                        "+@all")
        self.redis.call("CONFIG", "SET", "rdbcompression", "no")
        rules = self.postgres.data / "pg_hba.conf"
        rules.write_text("host all canary 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
        self.postgres.start()
        self.postgres.sql(f"CREATE ROLE canary LOGIN PASSWORD '{SECRETS['database password']}'")
        self.postgres.sql("CREATE DATABASE canary OWNER canary TEMPLATE template0")

    def urls(self):
        port, password = self.postgres.port, quote(SECRETS["database password"], safe="")
        login = "canary:" + quote(SECRETS["Redis password"], safe="")
        return {"DATABASE_URL": f"postgres://canary:{password}@127.0.0.1:{port}/canary",
                "REDIS_URL": f"redis://{login}@127.0.0.1:{self.redis.port}/0"}

    def rows(self):
        """Of all tables, as text: what PostgreSQL packs is unpacked here."""
        tables = self.postgres.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", "canary")
        return {t: "\n".join(map("\t".join, self.postgres.sql(f"SELECT * FROM {t}", "canary"))).encode()
                for (t,) in tables}

    def stop(self):
        self.redis.remove()
        self.postgres.remove()


@pytest.fixture
def guarded():
    g = Guarded()
    yield g
    g.stop()


def test_redis_and_postgresql(run, upstream, start, tmp_path, peers, guarded):
    for g, search, live in play(run, upstream, start, tmp_path, peers, guarded.urls(), BODIES):
        assert "smartflow.db" not in live and g.get("/health/readiness")[0] == 200
        for table, data in guarded.rows().items():
            search.clean(f"the table {table}", data,
                         ["a secret in a prompt"] if table == "log_bodies" else ())
        assert b"by cookie" in b"".join(guarded.rows().values())
        guarded.redis.call("SAVE")
        dump = (guarded.redis.folder / "dump.rdb").read_bytes()
        assert len(dump) > 200
        search.clean("Redis", dump)
        search.clean("what Redis says of its clients", guarded.redis.call("CLIENT", "LIST"))
        guarded.postgres.sql("CHECKPOINT")
        # The bodies' copies lie in some file of the database, unpacked or not.
        seen = {p: p.read_bytes() for p in guarded.postgres.data.rglob("*") if p.is_file()}
        assert any(b"by cookie" in data for data in seen.values())
        for path, data in seen.items():
            search.clean(path, data, ["a secret in a prompt"])
        search.clean("PostgreSQL's log", (guarded.postgres.folder / "log").read_bytes())


def test_what_the_gateway_makes_itself(run, upstream, start, tmp_path):
    """An admin key and a master key of its own stand in their files, and the former in the start-up
    lines, once. They are searched for everywhere else."""
    search = Search()
    g = start({"OPENAI_API_KEY": SECRETS["provider key of the environment"],
               "OPENAI_API_BASE": f"http://127.0.0.1:{upstream.port}", "SMARTFLOW_ADMIN_KEY": None,
               "SMARTFLOW_DEMO_KEY": SECRETS["configured virtual key"], "SMARTFLOW_LOG_LEVEL": "debug"})
    data = g.folder / "data"
    scene = Scene(run, upstream, g, search, SECRETS["configured virtual key"])
    scene.admin = search.add("admin key that was made", (data / "admin.key").read_text().strip())
    master = (data / "master.key").read_text().split()[0].split(":")[-1]
    search.add("master key that was made", master)
    assert g.out.data.count(scene.admin.encode()) + g.err.data.count(scene.admin.encode()) == 1
    assert scene.ask(CHAT_PATH, CHAT, scene.good).status == 200
    scene.administrators()
    scene.manage("POST", "/api/admin/provider-keys", {
        "provider": "openai", "name": "main", "api_key": SECRETS["provider key in the vault"]}, 201)
    scene.manage("POST", "/api/admin/vault/rotate-master", {})
    search.add("master key after rotation", (data / "master.key").read_text().split()[0].split(":")[-1])
    assert search.secrets["master key after rotation"] != master
    both = ["master key that was made", "master key after rotation"]
    scene.lists()
    scene.manage("POST", "/api/admin/backup", {})
    m = scene.manage("POST", "/api/admin/backup?with_master_key=true", {}, but=both)
    assert search.found(m.body) == sorted(both, key=list(search.secrets).index)
    g.stop()
    search.folder(data, {"admin.key": ["admin key that was made"], "master.key": both})
    search.clean("stderr", g.err.data, ["admin key that was made"])
    search.clean("stdout", g.out.data, ["admin key that was made"])


@pytest.mark.parametrize("form", ["{}", "{}\x01", "{}\nsecond line", "ftp://user:{}@h/{}", "http//:{}",
                                  "postgres://u:{}@[::1", "redis://:{}@h:70000", "http://h:x/{}",
                                  "https://user:{}@h/{}", "a={},{}=%zz"])
def test_wrong_settings_are_not_repeated(form):
    """(A reference, vault:… or aws-sm:…, is named in errors: it says where a secret is.)"""
    secret = canary("wrong", **WORD)
    search = Search()
    search.add("the setting", secret)
    value = form.replace("{}", secret)
    env = {name: value for name in SECRET_SETTINGS} | {"VAULT_ADDR": "http://127.0.0.1:1",
                                                      "VAULT_TOKEN": "x"}
    for name in SECRET_SETTINGS:
        done = run_program("config", "check", env={name: value} | {
            k: v for k, v in env.items() if k.startswith("VAULT")})
        search.clean(f"config check of {name}", (done.stdout + done.stderr).encode())
    done = run_program("config", "check", env=env)
    assert done.returncode == 1 and "environment: " in done.stderr
    search.clean("config check", (done.stdout + done.stderr).encode())


@pytest.mark.parametrize("name,url", [
    ("DATABASE_URL", "postgres://canary:{}@127.0.0.1:1/x?connect_timeout=2"),
    ("REDIS_URL", "redis://:{}@127.0.0.1:1/0")])
def test_a_store_that_is_not_there(tmp_path, name, url):
    secret = canary("away", **WORD)
    search = Search()
    search.add("the password", secret)
    done = run_program("serve", env={
        name: url.format(secret), "SMARTFLOW_DATA": str(tmp_path / "data"), "PROXY_PORT": "0",
        "MANAGEMENT_PORT": "0", "SMARTFLOW_ADMIN_KEY": SECRETS["admin key"]})
    assert done.returncode == 1 and name in done.stderr
    search.clean("the refusal", (done.stdout + done.stderr).encode())
    search.folder(tmp_path)


def test_a_password_that_is_refused(tmp_path, guarded):
    wrong = canary("refused", **WORD)
    search = Search()
    search.add("the password", wrong)
    for name, good in guarded.urls().items():
        url = re.sub(r"canary:[^@]+@", f"canary:{wrong}@", good)
        done = run_program("serve", env={
            name: url, "SMARTFLOW_DATA": str(tmp_path / name), "PROXY_PORT": "0",
            "MANAGEMENT_PORT": "0", "SMARTFLOW_ADMIN_KEY": SECRETS["admin key"]})
        assert done.returncode == 1 and name in done.stderr, done.stderr
        search.clean("the refusal", (done.stdout + done.stderr).encode())
    search.clean("PostgreSQL's log", (guarded.postgres.folder / "log").read_bytes())
