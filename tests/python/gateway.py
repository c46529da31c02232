"""The program as the tests run it: started with free ports, ended by its process id.

A test that ends a gateway asserts two things besides its own: exit code 0, and nothing from a
sanitizer on stderr. Standard library only.
"""

import json
import os
import re
import signal
import subprocess
import threading
import urllib.request
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
KEY = "sk-sf-" + "0123456789abcdef" * 3
ADMIN_KEY = "sk-admin-" + "fedcba9876543210" * 3
PROVIDER_KEYS = {"OPENAI": "sk-provider-openai-7f3a", "ANTHROPIC": "sk-provider-anthropic-91bc",
                 "GEMINI": "provider-gemini-55de"}
REPORT = re.compile(r"Sanitizer|runtime error:|panic:|must\(")


def program(plain=False):
    name, folder = ("SMARTFLOW_PLAIN_BIN", "build") if plain else ("SMARTFLOW_BIN", "build-asan")
    return os.environ.get(name) or str(TOP / folder / "smartflow")


def clean_environment():
    """Nothing of the caller's environment may configure a gateway under test."""
    keep = {k: v for k, v in os.environ.items()
            if k in ("PATH", "HOME", "LANG", "TMPDIR",
                     "LD_LIBRARY_PATH") or k.endswith("SAN_OPTIONS")}
    if os.getuid() != 0:  # the leak check needs to look at its own process
        keep["SMARTFLOW_CORE_DUMPS"] = "true"
    return keep


class Output:
    """What a process writes to one pipe, collected by a thread."""

    def __init__(self, pipe):
        self.data = b""
        self.ended = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.collect, args=(pipe,), daemon=True)
        self.thread.start()

    def collect(self, pipe):
        while piece := os.read(pipe.fileno(), 65536):
            with self.changed:
                self.data += piece
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()
        pipe.close()

    def text(self):
        return self.data.decode(errors="replace")

    def wait_for(self, pattern, timeout=20, start=0):
        """The match of a pattern in what comes, or None when it has not come in time."""
        wanted = re.compile(pattern, re.M)
        with self.changed:
            self.changed.wait_for(lambda: wanted.search(self.text(), start) or self.ended, timeout)
            return wanted.search(self.text(), start)


def metric(g, name):
    """The sum of a metric's samples, whatever their labels."""
    text = g.get("/metrics", {"authorization": f"Bearer {ADMIN_KEY}"})[1].decode()
    return sum(float(x.split()[-1]) for x in text.splitlines()
               if x.split(" ")[0].split("{")[0] == name)


class Gateway:
    """One running gateway. env: settings on top of the tests' own; None takes one away. prefix: a
    command that turns into the program."""

    def __init__(self, folder, env=None, config=None, plain=False, args=(), prefix=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {"PROXY_PORT": "0", "MANAGEMENT_PORT": "0", "SMARTFLOW_THREADS": "2",
                    "SMARTFLOW_DATA": str(self.folder / "data"), "SMARTFLOW_DEMO_KEY": KEY,
                    "SMARTFLOW_ADMIN_KEY": ADMIN_KEY}
        settings.update(env or {})
        self.env = clean_environment() | {k: str(v) for k, v in settings.items() if v is not None}
        command = [*prefix, program(plain), "serve",
                   *(["--config", str(config)] if config else []), *args]
        self.child = subprocess.Popen(command, env=self.env, cwd=self.folder,
                                      stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid = self.child.pid
        self.out, self.err = Output(self.child.stdout), Output(self.child.stderr)
        self.ended = False
        self.read_banner()

    def read_banner(self):
        if not self.out.wait_for(r"^  data ", 30):
            self.kill()
            raise AssertionError(f"the gateway did not start\n{self.out.text()}{self.err.text()}")
        ports = {}
        for name, scheme, port in re.findall(r"^  (proxy|management) +(\w+)://[^:]+:(\d+)",
                                             self.out.text(), re.M):
            ports[name], self.scheme = int(port), scheme
        self.port, self.management_port = ports["proxy"], ports.get("management")
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        self.management = f"{self.scheme}://127.0.0.1:{self.management_port}"

    def get(self, path, headers=None):
        """A GET on the management port: status and body."""
        request = urllib.request.Request(self.management + path, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()

    def log(self):
        """The log's lines as objects."""
        lines = []
        for line in self.err.text().splitlines():
            if line.startswith("{"):
                try:
                    lines.append(json.loads(line))
                except ValueError:
                    continue
        return lines

    def resident(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def signal(self, number):
        os.kill(self.pid, number)

    def wait(self, timeout=60):
        code = self.child.wait(timeout)
        self.out.thread.join(10)
        self.err.thread.join(10)
        self.ended = True
        return code

    def kill(self):
        self.child.kill()
        self.wait()

    def check_reports(self):
        found = REPORT.search(self.err.text())
        if found:
            raise AssertionError(self.err.text()[found.start() - 200 if found.start() > 200 else 0:]
                                 [:6000])

    def stop(self):
        """Ends it as an orchestrator would, and asserts that all was well."""
        if not self.ended:
            self.signal(signal.SIGTERM)
            try:
                code = self.wait()
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the gateway did not end within 60 s of SIGTERM\n"
                                     + self.err.text()[-3000:]) from None
            self.check_reports()
            assert code == 0, f"exit code {code}\n{self.err.text()[-3000:]}"
        self.check_reports()


def run_program(*args, env=None, plain=False, timeout=60):
    """A command of the program that ends by itself."""
    full = clean_environment() | (env or {})
    return subprocess.run([program(plain), *args], env=full, capture_output=True, text=True,
                          timeout=timeout, check=False)


def providers_at(port):
    """Settings that point every front dialect's own provider to a local upstream."""
    env = {}
    for name, key in PROVIDER_KEYS.items():
        env[f"{name}_API_KEY"] = key
        env[f"{name}_API_BASE"] = f"http://127.0.0.1:{port}"
    return env
