"""TLS and client certificates on both sides, and HTTPS_PROXY. The CA is made by openssl."""

import asyncio
import signal
import ssl
import subprocess
import warnings

import pytest

from dialects import CHAT, CHAT_REPLY, CHAT_STREAM, CHAT_STREAM_USAGE
from gateway import providers_at
from wire import Client, Ended, RawUpstream, Stream, call, exchange, http_reply, request

PATH = "/v1/chat/completions"


def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True, timeout=60)


def certificate(folder, name, names, signed_by="ca"):
    (folder / f"{name}.ext").write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n",
                                        encoding="ascii")
    openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout",
            f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{signed_by}.pem", "-CAkey",
            f"{signed_by}.key", "-CAcreateserial", "-days", "2", "-out", f"{name}.pem", "-extfile",
            f"{name}.ext")


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    for ca in ("ca", "other"):
        openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-days", "2", "-subj", f"/CN={ca}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    certificate(folder, "server", "DNS:localhost,IP:127.0.0.1")
    certificate(folder, "client", "DNS:client")
    certificate(folder, "provider", "DNS:provider.example")
    certificate(folder, "wrongname", "DNS:elsewhere.example")
    certificate(folder, "stranger", "DNS:localhost,IP:127.0.0.1", "other")
    return folder


def client_tls(certs, cert=None):
    context = ssl.create_default_context(cafile=certs / "ca.pem")
    if cert:
        context.load_cert_chain(certs / f"{cert}.pem", certs / f"{cert}.key")
    return context


def server_tls(certs, cert="server", client_ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs / f"{cert}.pem", certs / f"{cert}.key")
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certs / f"{client_ca}.pem")
    return context


@pytest.fixture
def secure_upstream(run, certs):
    """Starts upstreams that speak TLS."""
    started = []

    def do(**how):
        started.append(run(RawUpstream().start(server_tls(certs, **how))))
        return started[-1]

    yield do
    for up in started:
        run(up.stop())


@pytest.fixture
def served(start, upstream, certs):
    """Starts a gateway that serves TLS."""
    def do(**more):
        tls = {"SMARTFLOW_TLS_CERT": certs / "server.pem",
               "SMARTFLOW_TLS_KEY": certs / "server.key"}
        return start(providers_at(upstream.port) | tls | more)
    return do


def test_the_listener_serves_tls(run, upstream, served, certs):
    g = served()
    assert g.scheme == "https"
    for ask, raw, got in ((CHAT, http_reply(200, CHAT_REPLY), CHAT_REPLY),
                          (CHAT | {"stream": True}, http_reply(200, CHAT_STREAM_USAGE, (),
                                                               "text/event-stream", "chunked"),
                                                               CHAT_STREAM)):
        m = run(exchange(g.port, request("POST", PATH, ask, [("x-script", upstream.answer(raw))]),
                         ssl=client_tls(certs)))
        assert m.status == 200 and m.complete and m.body == got


def test_a_reload_takes_a_renewed_certificate(run, start, upstream, certs, tmp_path):
    """New connections get the new one; open ones go on; a broken file keeps what was."""
    def put(name):
        for kind in ("pem", "key"):
            (tmp_path / f"own.{kind}").write_bytes((certs / f"{name}.{kind}").read_bytes())

    def shown():
        raw = ssl.get_server_certificate(("127.0.0.1", g.port), timeout=10)
        return next((n for n in ("server", "stranger") if raw.strip() in
                     (certs / f"{n}.pem").read_text(encoding="ascii")), None)

    def reload(words):
        start = len(g.err.text())
        g.child.send_signal(signal.SIGHUP)
        assert g.err.wait_for(words, start=start), g.err.text()

    async def on_one_connection(between):
        c = await Client.to(g.port, ssl=client_tls(certs))
        for then in (between, c.close):
            await c.send(request("GET", "/health"))
            assert (await c.reply()).status == 200
            then()

    put("server")
    g = start(providers_at(upstream.port) | {"SMARTFLOW_TLS_CERT": tmp_path / "own.pem",
                                             "SMARTFLOW_TLS_KEY": tmp_path / "own.key",
                                             "SMARTFLOW_THREADS": "1"})
    assert shown() == "server"
    put("stranger")
    run(on_one_connection(lambda: reload("configuration reloaded")))
    assert shown() == "stranger"
    (tmp_path / "own.key").write_text("nothing", encoding="ascii")
    reload("the old one stays")
    assert shown() == "stranger"


