"""HTTP as bytes: a client that says exactly what it sends, and an upstream that does as it is told.

Everything runs on one asyncio loop in the test's own thread. A script is a coroutine function that
is called with the connection and the request once that has arrived; a request names its script in
the field `x-script`, so that thousands of scripted calls share one gateway and one upstream.
"""

import asyncio
import itertools
import json
import socket
import struct
from dataclasses import dataclass, field

from gateway import KEY

CLOSE_WAIT = 8  # of the kernel's enum of TCP states
LIMIT = 30  # seconds that a wait may take before the test fails


# --- messages ---

@dataclass
class Message:
    start: str = ""
    fields: list = field(default_factory=list)  # (name, value) as they stand
    body: bytes = b""
    head: bytes = b""  # with its empty line
    complete: bool = False
    trailers: list = field(default_factory=list)
    error: str = ""  # why it is not complete

    @property
    def status(self):
        return int(self.start.split(" ")[1]) if self.start.startswith("HTTP/") else 0

    @property
    def target(self):
        return self.start.split(" ")[1]

    @property
    def method(self):
        return self.start.split(" ")[0]

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name]

    def get(self, name, default=None):
        return next(iter(self.all(name)), default)

    def json(self):
        return json.loads(self.body)

    def events(self):
        return sse_events(self.body)


def sse_events(stream):
    """Whole events as (name, data)."""
    out = []
    for block in stream.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]:
        lines = block.split(b"\n")
        name = next((x[6:].strip() for x in lines if x.startswith(b"event:")), b"")
        data = b"\n".join(x[5:].lstrip(b" ") for x in lines if x.startswith(b"data:"))
        out.append((name.decode(), data.decode()))
    return out


def parse_head(raw):
    lines = raw[:-4].decode("latin-1").split("\r\n")
    fields = [tuple(x.strip() for x in line.split(":", 1)) for line in lines[1:]]
    return Message(start=lines[0], fields=fields, head=raw)


class Ended(Exception):
    """The peer closed or reset in the middle of a message."""


class Stream:
    """Both directions of one connection, with what was read ahead."""

    def __init__(self, reader, writer):
        self.reader, self.writer, self.ahead = reader, writer, b""
        self.socket = writer.get_extra_info("socket")

    async def more(self):
        try:
            piece = await asyncio.wait_for(self.reader.read(65536), LIMIT)
        except (ConnectionError, OSError) as e:
            raise Ended(type(e).__name__) from None
        if not piece:
            raise Ended("closed")
        self.ahead += piece

    async def until(self, mark):
        while mark not in self.ahead:
            await self.more()
        piece, _, self.ahead = self.ahead.partition(mark)
        return piece + mark

    async def exactly(self, n, into=None):
        """n bytes; into (a bytearray) also gets what came before an early end."""
        got = bytearray() if into is None else into
        end = len(got) + n
        while True:
            take, self.ahead = self.ahead[:end - len(got)], self.ahead[end - len(got):]
            got += take
            if len(got) == end:
                return bytes(got[-n:]) if n else b""
            await self.more()

    async def head(self):
        """None when the connection ends before a byte of it."""
        try:
            return parse_head(await self.until(b"\r\n\r\n"))
        except Ended:
            if self.ahead:
                raise
            return None

    async def body(self, m, to_eof=False):
        got = bytearray()
        try:
            if "chunked" in m.get("transfer-encoding", ""):
                await self.chunks(m, got)
            elif m.get("content-length") is not None:
                await self.exactly(int(m.get("content-length")), got)
            elif to_eof:
                await self.to_the_end(got)
            m.complete = True
        except Ended as e:
            m.error = str(e)
        m.body = bytes(got)
        return m

    async def chunks(self, m, got):
        while True:
            size = int((await self.until(b"\r\n")).split(b";")[0], 16)
            if size == 0:
                break
            await self.exactly(size, got)
            assert await self.exactly(2) == b"\r\n"
        while (line := await self.until(b"\r\n")) != b"\r\n":
            m.trailers.append(tuple(x.strip() for x in line.decode().split(":", 1)))

    async def to_the_end(self, got):
        while True:
            got += self.ahead
            self.ahead = b""
            try:
                await self.more()
            except Ended as e:
                if str(e) != "closed":
                    raise
                return

    async def send(self, data):
        self.writer.write(data)
        try:
            await asyncio.wait_for(self.writer.drain(), LIMIT)
        except (ConnectionError, OSError) as e:
            raise Ended(type(e).__name__) from None

    def close(self):
        self.writer.close()

    def reset(self):
        """Ends the connection with RST; what was not sent yet is dropped."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self):
        """Returns once the peer has closed or reset; what it still sends is dropped."""
        try:
            while True:
                await self.more()
                self.ahead = b""
        except Ended as e:
            return str(e)

    async def taken(self):
        """Waits until the peer's program has read all that was sent to it (Linux, IPv4). False when
        it closed its socket before, with bytes of ours unread."""
        try:
            here, there = self.socket.getsockname()[1], self.socket.getpeername()[1]
            while True:
                left = unread(there, here)
                if left is None:
                    state = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
                    return state == CLOSE_WAIT  # it read all and closed; otherwise it was a reset
                if left == 0:
                    return True
                await asyncio.sleep(0)
        except OSError:
            return False


# --- the kernel's view of the peer's socket ---

_diag = None


def unread(local_port, remote_port):
    """Bytes that wait for the owner of a loopback socket (sock_diag); None: there is none."""
    global _diag
    _diag = _diag or socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
    address = socket.inet_aton("127.0.0.1") + bytes(12)
    ident = struct.pack(">HH", local_port, remote_port) + address + address
    ident += struct.pack("=III", 0, 0xffffffff, 0xffffffff)
    request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xffffffff) + ident
    _diag.send(struct.pack("=IHHII", 16 + len(request), 20, 1, 1, 0) + request)
    answer = _diag.recv(8192)
    if struct.unpack_from("=IH", answer)[1] == 2:  # NLMSG_ERROR
        return None
    return struct.unpack_from("=I", answer, 16 + 4 + 48 + 4)[0]


# --- the client ---

class Client(Stream):
    @classmethod
    async def to(cls, port, **how):
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", port, limit=1 << 20, **how), LIMIT)
        return cls(reader, writer)

    async def reply(self, method="POST"):
        """The next final reply; a Message that is not complete when the connection broke."""
        while True:
            try:
                m = await self.head()
            except Ended as e:
                return Message(error=str(e))
            if m is None:
                return Message(error="closed without a reply")
            if m.status >= 200 or m.status == 101:
                break
        if method == "HEAD" or m.status in (101, 204, 304):
            m.complete = True
            return m
        return await self.body(m, to_eof=True)


def request(method, path, body=None, fields=(), key=KEY, host="127.0.0.1",
            type_="application/json"):
    """A request's bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
    if body is not None:
        if type_:
            lines.append(f"Content-Type: {type_}")
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{n}: {v}" for n, v in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


