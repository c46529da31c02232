"""Redis and PostgreSQL as the tests run them: the real servers, on free ports of 127.0.0.1, in
scratch folders, and ended by their process ids. A server that is not installed fails the test.

Each can be stopped (at once, as a crash would), started again on the same port and folder, and
paused: then it takes connections and answers nothing. PostgreSQL refuses root, so that it runs as
an unprivileged user where the tests run as root.
"""

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

PR_SET_PDEATHSIG = 1
START_LIMIT = 60
libc = ctypes.CDLL(None, use_errno=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def with_its_parent():
    """In the child: ends with the process that started it."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def children(pid):
    """Process ids of a process's own children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(encoding="ascii", errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        if int(text.rpartition(")")[2].split()[1]) == pid:
            found.append(int(stat.parent.name))
    return found


class Server:
    """What both have in common. A subclass says with what it starts and when it answers."""

    end_signal = signal.SIGKILL

    def __init__(self, user=None):
        self.user, self.child, self.paused = user, None, False
        self.folder = Path(tempfile.mkdtemp(prefix="smartflow-server-"))
        self.port = free_port()
        if user:
            os.chown(self.folder, user.pw_uid, user.pw_gid)

    def as_user(self):
        if not self.user:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def command(self):
        raise NotImplementedError

    def answers(self):
        raise NotImplementedError

    def start(self):
        assert not self.child
        with open(self.folder / "log", "ab") as log:
            self.child = subprocess.Popen(self.command(), cwd=self.folder, stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log, preexec_fn=with_its_parent,
                                          **self.as_user())
        deadline = time.monotonic() + START_LIMIT
        while not self.answers():
            assert self.child.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        return self

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def signal(self, number):
        """To all of its processes."""
        for pid in [*children(self.child.pid), self.child.pid]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def pause(self):
        self.signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        if self.paused:
            self.signal(signal.SIGCONT)
        self.paused = False

    def stop(self):
        """At once, without a word to its clients."""
        if not self.child:
            return
        self.child.send_signal(self.end_signal)
        self.resume()
        self.child.wait(START_LIMIT)
        self.child = None

    def restart(self):
        self.stop()
        return self.start()

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    """Keeps nothing: after a restart it is empty."""

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self):
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        assert program, "redis-server is not installed"
        return [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "no", "--dir", str(self.folder)]

    def call(self, *words):
        """The first bytes of the reply to one command."""
        text = b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in map(str.encode, words))
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
            s.sendall(b"*%d\r\n%s" % (len(words), text))
            return s.recv(65536)

    def answers(self):
        try:
            return self.call("PING") == b"+PONG\r\n"
        except OSError:
            return False


class Postgres(Server):
    """One cluster; each test has a database of its own in it."""

    end_signal = signal.SIGQUIT
    numbers = itertools.count()

    def __init__(self):
        super().__init__(pwd.getpwnam("postgres") if os.getuid() == 0 else None)
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        assert found, "PostgreSQL is not installed: /usr/lib/postgresql/*/bin"
        self.programs = found[-1].parent
        self.data = self.folder / "data"
        subprocess.run([self.programs / "initdb", "-A", "trust", "-U", "smartflow", "-N",
                        "--no-instructions", "--locale=C", "-E", "UTF8", "-D", self.data],
                       check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self.as_user())

    def command(self):
        settings = {"unix_socket_directories": self.folder, "fsync": "off",
                    "full_page_writes": "off", "shared_buffers": "16MB", "max_connections": "100"}
        return [self.programs / "postgres", "-D", self.data, "-p", str(self.port),
                "-h", "127.0.0.1", *(x for n, v in settings.items() for x in ("-c", f"{n}={v}"))]

    def sql(self, text, database="postgres"):
        """The rows of a statement as lists of texts."""
        done = subprocess.run([self.programs / "psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1",
                               "-c", text, self.url_of(database)], capture_output=True, text=True,
                              timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def answers(self):
        try:
            return self.sql("SELECT 1") == [["1"]]
        except (RuntimeError, subprocess.TimeoutExpired):
            return False

    def url_of(self, database):
        return f"postgres://smartflow@127.0.0.1:{self.port}/{database}"

    def new_database(self):
        """The name of an empty one."""
        name = f"test{next(self.numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0")
        return name


@pytest.fixture(scope="session")
def redis():
    server = Redis()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.remove()
