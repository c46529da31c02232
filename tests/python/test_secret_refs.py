"""Secrets by reference: files, HashiCorp Vault, AWS Secrets Manager; what is refused, and how."""

import json
import signal
import time

import pytest

from dialects import CHAT, CHAT_REPLY
from fakes_secrets import (ACCESS_KEY, ROLE_ID, SECRET_ID, SECRET_KEY, SESSION, FakeSecretsManager,
                           FakeVault)
from gateway import run_program
from wire import call, http_reply


@pytest.fixture
def vault():
    v = FakeVault()
    yield v
    v.stop()
    assert v.faults == []


@pytest.fixture
def aws():
    a = FakeSecretsManager()
    yield a
    a.stop()


def check(env):
    """`config check` resolves references, too: exit code and what it says."""
    done = run_program("config", "check", env=env)
    return done.returncode, done.stdout + done.stderr


def aws_env(aws, **more):
    return {"AWS_ENDPOINT_URL": aws.url, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_REGION": aws.region,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY} | more


def sent_key(run, upstream, g):
    """The credential that the gateway presents to its provider."""
    seen = []

    async def play(conn, request):
        seen.append(request.get("authorization"))
        await conn.answer(http_reply(200, CHAT_REPLY))

    m = run(call(g.port, "/v1/chat/completions", CHAT, upstream.script(play)))
    assert m.status == 200, m.body
    return seen[0].removeprefix("Bearer ")


# --- HashiCorp Vault ---

@pytest.mark.parametrize("path,kv", [("secret/team/openai", "kv2"), ("kv1/team/openai", "kv1")])
@pytest.mark.parametrize("mounts", [True, False])
def test_vault_engines(run, upstream, start, vault, path, kv, mounts):
    getattr(vault, kv)["team/openai"] = {"key": "sk-from-vault-1", "other": "x"}
    vault.may_list_mounts = mounts
    g = start({"VAULT_ADDR": vault.url, "VAULT_TOKEN": vault.token(),
               "OPENAI_API_KEY": f"vault:{path}#key",
               "OPENAI_API_BASE": f"http://127.0.0.1:{upstream.port}"})
    assert sent_key(run, upstream, g) == "sk-from-vault-1"


def test_vault_approle_and_namespace(run, upstream, start, vault):
    vault.kv2["openai"] = {"key": "sk-by-role"}
    vault.namespace = "team/a"
    g = start({"VAULT_ADDR": vault.url, "VAULT_ROLE_ID": ROLE_ID, "VAULT_SECRET_ID": SECRET_ID,
               "VAULT_NAMESPACE": "team/a", "OPENAI_API_KEY": "vault:secret/openai#key",
               "OPENAI_API_BASE": f"http://127.0.0.1:{upstream.port}"})
    assert sent_key(run, upstream, g) == "sk-by-role"
    assert vault.count("POST", "/v1/auth/approle/login") == 1


def test_vault_token_file(vault, tmp_path):
    vault.kv2["admin"] = {"key": "sk-admin-from-vault"}
    token = tmp_path / "token"
    token.write_text(vault.token() + "\n")
    env = {"VAULT_ADDR": vault.url, "VAULT_TOKEN_FILE": str(token),
           "SMARTFLOW_ADMIN_KEY": "vault:secret/admin#key"}
    assert check(env)[0] == 0
    code, said = check(env | {"VAULT_TOKEN": "hvs.other"})
    assert code == 1 and "VAULT_TOKEN and VAULT_TOKEN_FILE are both set" in said


def test_several_fields_are_one_read(vault):
    vault.kv2["keys"] = {"a": "sk-a", "b": "sk-b", "n": 12345}
    code, said = check({"VAULT_ADDR": vault.url, "VAULT_TOKEN": vault.token(),
                        "OPENAI_API_KEY": "vault:secret/keys#a",
                        "GROQ_API_KEY": "vault:secret/keys#b",
                        "SMARTFLOW_METRICS_TOKEN": "vault:secret/keys#n"})
    assert code == 0, said
    assert vault.count("GET", "/v1/secret/data/keys") == 1


@pytest.mark.parametrize("value,words", [
    ("vault:secret/nothing#key", "there is no such secret"),
    ("vault:secret/openai#missing", "no field 'missing'"),
    ("vault:secret/openai", "vault:path#field"),
    ("vault:#key", "vault:path#field"),
    ("vault:../sys/seal#key", "vault:path#field"),
    ("vault:secret/openai#list", "is no text"),
    ("vault:secret/openai#empty", "is empty"),
])
def test_vault_faulty_reference(vault, value, words):
    vault.kv2["openai"] = {"key": "sk-canary-77", "list": ["sk-canary-78"], "empty": ""}
    code, said = check({"VAULT_ADDR": vault.url, "VAULT_TOKEN": vault.token(),
                        "OPENAI_API_KEY": value})
    assert code == 1
    assert "OPENAI_API_KEY" in said and words in said
    assert "sk-canary" not in said and "hvs." not in said


def test_vault_refuses_the_token(vault):
    vault.kv2["openai"] = {"key": "sk-1"}
    code, said = check({"VAULT_ADDR": vault.url, "VAULT_TOKEN": "hvs.wrong-canary",
                        "OPENAI_API_KEY": "vault:secret/openai#key"})
    assert code == 1 and "permission denied" in said and "hvs.wrong" not in said
    code, said = check({"VAULT_ADDR": vault.url, "VAULT_ROLE_ID": ROLE_ID, "VAULT_SECRET_ID": "no",
                        "OPENAI_API_KEY": "vault:secret/openai#key"})
    assert code == 1 and "AppRole log-in was refused" in said


def test_vault_not_set_up(unused_port):
    code, said = check({"OPENAI_API_KEY": "vault:secret/openai#key"})
    assert code == 1 and "set VAULT_ADDR" in said
    code, said = check({"VAULT_ADDR": "http://127.0.0.1:1",
                        "OPENAI_API_KEY": "vault:secret/openai#key"})
    assert code == 1 and "VAULT_TOKEN" in said
    code, said = check({"VAULT_ADDR": f"http://127.0.0.1:{unused_port}", "VAULT_TOKEN": "t",
                        "OPENAI_API_KEY": "vault:secret/openai#key"})
    assert code == 1 and f"127.0.0.1:{unused_port}" in said
    code, said = check({"VAULT_ADDR": "ftp://x", "VAULT_TOKEN": "t",
                        "OPENAI_API_KEY": "vault:secret/openai#key"})
    assert code == 1 and "http://" in said


def test_slow_vault_has_a_deadline(vault):
    vault.kv2["openai"] = {"key": "sk-1"}
    vault.delay = 14
    began = time.monotonic()
    code, said = check({"VAULT_ADDR": vault.url, "VAULT_TOKEN": vault.token(),
                        "OPENAI_API_KEY": "vault:secret/openai#key"})
    assert code == 1, said
    assert 9 < time.monotonic() - began < 13.5


# --- AWS ---

def test_aws(run, upstream, start, aws):
    aws.secrets["prod/openai"] = json.dumps({"key": "sk-from-aws", "p\"q": "x"})
    g = start(aws_env(aws, OPENAI_API_KEY="aws-sm:prod/openai#key",
                      OPENAI_API_BASE=f"http://127.0.0.1:{upstream.port}"))
    assert sent_key(run, upstream, g) == "sk-from-aws"
    assert aws.faults == []


def test_aws_whole_string_arn_and_session(aws):
    arn = "arn:aws:secretsmanager:ap-south-1:123456789012:secret:plain-AbCdEf"
    aws.secrets[arn] = "sk-plain-text"
    aws.region, aws.session = "ap-south-1", SESSION
    env = aws_env(aws, AWS_REGION="eu-west-1", AWS_SESSION_TOKEN=SESSION)
    code, said = check(env | {"OPENAI_API_KEY": f"aws-sm:{arn}"})
    assert code == 0, (said, aws.faults)
    code, said = check(env | {"OPENAI_API_KEY": f"aws-sm:{arn}#key"})
    assert code == 1 and "is no text" in said and "sk-plain" not in said


@pytest.mark.parametrize("change,words", [
    ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "InvalidSignature"),
    ({"OPENAI_API_KEY": "aws-sm:absent"}, "ResourceNotFound"),
    ({"AWS_REGION": ""}, "AWS_REGION"),
    ({"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID"),
])
def test_aws_refused(aws, change, words):
    aws.secrets["openai"] = "sk-canary"
    code, said = check(aws_env(aws, OPENAI_API_KEY="aws-sm:openai") | change)
    assert code == 1 and words in said, said
    assert SECRET_KEY not in said and "sk-canary" not in said


# --- files ---

def test_files(tmp_path):
    secret = tmp_path / "key"
    secret.write_text("  sk-in-file \n")
    assert check({"OPENAI_API_KEY_FILE": str(secret)})[0] == 0
    code, said = check({"OPENAI_API_KEY_FILE": str(secret), "OPENAI_API_KEY": "sk-x"})
    assert code == 1 and "OPENAI_API_KEY and OPENAI_API_KEY_FILE are both set" in said
    secret.write_bytes(b"x" * 65537)
    code, said = check({"OPENAI_API_KEY_FILE": str(secret)})
    assert code == 1 and "64 KiB" in said
    code, said = check({"OPENAI_API_KEY_FILE": str(tmp_path / "absent")})
    assert code == 1 and "cannot read" in said


# --- while the gateway runs ---

def test_a_changed_secret_is_taken_up_by_itself(run, upstream, start, vault):
    vault.kv2["openai"] = {"key": "sk-first"}
    g = start({"OPENAI_API_KEY": "vault:secret/openai#key",
               "OPENAI_API_BASE": f"http://127.0.0.1:{upstream.port}", "VAULT_ADDR": vault.url,
               "VAULT_TOKEN": vault.token(), "SMARTFLOW_SECRET_REFRESH": "1s"})
    assert sent_key(run, upstream, g) == "sk-first"
    vault.kv2["openai"] = {"key": "sk-second"}
    deadline = time.monotonic() + 15
    while sent_key(run, upstream, g) != "sk-second":
        assert time.monotonic() < deadline


def test_a_reload_reads_secrets_again(run, upstream, start, vault, tmp_path):
    """Also one whose first reference comes with the reload."""
    config = tmp_path / "smartflow.yaml"
    config.write_text("openai:\n  api_key: sk-plain\n", encoding="utf-8")
    g = start({"OPENAI_API_BASE": f"http://127.0.0.1:{upstream.port}", "VAULT_ADDR": vault.url,
               "VAULT_TOKEN": vault.token()}, config=config)
    assert sent_key(run, upstream, g) == "sk-plain"
    config.write_text("openai:\n  api_key: vault:secret/openai#key\n", encoding="utf-8")
    for wanted in ("sk-first", "sk-second"):
        vault.kv2["openai"] = {"key": wanted}
        before = len(g.err.data)
        g.signal(signal.SIGHUP)
        assert g.err.wait_for("configuration reloaded", 20, before), g.err.text()
        deadline = time.monotonic() + 5
        while sent_key(run, upstream, g) != wanted:
            assert time.monotonic() < deadline