def test_a_large_body_and_reply_through_tls(run, upstream, served, certs):
    g = served()
    big = b'{"x":"' + b"y" * (5 << 20) + b'"}'
    script = upstream.answer(http_reply(200, big))
    raw = request("POST", PATH, CHAT | {"pad": "z" * (3 << 20)}, [("x-script", script)])
    m = run(exchange(g.port, raw, ssl=client_tls(certs)))
    assert m.status == 200 and m.body == big
    assert upstream.seen[script][0].json()["pad"] == "z" * (3 << 20)


def test_plain_text_at_the_tls_port_is_closed(run, served):
    g = served()
    m = run(exchange(g.port, request("GET", "/health")))
    assert not m.complete or m.status == 400


def test_old_versions_of_tls_are_refused(run, served, certs):
    g = served()
    context = client_tls(certs)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        run(exchange(g.port, request("GET", "/health"), ssl=context))


def test_a_slow_handshake_ends(run, served):
    g = served(SMARTFLOW_HEAD_TIMEOUT="300ms")

    async def half():
        c = await Client.to(g.port)
        await c.send(b"\x16\x03\x01")
        return await c.gone()

    assert run(half(), 20) in ("closed", "ConnectionResetError")


def test_client_certificates_are_asked_for(run, upstream, served, certs):
    g = served(SMARTFLOW_TLS_CLIENT_CA=certs / "ca.pem")
    raw = request("POST", PATH, CHAT, [("x-script", upstream.answer(http_reply(200, CHAT_REPLY)))])
    assert run(exchange(g.port, raw, ssl=client_tls(certs, "client"))).status == 200
    for cert in (None, "stranger"):
        try:
            assert not run(exchange(g.port, raw, ssl=client_tls(certs, cert))).complete
        except (ssl.SSLError, ConnectionError):
            pass


def to_tls(up, certs, **more):
    return {"OPENAI_API_KEY": "k", "OPENAI_API_BASE": f"https://localhost:{up.port}",
            "SMARTFLOW_UPSTREAM_CA": certs / "ca.pem"} | more


def test_an_upstream_with_an_own_ca(run, start, secure_upstream, certs):
    up = secure_upstream()
    g = start(to_tls(up, certs))
    for _ in range(3):
        m = run(call(g.port, PATH, CHAT, up.answer(http_reply(200, CHAT_REPLY))))
        assert m.status == 200 and m.body == CHAT_REPLY
    m = run(call(g.port, PATH, CHAT | {"stream": True}, up.answer(
        http_reply(200, CHAT_STREAM_USAGE, (), "text/event-stream", "chunked"))))
    assert m.body == CHAT_STREAM
    assert up.requests[0].get("host") == f"localhost:{up.port}"


@pytest.mark.parametrize("cert,ca", [("wrongname", "ca"), ("stranger", "ca"), ("server", None)])
def test_an_upstream_that_cannot_be_trusted_is_502(run, start, secure_upstream, certs, cert, ca):
    up = secure_upstream(cert=cert)
    g = start(to_tls(up, certs, **({} if ca else {"SMARTFLOW_UPSTREAM_CA": None})))
    m = run(call(g.port, PATH, CHAT))
    assert m.status == 502 and "certificate" in m.json()["error"]["message"]
    assert not up.requests


def test_an_upstream_that_asks_for_our_certificate(run, start, secure_upstream, certs):
    up = secure_upstream(client_ca="ca")
    g = start(to_tls(up, certs, SMARTFLOW_UPSTREAM_CERT=certs / "client.pem",
                     SMARTFLOW_UPSTREAM_KEY=certs / "client.key"))
    assert run(call(g.port, PATH, CHAT, up.answer(http_reply(200, CHAT_REPLY)))).status == 200
    g = start(to_tls(up, certs))
    assert run(call(g.port, PATH, CHAT)).status == 502


def test_a_truncated_tls_stream_is_noticed(run, start, secure_upstream, certs):
    """An end without close_notify is no end."""
    up = secure_upstream()
    g = start(to_tls(up, certs))

    async def play(conn, _):
        await conn.send(http_reply(200, CHAT_STREAM_USAGE, (), "text/event-stream", "eof")[:-40])
        conn.reset()
        return False

    m = run(call(g.port, PATH, CHAT | {"stream": True}, up.script(play)))
    assert not m.complete or b'"error"' in m.body or m.status == 502


