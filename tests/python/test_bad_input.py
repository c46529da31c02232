"""Bad input of every kind: a clear error in the caller's dialect, at once, and nothing breaks."""

import asyncio
import json

import pytest

from dialects import CHAT, CHAT_REPLY, GEMINI, MESSAGES, VERSION, is_error
from gateway import KEY
from wire import Client, Ended, call, chunked, exchange, http_reply, request

GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
DOORS = {"openai": ("/v1/chat/completions", CHAT, []), "anthropic": ("/v1/messages", MESSAGES,
                                                                     [VERSION]),
         "gemini": (GENERATE, GEMINI, [])}
DIALECTS = list(DOORS)


def message(dialect, m):
    """The message of an error, which must have the dialect's form."""
    assert is_error(dialect, m.json()), m.body
    assert m.get("content-type") == "application/json"
    assert int(m.get("content-length")) == len(m.body)
    return m.json()["error"]["message"]


def send(run, gateway, dialect, body, path=None, fields=(), **how):
    door, _, more = DOORS[dialect]
    return run(call(gateway.port, path or door, body, None, list(fields) + more, **how))


# --- bodies ---

def at(text, mark):
    return text.encode().index(mark.encode())


BAD_JSON = {  # body, where the first byte stands that cannot be
    "": 0, "{": 1, '{"model":"gpt-4o"': 17, "nonsense": 0, '{"a":1,}': 7, "{'a':1}": 1,
    '{"a":01}': 6,
    '{"a":1 "b":2}': 7, '{"a":"\t"}': 6, '{"a":"\\x"}': 7, '{"a":tru}': 5, '{"a":1}}': 7,
    '{"a":1} x': 8, '{"a":NaN}': 5, '{"a":[1,2}': 9, '{"a":"\\u12g4"}': 6,
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("body", BAD_JSON)
def test_malformed_json_names_the_byte(run, gateway, dialect, body):
    m = send(run, gateway, dialect, body.encode())
    assert m.status == 400
    words = message(dialect, m).split()
    offset = int(words[words.index("byte") + 1].rstrip("."))
    assert abs(offset - BAD_JSON[body]) <= 1, message(dialect, m)


@pytest.mark.parametrize("body", [b'{"a":"\xff"}', b'\xef\xbb\xbf{"a":1}', b'{"a":"\xc0\xaf"}',
                                  b"\x00",
                                  b'{"a":"\xed\xa0\x80"}', b"[" * 100000, b'{"a":' * 5000 + b"1"])
def test_json_that_is_no_text_or_too_deep(run, gateway, body):
    m = send(run, gateway, "openai", body)
    assert m.status == 400 and "byte" in message("openai", m)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true"])
def test_a_body_that_is_no_object(run, gateway, dialect, body):
    m = send(run, gateway, dialect, body)
    assert m.status == 400 and "object" in message(dialect, m)


WRONG = [
    ("openai", CHAT, "model", 1), ("openai", CHAT, "model", ["gpt-4o"]),
    ("openai", CHAT, "model", ""),
    ("openai", CHAT, "model", "x" * 5000), ("openai", CHAT, "messages", "hi"),
    ("openai", CHAT, "messages", {}), ("openai", CHAT, "messages", []),
    ("openai", CHAT, "stream", "true"),
    ("openai", CHAT, "stream", 1), ("openai", CHAT, "stream_options", []),
    ("openai", CHAT, "max_tokens", "9"), ("openai", CHAT, "n", "1"),
    ("openai", CHAT | {"stream": True}, "stream_options", {"include_usage": "yes"}),
    ("anthropic", MESSAGES, "model", None), ("anthropic", MESSAGES, "messages", 1),
    ("anthropic", MESSAGES, "max_tokens", "1"), ("anthropic", MESSAGES, "stream", []),
    ("gemini", GEMINI, "contents", 1), ("gemini", GEMINI, "contents", None),
]


@pytest.mark.parametrize("dialect,body,name,value", WRONG, ids=lambda x: str(x)[:30])
def test_a_wrong_type_names_the_field(run, gateway, dialect, body, name, value):
    m = send(run, gateway, dialect, body | {name: value})
    assert m.status == 400
    named = f"{name}.include_usage" if isinstance(value, dict) and value else name
    assert f"'{named}'" in message(dialect, m)
    if dialect == "openai":
        assert m.json()["error"]["param"] == named


@pytest.mark.parametrize("dialect,name", [("openai", "model"), ("openai", "messages"),
                                          ("anthropic", "model"), ("anthropic", "messages"),
                                          ("gemini", "contents")])
def test_a_missing_field_is_named(run, gateway, dialect, name):
    body = {k: v for k, v in DOORS[dialect][1].items() if k != name}
    m = send(run, gateway, dialect, body)
    assert m.status == 400 and f"'{name}'" in message(dialect, m)


@pytest.mark.parametrize("path,body,name", [
    ("/v1/embeddings", {"model": "text-embedding-3-small"}, "input"),
    ("/v1/audio/speech", {"model": "tts-1"}, "input"),
    ("/v1/images/generations", {"model": "dall-e-3"}, "prompt"),
    ("/v1/rerank", {"model": "rerank-v3.5"}, "query"), ("/v1/moderations", {}, "input"),
    ("/v1/completions", {"model": "gpt-3.5-turbo-instruct"}, "prompt")])
def test_each_endpoint_names_what_it_needs(run, gateway, path, body, name):
    m = send(run, gateway, "openai", body, path)
    assert m.status == 400 and f"'{name}'" in message("openai", m)


@pytest.mark.parametrize("dialect,body", [
    ("openai", b'{"model":"gpt-4o","messages":[{}],"model":"gpt-4o-mini"}'),
    ("openai", b'{"model":"gpt-4o","messages":[{}],"\\u006dodel":"gpt-4o-mini"}'),
    ("openai", b'{"stream":true,"model":"gpt-4o","messages":[{}],"stream":false}'),
    ("anthropic", b'{"model":"claude-x","messages":[{}],"messages":[]}'),
    ("gemini", b'{"contents":[{}],"contents":[{}]}')])
def test_a_member_that_stands_twice(run, gateway, dialect, body):
    m = send(run, gateway, dialect, body)
    assert m.status == 400 and "more than once" in message(dialect, m)


@pytest.mark.parametrize("dialect,body", [
    ("openai", b'{"model":"gpt-4o","messages":[{}],"MODEL":"gpt-4o-mini"}'),
    ("openai", b'{"Model":"gpt-4o-mini","model":"gpt-4o","messages":[{}]}'),
    ("openai", b'{"model":"gpt-4o","messages":[{}],"mod\\u0045l":"gpt-4o-mini"}'),
    ("openai", b'{"model":"gpt-4o","messages":[{}],"me\xc5\xbf\xc5\xbfages":[]}'),
    ("openai", b'{"model":"gpt-4o","messages":[{}],"stream":true,'
               b'"stream_options":{"include_usage":false,"Include_Usage":true}}'),
    ("anthropic", b'{"model":"claude-x","messages":[{}],"STREAM":true,"stream":false}'),
    ("gemini", b'{"contents":[{}],"Contents":[{}]}')])
def test_a_member_that_stands_again_in_another_case(run, upstream, gateway, dialect, body):
    """An upstream written in Go would take it for the first."""
    before = len(upstream.requests)
    m = send(run, gateway, dialect, body)
    assert m.status == 400 and "in another case" in message(dialect, m)
    assert len(upstream.requests) == before


@pytest.mark.parametrize("path,body", [
    ("/v1/chat/completions", b'{"Model":"gpt-4o","messages":[{}]}'),
    ("/v1/responses", b'{"MODEL":"gpt-4o","input":"x"}'),
    ("/v1/moderations", b'{"mOdel":"omni","input":"x"}'),
    ("/openai/deployments/gpt-4o/chat/completions", b'{"Model":"gpt-4o-mini","messages":[{}]}')])
def test_a_model_named_in_another_case_alone(run, upstream, gateway, path, body):
    before = len(upstream.requests)
    m = send(run, gateway, "openai", body, path)
    assert m.status == 400 and "'model' is missing" in message("openai", m)
    assert len(upstream.requests) == before


def test_members_of_other_case_that_nobody_takes_for_ours(run, upstream, gateway):
    body = b'{"model":"gpt-4o","messages":[{"Role":"x","role":"y"}],"User":"u","metadata":{"MODEL":1}}'
    m = run(call(gateway.port, "/v1/chat/completions", body,
                 upstream.answer(http_reply(200, CHAT_REPLY))))
    assert m.status == 200
    assert upstream.requests[-1].body == body


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("type_", ["text/plain", "application/x-www-form-urlencoded",
                                   "multipart/form-data; boundary=x", "application/jsonx"])
def test_a_wrong_content_type_is_415(run, gateway, dialect, type_):
    m = send(run, gateway, dialect, DOORS[dialect][1], type_=type_)
    assert m.status == 415 and type_ in message(dialect, m)


def test_json_where_a_form_is_wanted_is_415(run, gateway):
    for path in ("/v1/audio/transcriptions", "/v1/files", "/v1/images/edits"):
        m = send(run, gateway, "openai", {"model": "whisper-1"}, path)
        assert m.status == 415 and "multipart/form-data" in message("openai", m), path


def test_a_compressed_request_is_415(run, gateway):
    m = send(run, gateway, "openai", b"\x1f\x8b", fields=[("Content-Encoding", "gzip")])
    assert m.status == 415


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/images/edits",
                                  "/v1/chat/completions"])
