"""What passes through the gateway is what a direct call would carry, but for what is named here.

Each endpoint is called twice with the same bytes: once straight at the upstream, once through the
gateway. Compared are the two requests as the upstream saw them, and the two replies.
"""

import json
import re
import signal

import pytest

from dialects import (CHAT, CHAT_REPLY, CHAT_STREAM, CHAT_STREAM_USAGE, GEMINI, GEMINI_REPLY,
                      GEMINI_STREAM, MESSAGE_REPLY, MESSAGE_STREAM, MESSAGES, RESPONSE_STREAM,
                      RESPONSES, SHAPES, USAGE_CHUNK, VERSION, chunk, sse)
from gateway import KEY, PROVIDER_KEYS, providers_at, run_program
from wire import call, exchange, http_reply, request

# The request's fields that differ between a call through the gateway and a direct one, and why.
REQUEST_FIELDS = {
    "host": "the provider's own name",
    "authorization": "the client's key is replaced by the provider's",
    "x-api-key": "the same",
    "api-key": "the same",
    "x-goog-api-key": "the same",
    "via": "our mark, by which a loop is noticed",
    "accept-encoding": "identity where the reply is metered, so that it need not be unpacked",
    "connection": "hop by hop",
    "keep-alive": "hop by hop",
    "te": "hop by hop",
    "expect": "answered by the gateway itself",
    "content-length": "differs where the model's name or the usage option was changed",
    "cookie": "a browser's cookies are for the gateway",
    "x-forwarded-for": "the client's address is none of the provider's business",
    "x-forwarded-proto": "the same",
    "x-real-ip": "the same",
    "forwarded": "the same",
    "x-smartflow-tags": "speaks to the gateway",
    "x-smartflow-user": "the same",
}
# The reply's.
REPLY_FIELDS = {
    "date": "of the gateway",
    "connection": "hop by hop",
    "keep-alive": "hop by hop",
    "transfer-encoding": "framing is each hop's own",
    "content-length": "the same",
    "set-cookie": "a provider's cookie would mix callers up",
    "strict-transport-security": "speaks of the provider's host",
    "alt-svc": "the same",
    "access-control-allow-origin": "which pages may read a reply is the gateway's setting",
    "access-control-expose-headers": "the same",
    "x-accel-buffering": "added to streams, for proxies in front",
}
OWN = "x-smartflow-"  # fields of the reply that the gateway adds

