"""What is measured: the mock itself ("direct"), nginx as the measure, ours, and others if installed.

A peer is a name, a port and a command. Ours comes once for each column of the performance table: a
column is nothing but an environment, so one run can have several of them side by side.
"""

import contextlib
import copy
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import machine

BENCH = Path(__file__).resolve().parent.parent
TOP = BENCH.parent
KEY = "sk-sf-0123456789abcdef"
CHAT = "/v1/chat/completions"
ANSWER = b'"content":"The quick'
START_LIMIT = 120  # seconds; the slowest peer needs 9 on a quiet machine

ADMIN_KEY = "sk-admin-0123456789abcdef0123456789abcdef"

# The columns of the performance table that exist so far: what ours runs with.
COLUMNS = {
    "bare": {"SMARTFLOW_JOURNAL": "off"},
    "control": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:{mock}"},
}
# Limits that never refuse here, on the key and on its team; the journal's content is full by default.
LIMITS = {"budgets": {"daily": "100000", "monthly": "1000000"}, "rpm_limit": 100_000_000,
          "tpm_limit": 1_000_000_000_000, "max_parallel_requests": 100_000}


class StartError(Exception):
    pass


@dataclass
class Peer:
    name: str
    command: list = field(default_factory=list)  # empty: the mock itself
    env: dict = field(default_factory=dict)
    headers: list = field(default_factory=list)
    column: str = ""  # ours only
    config: str = ""  # file of conf/ that is filled in, its path is {config} in the command
    port: int = 0
    port2: int = 0
    url: str = ""
    key: str = KEY
    process: subprocess.Popen = None
    folder: Path = None

    @property
    def ours(self):
        return bool(self.column)

    def sibling(self, name, env):
        """The same beside it, with other settings."""
        other = copy.copy(self)
        other.name, other.env = f"{self.name}, {name}", {**self.env, **env}
        return other

    def node(self, name, redis_port):
        """One of several that share a Redis, and the limited key of a file."""
        other = self.sibling(name, {"REDIS_URL": f"redis://127.0.0.1:{redis_port}",
                                    "SMARTFLOW_NODE": name.replace(" ", "-")})
        del other.env["SMARTFLOW_DEMO_KEY"]
        other.command = [*self.command, "--config", "{config}"]
        other.config = "node.yaml"
        return other


def nginx():
    return Peer("nginx", ["nginx", "-p", "{run}", "-c", "{config}", "-g", "daemon off;"],
                config="nginx.conf")


def ours(column, program):
    env = {
        "OPENAI_API_KEY": "sk-upstream",
        "OPENAI_API_BASE": "http://127.0.0.1:{mock}",
        "ANTHROPIC_API_KEY": "sk-upstream",
        "ANTHROPIC_API_BASE": "http://127.0.0.1:{mock}",
        "SMARTFLOW_DEMO_KEY": KEY,
        "SMARTFLOW_ADMIN_KEY": ADMIN_KEY,
        "SMARTFLOW_THREADS": "2",
        "PROXY_PORT": "{port}",
        "MANAGEMENT_PORT": "{port2}",
        "SMARTFLOW_DATA": "{run}/data",
    }
    if os.getuid() != 0:  # a process without core dumps shows its memory to root alone
        env["SMARTFLOW_CORE_DUMPS"] = "true"
    return Peer(f"smartflow {column}", [str(program), "serve"], {**env, **COLUMNS[column]},
                column=column)


def others():
    """Peers that are installed here. $PEERS is a folder with those that no package brings."""
    found = []
    folder = Path(os.environ.get("PEERS", "/nonexistent"))
    if shutil.which("haproxy"):
        found.append(Peer("haproxy", ["haproxy", "-db", "-f", "{config}"], config="haproxy.cfg"))
    if shutil.which("agentgateway"):
        found.append(Peer("agentgateway", ["agentgateway", "-f", "{config}"],
                          config="agentgateway.yaml"))
    litellm = folder / "litellm/bin/litellm"
    if litellm.exists():
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR",
               "LITELLM_MODE": "PRODUCTION"}
        found.append(Peer("litellm, 2 workers", [
            str(litellm), "--config", "{config}", "--host", "127.0.0.1", "--port", "{port}",
            "--num_workers", "2", "--timeout_worker_healthcheck", "60", "--telemetry", "False"],
            env, config="litellm.yaml"))
    portkey = folder / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    if portkey.exists() and shutil.which("node"):
        found.append(Peer("portkey", ["node", str(portkey), "--port={port}", "--headless"],
                          {"NODE_ENV": "production"},
                          ["x-portkey-provider: openai",
                           "x-portkey-custom-host: http://127.0.0.1:{mock}/v1"]))
    return found


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_port(port, process):
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < START_LIMIT:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise StartError(f"nothing answers at port {port}")


