"""No secret is ever shown: canaries are looked for, byte by byte, in all that the gateway says."""

import base64
import json
import re
import urllib.parse

from dialects import CHAT, CHAT_REPLY, GEMINI, GEMINI_REPLY, MESSAGES, VERSION
from wire import Client, call, exchange, http_reply, request

PROVIDER = "sk-canary-provider-Zq8/+=end"
VIRTUAL = "sk-sf-canaryvirtual0123456789abcdef"
ADMIN = "sk-admin-canary-0123456789"
QUERY = "sk-sf-canaryquery0123456789abcdefgh"
METRICS = "canary-metrics-token-31337"
PROMPT = "canary-prompt-content"
ALL = (PROVIDER, VIRTUAL, ADMIN, QUERY, METRICS)


def forms(secret):
    """How a secret (a text or bytes) could be written. In base64 its beginning may lie at any of
    three places; the characters that depend on its neighbours are left out."""
    raw = secret if isinstance(secret, bytes) else secret.encode()
    text = raw.decode("latin-1")
    quoted = urllib.parse.quote(raw, safe="")
    found = {raw, urllib.parse.quote(raw).encode(), text.replace("/", "\\/").encode("latin-1"), json.dumps(text)[1:-1].encode(),
             quoted.encode(), re.sub("%..", lambda m: m[0].lower(), quoted).encode(),
             raw.hex().encode(), raw.hex().upper().encode()}
    for before, skip in ((0, 0), (1, 2), (2, 3)):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(bytes(before) + raw)[skip:(before + len(raw)) * 8 // 6])
    return sorted(found)


def assert_clean(data, where, secrets=ALL):
    for secret in secrets:
        for form in forms(secret):
            assert form not in data, f"{secret} in {where}"


def test_the_search_finds_every_form():
    """Otherwise the tests below would show nothing."""
    for before in range(3):
        text = b"x" * before + PROVIDER.encode() + b"yz"
        written = [text, base64.b64encode(text), base64.urlsafe_b64encode(text),
                   text.hex().encode(), text.hex().upper().encode(), json.dumps(
                       text.decode()).replace("/", "\\/").encode(),
                   urllib.parse.quote(text).encode(), urllib.parse.quote(text, safe="").encode()]
        for w in written:
            assert any(f in w for f in forms(PROVIDER)), w
    assert not any(f in b"sk-canary-provider" for f in forms(PROVIDER))


def test_no_secret_in_any_log_or_reply(run, upstream, start, tmp_path):
    log = tmp_path / "gateway.log"
    g = start({
        "SMARTFLOW_DEMO_KEY": VIRTUAL, "SMARTFLOW_ADMIN_KEY": ADMIN,
        "SMARTFLOW_METRICS_TOKEN": METRICS,
        "SMARTFLOW_LOG_FILE": log, "SMARTFLOW_LOG_LEVEL": "debug",
        "SMARTFLOW_HEAD_TIMEOUT": "300ms",
        "SMARTFLOW_FIRST_BYTE_TIMEOUT": "300ms"} | {
            f"{p}_API_KEY": PROVIDER for p in ("OPENAI", "ANTHROPIC", "GEMINI", "GROQ")} | {
            f"{p}_API_BASE": f"http://127.0.0.1:{upstream.port}" for p in ("OPENAI", "ANTHROPIC",
                                                                           "GEMINI")}
        | {"GROQ_API_BASE": "http://127.0.0.1:1"})
    said = [g.out.data.split(b"admin key")[0]]

    async def ask(*args, **how):
        m = await call(g.port, *args, **({"key": VIRTUAL} | how))
        said.append(m.head + m.body)
        return m

    async def raw(data):
        m = await exchange(g.port, data, "GET")
        said.append(m.head + m.body)

    async def stall(conn, _):
        await conn.gone()

    async def everything():
        good = upstream.answer(http_reply(200, CHAT_REPLY))
        refused = upstream.answer(http_reply(401, f'{{"error":"bad key {PROVIDER}"}}'.encode(),
                                             [("x-echo", PROVIDER)]))
        garbage = upstream.answer(PROVIDER.encode() + b"\r\n\r\n", "close")
        await ask("/v1/chat/completions", CHAT, good)
        await ask("/v1/chat/completions", CHAT, refused)
        await ask("/v1/chat/completions", CHAT, garbage)
        await ask("/v1/chat/completions", CHAT, upstream.script(stall))
        await ask("/v1/chat/completions", CHAT | {"model": "groq/llama"})
        await ask("/v1/messages", MESSAGES, refused, [VERSION])
        await ask("/v1/chat/completions", b'{"model": "gpt-4o", "key": ' + VIRTUAL.encode())
        await ask("/v1/chat/completions", CHAT, key=QUERY)
        await ask("/v1/chat/completions", CHAT, None, [("x-api-key", QUERY)])
        await ask(f"/v1beta/models/gemini-2.5-flash:generateContent?key={VIRTUAL}", GEMINI,
                  upstream.answer(http_reply(200, GEMINI_REPLY)), key=None)
        await ask(f"/v1beta/models/gemini-2.5-flash:generateContent?key={QUERY}", GEMINI, key=None)
        await ask(f"/v1/nothing?key={QUERY}", {})
        await ask(f"/v1/nothing?key={VIRTUAL}&token={ADMIN}", {}, key=None)
        await ask("/debug/coroutines", None, key=ADMIN, method="GET")
        await ask("/metrics", None, key=METRICS, method="GET")
        await ask("/metrics", None, key=PROVIDER, method="GET")
        await ask("/health/readiness", None, method="GET")
        await raw(request("GET", "/v1/models", key=VIRTUAL).replace(b"\r\n\r\n",
                                                                    b"\r\nbad line\r\n\r\n"))
        await raw(request("GET", f"/v1/models?key={QUERY}", key=None).replace(b"HTTP/1.1",
                                                                              b"HTTP/9.9"))
        await raw(request("GET", "/v1/models", key=VIRTUAL)[:-2])
        c = await Client.to(g.port)
        await c.send(request("POST", "/v1/chat/completions", CHAT,
                             [("x-script", upstream.script(stall))],
                             key=VIRTUAL))
        c.reset()

    run(everything())
    for s in said:
        assert_clean(s, "a reply")
    g.stop()
    assert_clean(g.err.data, "stderr")
    assert_clean(log.read_bytes(), "the log file")
    assert b"call" in log.read_bytes()
    files = [p for p in (g.folder / "data").rglob("*") if p.is_file()]
    for p in files:
        assert_clean(p.read_bytes(), p, (PROVIDER, VIRTUAL, QUERY, METRICS))
        if p.name not in ("checkpoint.pub", "checkpoints.jsonl"):  # for whoever verifies
            assert p.stat().st_mode & 0o077 == 0, f"{p} is readable by others"
    assert (g.folder / "data").stat().st_mode & 0o077 == 0


def test_prompts_and_answers_are_not_in_the_log(run, upstream, start):
    g = start({"OPENAI_API_KEY": "k", "OPENAI_API_BASE": f"http://127.0.0.1:{upstream.port}",
               "SMARTFLOW_LOG_LEVEL": "debug"})
    answer = CHAT_REPLY.replace(b"Gr", b"canary-answer")
    for reply in (http_reply(200, answer), http_reply(400, b'{"error":"canary-answer"}'),
                  http_reply(200, answer)[:-5]):
        run(call(g.port, "/v1/chat/completions",
                 {"model": "gpt-4o", "messages": [{"role": "user", "content": PROMPT}]},
                 upstream.answer(reply, "close")))
    g.stop()
    assert PROMPT.encode() not in g.err.data and b"canary-answer" not in g.err.data


def test_the_process_shows_no_secret_to_others(start, upstream):
    """Core dumps are off, and another user's debugger cannot attach."""
    g = start({"OPENAI_API_KEY": PROVIDER, "OPENAI_API_BASE": f"http://127.0.0.1:{upstream.port}",
               "SMARTFLOW_CORE_DUMPS": None})
    with open(f"/proc/{g.pid}/limits", encoding="ascii") as f:
        core = next(x for x in f if x.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
