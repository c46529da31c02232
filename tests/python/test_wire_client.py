"""The client's side of the wire: disconnects, back-pressure, pipelining, strictness, CORS."""

import asyncio
import json
import time

import pytest

from dialects import CHAT, CHAT_REPLY, CHAT_STREAM, CHAT_STREAM_USAGE, MESSAGES, SHAPES, sse
from gateway import KEY, providers_at
from test_bad_input import message
from wire import Client, call, chunked, exchange, http_reply, many, request

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM = CHAT | {"stream": True}


# --- disconnects ---

def waiting(upstream, before=b"", early=False):
    """A script that sends something and waits for the gateway to go; and when each happened."""
    reached, gone = asyncio.Event(), []

    async def play(conn, _):
        await conn.send(before)
        reached.set()
        how = await conn.gone()
        gone.append((time.monotonic(), how))
        reached.clear()
        return False
    return upstream.script(play, early), reached, gone


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\n", HEAD, HEAD + b"6\r\ndata: \r\n"],
                         ids=["no head", "half a head", "head", "stream"])
def test_a_disconnect_closes_the_upstream_within_100_ms(run, upstream, gateway, before, how):
    async def leave():
        script, reached, gone = waiting(upstream, before)
        c = await Client.to(gateway.port)
        await c.send(request("POST", "/v1/chat/completions", STREAM, [("x-script", script)]))
        await asyncio.wait_for(reached.wait(), 10)
        left = time.monotonic()
        c.close() if how == "close" else c.reset()
        while not gone:
            assert time.monotonic() < left + 10, "the upstream was never closed"
            await asyncio.sleep(0.001)
        return gone[0][0] - left

    assert min(run(leave()) for _ in range(3)) < 0.1


def test_a_disconnect_in_the_middle_of_an_upload_closes_the_upstream(run, upstream, gateway):
    async def leave():
        script, reached, gone = waiting(upstream, early=True)
        c = await Client.to(gateway.port)
        form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        raw = request("POST", "/v1/files", form + b"x" * 100000, [("x-script", script)],
                      type_="multipart/form-data; boundary=b")
        await c.send(raw[:-50000])
        await asyncio.wait_for(reached.wait(), 10)
        c.reset()
        while not gone:
            await asyncio.sleep(0.001)

    run(leave(), 10)


def test_disconnects_free_what_they_held(run, upstream, gateway):
    async def leave(_):
        script, reached, gone = waiting(upstream, HEAD + b"6\r\ndata: \r\n")
        c = await Client.to(gateway.port)
        await c.send(request("POST", "/v1/chat/completions", STREAM, [("x-script", script)]))
        await asyncio.wait_for(reached.wait(), 10)
        c.reset()
        while not gone:
            await asyncio.sleep(0.001)

    run(many(leave, range(200), 50))
    status, text = gateway.get("/metrics")
    assert status == 200
    assert b'status="499"' in text


# --- slow readers ---

