"""Start, reload, drain, overload. In none is a request dropped of which a byte was read."""

import asyncio
import base64
import hashlib
import re
import signal
import socket
import time

import pytest

from dialects import CHAT, CHAT_REPLY, CHAT_STREAM, CHAT_STREAM_USAGE
from gateway import KEY, providers_at, run_program
from test_bad_input import message
from test_wire_client import HEAD, STREAM
from wire import Client, Ended, call, chunked, exchange, http_reply, request

PATH = "/v1/chat/completions"


def asking(upstream):
    """A request that is answered at once."""
    return request("POST", PATH, CHAT, [("x-script", upstream.answer(http_reply(200, CHAT_REPLY)))])


def gated(upstream):
    """A script that begins a stream, and ends it when told."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def play(conn, _):
        await conn.send(HEAD + chunked(CHAT_STREAM_USAGE[:200])[:-5])
        begun.set()
        await go.wait()
        await conn.send(chunked(CHAT_STREAM_USAGE[200:]))
        return True
    return upstream.script(play), begun, go


# --- SIGTERM ---

def test_sigterm_lets_streams_finish(run, upstream, start):
    g = start(providers_at(upstream.port))

    async def drain():
        calls = []
        for _ in range(8):  # on every thread
            script, begun, go = gated(upstream)
            c = await Client.to(g.port)
            await c.send(request("POST", PATH, STREAM, [("x-script", script)]))
            await asyncio.wait_for(begun.wait(), 10)
            calls.append((c, go))
        g.signal(signal.SIGTERM)
        assert await asyncio.to_thread(g.err.wait_for, '"draining')
        got = []
        for c, go in calls:
            assert g.child.poll() is None
            go.set()
            got.append(await c.reply())
        return got

    for m in run(drain()):
        assert m.status == 200 and m.complete and m.body == CHAT_STREAM
    assert g.wait() == 0


def test_sigterm_closes_idle_connections_and_says_so_on_busy_ones(run, upstream, start):
    g = start(providers_at(upstream.port))

    async def drain():
        idle = await Client.to(g.port)
        await idle.send(asking(upstream))
        assert (await idle.reply()).get("connection") is None
        begun, go = asyncio.Event(), asyncio.Event()

        async def play(conn, _):
            begun.set()
            await go.wait()
            await conn.send(http_reply(200, CHAT_REPLY))
            return True

        busy = await Client.to(g.port)
        await busy.send(request("POST", PATH, CHAT, [("x-script", upstream.script(play))]))
        await asyncio.wait_for(begun.wait(), 10)
        g.signal(signal.SIGTERM)
        closed = await idle.gone()
        go.set()
        m = await busy.reply()
        return closed, m, await busy.gone()

    closed, m, after = run(drain())
    assert closed == "closed" and after == "closed"
    assert m.status == 200 and m.get("connection") == "close"
    assert g.wait() == 0


def test_sigterm_answers_what_is_queued_on_the_listener(run, upstream, start):
    """Connections that the kernel has accepted, but the gateway not: it is stopped meanwhile."""
    g = start(providers_at(upstream.port))

    async def drain():
        g.signal(signal.SIGSTOP)
        clients = []
        for _ in range(40):
            c = await Client.to(g.port)
            await c.send(asking(upstream))
            clients.append(c)
        g.signal(signal.SIGTERM)
        g.signal(signal.SIGCONT)
        return await asyncio.gather(*(c.reply() for c in clients))

    for m in run(drain()):
        assert m.status == 200 and m.complete and m.body == CHAT_REPLY
    assert g.wait() == 0


def test_a_half_sent_request_is_finished_during_the_drain(run, upstream, start):
    g = start(providers_at(upstream.port))

    async def drain():
        raw, clients = asking(upstream), []
        for i in range(1, len(raw), 17):
            c = await Client.to(g.port)
            await c.send(raw[:i])
            await c.taken()
            clients.append((c, raw[i:]))
        g.signal(signal.SIGTERM)
        assert await asyncio.to_thread(g.err.wait_for, '"draining')
        got = []
        for c, rest in clients:
            await c.send(rest)
            got.append(await c.reply())
        return got

    got = run(drain())
    assert len(got) > 10
    for m in got:
        assert m.status == 200 and m.body == CHAT_REPLY and m.get("connection") == "close"
    assert g.wait() == 0


def test_readiness_says_that_it_drains(run, upstream, start):
    g = start(providers_at(upstream.port))

    async def drain():
        script, begun, go = gated(upstream)
        c = await Client.to(g.port)
        await c.send(request("POST", PATH, STREAM, [("x-script", script)]))
        await asyncio.wait_for(begun.wait(), 10)
        watch = await Client.to(g.management_port)
        await watch.send(request("GET", "/health/readiness"))
        before = await watch.reply()
        await watch.send(b"GET /health/readiness HTTP/1.1\r\n")
        await watch.taken()
        g.signal(signal.SIGTERM)
        assert await asyncio.to_thread(g.err.wait_for, '"draining')
        await watch.send(b"Host: x\r\n\r\n")
        after = await watch.reply()
        go.set()
        return before, after, await c.reply()

    before, after, m = run(drain())
    assert (before.status, after.status, m.complete) == (200, 503, True)
    assert after.json()["status"] == "draining"
    assert g.wait() == 0


def test_the_drain_has_a_limit(run, upstream, start):
    g = start(providers_at(upstream.port) | {"SMARTFLOW_DRAIN_TIMEOUT": "300ms"})

    async def drain():
        script, begun, _ = gated(upstream)
        c = await Client.to(g.port)
        await c.send(request("POST", PATH, STREAM, [("x-script", script)]))
        await asyncio.wait_for(begun.wait(), 10)
        g.signal(signal.SIGTERM)
        return await c.reply()

    m = run(drain())
    assert not m.complete or b'"error"' in m.body
    assert g.wait() == 0


def test_a_second_sigterm_ends_at_once(run, upstream, start):
    g = start(providers_at(upstream.port))

    async def drain():
        script, begun, _ = gated(upstream)
        c = await Client.to(g.port)
        await c.send(request("POST", PATH, STREAM, [("x-script", script)]))
        await asyncio.wait_for(begun.wait(), 10)
        g.signal(signal.SIGTERM)
        assert await asyncio.to_thread(g.err.wait_for, '"draining')
        g.signal(signal.SIGTERM)
        return await c.reply()

    m = run(drain())
    assert not m.complete or b'"error"' in m.body
    assert g.wait() == 0


# --- WebSockets ---

OPENING = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
           ("Sec-WebSocket-Key", base64.b64encode(bytes(16)).decode())]


def frame(text, opcode=1, mask=b""):
    """A whole frame of less than 126 bytes; of a client with a mask of zeros."""
    return bytes([0x80 | opcode, len(text) | (0x80 if mask else 0)]) + mask + text


async def open_session(g, path, script=None):
    c = await Client.to(g.port)
    fields = OPENING + ([("x-script", script)] if script else [])
    await c.send(request("GET", path, fields=fields))
    assert (await c.reply("GET")).status == 101
    return c


async def next_frame(c):
    opcode, n = await c.exactly(2)
    if n >= 126:
        n = int.from_bytes(await c.exactly(2 if n == 126 else 8), "big")
    return opcode & 15, await c.exactly(n)


async def close_frame(c):
    """Its code; what comes before it is passed over."""
    while (got := await next_frame(c))[0] != 8:
        pass
    await c.send(frame(got[1], 8, bytes(4)))
    assert await c.gone() == "closed"
    return int.from_bytes(got[1][:2], "big")


def session(upstream, before):
    """An upstream's side of a session: sends something, and when told the rest; then it echoes the
    close frame that comes and notes its code."""
    opened, go, codes = asyncio.Event(), asyncio.Event(), []

    async def play(conn, m):
        key = m.get("sec-websocket-key").encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key).digest()).decode()
        await conn.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode() + before)
        opened.set()
        await go.wait()
        await conn.send(frame(b"0123456789")[len(before):])
        opcode, n = await conn.exactly(2)
        mask, payload = await conn.exactly(4), await conn.exactly(n & 127)
        payload = bytes(a ^ mask[i % 4] for i, a in enumerate(payload))
        codes.append((opcode & 15, int.from_bytes(payload[:2], "big")))
        await conn.send(frame(payload, 8))
        return False
    return upstream.script(play), opened, go, codes


def test_a_drain_closes_websockets_with_1001(run, start):
    """Idle ones of every kind and on every thread: the drain does not wait for its time-out."""
    g = start()  # with the demo as the provider

    async def drain():
        sessions = []
        for _ in range(4):
            waits = await open_session(g, "/v1/responses")
            asked = await open_session(g, "/v1/responses")
            await asked.send(frame(b'{"type":"response.create","model":"gpt-4o","input":"x"}', 1, bytes(4)))
            while b'"response.completed"' not in (await next_frame(asked))[1]:
                pass
            talks = await open_session(g, "/v1/realtime?model=gpt-realtime")
            assert b'"session.created"' in (await next_frame(talks))[1]
            sessions += [waits, asked, talks]
        g.signal(signal.SIGTERM)
        return [await close_frame(c) for c in sessions]

    assert run(drain()) == [1001] * 12
    assert g.wait() == 0
    assert "time-out is over" not in g.err.text()


def test_a_drain_does_not_cut_a_frame(run, upstream, start):
    g = start(providers_at(upstream.port))

    async def drain():
        script, opened, go, codes = session(upstream, frame(b"0123456789")[:5])
        c = await open_session(g, "/v1/realtime?model=gpt-realtime", script)
        await asyncio.wait_for(opened.wait(), 10)
        assert await c.exactly(5) == frame(b"0123456789")[:5]
        g.signal(signal.SIGTERM)
        assert await asyncio.to_thread(g.err.wait_for, '"draining')
        go.set()
        assert await c.exactly(7) == frame(b"0123456789")[5:]
        assert await close_frame(c) == 1001
        return codes

    codes = run(drain())
    assert g.wait() == 0
    assert codes == [(8, 1001)]


# --- under load ---

class Load:
    """Clients that ask again and again on kept connections, their requests dribbled in pieces.

    A failure is: no whole answer to a request of which the gateway has read a byte. That a
    connection was closed before is none; the kernel says whether the bytes have been read.
    """

    def __init__(self, g, raw, clients=50):
        self.g, self.raw, self.answered, self.failures, self.stop = g, raw, 0, [], False
        self.tasks = [asyncio.ensure_future(self.client(i)) for i in range(clients)]

    async def client(self, number):
        turn = number
        while not self.stop:
            try:
                c = await Client.to(self.g.port)
            except OSError:
                return  # nobody listens any more: no byte was read
            again = True
            while again and not self.stop:
                turn += 1
                again = await self.ask(c, turn)
            c.close()

    async def ask(self, c, turn):
        """True when the connection can be used again."""
        cut, read = 1 + turn * 7 % (len(self.raw) - 1), False
        try:
            await c.send(self.raw[:cut])
            read = await c.taken()
            await c.send(self.raw[cut:])
        except Ended:
            pass
        m = await c.reply()
        if m.status == 200 and m.complete and m.body == CHAT_REPLY:
            self.answered += 1
            return m.get("connection") != "close"
        if m.head or read:
            self.failures.append((turn, m))
        return False

    async def until(self, n):
        while self.answered < n:
            await asyncio.sleep(0.001)

    async def end(self):
        self.stop = True
        await asyncio.wait_for(asyncio.gather(*self.tasks), 60)


def test_sighup_under_load_drops_nothing(run, upstream, start, tmp_path):
    config = tmp_path / "gateway.yaml"
    config.write_text("model_aliases: {a0: openai/gpt-4o}\n", encoding="ascii")
    g = start(providers_at(upstream.port), config=config)

    async def loaded():
        load = Load(g, asking(upstream))
        await load.until(200)
        for i in range(10):
            before = len(g.err.data)
            config.write_text(f"model_aliases: {{a{i}: openai/gpt-4o}}\n", encoding="ascii")
            g.signal(signal.SIGHUP)
            assert await asyncio.to_thread(g.err.wait_for, '"configuration reloaded', 20, before)
            await load.until(load.answered + 100)
        await load.end()
        return load

    load = run(loaded())
    assert load.failures == [] and load.answered >= 1000


def test_sigterm_under_load_drops_nothing(run, upstream, start):
    """Clients may find their idle connections closed, but none is answered half, or reset."""
    for _ in range(3):
        g = start(providers_at(upstream.port))

        async def loaded(g=g):
            load = Load(g, asking(upstream))
            await load.until(300)
            g.signal(signal.SIGTERM)
            await asyncio.wait_for(asyncio.gather(*load.tasks), 60)
            return load

        load = run(loaded())
        assert load.failures == []
        assert g.wait() == 0


# --- SIGHUP ---

def yaml(*keys):
    rows = "".join(f"  - name: k{i}\n    key: {k}\n" for i, k in enumerate(keys))
    return "virtual_keys:\n" + (rows or "  []\n")


def reload(g, words):
    before = len(g.err.data)
    g.signal(signal.SIGHUP)
    assert g.err.wait_for(words, 20, before), g.err.text()[before:]
    return g.err.text()[before:]


def status(run, g, upstream, key):
    """On several connections, so that every thread is asked. Of an unknown key asked often: 401."""
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    got = {run(call(g.port, PATH, CHAT, script, key=key)).status for _ in range(12)}
    got = {401 if s == 429 else s for s in got}
    assert len(got) == 1, got
    return got.pop()


def test_sighup_takes_a_new_key_and_drops_an_old_one(run, upstream, start, tmp_path):
    one, two = "sk-sf-" + "a" * 48, "sk-sf-" + "b" * 48
    config = tmp_path / "gateway.yaml"
    config.write_text(yaml(one), encoding="ascii")
    g = start(providers_at(upstream.port), config=config)
    assert status(run, g, upstream, one) == 200 and status(run, g, upstream, two) == 401
    config.write_text(yaml(two), encoding="ascii")
    reload(g, "configuration reloaded")
    deadline = time.monotonic() + 5
    while run(call(g.port, PATH, CHAT, key=one)).status == 200 and time.monotonic() < deadline:
        pass
    assert status(run, g, upstream, two) == 200 and status(run, g, upstream, one) == 401
    assert status(run, g, upstream, KEY) == 200


@pytest.mark.parametrize("bad,words", [
    ("virtual_keys: 1\n", r"gateway.yaml:1: virtual_keys must be a list"),
    ("smartflow:\n  max_body: lots\n", r"gateway.yaml:2: SMARTFLOW_MAX_BODY must be a size"),
    ("a: [1\n", r"gateway.yaml:\d+: not valid YAML")])
def test_a_faulty_configuration_keeps_the_old_one(run, upstream, start, tmp_path, bad, words):
    one = "sk-sf-" + "a" * 48
    config = tmp_path / "gateway.yaml"
    config.write_text(yaml(one), encoding="ascii")
    g = start(providers_at(upstream.port), config=config)
    config.write_text(bad, encoding="ascii")
    said = reload(g, "the old one stays")
    assert re.search(words, said), said
    assert status(run, g, upstream, one) == 200
    config.unlink()
    reload(g, "the old one stays")
    assert status(run, g, upstream, one) == 200
    config.write_text(yaml(), encoding="ascii")
    reload(g, "configuration reloaded")


@pytest.mark.parametrize("stays", [True, False])
def test_a_stream_outlives_a_reload(run, upstream, start, tmp_path, stays):
    """Unless the reload takes its key away: then it ends with an error event that says so."""
    config = tmp_path / "gateway.yaml"
    first = yaml("sk-sf-" + "a" * 48)
    config.write_text(first, encoding="ascii")
    g = start(providers_at(upstream.port), config=config)

    async def stream():
        script, begun, go = gated(upstream)
        c = await Client.to(g.port)
        await c.send(request("POST", PATH, STREAM, [("x-script", script)], key="sk-sf-" + "a" * 48))
        await asyncio.wait_for(begun.wait(), 10)
        for i in range(5):
            text = first + f"# {i}\n" if stays else yaml("sk-sf-" + str(i) * 48)
            config.write_text(text, encoding="ascii")
            await asyncio.to_thread(reload, g, "configuration reloaded")
        go.set()
        return await c.reply()

    m = run(stream())
    assert m.status == 200
    if stays:
        assert m.body == CHAT_STREAM
    else:
        assert b"key_revoked" in m.body and b"[DONE]" not in m.body


# --- start ---

def test_a_port_in_use_is_said_clearly(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        done = run_program("serve", env={"PROXY_PORT": str(port), "MANAGEMENT_PORT": "0",
                                         "SMARTFLOW_DATA": str(tmp_path)})
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr and "in use" in done.stderr
    assert "Sanitizer" not in done.stderr


def test_two_gateways_do_not_share_a_port(start, upstream, tmp_path):
    g = start(providers_at(upstream.port))
    done = run_program("serve", env={"PROXY_PORT": str(g.port), "MANAGEMENT_PORT": "0",
                                     "SMARTFLOW_DATA": str(tmp_path / "d")})
    assert done.returncode == 1 and "in use" in done.stderr


def test_a_data_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("", encoding="ascii")
    done = run_program("serve", env={"PROXY_PORT": "0", "MANAGEMENT_PORT": "0",
                                     "SMARTFLOW_DATA": str(tmp_path / "file" / "data")})
    assert done.returncode == 1 and "SMARTFLOW_DATA" in done.stderr
    assert "Sanitizer" not in done.stderr


@pytest.mark.parametrize("words", [(), ("serve",), ("keys",), ("keys", "list"), ("logs", "tail"),
                                   ("audit", "verify"), ("backup",), ("config", "check")])
def test_help_stands_behind_every_command(words):
    done = run_program(*words, "--help")
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.startswith("Usage: smartflow") and "keys create" in done.stdout


def test_a_client_library_of_postgresql_that_cannot_be_used(tmp_path):
    """It is loaded only where PostgreSQL is configured."""
    (tmp_path / "libpq.so.5").write_text("", encoding="ascii")
    env = {"PROXY_PORT": "0", "MANAGEMENT_PORT": "0", "SMARTFLOW_DATA": str(tmp_path / "data"),
           "LD_LIBRARY_PATH": str(tmp_path)}
    assert run_program("--version", env=env).returncode == 0
    done = run_program("serve", env=env | {"DATABASE_URL": "postgres://u:p@127.0.0.1:1/x"})
    assert done.returncode == 1 and "libpq5" in done.stderr
    assert "Sanitizer" not in done.stderr


@pytest.mark.parametrize("text,line,words", [
    ("proxy:\n  port: many\n", 2, "PROXY_PORT must be a port number"),
    ("proxy:\n  prot: 1\n", 2, "did you mean PROXY_PORT"),
    ("openai:\n  api_key: k\n  api_base: ftp://x\n", 3, "must begin with http"),
    ("virtual_keys:\n  - name: a\n", 2, "needs a name and a key"),
    ("virtual_keys:\n  - name: a\n    key: short\n", 2, "sk-sf-"),
    ("virtual_keys:\n  - name: a\n    key: sk-sf-12345678\n    rpm: 1\n", 4, "no field 'rpm'"),
    ("x: [\n", 2, "not valid YAML"), ("smartflow:\n  head_timeout: 0ms\n", 2, "out of range")])
def test_config_check_names_file_and_line(tmp_path, text, line, words):
    config = tmp_path / "c.yaml"
    config.write_text(text, encoding="ascii")
    done = run_program("config", "check", "--config", str(config))
    assert done.returncode == 1
    said = [x for x in done.stderr.splitlines() if x.startswith(f"{config}:{line}: ")]
    assert any(words in x for x in said), done.stderr


def test_config_check_of_a_sound_file(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("proxy: {port: 1234}\n" + yaml("sk-sf-" + "a" * 48), encoding="ascii")
    done = run_program("config", "check", "--config", str(config))
    assert (done.returncode, done.stderr) == (0, "")
    done = run_program("config", "check", "--config", str(tmp_path / "none.yaml"))
    assert done.returncode == 1 and "none.yaml" in done.stderr


def test_errors_of_the_environment_name_the_variable():
    done = run_program("config", "check", env={"SMARTFLOW_MAX_BODY": "x", "PROXY_PORT": "99999"})
    assert done.returncode == 1
    assert "SMARTFLOW_MAX_BODY" in done.stderr and "PROXY_PORT" in done.stderr
    assert "2 problems" in done.stderr


# --- overload ---

def test_beyond_the_limit_of_requests_in_flight_it_sheds_at_once(run, upstream, start):
    g = start(providers_at(upstream.port) | {"SMARTFLOW_MAX_IN_FLIGHT": "2"})

    async def overload():
        held = []
        for _ in range(2):
            script, begun, go = gated(upstream)
            c = await Client.to(g.port)
            await c.send(request("POST", PATH, STREAM, [("x-script", script)]))
            await asyncio.wait_for(begun.wait(), 10)
            held.append((c, go))
        began = time.monotonic()
        refused = [await exchange(g.port, asking(upstream)) for _ in range(5)]
        took = time.monotonic() - began
        for c, go in held:
            go.set()
            assert (await c.reply()).complete
        return refused, took, await exchange(g.port, asking(upstream))

    refused, took, after = run(overload())
    for m in refused:
        assert m.status == 503 and m.get("retry-after") == "1" and message("openai", m)
    assert took < 1
    assert after.status == 200


def test_shedding_speaks_the_callers_dialect(run, upstream, start):
    g = start(providers_at(upstream.port) | {"SMARTFLOW_MAX_IN_FLIGHT": "1"})

    async def overload():
        script, begun, go = gated(upstream)
        c = await Client.to(g.port)
        await c.send(request("POST", PATH, STREAM, [("x-script", script)]))
        await asyncio.wait_for(begun.wait(), 10)
        got = [await call(g.port, path, {"contents": []}) for path in
               ("/v1/messages", "/v1beta/models/gemini-2.5-flash:generateContent")]
        go.set()
        await c.reply()
        return got

    for m, dialect in zip(run(overload()), ("anthropic", "gemini"), strict=True):
        assert m.status == 503
        message(dialect, m)


def test_health_answers_while_overloaded(run, upstream, start):
    g = start(providers_at(upstream.port) | {"SMARTFLOW_MAX_IN_FLIGHT": "1"})

    async def overload():
        script, begun, go = gated(upstream)
        c = await Client.to(g.port)
        await c.send(request("POST", PATH, STREAM, [("x-script", script)]))
        await asyncio.wait_for(begun.wait(), 10)
        m = await exchange(g.management_port, request("GET", "/health/liveliness"))
        go.set()
        await c.reply()
        return m

    assert run(overload()).status == 200