CLIENT_FIELDS = [
    ("User-Agent", "OpenAI/Python 3.54.0"), ("Accept", "application/json"),
    ("X-Stainless-Lang", "python"), ("x-stainless-retry-count", "0"),
    ("OpenAI-Organization", "org-1"), ("OpenAI-Beta", "assistants=v2"),
    ("Idempotency-Key", "idem-1"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("X-Twice", "one"), ("x-twice", "two,  three"), ("X-Latin", "caf\xe9"), ("X-Empty", ""),
    ("Cookie", "session=1"), ("X-Forwarded-For", "1.2.3.4"), ("x-smartflow-tags", "a,b"),
    ("x-smartflow-user", "u1"), ("Accept-Encoding", "gzip, br"),
]
PROVIDER_FIELDS = [
    ("x-request-id", "req_1"), ("openai-processing-ms", "12"), ("OpenAI-Version", "2020-10-01"),
    ("x-ratelimit-remaining-tokens", "1999"), ("Strict-Transport-Security", "max-age=1"),
    ("CF-Ray", "8f-FRA"), ("X-Twice", "one"), ("x-twice", "two"), ("Server", "uvicorn"),
    ("Vary", "Origin"), ("alt-svc", 'h3=":443"'), ("access-control-expose-headers", "X-Request-ID"),
    ("cache-control", "no-cache"), ("Set-Cookie", "__cf_bm=1; HttpOnly"),
    ("Date", "Sat, 01 Jan 2000 00:00:00 GMT"),
]


def without(fields, named):
    return [(n, v) for n, v in fields if n.lower() not in named]


def form(*parts):
    """A multipart body: (name, file name or None, bytes)."""
    out = b""
    for name, file, data in parts:
        more = f'; filename="{file}"\r\nContent-Type: application/octet-stream' if file else ""
        out += (f'--bnd\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n').encode()
        out += data + b"\r\n"
    return out + b"--bnd--\r\n"


FORM = "multipart/form-data; boundary=bnd"
AUDIO = bytes(range(256)) * 40
UPLOAD = form(("purpose", None, b"batch"), ("file", "a.jsonl", b'{"a":1}\r\n--bn\r\n' * 9))
SPOKEN = form(("file", "a.wav", AUDIO), ("model", None, b"whisper-1"), ("language", None, b"de"))
EDIT = form(("image", "a.png", AUDIO), ("prompt", None, "Grün".encode()))
JSON = "application/json"
OBJECT = b'{"id": "obj_1",  "object":"thing", "text":"\\u00e9 \xc3\xa9"}\n'

# Bodies by endpoint, as `smartflow endpoints` names them; (content type, bytes). Written as no
# serialiser would, so that a gateway which parses and writes again is found out.
ODD = (b' {"messages" :[ {"role":"user","content":"\\u0048\\/i"} ],\r\n\t'
       b'"x":[1.0,1e2,-0,{"model":"gpt-9"}],"model":"%s"%s}\n')


def odd(model, more=b""):
    return ODD % (model, more)


BODIES = {
    "/v1/chat/completions": odd(b"gpt-4o"),
    "/v1/completions": b'{"model":"gpt-3.5-turbo-instruct", "prompt":["a"," b"]}',
    "/v1/responses": b'{"model":"gpt-4o","input":[{"role":"user","content":"x"}] }',
    "/v1/embeddings": b'{"input":["a",\n"b"],"model":"text-embedding-3-small"}',
    "/v1/moderations": b'{"input":"x"}',
    "/v1/audio/transcriptions": (FORM, SPOKEN),
    "/v1/audio/translations": (FORM, SPOKEN),
    "/v1/audio/speech": b'{"model":"tts-1","input":"x","voice":"alloy"}',
    "/v1/images/generations": b'{"model":"dall-e-3","prompt":"x"}',
    "/v1/images/edits": (FORM, EDIT),
    "/v1/images/variations": (FORM, EDIT),
    "/v1/rerank": b'{"model":"gpt-rerank","query":"q","documents":["a"]}',
    "/v1/files": (FORM, UPLOAD),
    "/v1/uploads/{id}/parts": (FORM, form(("data", "p", AUDIO))),
    "/v1/realtime/calls": ("application/sdp", b"v=0\r\n"),
    "/v1/messages": odd(b"claude-sonnet-4-6", b',"max_tokens":9'),
    "/v1/messages/count_tokens": odd(b"claude-sonnet-4-6"),
    "/v1/complete": b'{"model":"claude-2.1","prompt":"x","max_tokens_to_sample":3}',
    "/v1beta/models/{model}:generateContent": b'{"contents" :[{"parts":[{"text":"x"}]}]}',
    "/v1beta/models/{model}:streamGenerateContent": b'{"contents" :[{"parts":[{"text":"x"}]}]}',
    "/v1beta/files": ("application/octet-stream", AUDIO),
    "/upload/v1beta/files": ("application/octet-stream", AUDIO),
}
# WebSockets have tests of their own; Bedrock's calls, which are signed anew, too (test_bedrock_front).
SOCKETS = {("GET", "/v1/responses"), ("GET", "/v1/realtime")}
VERTEX = "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:"
OWN_TESTS = SOCKETS | {("POST", "/v1beta/upload/files"), ("PUT", "/v1beta/upload/files"),
                       ("POST", VERTEX + "rawPredict"), ("POST", VERTEX + "streamRawPredict")}


def rows():
    out = run_program("endpoints", plain=True).stdout
    for line in out.splitlines():
        dialect, path = line.split()[0], line.split()[-1]
        for method in re.findall(r"\b(?:GET|POST|PUT|PATCH|DELETE)\b", line):
            if dialect != "bedrock" and (method, path) not in OWN_TESTS:
                yield dialect, method, path


ROWS = list(rows())


def test_the_table_of_endpoints_is_whole():
    assert len(ROWS) > 60
    assert {d for d, _, _ in ROWS} == {"openai", "anthropic", "gemini"}
    unknown = set(BODIES) - {p for _, _, p in ROWS}
    assert not unknown


def test_the_program_lists_its_endpoints_under_the_sanitizer():
    done = run_program("endpoints")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout == run_program("endpoints", plain=True).stdout


def filled(path):
    for name, value in (("{id}", "obj_Ab-1"), ("{item}", "it_1"), ("{name}", "n-1"),
                        ("models/{model}", "models/gemini-2.5-flash")):
        path = path.replace(name, value)
    return path.replace("/v1/models/obj_Ab-1", "/v1/models/gpt-4o")


def request_for(dialect, method, path):
    """The client's bytes, without the script."""
    fields = CLIENT_FIELDS + ([VERSION, ("anthropic-beta",
                                         "a,b")] if dialect == "anthropic" else [])
    key = None
    if dialect == "openai":
        key = KEY
    else:
        fields = fields + [("x-api-key" if dialect == "anthropic" else "x-goog-api-key", KEY)]
    body, type_ = None, JSON
    if method in ("POST", "PATCH"):
        body = BODIES.get(path, b'{ "a":1,"model":"gpt-4o" }' if "cancel" not in path else None)
        if dialect == "anthropic" and path == "/v1/files":
            body = (FORM, UPLOAD)
        if isinstance(body, tuple):
            type_, body = body
    target = filled(path)
    if dialect == "anthropic" and "/v1/models" in target:
        target = target.replace("gpt-4o", "claude-sonnet-4-6")
    return target + "?limit=2&after=a%20b&x", body, type_, key, fields


async def both(upstream, gateway, target, body, type_, key, fields, method, reply):
    """The two requests as the upstream saw them, and the two replies."""
    name = upstream.answer(reply)
    raw = request(method, target, body, fields + [("x-script", name)], key, type_=type_)
    direct = await exchange(upstream.port, raw, method)
    through = await exchange(gateway.port, raw, method)
    assert len(upstream.seen[name]) == 2, through
    return upstream.seen[name], (direct, through)


def compare_requests(direct, through):
    assert through.start == direct.start
    assert without(through.fields, REQUEST_FIELDS) == without(direct.fields, REQUEST_FIELDS)
    assert not through.all("cookie") and not through.all("x-forwarded-for")
    assert not [n for n, _ in through.fields if n.lower().startswith("x-smartflow")]
    assert KEY.encode() not in through.head
    assert through.complete


def compare_replies(direct, through):
    assert through.complete and through.status == direct.status
    own = [(n, v) for n, v in through.fields if not n.lower().startswith(OWN)]
    assert without(own, REPLY_FIELDS) == without(direct.fields, REPLY_FIELDS)
    assert not through.all("set-cookie")
    assert len(through.all("date")) == 1
    assert through.get("x-smartflow-request-id") == through.get("x-smartflow-call-id")
    assert through.body == direct.body


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("dialect,method,path", ROWS, ids=lambda x: x)
def test_every_endpoint_passes_bytes(run, upstream, gateway, dialect, method, path, framing):
    type_, body = JSON, OBJECT
    if path.endswith(("speech", "content")):
        type_, body = "audio/mpeg", AUDIO
    elif path.endswith("results"):
        type_, body = "application/x-jsonl", OBJECT * 3
    reply = http_reply(200, body, PROVIDER_FIELDS, type_, framing)
    asked = request_for(dialect, method, path)
    requests, replies = run(both(upstream, gateway, *asked, method, reply))
    compare_requests(*requests)
    assert requests[1].body == requests[0].body
    compare_replies(*replies)


@pytest.mark.parametrize("status", [201, 202, 400, 403, 404, 409, 422, 429, 500, 503, 529])
def test_any_status_passes_with_its_body(run, upstream, gateway, status):
    reply = http_reply(status, b'{"error":{"message":"m","type":"t","param":null,"code":"c"}} ',
                       PROVIDER_FIELDS + [("retry-after", "7"), ("retry-after-ms", "7100"),
                                          ("x-should-retry", "true")])
    asked = request_for("openai", "POST", "/v1/chat/completions")
    requests, replies = run(both(upstream, gateway, *asked, "POST", reply))
    compare_requests(*requests)
    compare_replies(*replies)
    assert replies[1].get("retry-after") == "7"


@pytest.mark.parametrize("model,sent", [
    ("openai/gpt-4o", "gpt-4o"), ("openai\\/gpt-4o", "gpt-4o"),
    ("\\u006fpenai/ft:gpt-4o:a/b", "ft:gpt-4o:a/b"), ("gpt-4o", "gpt-4o"),
    ("openai/gr\\u00fcn", "gr\u00fcn")])
def test_only_the_models_name_changes(run, upstream, gateway, model, sent):
    name = upstream.answer(http_reply(200, CHAT_REPLY))
    raw = odd(model.encode())
    m = run(exchange(gateway.port, request("POST", "/v1/chat/completions", raw,
                                           [("x-script", name)])))
    assert m.status == 200 and m.body == CHAT_REPLY
    got = upstream.seen[name][0].body
    if json.loads(raw)["model"] == sent:
        assert got == raw
    else:
        before, after = raw.split(b'"' + model.encode() + b'"')
        assert got.startswith(before) and got.endswith(after)
        assert json.loads(got[len(before):len(got) - len(after)]) == sent


def test_a_forms_model_is_replaced_in_place(run, upstream, gateway):
    name = upstream.answer(http_reply(200, b'{"text":"x"}'))
    raw = SPOKEN.replace(b"whisper-1", b"openai/whisper-1")
    m = run(call(gateway.port, "/v1/audio/transcriptions", raw, name, type_=FORM))
    assert m.status == 200
    assert upstream.seen[name][0].body == SPOKEN
    assert int(upstream.seen[name][0].get("content-length")) == len(SPOKEN)


def test_a_large_form_with_its_model_last_is_spooled(run, upstream, gateway):
    name = upstream.answer(http_reply(200, b'{"text":"x"}'))
    raw = form(("file", "a.wav", AUDIO * 110), ("model", None, b"whisper-1"))
    assert len(raw) > 1 << 20
    m = run(call(gateway.port, "/v1/audio/transcriptions", raw, name, type_=FORM))
    assert m.status == 200
    assert upstream.seen[name][0].body == raw
    assert not [p for p in (gateway.folder / "data").iterdir() if "spool" in p.name]


# --- resumable uploads ---

START = [("x-goog-upload-protocol", "resumable"), ("x-goog-upload-command", "start"),
         ("x-goog-upload-header-content-type", "text/plain")]
UPLOAD_URL = "/upload/v1beta/files?upload_id=secret-of-google&upload_protocol=resumable&key=theirs"


def begin_upload(run, upstream, gateway, path="/upload/v1beta/files", fields=(), url="https://google.test" + UPLOAD_URL):
    script = upstream.answer(http_reply(200, b"", [
        ("X-Goog-Upload-URL", url), ("X-Goog-Upload-Control-URL", url), ("X-Goog-Upload-Status", "active")]))
    m = run(call(gateway.port, path, {"file": {}}, script, START + list(fields)))
    assert m.status == 200 and m.get("x-goog-upload-status") == "active"
    assert b"google" not in m.get("x-goog-upload-url", "").encode()
    assert not m.get("x-goog-upload-control-url")
    return upstream.seen[script][0], m.get("x-goog-upload-url")


def chunk_of(run, upstream, gateway, target, status="active", key=None, **how):
    script = upstream.answer(http_reply(200, b'{"file":{}}', [("x-goog-upload-status", status)]))
    m = run(call(gateway.port, target, b"abc", script, [("x-goog-upload-command", "upload")], key=key,
                 type_="text/plain", **how))
    return m, next(iter(upstream.seen[script]), None)


@pytest.mark.parametrize("asked,want", [
    ("/v1beta/upload/files", "/upload/v1beta/files"), ("/gemini/v1/upload/files", "/upload/v1/files"),
    ("/gemini/upload/files", "/upload/v1beta/files"), ("/upload/v1alpha/files", "/upload/v1alpha/files")])
def test_versions_of_uploads(run, upstream, gateway, asked, want):
    """With a base URL that ends in the version, SDKs put their path behind it."""
    seen, url = begin_upload(run, upstream, gateway, asked)
    assert seen.target == want and f"127.0.0.1{asked}?" in url
    assert chunk_of(run, upstream, gateway, url[url.index("/", 8):])[1].target == UPLOAD_URL


@pytest.mark.parametrize("door", ["", "/gemini"])
def test_an_upload_goes_on_through_the_gateway(run, upstream, gateway, door):
    seen, url = begin_upload(run, upstream, gateway, door + "/upload/v1beta/files?key=x")
    assert seen.target == "/upload/v1beta/files" and seen.get("x-goog-upload-command") == "start"
    own, target = url[:url.index("/", 8)], url[url.index("/", 8):]
    assert own == "http://127.0.0.1" and target.startswith(door + "/upload/v1beta/files?")
    for status in ("active", "final"):
        m, seen = chunk_of(run, upstream, gateway, target, status)
        assert m.status == 200 and m.get("x-goog-upload-status") == status
        assert (seen.target, seen.body) == (UPLOAD_URL, b"abc")
        assert seen.get("x-goog-api-key") == PROVIDER_KEYS["GEMINI"]
    m, seen = chunk_of(run, upstream, gateway, target)
    assert m.status == 404 and m.json()["error"]["status"] == "NOT_FOUND" and not seen


def test_an_upload_needs_its_session_or_a_key(run, upstream, gateway):
    _, url = begin_upload(run, upstream, gateway)
    target = url[url.index("/", 8):]
    for other, status in ((target[:-1] + ("0" if target[-1] != "0" else "1"), 404), (target[:-1], 404),
                          ("/upload/v1beta/files?upload_id=x", 401),
                          (target.replace("/upload/v1beta/files", "/v1beta/files"), 401)):
        m, seen = chunk_of(run, upstream, gateway, other)
        assert m.status == status and not seen, other
    m, seen = chunk_of(run, upstream, gateway, target, key="sk-sf-another-key")
    assert m.status == 400 and not seen  # two different ones
    assert chunk_of(run, upstream, gateway, target, key=KEY)[0].status == 200


def test_a_revoked_keys_upload_ends(run, upstream, start, tmp_path):
    config = tmp_path / "smartflow.yaml"
    config.write_text("virtual_keys:\n  - name: a\n    key: sk-sf-" + "a1" * 24 + "\n")
    g = start(providers_at(upstream.port), config=config)
    script = upstream.answer(http_reply(200, b"", [("x-goog-upload-url", "https://g.test" + UPLOAD_URL)]))
    m = run(call(g.port, "/upload/v1beta/files", {}, script, START, key="sk-sf-" + "a1" * 24))
    url = m.get("x-goog-upload-url")
    before = len(g.err.text())
    config.write_text("virtual_keys: []\n")
    g.signal(signal.SIGHUP)
    assert g.err.wait_for('"configuration reloaded', 20, before)
    m, seen = chunk_of(run, upstream, g, url[url.index("/", 8):])
    assert m.status == 401 and not seen


@pytest.mark.parametrize("url", ["", "/upload/v1beta/files", "https://google.test", "https://g.test/a#b",
                                 "https://g.test/../x?y"])
def test_an_address_that_cannot_be_used(run, upstream, gateway, url):
    _, got = begin_upload(run, upstream, gateway, url=url)
    if got:
        m, seen = chunk_of(run, upstream, gateway, got[got.index("/", 8):])
        assert m.status == 400 and not seen


# --- streams ---

INJECTED = '"stream_options":{"include_usage":true}'


def streamed(run, upstream, gateway, body, stream, path="/v1/chat/completions", fields=(),
             framing="chunked", type_="text/event-stream; charset=utf-8"):
    name = upstream.answer(http_reply(200, stream, PROVIDER_FIELDS, type_, framing),
                           "close" if framing == "eof" else "keep")
    m = run(call(gateway.port, path, body, name, fields))
    assert m.status == 200 and m.complete, m
    assert m.get("x-accel-buffering") == "no"
    assert m.get("content-type") == type_
    return upstream.seen[name][0], m


@pytest.mark.parametrize("body", [
    {"stream": True}, {"stream": True, "stream_options": None},
    {"stream": True, "stream_options": {}},
    {"stream": True, "stream_options": {"include_usage": False}},
    {"stream": True, "stream_options": {"include_obfuscation": False}},
    {"stream_options": {"include_usage": None}, "stream": True}], ids=json.dumps)
@pytest.mark.parametrize("framing", ["chunked", "eof", "length"])
def test_the_injected_option_leaves_no_trace(run, upstream, gateway, body, framing):
    seen, m = streamed(run, upstream, gateway, CHAT | body, CHAT_STREAM_USAGE, framing=framing)
    sent = seen.json()
    assert sent["stream_options"]["include_usage"] is True
    for key, value in (body.get("stream_options") or {}).items():
        if key != "include_usage":
            assert sent["stream_options"][key] == value
    assert {k: v for k, v in sent.items() if k != "stream_options"} == CHAT | {"stream": True}
    assert m.body == CHAT_STREAM


def test_the_option_is_spliced_into_the_bytes(run, upstream, gateway):
    raw = odd(b"gpt-4o", b' , "stream" : true ')
    seen, _ = streamed(run, upstream, gateway, raw, CHAT_STREAM_USAGE)
    assert seen.body == raw.replace(b": true", b": true," + INJECTED.encode())


def test_who_asks_for_usage_gets_every_byte(run, upstream, gateway):
    body = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    seen, m = streamed(run, upstream, gateway, body, CHAT_STREAM_USAGE)
    assert seen.json() == body
    assert m.body == CHAT_STREAM_USAGE


@pytest.mark.parametrize("sent,got", [
    (b'data: {"choices":[{"x":1}],"usage":null}\n\n', b'data: {"choices":[{"x":1}]}\n\n'),
    (b'data: {"usage":null,"choices":[{"x":1}]}\n\n', b'data: {"choices":[{"x":1}]}\n\n'),
    (b'data: {"a":1, "usage": null , "choices":[{"x":1}]}\r\n\r\n',
     b'data: {"a":1 , "choices":[{"x":1}]}\r\n\r\n'),
    (b'data:{"choices":[{"usage":null,"t":"\\"usage\\":null"}]}\n\n',
     b'data:{"choices":[{"usage":null,"t":"\\"usage\\":null"}]}\n\n'),
    (b': ping\n\nid: 3\nretry: 9\ndata: {"choices":[{}]}\n\n',
     b': ping\n\nid: 3\nretry: 9\ndata: {"choices":[{}]}\n\n'),
    (b'data: {"choices":[{}],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
     b'data: {"choices":[{}],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'),
], ids=[f"case{i}" for i in range(6)])
def test_null_usage_is_taken_out_and_nothing_else(run, upstream, gateway, sent, got):
    tail = sse(USAGE_CHUNK, "[DONE]")
    _, m = streamed(run, upstream, gateway, CHAT | {"stream": True}, sent + tail)
    assert m.body == got + sse("[DONE]")


@pytest.mark.parametrize("shape",
                         [s for s in SHAPES.values() if s.streams and "edited" not in s.name],
                         ids=lambda s: s.name)
def test_other_streams_pass_byte_for_byte(run, upstream, gateway, shape):
    seen, m = streamed(run, upstream, gateway, shape.body, shape.reply, shape.path, shape.fields)
    assert seen.json() == shape.body
    assert m.body == shape.reply


def test_the_completions_stream_is_treated_alike(run, upstream, gateway):
    chunk_ = {"id": "cmpl-1", "object": "text_completion", "choices": [{"text": "x", "index": 0}]}
    _, m = streamed(run, upstream, gateway, {"model": "gpt-3.5-turbo-instruct", "prompt": "x",
                                            "stream": True},
                    sse(chunk_ | {"usage": None}, USAGE_CHUNK, "[DONE]"), "/v1/completions")
    assert m.body == sse(chunk_, "[DONE]")


def test_usage_reaches_the_log_where_the_client_did_not_ask(run, upstream, gateway):
    _, m = streamed(run, upstream, gateway, CHAT | {"stream": True}, CHAT_STREAM_USAGE)
    ident = m.get("x-smartflow-request-id")
    assert gateway.err.wait_for(ident)
    line = next(x for x in gateway.log() if x.get("request_id") == ident)
    assert (line["input_tokens"], line["output_tokens"]) == (9, 2)
    assert "usage_counted" not in line


# --- credentials and targets ---

@pytest.mark.parametrize("name,path,body,field_,value,fields", [
    ("openai", "/v1/chat/completions", CHAT, "authorization",
     "Bearer " + PROVIDER_KEYS["OPENAI"], []),
    ("anthropic", "/v1/messages", MESSAGES, "x-api-key", PROVIDER_KEYS["ANTHROPIC"], [VERSION]),
    ("gemini", "/v1beta/models/gemini-2.5-flash:generateContent", GEMINI, "x-goog-api-key",
     PROVIDER_KEYS["GEMINI"], [])], ids=["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("place", ["authorization", "x-api-key", "api-key", "x-goog-api-key",
                                   "query"])
def test_the_clients_key_is_replaced(run, upstream, gateway, name, path, body, field_, value,
                                     fields,
                                     place):
    replies = {"openai": CHAT_REPLY, "anthropic": MESSAGE_REPLY, "gemini": GEMINI_REPLY}
    script = upstream.answer(http_reply(200, replies[name]))
    fields = list(fields)
    if place == "query":
        path += "?a=1&key=" + KEY + "&b=2"
    else:
        fields.append((place, ("Bearer " if place == "authorization" else "") + KEY))
    m = run(call(gateway.port, path, body, script, fields, key=None))
    if place == "query" and name == "openai":
        assert m.status in (200, 404)  # ?key= makes a shared path Google's
        return
    assert m.status == 200, m
    seen = upstream.seen[script][0]
    assert KEY not in seen.head.decode("latin-1")
    credentials = [(n.lower(), v) for n, v in seen.fields
                   if n.lower() in ("authorization", "x-api-key", "api-key", "x-goog-api-key")]
    assert credentials == [(field_, value)]
    if place == "query":
        assert seen.target == path.split("?")[0] + "?a=1&b=2"


@pytest.mark.parametrize("asked,seen", [
    ("/chat/completions", "/v1/chat/completions"), ("/v1/v1/chat/completions",
                                                    "/v1/chat/completions"),
    ("/cursor/v1/chat/completions", "/v1/chat/completions"),
    ("/cursor/chat/completions", "/v1/chat/completions")])
def test_base_urls_lead_to_the_same_place(run, upstream, gateway, asked, seen):
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    m = run(call(gateway.port, asked, CHAT, script))
    assert m.status == 200, m
    assert upstream.seen[script][0].target == seen


@pytest.mark.parametrize("asked", ["/messages", "/v1/messages", "/anthropic/v1/messages",
                                   "/anthropic/messages", "/cursor/v1/messages",
                                   "/anthropic/v1/v1/messages"])
@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "claude-sonnet-4-6[1m]",
                                   "anthropic/claude-sonnet-4-6[1m]"])