class Stand:
    """Where peers run: the mock, a folder for their files, the limit of open files."""

    def __init__(self, folder, tools, nofile):
        self.folder, self.tools, self.nofile = Path(folder), Path(tools), nofile
        self.mock = subprocess.Popen([str(self.tools / "mock")], stdout=subprocess.PIPE, text=True)
        self.mock_port = int(self.mock.stdout.readline())
        self.running, self.helpers = [], []

    def close(self):
        for peer in list(self.running):
            self.stop(peer)
        self.mock.terminate()
        self.mock.wait()

    def own_pids(self):
        pids = [self.mock.pid, *(h.pid for h in self.helpers)]
        for peer in self.running:
            if peer.process:
                pids += machine.process_tree(peer.process.pid)
        return pids

    def pids(self, peer):
        return machine.process_tree(peer.process.pid) if peer.process else []

    def _values(self, peer):
        user = pwd.getpwuid(os.getuid()).pw_name
        return {"run": str(peer.folder), "port": str(peer.port), "port2": str(peer.port2),
                "mock": str(self.mock_port), "nofile": str(self.nofile),
                "connections": str(self.nofile - 100), "key": KEY,
                "user": f"user {user};" if os.getuid() == 0 else "",
                "config": str(peer.folder / peer.config)}

    def _prepare(self, peer):
        peer.port = free_port() if peer.command else self.mock_port
        peer.port2 = free_port()
        peer.key = KEY
        peer.url = f"http://127.0.0.1:{peer.port}{CHAT}"
        peer.folder = self.folder / peer.name.replace(" ", "-").replace(",", "")
        shutil.rmtree(peer.folder, ignore_errors=True)
        peer.folder.mkdir(parents=True)
        values = self._values(peer)
        if peer.config:
            text = (BENCH / "conf" / peer.config).read_text()
            for name, value in values.items():
                text = text.replace(f"@{name.upper()}@", value)
            (peer.folder / peer.config).write_text(text)
        return values

    def start(self, peer, extra_env=None):
        """Starts the peer; returns the milliseconds to its first right answer."""
        values = self._prepare(peer)
        self.running.append(peer)
        if not peer.command:
            return 0.0
        env = {k: os.environ[k] for k in ("PATH", "HOME", "LANG") if k in os.environ}
        env.update({k: v.format(**values) for k, v in {**peer.env, **(extra_env or {})}.items()})
        command = [word.format(**values) for word in peer.command]
        peer.request_headers = [h.format(**values) for h in peer.headers]
        log = open(peer.folder / "log", "w")
        began = time.monotonic()
        peer.process = subprocess.Popen(command, cwd=peer.folder, env=env, stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, start_new_session=True)
        log.close()
        return self._await_answer(peer, began)

    def _await_answer(self, peer, began):
        while time.monotonic() - began < START_LIMIT:
            if peer.process.poll() is not None:
                break
            if answers(peer):
                took = (time.monotonic() - began) * 1000
                if peer.column == "control" and not peer.config:
                    peer.key = limited_key(peer)
                return took
            time.sleep(0.0005)
        raise StartError(f"{peer.name} gave no right answer; its output is in {peer.folder}/log")

    @contextlib.contextmanager
    def having(self, some):
        """Runs the peers as long as the block lasts."""
        try:
            for peer in some:
                self.start(peer)
            yield
        finally:
            for peer in some:
                if peer in self.running:
                    self.stop(peer)

    @contextlib.contextmanager
    def redis(self):
        """A Redis that keeps nothing; its port."""
        port = free_port()
        server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1",
                                   "--save", "", "--appendonly", "no"], cwd=self.folder,
                                  stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.helpers.append(server)
        try:
            await_port(port, server)
            yield port
        finally:
            self.helpers.remove(server)
            server.kill()
            server.wait()

    def stop(self, peer):
        self.running.remove(peer)
        if not peer.process:
            return
        pids = self.pids(peer)
        peer.process.send_signal(signal.SIGTERM)
        try:
            peer.process.wait(2)
        except subprocess.TimeoutExpired:
            pass
        for pid in pids:  # only what this peer itself started
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        peer.process.wait()
        peer.process = None


def manage(peer, path, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{peer.port2}{path}", json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {ADMIN_KEY}"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)["data"]


def limited_key(peer):
    """A key with every kind of limit, below a team with the same."""
    team = manage(peer, "/api/teams", {"name": "bench", **LIMITS})
    return manage(peer, "/api/enterprise/vkeys",
                  {"name": "bench", "team_id": team["id"], **LIMITS})["key"]


def field_lines(peer):
    return [f"Authorization: Bearer {peer.key}"] + getattr(peer, "request_headers", [])


def answers(peer):
    """Whether one small chat gets its right answer."""
    body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]})
    lines = [f"POST {CHAT} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json",
             f"Content-Length: {len(body)}", "Connection: close"] + field_lines(peer)
    try:
        with socket.create_connection(("127.0.0.1", peer.port), timeout=5) as s:
            s.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
            reply = b""
            while piece := s.recv(65536):
                reply += piece
                if ANSWER in reply:
                    break
    except OSError:
        return False
    return reply.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")) and ANSWER in reply
