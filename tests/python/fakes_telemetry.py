"""Receivers of what the gateway tells: webhooks, collectors, syslog, object stores.

Each keeps what arrived as bytes, for the tests to check. Standard library only.
"""

import hashlib
import hmac
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Arrived:
    """A list that can be waited on."""

    def __init__(self):
        self.items = []
        self.changed = threading.Condition()

    def add(self, item):
        with self.changed:
            self.items.append(item)
            self.changed.notify_all()

    def wait(self, n=1, timeout=20):
        """The first n items, once they are there."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.items) >= n, timeout)
            assert len(self.items) >= n, f"{len(self.items)} of {n} arrived"
            return list(self.items)


class Request:
    def __init__(self, handler, body):
        self.method, self.path = handler.command, handler.path
        self.headers = {k.lower(): v for k, v in handler.headers.items()}
        self.body, self.at = body, time.monotonic()


class Receiver:
    """An HTTP server that answers as it is told: answers is a list of (status, headers), used up one
    a request; then 200."""

    def __init__(self):
        self.arrived, self.answers, self.lock = Arrived(), [], threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with fake.lock:
                    status, fields = fake.answers.pop(0) if fake.answers else (200, {})
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()
                fake.arrived.add(Request(self, body))

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def wait(self, n=1, timeout=20):
        return self.arrived.wait(n, timeout)

    def count(self):
        return len(self.arrived.items)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Syslog:
    """Datagrams on UDP or a unix socket, or one TCP listener with counted frames (RFC 6587)."""

    def __init__(self, kind, path=None):
        self.arrived = Arrived()
        if kind == "unix":
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.socket.bind(path)
            self.address = f"unix:{path}"
        else:
            how = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
            self.socket = socket.socket(socket.AF_INET, how)
            self.socket.bind(("127.0.0.1", 0))
            self.address = f"{kind}://127.0.0.1:{self.socket.getsockname()[1]}"
        self.path, self.ended, self.connections = path, False, []
        target = self.accept if kind == "tcp" else self.datagrams
        if kind == "tcp":
            self.socket.listen()
        self.socket.settimeout(0.1)
        self.thread = threading.Thread(target=target, daemon=True)
        self.thread.start()

    def datagrams(self):
        while not self.ended:
            try:
                self.arrived.add(self.socket.recv(65536))
            except TimeoutError:
                continue

    def accept(self):
        while not self.ended:
            try:
                peer, _ = self.socket.accept()
            except TimeoutError:
                continue
            self.connections.append(peer)
            threading.Thread(target=self.frames, args=(peer,), daemon=True).start()

    def frames(self, peer):
        data = b""
        while True:
            try:
                piece = peer.recv(65536)
            except OSError:
                return
            if not piece:
                return
            data += piece
            while b" " in data:
                size, rest = data.split(b" ", 1)
                if len(rest) < int(size):
                    break
                self.arrived.add(rest[:int(size)])
                data = rest[int(size):]

    def cut(self):
        """Closes what is connected."""
        while self.connections:
            peer = self.connections.pop()
            peer.shutdown(socket.SHUT_RDWR)
            peer.close()

    def stop(self):
        self.ended = True
        self.thread.join()
        self.cut()
        self.socket.close()
        if self.path:
            os.unlink(self.path)


def sigv4_of(request, secret, region, service):
    """The signature that a request should have, from what arrived (AWS Signature Version 4)."""
    given = dict(p.strip().split("=", 1) for p in
                 request.headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(","))
    names = given["SignedHeaders"].split(";")
    canonical = "\n".join([
        request.method, request.path, "",
        *(f"{n}:{' '.join(request.headers[n].split())}" for n in names), "", ";".join(names),
        hashlib.sha256(request.body).hexdigest()])
    stamp = request.headers["x-amz-date"]
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (*scope.split("/"),):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return given["Signature"], hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), given