def test_a_client_that_does_not_read_holds_its_upstream_back(run, upstream, start):
    """50 MB are ready; the gateway may hold a little of it, and the upstream feels it. Memory is that
    of the plain program, and of one thread that has streamed before: a sanitizer keeps what was freed
    and shadows what was touched, and code and token tables count from when they are first used."""
    g = start(providers_at(upstream.port) | {"SMARTFLOW_WRITE_TIMEOUT": "60s",
                                             "SMARTFLOW_THREADS": "1"}, plain=True)
    event = b"data: " + b"x" * 8000 + b"\n\n"
    total = 50 << 20

    async def slow():
        sent, stuck = 0, asyncio.Event()

        async def play(conn, _):
            nonlocal sent
            await conn.send(HEAD)
            conn.writer.transport.set_write_buffer_limits(high=65536)
            piece = chunked(event * 8, 1 << 20)[:-5]
            while sent < total:
                conn.writer.write(piece)
                try:
                    await asyncio.wait_for(conn.writer.drain(), 1)
                except asyncio.TimeoutError:
                    stuck.set()
                    await asyncio.wait_for(conn.writer.drain(), 60)
                sent += len(event) * 8
            await conn.send(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
            return True

        await call(g.port, "/v1/chat/completions", STREAM,
                   upstream.answer(HEAD + chunked(CHAT_STREAM)))
        assert await asyncio.to_thread(g.err.wait_for, '"outcome":"ok"')  # and counted
        before = g.resident()
        c = await Client.to(g.port)
        c.reader._transport.pause_reading()
        await c.send(request("POST", "/v1/chat/completions", STREAM,
                             [("x-script", upstream.script(play))]))
        await asyncio.wait_for(stuck.wait(), 30)
        grown, passed = g.resident() - before, sent
        c.reader._transport.resume_reading()
        m = await c.reply()
        c.close()
        return grown, passed, m

    grown, passed, m = run(slow())
    assert passed < 16 << 20, "the kernel's buffers and ours cannot hold that much"
    assert grown < 1 << 20
    assert m.complete and m.body.endswith(b"data: [DONE]\n\n") and len(m.body) > total


def test_a_client_that_never_reads_is_dropped(run, upstream, start):
    g = start(providers_at(upstream.port) | {"SMARTFLOW_WRITE_TIMEOUT": "300ms"})

    async def deaf():
        gone = asyncio.Event()

        async def play(conn, _):
            await conn.send(HEAD)
            piece = chunked(b"data: " + b"x" * 60000 + b"\n\n", 1 << 20)[:-5]
            try:
                while True:
                    await conn.send(piece)
            finally:
                gone.set()

        c = await Client.to(g.port)
        c.reader._transport.pause_reading()
        await c.send(request("POST", "/v1/chat/completions", STREAM,
                             [("x-script", upstream.script(play))]))
        await asyncio.wait_for(gone.wait(), 20)
        c.reset()

    run(deaf())


# --- many requests on one connection ---

def test_twenty_requests_in_one_packet(run, upstream, gateway):
    async def pipeline():
        raw = b""
        for i in range(20):
            script = upstream.answer(http_reply(200, b'{"n":%d}' % i))
            raw += request("POST", "/v1/chat/completions", CHAT, [("x-script", script)])
        c = await Client.to(gateway.port)
        await c.send(raw)
        got = [await c.reply() for _ in range(20)]
        c.close()
        return got

    for _ in range(3):
        assert [m.json()["n"] for m in run(pipeline())] == list(range(20))


def test_pipelined_errors_and_streams_keep_their_order(run, upstream, gateway):
    async def pipeline():
        good = upstream.answer(http_reply(200, CHAT_REPLY))
        stream = upstream.answer(http_reply(200, CHAT_STREAM_USAGE, (), "text/event-stream",
                                            "chunked"))
        raw = (request("POST", "/v1/chat/completions", CHAT, [("x-script", good)])
               + request("GET", "/nothing") + request("POST", "/v1/chat/completions", b"{")
               + request("POST", "/v1/chat/completions", STREAM, [("x-script", stream)])
               + request("GET", "/health") + request("POST", "/v1/chat/completions", CHAT, key=None)
               + request("POST", "/v1/chat/completions", CHAT, [("x-script", good)]))
        c = await Client.to(gateway.port)
        await c.send(raw)
        got = [await c.reply() for _ in range(7)]
        c.close()
        return got

    got = run(pipeline())
    assert [m.status for m in got] == [200, 404, 400, 200, 200, 401, 200]
    assert got[3].body == CHAT_STREAM


def test_a_request_split_at_every_byte(run, upstream, gateway):
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    raw = request("POST", "/v1/chat/completions", CHAT, [("x-script", script)])

    async def one(at):
        c = await Client.to(gateway.port)
        await c.send(raw[:at])
        await c.taken()
        await c.send(raw[at:])
        m = await c.reply()
        c.close()
        return m.status == 200 and m.body == CHAT_REPLY

    assert all(run(many(one, range(1, len(raw)))))


def test_a_chunked_request_split_at_every_byte(run, upstream, gateway):
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    body = json.dumps(CHAT).encode()
    raw = request("POST", "/v1/chat/completions", None, [
        ("Content-Type", "application/json"), ("Transfer-Encoding", "chunked"),
        ("x-script", script)])
    raw += chunked(body, 7)

    async def one(at):
        c = await Client.to(gateway.port)
        await c.send(raw[:at])
        await c.taken()
        await c.send(raw[at:])
        m = await c.reply()
        c.close()
        return m.status == 200 and m.body == CHAT_REPLY

    assert all(run(many(one, range(1, len(raw)))))
    assert {m.body for m in upstream.seen[script]} == {body}


def test_a_request_byte_by_byte(run, upstream, gateway):
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    raw = request("POST", "/v1/chat/completions", CHAT, [("x-script", script)])

    async def dribble():
        c = await Client.to(gateway.port)
        for i in range(len(raw)):
            await c.send(raw[i:i + 1])
            await c.taken()
        m = await c.reply()
        c.close()
        return m

    assert run(dribble()).status == 200


# --- versions and methods ---

def test_http_1_0(run, upstream, gateway):
    script = upstream.answer(http_reply(200, CHAT_STREAM_USAGE, (), "text/event-stream", "chunked"))
    raw = request("POST", "/v1/chat/completions", STREAM, [("x-script", script)])
    m = run(exchange(gateway.port, raw.replace(b"HTTP/1.1", b"HTTP/1.0")))
    assert m.status == 200 and m.body == CHAT_STREAM
    assert not m.get("transfer-encoding") and m.get("connection") == "close"


def test_http_1_0_keeps_alive_on_demand(run, upstream, gateway):
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    raw = request("POST", "/v1/chat/completions", CHAT, [("x-script", script),
                                                         ("Connection", "keep-alive")])

    async def twice():
        c = await Client.to(gateway.port)
        got = []
        for _ in range(2):
            await c.send(raw.replace(b"HTTP/1.1", b"HTTP/1.0"))
            got.append(await c.reply())
        c.close()
        return got

    for m in run(twice()):
        assert m.status == 200 and m.get("connection") == "keep-alive"


@pytest.mark.parametrize("line,status", [
    (b"GET /health HTTP/2.0", 505), (b"GET /health HTTP/3.0", 505), (b"GET /health HTTP/0.9", 505),
    (b"GET /health", 400), (b"GET  /health HTTP/1.1", 400), (b"GET /health HTTP/1.1 ", 400),
    (b"GET /health HTTX/1.1", 400), (b"/health", 400), (b"PRI * HTTP/2.0", 505),
    (b"GET /he alth HTTP/1.1", 400), (b"G\xc3T /health HTTP/1.1", 400)])
def test_a_bad_request_line(run, gateway, line, status):
    m = run(exchange(gateway.port, line + b"\r\nHost: x\r\n\r\n", "GET"))
    assert m.status in (status, 400), m
    assert m.get("connection") == "close"


def test_a_head_request_has_no_body(run, upstream, gateway):
    async def both():
        script = upstream.answer(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                 b"Content-Length: 1234\r\nx-a: b\r\n\r\n")
        c = await Client.to(gateway.port)
        await c.send(request("HEAD", "/v1/files/file-1", fields=[("x-script", script)])
                     + request("HEAD", "/health") + request("HEAD", "/nothing")
                     + request("GET", "/health"))
        got = [await c.reply(method) for method in ("HEAD", "HEAD", "HEAD", "GET")]
        c.close()
        return got, upstream.seen[script]

    got, seen = run(both())
    assert [m.status for m in got] == [200, 200, 404, 200]
    assert got[0].get("x-a") == "b" and seen[0].method == "HEAD"
    assert got[3].json()["status"] == "ok"


def test_expect_100_continue(run, upstream, gateway):
    async def polite():
        script = upstream.answer(http_reply(200, CHAT_REPLY))
        raw = request("POST", "/v1/chat/completions", CHAT,
                      [("x-script", script), ("Expect", "100-continue")])
        head, body = raw.split(b"\r\n\r\n", 1)
        c = await Client.to(gateway.port)
        await c.send(head + b"\r\n\r\n")
        interim = await c.until(b"\r\n\r\n")
        await c.send(body)
        m = await c.reply()
        c.close()
        return interim, m, upstream.seen[script][0]

    interim, m, seen = run(polite())
    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert m.status == 200 and not seen.get("expect")


def test_expect_is_not_continued_where_the_answer_is_no(run, gateway):
    async def refused():
        raw = request("POST", "/v1/chat/completions", CHAT, [("Expect", "100-continue")], key=None)
        c = await Client.to(gateway.port)
        await c.send(raw.split(b"\r\n\r\n")[0] + b"\r\n\r\n")
        first = await c.until(b"\r\n")
        c.close()
        return first

    assert run(refused()).startswith(b"HTTP/1.1 401 ")


def test_an_unknown_expectation_is_417_or_ignored(run, upstream, gateway):
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    m = run(call(gateway.port, "/v1/chat/completions", CHAT, script, [("Expect", "magic")]))
    assert m.status in (200, 417)


# --- smuggling ---

def framed(extra, body=b"", path=b"/v1/chat/completions", host=b"Host: x\r\n"):
    return (b"POST " + path + b" HTTP/1.1\r\n" + host + b"Authorization: Bearer " + KEY.encode()
            + b"\r\nContent-Type: application/json\r\n" + extra + b"\r\n" + body)


SMUGGLING = {
    "length and chunked": framed(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                                 b"0\r\n\r\n"),
    "chunked and length": framed(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                                 b"0\r\n\r\n"),
    "two lengths": framed(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{} "),
    "a list of lengths": framed(b"Content-Length: 2, 3\r\n", b"{} "),
    "signed length": framed(b"Content-Length: +2\r\n", b"{}"),
    "negative length": framed(b"Content-Length: -2\r\n", b"{}"),
    "hex length": framed(b"Content-Length: 0x2\r\n", b"{}"),
    "empty length": framed(b"Content-Length: \r\n", b"{}"),
    "length with text": framed(b"Content-Length: 2a\r\n", b"{}"),
    "huge length": framed(b"Content-Length: 99999999999999999999\r\n", b"{}"),
    "chunked twice": framed(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                            b"0\r\n\r\n"),
    "chunked, identity": framed(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    "gzip, chunked": framed(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "xchunked": framed(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "vertical tab": framed(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "quoted coding": framed(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"),
    "space before colon": framed(b"Content-Length : 2\r\n", b"{}"),
    "folded field": framed(b"X: a\r\n b\r\nContent-Length: 2\r\n", b"{}"),
    "folded coding": framed(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
    "bare line feed in the head": framed(b"X: a\nContent-Length: 2\r\n", b"{}"),
    "bare line feeds": b"GET /health HTTP/1.1\nHost: x\n\n",
    "bare carriage return": framed(b"X: a\rY: b\r\nContent-Length: 2\r\n", b"{}"),
    "NUL in a field": framed(b"X: a\0b\r\nContent-Length: 2\r\n", b"{}"),
    "NUL in a name": framed(b"X\0: a\r\nContent-Length: 2\r\n", b"{}"),
    "a field without a name": framed(b": a\r\nContent-Length: 2\r\n", b"{}"),
    "a line without a colon": framed(b"junk\r\nContent-Length: 2\r\n", b"{}"),
    "a first line that is folded": b"GET /health HTTP/1.1\r\n X: y\r\nHost: x\r\n\r\n",
    "no host": framed(b"Content-Length: 2\r\n", b"{}", host=b""),
    "two hosts": framed(b"Content-Length: 2\r\n", b"{}", host=b"Host: x\r\nHost: y\r\n"),
    "host with a fragment": framed(b"Content-Length: 2\r\n", b"{}", host=b"Host: x/#@y\r\n"),
    "host with user": framed(b"Content-Length: 2\r\n", b"{}", host=b"Host: a@b\r\n"),
    "host with a space": framed(b"Content-Length: 2\r\n", b"{}", host=b"Host: a b\r\n"),
    "host with a bad port": framed(b"Content-Length: 2\r\n", b"{}", host=b"Host: a:99999\r\n"),
    "absolute form, other host": framed(b"Content-Length: 2\r\n", b"{}", b"ftp://y/v1/models"),
    "absolute form with user": framed(b"Content-Length: 2\r\n", b"{}", b"http://a@b/v1/models"),
    "fragment": framed(b"Content-Length: 2\r\n", b"{}", b"/v1/models#x"),
    "backslash": framed(b"Content-Length: 2\r\n", b"{}", b"/v1\\models"),
    "asterisk": framed(b"Content-Length: 2\r\n", b"{}", b"*"),
    "authority form": framed(b"Content-Length: 2\r\n", b"{}", b"example.com:443"),
    "raw UTF-8 in the path": framed(b"Content-Length: 2\r\n", b"{}", "/v1/mödels".encode()),
    "bad percent": framed(b"Content-Length: 2\r\n", b"{}", b"/v1/%zz"),
}
BAD_CHUNKS = {
    "bad size": b"g\r\n{}\r\n0\r\n\r\n", "no size": b"\r\n{}\r\n",
    "negative": b"-2\r\n{}\r\n0\r\n\r\n",
    "0x": b"0x2\r\n{}\r\n0\r\n\r\n", "huge": b"fffffffffffffffff\r\n",
    "wraps": b"10000000000000002\r\n{}\r\n",
    "too much data": b"2\r\n{} \r\n0\r\n\r\n", "bare line feed": b"2\n{}\n0\n\n",
    "bare line feed after data": b"2\r\n{}\n0\r\n\r\n",
    "space before size": b" 2\r\n{}\r\n0\r\n\r\n",
    "bare CR in extension": b"2;a\rb\r\n{}\r\n0\r\n\r\n",
    "bad trailer": b"2\r\n{}\r\n0\r\nX y\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_smuggling_is_400(run, upstream, gateway, name):
    before = len(upstream.requests)
    m = run(exchange(gateway.port, SMUGGLING[name] + request("GET", "/health"), "POST"))
    assert m.status == 400 and m.complete, m
    assert m.get("connection") == "close"
    assert len(upstream.requests) == before
    message("openai", m)


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_bad_chunk_is_400(run, upstream, gateway, name):
    before = len(upstream.requests)
    m = run(exchange(gateway.port, framed(b"Transfer-Encoding: chunked\r\n", BAD_CHUNKS[name])
                     + request("GET", "/health"), "POST"))
    assert m.status == 400 and m.get("connection") == "close", m
    assert len(upstream.requests) == before


def test_absolute_form_is_allowed(run, upstream, gateway):
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    m = run(call(gateway.port, "http://127.0.0.1/v1/chat/completions", CHAT, script))
    assert m.status == 200
    assert upstream.seen[script][0].target == "/v1/chat/completions"


def test_the_same_length_twice_is_refused_or_passes_once(run, upstream, gateway):
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    raw = request("POST", "/v1/chat/completions", CHAT, [("x-script", script)])
    length = [x for x in raw.split(b"\r\n") if x.startswith(b"Content-Length")][0]
    m = run(exchange(gateway.port, raw.replace(length, length + b"\r\n" + length)))
    assert m.status in (200, 400)
    if m.status == 200:
        assert len(upstream.seen[script][0].all("content-length")) == 1


def test_fields_named_by_connection_do_not_pass(run, upstream, gateway):
    script = upstream.answer(http_reply(200, CHAT_REPLY, [("Connection", "X-Hop"), ("X-Hop", "1"),
                                                          ("Keep-Alive", "timeout=5"),
                                                          ("X-End", "1"),
                                                          ("Proxy-Authenticate", "Basic")]))
    m = run(call(gateway.port, "/v1/chat/completions", CHAT, script, [
        ("Connection", "keep-alive, X-Secret"), ("X-Secret", "1"), ("X-Kept", "1"),
        ("TE", "trailers"),
        ("Keep-Alive", "300"), ("Proxy-Authorization", "Basic x"), ("Upgrade", "h2c")]))
    seen = upstream.seen[script][0]
    assert m.status == 200 and seen.get("x-kept") == "1"
    for name in ("x-secret", "te", "keep-alive", "proxy-authorization", "upgrade"):
        assert seen.get(name) is None, name
    assert m.get("x-end") == "1"
    for name in ("x-hop", "keep-alive", "proxy-authenticate"):
        assert m.get(name) is None, name


def test_the_models_name_cannot_add_a_field(run, upstream, gateway):
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    m = run(call(gateway.port, "/v1/chat/completions", CHAT | {"model": "openai/a\r\nX-Evil: 1"},
                 script))
    assert m.get("x-evil") is None
    assert m.status in (200, 400, 404)


def test_a_models_name_cannot_leave_its_path(run, upstream, gateway):
    for model in ("../../admin", "..%2f..%2fadmin", "a%0d%0aX:%20y", "gemini-x?key=1",
                  "gemini-%00"):
        before = len(upstream.requests)
        m = run(call(gateway.port, f"/v1beta/models/{model}:generateContent", {"contents": [{}]},
                     key=KEY))
        assert m.status in (400, 404, 405), (model, m)
        assert len(upstream.requests) == before, model


# --- loops ---

def test_a_loop_is_508(run, start, upstream):
    """The gateway's own base URL points at itself."""
    g = start({"OPENAI_API_KEY": KEY, "OPENAI_API_BASE": f"http://127.0.0.1:{upstream.port}"})

    async def back(conn, m):
        again = m.head.replace(b"host: 127.0.0.1:%d" % upstream.port, b"host: x")
        got = await exchange(g.port, again + m.body)
        await conn.send(http_reply(got.status, got.body))
        return True

    m = run(call(g.port, "/v1/chat/completions", CHAT, upstream.script(back)))
    assert m.status == 508 and "OPENAI_API_BASE" in message("openai", m)
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    m = run(call(g.port, "/v1/chat/completions", CHAT, script, [("Via", "1.1 sf-someone-else")]))
    assert m.status == 200
    assert upstream.seen[script][0].get("via").startswith("1.1 sf-someone-else, 1.1 ")


# --- batches and lists ---

def test_the_long_context_mark_is_cut_in_a_batch(run, upstream, gateway):
    ask = {"requests": [{"custom_id": c, "params": MESSAGES | {"model": m}} for c, m in
                        (("a", "claude-sonnet-4-6[1m]"), ("b", "claude-sonnet-4-6"))]}
    script = upstream.answer(http_reply(200, b'{"id":"msgbatch_1"}'))
    m = run(call(gateway.port, "/anthropic/v1/messages/batches", ask, script))
    assert m.status == 200, m
    seen = upstream.seen[script][0]
    assert seen.body == json.dumps(ask).replace("[1m]", "").encode()


def test_azure_is_asked_for_its_list_where_it_has_one(run, upstream, start):
    """Of several providers' lists, Azure's stands elsewhere than the others'."""
    base = f"http://127.0.0.1:{upstream.port}"
    for more, target in (({}, "/openai/v1/models"),
                         ({"AZURE_API_VERSION": "2024-10-21"},
                          "/openai/models?api-version=2024-10-21")):
        g = start({"OPENAI_API_KEY": "k", "OPENAI_API_BASE": base, "AZURE_API_KEY": "k",
                   "AZURE_API_BASE": base} | more)
        before = len(upstream.requests)
        m = run(call(g.port, "/v1/models", method="GET"))
        assert m.status == 200, m
        assert sorted(r.target for r in upstream.requests[before:]) == sorted(["/v1/models",
                                                                               target])


# --- CORS ---

def preflight(run, g, origin, path="/v1/chat/completions"):
    return run(exchange(g.port, request("OPTIONS", path, fields=[
        ("Origin", origin), ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization, x-stainless-os")], key=None)))


def test_cors_is_off_by_default(run, gateway):
    m = preflight(run, gateway, "https://app.example")
    assert m.status == 204 and m.get("allow") == "POST, OPTIONS"
    assert not [n for n, _ in m.fields if n.lower().startswith("access-control")]


def test_cors_for_named_origins(run, start, upstream):
    g = start(providers_at(upstream.port)
              | {"SMARTFLOW_CORS_ORIGINS": "https://app.example, http://b"})
    m = preflight(run, g, "https://app.example")
    assert m.status == 204
    assert m.get("access-control-allow-origin") == "https://app.example"
    assert m.get("access-control-allow-headers") == "authorization, x-stainless-os"
    assert "POST" in m.get("access-control-allow-methods")
    assert preflight(run, g, "https://evil.example").get("access-control-allow-origin") is None
    script = upstream.answer(http_reply(200, CHAT_REPLY, [("access-control-allow-origin", "*")]))
    m = run(call(g.port, "/v1/chat/completions", CHAT, script, [("Origin", "http://b")]))
    assert m.all("access-control-allow-origin") == ["http://b"]
    assert "x-smartflow-request-id" in m.get("access-control-expose-headers")
    m = run(call(g.port, "/v1/chat/completions", b"{", None, [("Origin", "http://b")]))
    assert m.status == 400 and m.get("access-control-allow-origin") == "http://b"


def test_cors_for_any_origin(run, start):
    g = start({"SMARTFLOW_CORS_ORIGINS": "*", "OPENAI_API_KEY": "k",
               "OPENAI_API_BASE": "http://127.0.0.1:9"})
    assert preflight(run, g, "null").get("access-control-allow-origin") in ("*", "null")


def test_options_of_everything(run, gateway):
    m = run(exchange(gateway.port, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert m.status in (204, 200, 404)


# --- what was said before is not forgotten ---

def test_keep_alive_survives_a_thousand_requests(run, upstream, gateway):
    async def loop():
        script = upstream.answer(http_reply(200, CHAT_REPLY))
        raw = request("POST", "/v1/chat/completions", CHAT, [("x-script", script)])
        c = await Client.to(gateway.port)
        for _ in range(1000):
            await c.send(raw)
            m = await c.reply()
            assert m.status == 200 and m.body == CHAT_REPLY
        c.close()

    run(loop())


def test_an_unread_body_does_not_confuse_the_next_request(run, gateway):
    async def refused():
        c = await Client.to(gateway.port)
        await c.send(request("POST", "/v1/nothing",
                             b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
                     + request("GET", "/health"))
        got = [await c.reply(), await c.reply()]
        c.close()
        return got

    first, second = run(refused())
    assert first.status == 404
    assert second.status == 200 and second.json()["status"] == "ok"


def test_messages_to_every_dialect_share_a_connection(run, upstream, gateway):
    async def mixed():
        c = await Client.to(gateway.port)
        got = []
        for shape in SHAPES.values():
            script = upstream.answer(http_reply(200, shape.reply, (), shape.type, "chunked"))
            await c.send(request("POST", shape.path, shape.body,
                                 shape.fields + [("x-script", script)]))
            got.append(await c.reply())
        c.close()
        return got

    for m, shape in zip(run(mixed()), SHAPES.values(), strict=True):
        assert m.status == 200 and m.complete
        assert m.body == (CHAT_STREAM if "edited" in shape.name else shape.reply)


def test_a_stream_arrives_as_it_is_sent(run, upstream, gateway):
    """No event waits for the next one."""
    async def step():
        go = asyncio.Queue()

        async def play(conn, _):
            await conn.send(HEAD)
            for _ in range(5):
                n = await go.get()
                await conn.send(chunked(sse({"n": n, "choices": [{}]}), 1 << 20)[:-5])
            await conn.send(chunked(b"data: [DONE]\n\n"))
            return True

        c = await Client.to(gateway.port)
        await c.send(request("POST", "/v1/chat/completions", STREAM,
                             [("x-script", upstream.script(play))]))
        for n in range(5):
            go.put_nowait(n)
            await c.until(b'"n":%d' % n)
        await c.until(b"[DONE]")
        c.close()

    run(step(), 20)


# --- whose address it is ---

@pytest.mark.parametrize("trusted,fields,client", [
    (None, [("X-Forwarded-For", "203.0.113.9")], "127.0.0.1"),
    ("10.0.0.0/8", [("X-Forwarded-For", "203.0.113.9")], "127.0.0.1"),
    ("127.0.0.0/8", [], "127.0.0.1"),
    ("127.0.0.0/8", [("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
    ("127.0.0.1, 10.0.0.0/8", [("X-Forwarded-For", "6.6.6.6, 203.0.113.9, 10.1.2.3")],
     "203.0.113.9"),
    ("127.0.0.1", [("X-Forwarded-For", "6.6.6.6, 203.0.113.9, 10.1.2.3")], "10.1.2.3"),
    ("127.0.0.1", [("X-Forwarded-For", "2001:db8::1")], "2001:db8::1"),
    ("127.0.0.1", [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "203.0.113.9")],
     "203.0.113.9"),
    ("127.0.0.1", [("X-Forwarded-For", "not an address")], "127.0.0.1")])
def test_the_clients_address_comes_from_trusted_proxies_alone(run, upstream, start, trusted, fields,
                                                              client):
    g = start(providers_at(upstream.port) | {"SMARTFLOW_TRUSTED_PROXIES": trusted})
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    m = run(call(g.port, "/v1/chat/completions", CHAT, script, fields))
    assert m.status == 200
    assert not upstream.seen[script][0].all("x-forwarded-for")
    ident = m.get("x-smartflow-request-id")
    assert g.err.wait_for(ident)
    line = next(x for x in g.log() if x.get("request_id") == ident)
    address, _, _ = line["client"].rpartition(":")
    assert address.strip("[]") == client