@pytest.mark.parametrize("more,status", [
    ([("Content-Type", "multipart/form-data; boundary=B")], 400),
    ([("Content-Encoding", "gzip")], 415),
    ([("Content-Encoding", "identity"), ("Content-Encoding", "gzip")], 415)])
def test_a_body_has_one_meaning(run, upstream, gateway, path, more, status):
    """An upstream must not find another model in the bytes than the gateway did."""
    before = len(upstream.requests)
    form = b'--A\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--A--\r\n'
    body, type_ = ((CHAT, "application/json") if "chat" in path
                   else (form, "multipart/form-data; boundary=A"))
    m = run(exchange(gateway.port, request("POST", path, body, more, type_=type_)))
    assert m.status == status, m
    assert json.loads(m.body)["error"]["param"] == more[0][0].lower()
    assert len(upstream.requests) == before


@pytest.mark.parametrize("type_,body", [
    ("multipart/form-data", b"--x\r\n"), ("multipart/form-data; boundary=", b"--x\r\n"),
    ("multipart/form-data; boundary=" + "b" * 100, b"--x\r\n"),
    ("multipart/form-data; boundary=b", b"no boundary at all"),
    ("multipart/form-data; boundary=b",
     b"--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx"),
    ("multipart/form-data; boundary=b", b"--b--\r\n"), ("multipart/form-data; boundary=b", b""),
    ("multipart/form-data; boundary=b",
     b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + b"m" * 600
     + b"\r\n--b--\r\n")])
