"""Upstreams that misbehave: whatever they do, no client takes a cut answer for a whole one.

Each kind of reply is cut at every byte, and split into two packets at every byte. A whole reply is
either passed on as it is, or the client gets an error that its library notices: an error reply, an
error event in the dialect at the end of a stream, or a connection that ends inside a message.
"""

import asyncio
import gzip
import json

import pytest

from dialects import CHAT, CHAT_REPLY, CHAT_STREAM, CHAT_STREAM_USAGE, GEMINI, SHAPES, is_error, sse
from gateway import providers_at
from wire import Client, Ended, call, chunked, http_reply, many, request

NAMES = list(SHAPES)
FRAMINGS = ["length", "chunked", "eof"]


def wire_reply(shape, framing):
    return http_reply(200, shape.reply, [("x-request-id", "r")], shape.type, framing)


async def play(upstream, gateway, shape, script, **how):
    try:
        return await call(gateway.port, shape.path, shape.body, script, shape.fields, **how)
    finally:
        upstream.scripts.pop(script, None)
        upstream.seen.pop(script, None)


def verdict(shape, m, whole):
    """None when a client can tell what it got, else what is wrong."""
    if not m.complete:
        return None  # its HTTP library raises
    if m.status >= 400:
        return None if is_error(shape.dialect, m.json()) else f"not an error of the dialect: {m}"
    if m.body == whole:
        return None
    if not shape.streams:
        return f"a 200 with {len(m.body)} of {len(whole)} bytes"
    events = m.events()
    if not shape.failed(events):
        return f"a stream that ends without an error event: {m.body[-80:]!r}"
    if shape.ended(events) and shape.dialect != "gemini":  # which has no marker of its own
        return f"an error event behind the end marker: {m.body[-200:]!r}"
    return None


def cutter(upstream, reply, at, how):
    async def cut(conn, _):
        await conn.send(reply[:at])
        if how == "close":
            conn.close()
        else:
            await conn.taken()  # a reset would take back what nobody has read yet
            conn.reset()
        return False
    return upstream.script(cut)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("name", NAMES)
def test_a_reply_cut_at_every_byte_is_noticed(run, upstream, gateway, name, framing, how):
    shape = SHAPES[name]
    reply = wire_reply(shape, framing)
    whole = run(play(upstream, gateway, shape, upstream.answer(reply, "close")))
    assert whole.status == 200 and whole.complete

    async def one(at):
        m = await play(upstream, gateway, shape, cutter(upstream, reply, at, how))
        return verdict(shape, m, whole.body)

    wrong = run(many(one, range(len(reply))))
    assert {at: w for at, w in enumerate(wrong) if w} == {}


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("name", NAMES)
def test_a_split_at_every_byte_changes_nothing(run, upstream, gateway, name, framing):
    shape = SHAPES[name]
    reply = wire_reply(shape, framing)
    whole = run(play(upstream, gateway, shape, upstream.answer(reply)))
    assert whole.status == 200 and whole.complete

    async def one(at):
        async def split(conn, _):
            await conn.send(reply[:at])
            await conn.taken()
            await conn.send(reply[at:])
            return True
        m = await play(upstream, gateway, shape, upstream.script(split))
        return None if m.complete and m.body == whole.body and m.status == 200 else m

    wrong = run(many(one, range(1, len(reply))))
    assert {at + 1: w for at, w in enumerate(wrong) if w} == {}


def test_a_reply_byte_by_byte(run, upstream, gateway):
    shape = SHAPES["chat-sse-edited"]
    reply = wire_reply(shape, "chunked")

    async def dribble(conn, _):
        for i in range(len(reply)):
            await conn.send(reply[i:i + 1])
            await conn.taken()
        return True

    m = run(play(upstream, gateway, shape, upstream.script(dribble)))
    assert m.complete and m.body == CHAT_STREAM


# --- stalls ---

def stalling(upstream, before=b""):
    async def stall(conn, _):
        await conn.send(before)
        await conn.gone()
        return False
    return upstream.script(stall)