def test_anthropic_doors_and_the_long_context_mark(run, upstream, gateway, asked, model):
    script = upstream.answer(http_reply(200, MESSAGE_REPLY))
    m = run(call(gateway.port, asked, MESSAGES | {"model": model}, script))
    assert m.status == 200, m
    seen = upstream.seen[script][0]
    assert seen.target == "/v1/messages"
    assert seen.json() == MESSAGES
    assert seen.get("anthropic-version") == "2023-06-01"


@pytest.mark.parametrize("asked,seen", [
    ("/gemini/v1beta/models/gemini-2.5-flash:generateContent",
     "/v1beta/models/gemini-2.5-flash:generateContent"),
    ("/v1/models/gemini-2.5-flash:generateContent", "/v1/models/gemini-2.5-flash:generateContent"),
    ("/v1beta/models/gemini%2Fgemini-2.5-flash:generateContent",
     "/v1beta/models/gemini-2.5-flash:generateContent"),
    ("/gemini/models/gemini-2.5-flash:generateContent",
     "/v1beta/models/gemini-2.5-flash:generateContent")])
def test_gemini_doors(run, upstream, gateway, asked, seen):
    script = upstream.answer(http_reply(200, GEMINI_REPLY))
    m = run(call(gateway.port, asked, GEMINI, script))
    assert m.status == 200, m
    assert upstream.seen[script][0].target == seen