def test_plain_http_at_a_tls_upstream_is_502(run, start, certs):
    async def answer(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def plain():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        server.port = server.sockets[0].getsockname()[1]
        return server

    up = run(plain())
    g = start(to_tls(up, certs))
    assert run(call(g.port, PATH, CHAT)).status == 502
    up.close()


# --- HTTPS_PROXY ---

class Proxy:
    """A CONNECT proxy that knows one provider; answers with `refuse` instead when that is set."""

    def __init__(self, port, refuse=None):
        self.asked, self.to, self.refuse = [], port, refuse

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def serve(self, reader, writer):
        s = Stream(reader, writer)
        try:
            m = await s.head()
            self.asked.append(m)
            if self.refuse:
                await s.send(self.refuse)
                return
            back = Stream(*await asyncio.open_connection("127.0.0.1", self.to))
            await s.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(self.pump(s, back), self.pump(back, s))
        except (Ended, OSError):
            pass
        finally:
            writer.close()

    async def pump(self, a, b):
        try:
            while True:
                if a.ahead:
                    data, a.ahead = a.ahead, b""
                    await b.send(data)
                await a.more()
        except Ended:
            b.close()


def far(certs, proxy, **more):
    """Settings with a provider that only the proxy can reach: loopback never goes through one."""
    return {"OPENAI_API_KEY": "k", "OPENAI_API_BASE": "https://provider.example:8443",
            "SMARTFLOW_UPSTREAM_CA": certs / "ca.pem",
            "HTTPS_PROXY": f"http://user:p%40ss@127.0.0.1:{proxy.port}"} | more


@pytest.fixture
def proxied(run, secure_upstream):
    """An upstream and the proxy before it."""
    up = secure_upstream(cert="provider")
    proxies = []

    def do(refuse=None):
        proxies.append(run(Proxy(up.port, refuse).start()))
        return up, proxies[-1]

    yield do
    for p in proxies:
        p.server.close()


def test_https_goes_through_the_proxy(run, start, proxied, certs):
    up, proxy = proxied()
    g = start(far(certs, proxy))
    for _ in range(2):
        m = run(call(g.port, PATH, CHAT, up.answer(http_reply(200, CHAT_REPLY))))
        assert m.status == 200, m
    asked = proxy.asked[0]
    assert (asked.method, asked.target) == ("CONNECT", "provider.example:8443")
    assert asked.get("proxy-authorization") == "Basic dXNlcjpwQHNz"
    assert "authorization" not in [n.lower() for n, _ in asked.fields]
    assert up.requests[0].get("host") == "provider.example:8443"
    assert up.requests[0].get("proxy-authorization") is None


def test_a_stream_through_the_proxy(run, start, proxied, certs):
    up, proxy = proxied()
    g = start(far(certs, proxy))
    m = run(call(g.port, PATH, CHAT | {"stream": True}, up.answer(
        http_reply(200, CHAT_STREAM_USAGE, (), "text/event-stream", "chunked"))))
    assert m.body == CHAT_STREAM


@pytest.mark.parametrize("hosts", ["provider.example", ".example", "x.test, provider.example", "*"])
def test_no_proxy_is_respected(run, start, proxied, certs, hosts):
    _, proxy = proxied()
    g = start(far(certs, proxy, NO_PROXY=hosts))
    assert run(call(g.port, PATH, CHAT)).status == 502
    assert not proxy.asked


def test_loopback_needs_no_proxy(run, start, secure_upstream, proxied, certs):
    _, proxy = proxied()
    up = secure_upstream()
    g = start(to_tls(up, certs, HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}"))
    assert run(call(g.port, PATH, CHAT, up.answer(http_reply(200, CHAT_REPLY)))).status == 200
    assert not proxy.asked


@pytest.mark.parametrize("refusal", [
    b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b"junk\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nbytes before TLS"],
    ids=["407", "502", "junk", "bytes behind the head"])
def test_a_proxy_that_refuses_is_502(run, start, proxied, certs, refusal):
    up, proxy = proxied(refusal)
    g = start(far(certs, proxy))
    m = run(call(g.port, PATH, CHAT))
    assert m.status == 502 and not up.requests
    assert "p@ss" not in m.body.decode() and "p%40ss" not in m.body.decode()