def test_a_bad_form_is_400(run, gateway, type_, body):
    m = send(run, gateway, "openai", body, "/v1/audio/transcriptions", type_=type_)
    assert m.status == 400 and message("openai", m)


# --- names and routes ---

@pytest.mark.parametrize("dialect,model,near", [
    ("openai", "gtp-4o", "gpt-4o"), ("openai", "gpt4o", "gpt-4o"),
    ("anthropic", "cluade-opus-4-6", "claude"),
    ("openai", "no-such-thing-at-all", "provider/model"), ("openai", "unknown/gpt-4o", "")])
def test_an_unknown_model_is_404_with_the_nearest(run, gateway, dialect, model, near):
    m = send(run, gateway, dialect, DOORS[dialect][1] | {"model": model})
    assert m.status == 404
    text = message(dialect, m)
    assert model in text and near in text
    if dialect == "openai":
        assert m.json()["error"]["code"] == "model_not_found"
        assert m.json()["error"]["param"] == "model"


def test_an_unknown_model_in_a_path(run, gateway):
    m = send(run, gateway, "gemini", GEMINI, "/v1beta/models/gemni-2.5-pro:generateContent")
    assert m.status == 404 and "gemini-2.5-pro" in message("gemini", m)


@pytest.mark.parametrize("dialect,path,near", [
    ("openai", "/v1/chat/completion", "/v1/chat/completions"),
    ("openai", "/v1/embedding", "/v1/embeddings"),
    ("openai", "/v1/responsess", "/v1/responses"), ("anthropic", "/anthropic/v1/message",
                                                    "/v1/messages"),
    ("openai", "/", ""), ("openai", "/nothing/like/it", ""), ("openai", "/v1", ""),
    ("openai", "/v1/chat%2Fcompletions", ""), ("openai", "//", ""),
    ("gemini", "/v1beta/models/gemini-2.5-flash:generateContents", "generateContent")])