def test_a_stream_of_json_array_passes(run, upstream, gateway):
    """Gemini's stream without alt=sse is one JSON array."""
    script = upstream.answer(http_reply(200, b"[" + GEMINI_REPLY + b",\r\n" + GEMINI_REPLY + b"]",
                                        framing="chunked"))
    m = run(call(gateway.port, "/v1beta/models/gemini-2.5-flash:streamGenerateContent", GEMINI,
                 script))
    assert m.status == 200 and m.body == b"[" + GEMINI_REPLY + b",\r\n" + GEMINI_REPLY + b"]"


def test_responses_and_messages_streams_need_no_option(run, upstream, gateway):
    for path, body, stream, fields in (("/v1/responses", RESPONSES, RESPONSE_STREAM, []),
                                       ("/v1/messages", MESSAGES, MESSAGE_STREAM, [VERSION])):
        seen, _ = streamed(run, upstream, gateway, body | {"stream": True}, stream, path, fields)
        assert "stream_options" not in seen.json()


def test_usage_in_a_chunk_with_choices_stays(run, upstream, gateway):
    """Some providers report usage in the last chunk with choices, asked or not."""
    stream = sse(chunk({"content": "x"}), chunk({}, "stop", usage={"prompt_tokens": 1}), "[DONE]")
    _, m = streamed(run, upstream, gateway, CHAT | {"stream": True}, stream)
    assert m.body == stream


def test_gemini_streams_keep_their_line_ends(run, upstream, gateway):
    shape = SHAPES["gemini-sse"]
    assert b"\r\n\r\n" in GEMINI_STREAM
    _, m = streamed(run, upstream, gateway, shape.body, GEMINI_STREAM, shape.path)
    assert m.body == GEMINI_STREAM