async def exchange(port, raw, method=None, **how):
    """One request on a connection of its own."""
    c = await Client.to(port, **how)
    try:
        await c.send(raw)
    except Ended:
        pass  # it may have answered before it read everything
    m = await c.reply(method or raw.split(b" ", 1)[0].decode())
    c.close()
    return m


async def call(port, path, body=None, script=None, fields=(), method="POST", **how):
    fields = list(fields) + ([("x-script", script)] if script else [])
    return await exchange(port, request(method, path, body, fields, **how), method)


async def many(make, items, at_once=24):
    """make(item) for all items, some at a time, in order."""
    gate = asyncio.Semaphore(at_once)

    async def one(item):
        async with gate:
            return await make(item)

    return await asyncio.gather(*(one(i) for i in items))


# --- the upstream ---

class Connection(Stream):
    number = 0

    async def answer(self, data, then="keep"):
        await self.send(data)
        if then == "close":
            self.close()
        elif then == "reset":
            await self.taken()
            self.reset()
        return then == "keep"


class RawUpstream:
    """Records what it gets, and plays scripts. Without a script it answers `default`."""

    def __init__(self):
        self.scripts, self.seen, self.requests, self.open = {}, {}, [], set()
        self.count, self.connections = itertools.count(), 0
        self.early = set()  # scripts that want the head alone
        self.default = None
        self.on_connection = None  # async function(Connection): plays the whole connection

    async def start(self, ssl=None):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 20, ssl=ssl,
                                                 backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def script(self, play, early=False):
        name = f"s{next(self.count)}"
        self.scripts[name] = play
        self.seen[name] = []
        if early:
            self.early.add(name)
        return name

    def answer(self, data, then="keep"):
        async def play(conn, _):
            return await conn.answer(data, then)
        return self.script(play)

    async def serve(self, reader, writer):
        self.connections += 1
        conn = Connection(reader, writer)
        conn.number = self.connections
        conn.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open.add(conn)
        try:
            if self.on_connection:
                await self.on_connection(conn)
            while await self.one(conn):
                pass
        except (Ended, ConnectionError, asyncio.CancelledError, asyncio.TimeoutError):
            pass
        finally:
            self.open.discard(conn)
            conn.close()

    async def one(self, conn):
        m = await conn.head()
        if m is None:
            return False
        name = m.get("x-script")
        if name not in self.early:
            await conn.body(m)
        self.requests.append(m)
        self.seen.setdefault(name, []).append(m)
        play = self.scripts.get(name) or self.default
        if play is None:
            await conn.send(http_reply(500, b"no script"))
            return False
        return await play(conn, m)

    async def stop(self):
        self.server.close()
        for conn in list(self.open):
            conn.close()


def http_reply(status, body=b"", fields=(), type_="application/json", framing="length"):
    """A reply's bytes. framing: length, chunked, eof."""
    lines = [f"HTTP/1.1 {status} Reason"]
    if type_:
        lines.append(f"Content-Type: {type_}")
    lines += [f"{n}: {v}" for n, v in fields]
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        body = chunked(body)
    else:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def chunked(body, size=97):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