def test_an_unknown_route_is_404_with_a_suggestion(run, gateway, dialect, path, near):
    m = send(run, gateway, dialect, {}, path)
    assert m.status == 404
    assert near in message(dialect, m)


@pytest.mark.parametrize("dialect,method,path,allow", [
    ("openai", "GET", "/v1/chat/completions", "POST, OPTIONS"),
    ("openai", "DELETE", "/v1/embeddings", "POST, OPTIONS"),
    ("openai", "PUT", "/v1/models", "GET, OPTIONS"), ("openai", "MKCOL", "/v1/models",
                                                      "GET, OPTIONS"),
    ("openai", "PATCH", "/v1/files/file-1", "GET, DELETE, OPTIONS"),
    ("anthropic", "GET", "/v1/messages", "POST, OPTIONS"),
    ("gemini", "GET", GENERATE, "POST, OPTIONS")])
def test_a_wrong_method_is_405(run, gateway, dialect, method, path, allow):
    m = send(run, gateway, dialect, None, path, method=method)
    assert m.status == 405, m
    assert m.get("allow") == allow and message(dialect, m)


def test_a_model_that_has_nothing_for_the_endpoint_names_its_own(run, gateway):
    m = send(run, gateway, "openai", {"model": "claude-sonnet-4-6", "input": "x", "voice": "y"},
             "/v1/audio/speech")
    assert m.status == 400 and "/v1/messages" in message("openai", m)


@pytest.mark.parametrize("model,variable", [("groq/llama-3.3-70b-versatile", "GROQ_API_KEY"),
                                            ("deepseek-chat", "DEEPSEEK_API_KEY"),
                                            ("vllm/x", "VLLM_API_BASE"),
                                            ("ollama/x", "OLLAMA_BASE_URL"),
                                            ("azure/x", "AZURE_API_BASE")])
def test_a_provider_without_a_key_is_503_naming_the_variable(run, gateway, model, variable):
    m = send(run, gateway, "openai", CHAT | {"model": model})
    assert m.status == 503 and variable in message("openai", m)
    assert m.get("x-should-retry") == "false"


# --- credentials ---

@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_key_is_401(run, gateway, dialect):
    m = send(run, gateway, dialect, DOORS[dialect][1], key=None)
    assert m.status == 401 and "key" in message(dialect, m)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("key", ["sk-sf-" + "0" * 48, KEY[:-1], KEY + "0", KEY.upper(),
                                 "sk-proj-abc", "sk-sf-",
                                 "x" * 4000, "sk-sf-../../etc"])
def test_an_unknown_key_is_401(run, gateway, dialect, key):
    m = send(run, gateway, dialect, DOORS[dialect][1], key=key)
    assert m.status == 401
    assert key not in m.body.decode()
    message(dialect, m)


def test_two_different_keys_are_400(run, gateway):
    other = "sk-sf-" + "1" * 48
    for fields in ([("x-api-key", other)], [("api-key", other)], [("x-goog-api-key", other)],
                   [("authorization", f"Bearer {other}")],
                   [("x-api-key", KEY), ("x-api-key", other)]):
        m = send(run, gateway, "openai", CHAT, fields=fields)
        assert m.status in (400, 401), fields
        assert other not in m.body.decode() and KEY not in m.body.decode()


def test_the_same_key_twice_is_fine(run, upstream, gateway):
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    m = send(run, gateway, "openai", CHAT, fields=[("x-api-key", KEY), ("x-script", script)])
    assert m.status == 200


def test_a_placeholder_beside_the_key_is_passed_over(run, upstream, gateway):
    """SDKs insist on a key of their own: what does not begin with sk-sf- does not count."""
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    m = send(run, gateway, "openai", CHAT, key="placeholder",
             fields=[("x-api-key", KEY), ("x-script", script)])
    assert m.status == 200
    assert "placeholder" not in upstream.seen[script][0].head.decode()


# --- sizes ---

def test_a_declared_body_over_the_limit_is_413_unread(run, upstream, hasty):
    for dialect, (path, _, more) in DOORS.items():
        head = request("POST", path, None, more + [("Content-Type", "application/json"),
                                                   ("Content-Length", str(10 << 30))])
        m = run(exchange(hasty.port, head))
        assert m.status == 413 and "65536" in message(dialect, m)
        assert m.get("connection") == "close"