@pytest.mark.parametrize("name", NAMES)
def test_a_stall_before_the_head_is_504(run, upstream, hasty, name):
    shape = SHAPES[name]
    m = run(play(upstream, hasty, shape, stalling(upstream)))
    assert m.status == 504 and is_error(shape.dialect, m.json())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_stall_in_the_middle_is_an_error(run, upstream, hasty, name, framing):
    shape = SHAPES[name]
    reply = wire_reply(shape, framing)
    m = run(play(upstream, hasty, shape, stalling(upstream, reply[:-len(shape.reply) // 2])))
    if shape.streams:
        assert m.status == 200 and m.complete and shape.failed(m.events()), m
        assert not shape.ended(m.events())
    else:
        assert m.status == 504 or not m.complete


def test_a_stall_inside_the_head_is_an_error(run, upstream, hasty):
    m = run(play(upstream, hasty, SHAPES["chat-json"], stalling(upstream,
                                                                b"HTTP/1.1 200 OK\r\nA: ")))
    assert m.status == 504


# --- framing lies ---

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BAD_FRAMINGS = {
    "length too long": f"{HEAD}Content-Length: {len(CHAT_REPLY) + 5}\r\n\r\n",
    "two lengths": f"{HEAD}Content-Length: {len(CHAT_REPLY)}\r\nContent-Length: 3\r\n\r\n",
    "a list of lengths": f"{HEAD}Content-Length: {len(CHAT_REPLY)}, 3\r\n\r\n",
    "length with chunked": f"{HEAD}Content-Length: {len(CHAT_REPLY)}\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n",
    "negative length": f"{HEAD}Content-Length: -1\r\n\r\n",
    "length with a sign": f"{HEAD}Content-Length: +{len(CHAT_REPLY)}\r\n\r\n",
    "huge length": f"{HEAD}Content-Length: 99999999999999999999999\r\n\r\n",
    "unknown coding": f"{HEAD}Transfer-Encoding: gzip\r\n\r\n",
    "chunked twice": f"{HEAD}Transfer-Encoding: chunked, chunked\r\n\r\n",
    "bad chunk size": f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "huge chunk size": f"{HEAD}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "bad chunk end": f"{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}XX0\r\n\r\n",
    "not HTTP": "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/2": "HTTP/2.0 200 OK\r\n\r\n",
    "bad status": "HTTP/1.1 20x OK\r\n\r\n",
    "bare line feeds": "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "folded field": f"{HEAD}X: a\r\n b\r\nContent-Length: {len(CHAT_REPLY)}\r\n\r\n",
    "space before colon": f"{HEAD}X : a\r\nContent-Length: {len(CHAT_REPLY)}\r\n\r\n",
    "a NUL in a field": f"{HEAD}X: a\0b\r\nContent-Length: {len(CHAT_REPLY)}\r\n\r\n",
    "binary": bytes(range(1, 255)).decode("latin-1"),
    "nothing": "",
    "switching protocols": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "head too long": HEAD + "".join(f"X-{i}: {'v' * 1000}\r\n" for i in range(200)) + "\r\n",
    "head without an end": HEAD + "X: " + "v" * 300000,
    "too many fields": HEAD + "".join(f"X-{i}: v\r\n" for i in range(2000)) + "\r\n",
}


@pytest.mark.parametrize("lie", BAD_FRAMINGS)
def test_a_lie_about_framing_is_502(run, upstream, gateway, lie):
    raw = BAD_FRAMINGS[lie].encode("latin-1")
    if "length" in lie or "field" in lie.split() or lie in ("unknown coding", "chunked twice"):
        raw += CHAT_REPLY
    m = run(play(upstream, gateway, SHAPES["chat-json"], upstream.answer(raw, "close")))
    assert m.status == 502, m
    assert is_error("openai", m.json())
    assert m.json()["error"]["code"] in ("upstream_closed", "upstream_bad_response")


def test_bytes_behind_the_reply_do_not_reach_the_next_caller(run, upstream, gateway):
    extra = http_reply(200, CHAT_REPLY) + http_reply(200, b'{"stolen":1}')
    for _ in range(3):
        m = run(play(upstream, gateway, SHAPES["chat-json"], upstream.answer(extra)))
        assert m.status == 200 and m.body == CHAT_REPLY


def test_a_length_too_short_does_not_reach_the_next_caller(run, upstream, gateway):
    short = f"{HEAD}Content-Length: 4\r\n\r\n".encode() + CHAT_REPLY
    for _ in range(3):
        m = run(play(upstream, gateway, SHAPES["chat-json"], upstream.answer(short)))
        assert m.body == CHAT_REPLY[:4]
        m = run(play(upstream, gateway, SHAPES["chat-json"],
                     upstream.answer(http_reply(200, CHAT_REPLY))))
        assert m.body == CHAT_REPLY


def test_interim_replies_are_skipped(run, upstream, gateway):
    interim = (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
               b"HTTP/1.1 102 Processing\r\n\r\n")
    m = run(play(upstream, gateway, SHAPES["chat-json"],
                 upstream.answer(interim + http_reply(200, CHAT_REPLY))))
    assert m.status == 200 and m.body == CHAT_REPLY and not m.get("link")


def test_endless_interim_replies_end(run, upstream, gateway):
    m = run(play(upstream, gateway, SHAPES["chat-json"],
                 upstream.answer(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, "close")))
    assert m.status == 502


@pytest.mark.parametrize("status", [204, 304])
def test_replies_without_a_body(run, upstream, gateway, status):
    raw = f"HTTP/1.1 {status} X\r\nx-a: b\r\n\r\n".encode()
    m = run(play(upstream, gateway, SHAPES["chat-json"], upstream.answer(raw)))
    assert m.status == status and m.complete and m.body == b"" and m.get("x-a") == "b"


def test_trailers_and_chunk_extensions_are_taken(run, upstream, gateway):
    raw = (HEAD.encode() + b"Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
           b'2;ext="a;b"\r\n{}\r\n0\r\nX-T: 1\r\n\r\n')
    for _ in range(2):
        m = run(play(upstream, gateway, SHAPES["chat-json"], upstream.answer(raw)))
        assert m.status == 200 and m.body == b"{}"


# --- errors after 200 ---

ERRORS = {
    "chat-sse": sse({"error": {"message": "boom", "type": "server_error", "param": None,
                               "code": None}}),
    "chat-sse-edited": b'data: {"error": {"message":"boom","code":500}}\n\n',
    "messages-sse": sse(("error", {"type": "error", "error": {"type": "overloaded_error",
                                                              "message": "Overloaded"}})),
    "responses-sse": sse(("error", {"type": "error", "code": "x", "message": "m", "param": None,
                                    "sequence_number": 1})),
    "gemini-sse": sse({"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}),
}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_event_passes_and_stays_the_last(run, upstream, gateway, name, framing):
    shape = SHAPES[name]
    first = shape.reply.replace(b"\r\n", b"\n").split(b"\n\n")[0].replace(b',"usage":null',
                                                                          b"") + b"\n\n"
    sent = http_reply(200, first + ERRORS[name], (), shape.type, framing)
    m = run(play(upstream, gateway, shape, upstream.answer(sent, "close")))
    assert m.status == 200 and m.complete and m.body == first + ERRORS[name]
    ident = m.get("x-smartflow-request-id")
    assert gateway.err.wait_for(ident)
    line = next(x for x in gateway.log() if x.get("request_id") == ident)
    assert line["outcome"] == "upstream_error"


def test_an_error_as_json_instead_of_a_stream_passes(run, upstream, gateway):
    body = b'{"error":{"message":"m","type":"t","param":null,"code":"c"}}'
    m = run(play(upstream, gateway, SHAPES["chat-sse"], upstream.answer(http_reply(400, body))))
    assert m.status == 400 and m.body == body


def test_an_event_stream_with_an_error_status_passes(run, upstream, gateway):
    m = run(play(upstream, gateway, SHAPES["chat-sse"],
                 upstream.answer(http_reply(429, b"data: x\n\n", [("retry-after", "2")],
                                            "text/event-stream"))))
    assert m.status == 429 and m.body == b"data: x\n\n" and m.get("retry-after") == "2"


# --- compressed replies ---

@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_compressed_json_reply(run, upstream, gateway, framing):
    packed = gzip.compress(CHAT_REPLY)
    raw = http_reply(200, packed, [("Content-Encoding", "gzip")], framing=framing)
    m = run(play(upstream, gateway, SHAPES["chat-json"], upstream.answer(raw, "close")))
    assert m.status == 200 and m.complete, m
    plain = gzip.decompress(m.body) if m.get("content-encoding") == "gzip" else m.body
    assert plain == CHAT_REPLY
    ident = m.get("x-smartflow-request-id")
    assert gateway.err.wait_for(ident)
    line = next(x for x in gateway.log() if x.get("request_id") == ident)
    assert (line["input_tokens"], line["output_tokens"]) == (9, 2)


@pytest.mark.parametrize("name,got", [("chat-sse", CHAT_STREAM_USAGE),
                                      ("chat-sse-edited", CHAT_STREAM)])
def test_a_compressed_stream(run, upstream, gateway, name, got):
    raw = http_reply(200, gzip.compress(CHAT_STREAM_USAGE), [("Content-Encoding", "gzip")],
                     "text/event-stream", "chunked")
    m = run(play(upstream, gateway, SHAPES[name], upstream.answer(raw)))
    assert m.status == 200 and m.complete and m.get("content-encoding") is None
    assert m.body == got


def test_a_compressed_stream_cut_at_every_byte(run, upstream, gateway):
    shape = SHAPES["chat-sse-edited"]
    packed = gzip.compress(CHAT_STREAM_USAGE)
    raw = http_reply(200, packed, [("Content-Encoding", "gzip")], shape.type, "chunked")

    async def one(at):
        m = await play(upstream, gateway, shape, cutter(upstream, raw, at, "close"))
        return verdict(shape, m, CHAT_STREAM)

    wrong = run(many(one, range(len(raw))))
    assert {at: w for at, w in enumerate(wrong) if w} == {}


@pytest.mark.parametrize("coding", ["gzip", "br", "x-unknown"])
def test_a_stream_that_cannot_be_unpacked_is_an_error(run, upstream, gateway, coding):
    shape = SHAPES["chat-sse-edited"]
    raw = http_reply(200, b"not packed at all" * 9, [("Content-Encoding", coding)], shape.type)
    m = run(play(upstream, gateway, shape, upstream.answer(raw)))
    assert m.status == 502 or (m.status == 200 and shape.failed(m.events())), m


# --- statuses of the provider ---

@pytest.mark.parametrize("name", NAMES)
def test_our_refused_credential_is_502(run, upstream, gateway, name):
    shape = SHAPES[name]
    body = b'{"error":{"message":"Incorrect API key: sk-provider-secret","code":"invalid_api_key"}}'
    m = run(play(upstream, gateway, shape, upstream.answer(
        http_reply(401, body, [("www-authenticate", "Bearer")]))))
    assert m.status == 502 and is_error(shape.dialect, m.json())
    assert b"sk-provider" not in m.body and not m.get("www-authenticate")
    if shape.dialect == "openai":
        assert m.json()["error"]["code"] == "provider_auth_failed"
    assert m.get("x-should-retry") == "false"


BAD_KEY = {"error": {"code": 400, "status": "INVALID_ARGUMENT",
                     "message": "API key not valid. Please pass a valid API key: AIza-secret", "details": [
                         {"@type": "type.googleapis.com/google.rpc.ErrorInfo",
                          "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]}}
GEMINI_CALL = ("/v1beta/models/gemini-2.5-flash:generateContent", GEMINI)


@pytest.mark.parametrize("path,body,dialect", [
    (*GEMINI_CALL, "gemini"),
    ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", GEMINI, "gemini"),
    ("/v1/chat/completions", CHAT | {"model": "gemini/gemini-2.5-flash"}, "openai"),
    ("/v1beta/cachedContents", {}, "gemini")])
@pytest.mark.parametrize("form", ["length", "chunked", "list", "gzip"])
def test_geminis_way_to_refuse_a_key_is_502(run, upstream, gateway, path, body, dialect, form):
    text = json.dumps([BAD_KEY] if form == "list" else BAD_KEY, indent=2).encode()
    fields = [("content-encoding", "gzip")] if form == "gzip" else []
    script = upstream.answer(http_reply(400, gzip.compress(text) if fields else text, fields,
                                        framing="chunked" if form == "chunked" else "length"))
    m = run(call(gateway.port, path, body, script))
    assert m.status == 502 and is_error(dialect, m.json()), m
    assert b"GEMINI_API_KEY" in m.body and b"AIza" not in m.body
    assert m.get("x-should-retry") == "false"
    if dialect == "openai":
        assert m.json()["error"]["code"] == "provider_auth_failed"


@pytest.mark.parametrize("status,body", [
    (400, {"error": {"message": "API_KEY_INVALID", "details": [{"reason": "OTHER"}, 1]}}),
    (400, {"error": {"message": "x", "details": {"reason": "API_KEY_INVALID"}}}), (400, []),
    (400, {"error": "API_KEY_INVALID"}), (403, BAD_KEY)])
def test_other_errors_of_gemini_pass(run, upstream, gateway, status, body):
    text = json.dumps(body).encode()
    m = run(call(gateway.port, *GEMINI_CALL, upstream.answer(http_reply(status, text))))
    assert (m.status, m.body) == (status, text)


def test_a_callers_own_key_that_gemini_refuses_is_the_callers_fault(run, upstream, start):
    g = start(providers_at(upstream.port) | {"SMARTFLOW_PASSTHROUGH_KEYS": "true"})
    m = run(call(g.port, *GEMINI_CALL, upstream.answer(http_reply(400, json.dumps(BAD_KEY).encode())),
                 [("x-goog-api-key", "AIza-callers-own")], key=None))
    assert m.status == 400 and m.json() == BAD_KEY


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("status", [400, 403, 429, 500, 503, 529])
def test_a_providers_error_passes_unchanged(run, upstream, gateway, name, status):
    shape = SHAPES[name]
    body = b' {"error": {"message":"slow down"}} '
    m = run(play(upstream, gateway, shape, upstream.answer(http_reply(
        status, body, [("retry-after", "11"), ("x-ratelimit-reset-requests", "1s")]))))
    assert m.status == status and m.body == body
    assert m.get("retry-after") == "11" and m.get("x-ratelimit-reset-requests") == "1s"


def test_nobody_listens(run, start, unused_port):
    g = start({"OPENAI_API_KEY": "k", "OPENAI_API_BASE": f"http://127.0.0.1:{unused_port}"})
    m = run(call(g.port, "/v1/chat/completions", CHAT))
    assert m.status == 502 and is_error("openai", m.json())
    assert m.json()["error"]["code"] == "upstream_unreachable"


def test_a_name_that_does_not_exist(run, start):
    g = start({"OPENAI_API_KEY": "k", "OPENAI_API_BASE": "http://no-such-host.invalid"})
    m = run(call(g.port, "/v1/chat/completions", CHAT))
    assert m.status == 502 and is_error("openai", m.json())


# --- kept connections ---

def test_a_stale_connection_is_replaced_once(run, upstream, gateway):
    """The upstream closes a kept connection at the moment it is used again."""
    shape, played = SHAPES["chat-json"], []

    async def both():
        async def first(conn, _):
            await conn.send(http_reply(200, CHAT_REPLY))
            return True
        for _ in range(8):  # so that each thread of the gateway keeps one
            await play(upstream, gateway, shape, upstream.script(first))

        async def stale_then_good(conn, _):
            played.append(conn.number)
            if len(played) == 1:
                conn.close()
                return False
            await conn.send(http_reply(200, CHAT_REPLY))
            return True
        return await play(upstream, gateway, shape, upstream.script(stale_then_good))

    m = run(both())
    assert m.status == 200 and m.body == CHAT_REPLY
    assert len(played) == 2 and played[0] != played[1]


def test_a_fresh_connection_is_not_tried_twice(run, start, upstream):
    g = start({"OPENAI_API_KEY": "k", "OPENAI_API_BASE": f"http://127.0.0.1:{upstream.port}"})
    played = []

    async def closes(conn, _):
        played.append(conn.number)
        conn.close()
        return False

    m = run(play(upstream, g, SHAPES["chat-json"], upstream.script(closes)))
    assert m.status == 502 and len(played) == 1


def test_a_reply_that_began_is_never_repeated(run, upstream, gateway):
    shape, played = SHAPES["chat-json"], []

    async def begins(conn, _):
        played.append(1)
        await conn.send(b"HTTP/1.1 2")
        conn.close()
        return False

    for _ in range(4):
        run(play(upstream, gateway, shape, upstream.answer(http_reply(200, CHAT_REPLY))))
    m = run(play(upstream, gateway, shape, upstream.script(begins)))
    assert m.status == 502 and len(played) == 1


def test_an_early_answer_to_an_upload_reaches_the_client(run, upstream, gateway):
    """The provider refuses an upload before it has read it."""
    body = b'{"error":{"message":"too big","type":"t","param":null,"code":null}}'

    async def refuse(conn, _):
        await conn.send(http_reply(413, body, [("connection", "close")]))
        await conn.gone()
        return False

    async def upload():
        name = upstream.script(refuse, early=True)
        c = await Client.to(gateway.port)
        form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        raw = request("POST", "/v1/files", form + b"x" * (8 << 20), [("x-script", name)],
                      type_="multipart/form-data; boundary=b")

        async def push():
            try:
                await c.send(raw)
            except Ended:
                pass
        pushing = asyncio.ensure_future(push())
        m = await c.reply()
        pushing.cancel()
        c.close()
        return m

    m = run(upload())
    assert m.status == 413 and m.body == body


def test_metrics_count_what_went_wrong(run, upstream, gateway):
    run(play(upstream, gateway, SHAPES["chat-json"], upstream.answer(b"", "close")))
    status, text = gateway.get("/metrics")
    assert status == 200
    assert b'smartflow_provider_errors_total{provider="openai",status="0"}' in text


def test_a_large_reply_passes_in_pieces(run, upstream, gateway):
    body = json.dumps({"data": ["x" * 1000] * 20000, "usage": {"prompt_tokens": 7}}).encode()
    for framing in FRAMINGS:
        m = run(play(upstream, gateway, SHAPES["chat-json"],
                     upstream.answer(http_reply(200, body, framing=framing), "close")))
        assert m.status == 200 and m.complete and m.body == body, framing


def test_an_event_larger_than_the_limit_is_an_error(run, upstream, gateway):
    shape = SHAPES["chat-sse-edited"]
    huge = b"data: " + b"x" * (40 << 20) + b"\n\n"
    m = run(play(upstream, gateway, shape,
                 upstream.answer(http_reply(200, huge, (), shape.type), "close")))
    assert (m.complete and shape.failed(m.events())) or not m.complete


def test_chunks_of_one_byte(run, upstream, gateway):
    shape = SHAPES["chat-sse-edited"]
    raw = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
           b"Transfer-Encoding: chunked\r\n\r\n" + chunked(shape.reply, 1))
    m = run(play(upstream, gateway, shape, upstream.answer(raw)))
    assert m.complete and m.body == CHAT_STREAM


# --- replies that pass in pieces: nothing can be said any more, so the connection must break ---

AUDIO = bytes(range(256)) * 12000
SPEECH = {"model": "tts-1", "input": "x", "voice": "alloy"}


@pytest.mark.parametrize("framing,how", [("length", "close"), ("length", "reset"),
                                         ("chunked", "close"),
                                         ("chunked", "reset"), ("eof", "reset")])
@pytest.mark.parametrize("type_", ["audio/mpeg", "application/json"])
def test_a_cut_in_a_long_reply_breaks_the_connection(run, upstream, gateway, framing, how, type_):
    body = AUDIO if type_ == "audio/mpeg" else b'["' + b"x" * len(AUDIO) + b'"]'
    reply = http_reply(200, body, (), type_, framing)
    head = reply.index(b"\r\n\r\n") + 4

    async def one(at):
        script = cutter(upstream, reply, at, how)
        m = await call(gateway.port, "/v1/audio/speech", SPEECH, script)
        return (not m.complete and body.startswith(m.body)) or m.status == 502

    assert all(run(many(one, (head, head + 1, head + 5000, len(reply) // 2, len(reply) - 1))))


def test_a_stall_in_a_long_reply_breaks_the_connection(run, upstream, hasty):
    reply = http_reply(200, AUDIO, (), "audio/mpeg")
    m = run(call(hasty.port, "/v1/audio/speech", SPEECH, stalling(upstream, reply[:100000])))
    assert m.status == 200 and not m.complete and AUDIO.startswith(m.body)


def test_a_stored_responses_stream_that_breaks_is_noticed(run, upstream, gateway):
    shape = SHAPES["responses-sse"]
    reply = wire_reply(shape, "chunked")
    m = run(call(gateway.port, "/v1/responses/resp_1?stream=true", None,
                 cutter(upstream, reply, len(reply) - 100, "close"), method="GET"))
    assert not m.complete or shape.failed(m.events())