def test_a_chunked_body_over_the_limit_is_413(run, hasty):
    async def flood():
        c = await Client.to(hasty.port)
        await c.send(request("POST", "/v1/chat/completions", None, [
            ("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]))
        sent = 0

        async def push():
            nonlocal sent
            try:
                while sent < 100 << 20:
                    await c.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
                    sent += 65536
            except Ended:
                pass
        pushing = asyncio.ensure_future(push())
        m = await c.reply()
        await pushing
        c.close()
        return m, sent

    m, sent = run(flood())
    assert m.status == 413 and message("openai", m)
    assert sent < 64 << 20


def test_a_form_over_the_limit_is_413(run, upstream, hasty):
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    form += b"x" * 200000
    for extra in ([("Content-Length", str(len(form)))], None):
        raw = request("POST", "/v1/audio/transcriptions", None,
                      [("Content-Type", "multipart/form-data; boundary=b")]
                      + (extra or [("Transfer-Encoding", "chunked")]))
        m = run(exchange(hasty.port, raw + (form if extra else chunked(form, 5000))))
        assert m.status == 413, m


def test_a_body_at_the_limit_passes(run, upstream, hasty):
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    body = json.dumps(CHAT).encode()
    body += b" " * (65536 - len(body))
    assert send(run, hasty, "openai", body, fields=[("x-script", script)]).status == 200
    assert send(run, hasty, "openai", body + b" ", fields=[("x-script", script)]).status == 413


@pytest.mark.parametrize("raw", [
    b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX: " + b"v" * 20000 + b"\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 3000 + b"\r\n",
    b"GET /v1/models?" + b"q" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX: " + b"v" * 20000],
    ids=["field", "fields", "target", "no end"])
def test_a_head_too_long_is_431(run, hasty, raw):
    m = run(exchange(hasty.port, raw))
    assert m.status == 431 and message("openai", m)


def test_the_errors_of_the_head_have_the_paths_dialect(run, hasty):
    for dialect, path in (("anthropic", "/v1/messages"), ("gemini", "/v1beta/models"),
                          ("openai", "/v1/models")):
        raw = f"POST {path} HTTP/1.1\r\nHost: x\r\nX: {'v' * 20000}\r\n\r\n".encode()
        m = run(exchange(hasty.port, raw))
        assert m.status == 431
        message(dialect, m)


# --- slow clients ---

@pytest.mark.parametrize("raw", [b"P", b"POST /v1/chat/completions HTTP/1.1\r\n",
                                 b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nA: b\r\n"])
def test_a_slow_head_is_408(run, hasty, raw):
    m = run(exchange(hasty.port, raw, "POST"))
    assert m.status == 408 and message("openai", m)


def test_a_dribbled_head_is_408(run, hasty):
    async def dribble():
        c = await Client.to(hasty.port)
        waiting = asyncio.ensure_future(c.reply())
        try:
            await c.send(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n")
            while not waiting.done():
                await c.send(b"X: y\r\n")
                await asyncio.wait([waiting], timeout=0.02)
        except Ended:
            pass
        return await waiting

    m = run(dribble())
    assert m.status == 408


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_slow_body_is_408(run, hasty, dialect):
    path, body, more = DOORS[dialect]
    m = run(exchange(hasty.port, request("POST", path, body, more)[:-3]))
    assert m.status == 408 and message(dialect, m)


def test_a_slow_form_is_408(run, upstream, hasty):
    raw = request("POST", "/v1/audio/transcriptions", b"--b\r\nConten",
                  type_="multipart/form-data; boundary=b")
    m = run(exchange(hasty.port, raw[:-4]))
    assert m.status == 408


def test_a_client_that_says_nothing_is_not_answered(run, start):
    g = start({"SMARTFLOW_IDLE_TIMEOUT": "200ms"})

    async def silent():
        c = await Client.to(g.port)
        return await c.gone()

    assert run(silent()) == "closed"


# --- what must not break anything ---

def test_after_all_that_it_serves(run, upstream, gateway, hasty):
    for g in (gateway, hasty):
        script = upstream.answer(http_reply(200, CHAT_REPLY))
        assert send(run, g, "openai", CHAT, fields=[("x-script", script)]).status == 200
        assert g.get("/health")[0] == 200
