"""Rounds of kill -9 under load, and the questions that each restart must answer.

tools/campaign_kill runs hundreds of them, test_crash.py a few. A round: clients call a gateway over
several keys, as streams and plain; at a random moment it is killed (sometimes while it starts); it
is started again on the same folder, and then

  - each call whose answer a client had whole is on the journal with its outcome, status and cost;
  - each request that the provider saw was on the journal before it was sent;
  - each call has one outcome, `unknown` ones at what was reserved for them;
  - the chain verifies; recovery read only what follows the last checkpoint;
  - budgets, log rows and hourly sums are the journal's own sums, to the nano-dollar.

Standard library only.
"""

import hashlib
import http.client
import json
import random
import re
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

from gateway import ADMIN_KEY, Gateway, clean_environment, program

MODEL = "gpt-4o-mini"
NONCE = re.compile(rb"nonce-[0-9a-f]{16}")
NANO = 10 ** 9
PLAIN = True  # the program as it is shipped: rounds shall be many


# --- the provider ---

class CountingUpstream:
    """Answers chats with random usage at a random pace, and remembers whom it served."""

    def __init__(self):
        self.seen = set()  # nonces of the requests that came whole
        self.served = 0    # answers that were sent to their end
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        with c, c.makefile("rb") as lines:
            try:
                while body := self.request(lines):
                    self.answer(c, body)
            except OSError:
                return

    def request(self, lines):
        length = 0
        while line := lines.readline():
            if line == b"\r\n":
                break
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = lines.read(length)
        if len(body) < length or not body:
            return None
        with self.lock:
            self.seen.update(NONCE.findall(body))
        return body

    def answer(self, c, body):
        usage = {"prompt_tokens": random.randint(5, 400), "completion_tokens": random.randint(1, 200)}
        usage["total_tokens"] = sum(usage.values())
        if random.random() < 0.3:
            time.sleep(random.random() * 0.02)
        if json.loads(body).get("stream"):
            self.stream(c, usage)
        else:
            self.plain(c, usage)
        with self.lock:
            self.served += 1

    def plain(self, c, usage):
        text = json.dumps({"id": "chatcmpl-1", "object": "chat.completion", "created": 1,
                           "model": MODEL, "usage": usage, "choices": [{
                               "index": 0, "finish_reason": "stop",
                               "message": {"role": "assistant", "content": "x" * 50}}]}).encode()
        c.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
                  + str(len(text)).encode() + b"\r\n\r\n" + text)

    def stream(self, c, usage):
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
        event = base | {"choices": [{"index": 0, "delta": {"content": " word"}}], "usage": None}
        c.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                  b"transfer-encoding: chunked\r\n\r\n")
        for _ in range(random.randint(1, 12)):
            c.sendall(self.chunk(event))
            if random.random() < 0.3:
                time.sleep(random.random() * 0.01)
        c.sendall(self.chunk(base | {"choices": [], "usage": usage})
                  + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    @staticmethod
    def chunk(event):
        data = b"data: " + json.dumps(event).encode() + b"\n\n"
        return f"{len(data):x}".encode() + b"\r\n" + data + b"\r\n"

    def close(self):
        self.listener.close()


# --- the clients ---

class Answer:
    """What a client had received whole; when it asked, and how long that took, in seconds."""

    def __init__(self, reply, began):
        self.began, self.took = began, time.monotonic() - began
        self.status = reply.status
        self.id = reply.headers.get("x-smartflow-request-id")
        self.cost = reply.headers.get("x-smartflow-cost-usd")


class Load:
    """Client threads on kept connections, until stopped; what breaks when the gateway dies is not
    counted, what was answered whole is."""

    def __init__(self, port, keys, clients=8, known=None):
        self.port, self.keys = port, keys
        self.bodies = {} if known is None else known  # nonce → SHA-256 of the body as it was sent
        self.answers, self.stop = [], False
        self.broken = []  # what was no whole answer
        self.threads = [threading.Thread(target=self.client, daemon=True) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def client(self):
        while not self.stop:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                while not self.stop:
                    self.call(c)
            except (OSError, http.client.HTTPException) as e:
                self.broken.append(e)
                time.sleep(0.002)
            c.close()

    def call(self, c):
        nonce = b"nonce-" + random.randbytes(8).hex().encode()
        body = {"model": MODEL, "messages": [{"role": "user", "content": nonce.decode()}]}
        if random.random() < 0.5:
            body["stream"] = True
        if random.random() < 0.7:
            body["max_tokens"] = random.randint(1, 300)
        data = json.dumps(body).encode()
        self.bodies[nonce] = hashlib.sha256(data).hexdigest()
        began = time.monotonic()
        c.request("POST", "/v1/chat/completions", data,
                  {"authorization": f"Bearer {random.choice(self.keys)}",
                   "content-type": "application/json"})
        reply = c.getresponse()
        reply.read()  # raises when it is not whole
        self.answers.append(Answer(reply, began))

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join(30)


# --- the management API ---

def api(g, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(g.management + path, data, {
        "authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.loads(reply.read(), parse_float=Decimal)


def make_keys(g):
    """Two teams, four keys: budgets of several periods on both, one key with few requests a
    minute, one of no team. Their secrets, and what to ask for: (kind, path)."""
    big = [{"period": p, "limit_usd": 1000} for p in ("daily", "monthly", "lifetime")]
    teams = [api(g, "POST", "/api/teams", {"name": n, "budgets": big})["data"]["id"] for n in "ab"]
    wanted = [{"name": "k0", "team_id": teams[0], "budgets": big},
              {"name": "k1", "team_id": teams[0], "budgets": big[2:], "content_logging": "hashed"},
              {"name": "k2", "team_id": teams[1], "rpm_limit": 300},
              {"name": "k3", "budgets": big[:1]}]
    made = [api(g, "POST", "/api/enterprise/vkeys", w)["data"] for w in wanted]
    subjects = [("team", t, f"/api/teams/{t}") for t in teams]
    subjects += [("key", k["id"], f"/api/enterprise/vkeys/{k['id']}") for k in made]
    return [k["key"] for k in made], subjects


# --- the journal ---

class Journal:
    """What is on the chain, read on from where the last reading ended."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.read_to = defaultdict(int)  # bytes of each segment
        self.outcomes, self.reserved, self.bodies = {}, {}, set()
        self.repeated, self.recoveries, self.last_seq = [], 0, 0

    def read_on(self):
        for path in sorted(self.folder.glob("chain-*.jsonl")):
            with open(path, "rb") as f:
                f.seek(self.read_to[path])
                for line in f:
                    if not line.endswith(b"\n"):
                        break  # it is being written
                    self.take(json.loads(line))
                    self.read_to[path] += len(line)

    def take(self, entry):
        p = entry["payload"]
        self.last_seq = entry["seq"]
        self.recoveries += p.get("event") == "recovery"
        if p.get("event") != "request":
            return
        if p["phase"] == "open":
            self.reserved[p["id"]] = p["reserved"]
            self.bodies.add(p.get("req_sha256"))
        elif p["id"] in self.outcomes:
            self.repeated.append(p["id"])
        else:
            self.outcomes[p["id"]] = p
            self.bodies.add(p.get("req_sha256"))

    def checkpointed(self):
        """Up to where the last whole line of checkpoints.jsonl reaches."""
        to = 0
        for line in (self.folder / "checkpoints.jsonl").read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                to = json.loads(line)["to"]
        return to

    def charged(self, kind, subject, day=None):
        return sum(p["charged"] for p in self.outcomes.values() if p.get(kind) == subject
                   and (day is None or p["ts"] // (86400 * NANO) == day))


def start_line(g):
    """What the start says of the journal."""
    g.err.wait_for(r'"event":"journal"', 5)
    return next((x for x in g.log() if x.get("event") == "journal"), None)


# --- the checks ---

class Checks:
    """Gathers what is wrong; each check says what it found."""

    def __init__(self, journal, data):
        self.j, self.data, self.wrong = journal, data, []

    def expect(self, what, got, wanted):
        if got != wanted:
            self.wrong.append(f"{what}: {got}, not {wanted}")

    def recovery(self, g, checkpointed):
        line = start_line(g)
        if not line and not self.j.outcomes:
            return
        self.expect("checked_from", line and line["checked_from"], checkpointed + 1)

    def verify(self):
        done = subprocess.run([program(PLAIN), "audit", "verify", str(Path(self.data) / "journal")],
                              env=clean_environment(), capture_output=True, text=True, timeout=120,
                              check=False)
        if done.returncode:
            self.wrong.append(f"audit verify: exit {done.returncode}\n{done.stdout}{done.stderr}")

    def answered(self, answers):
        for a in answers:
            p = self.j.outcomes.get(a.id)
            if not p and a.status == 503:
                continue  # the journal was not there to be written, and so the call was refused
            if not p:
                self.wrong.append(f"answered with {a.status}, not on the journal: {a.id}")
                continue
            if p["status"] != a.status or (a.status == 200 and p["outcome"] != "ok"):
                self.wrong.append(f"{a.id}: {p['status']} {p['outcome']}, the client got {a.status}")
            if a.cost and Decimal(a.cost) * NANO != p["charged"]:
                self.wrong.append(f"{a.id}: charged {p['charged']}, the client was told {a.cost}")

    def opened(self, upstream, bodies):
        for nonce in upstream.seen & bodies.keys():
            if bodies[nonce] not in self.j.bodies:
                self.wrong.append(f"the provider saw a call that is not on the journal: {nonce}")

    def outcomes(self):
        self.expect("outcomes that stand twice", self.j.repeated, [])
        self.expect("calls without an outcome", self.j.reserved.keys() - self.j.outcomes.keys(), set())
        for i, p in self.j.outcomes.items():
            if p["outcome"] == "unknown" and p["charged"] != self.j.reserved.get(i):
                self.wrong.append(f"{i}: unknown, {p['charged']} of {self.j.reserved.get(i)} reserved")

    def budgets(self, g, subjects, periods=("lifetime", "daily")):
        day = int(time.time()) // 86400
        for kind, subject, path in subjects:
            spend = api(g, "GET", path)["data"]["spend"]
            for period in periods:
                used = int(Decimal(spend[period]["used_usd"]) * NANO)
                self.expect(f"{kind} {subject} {period}", used,
                            self.j.charged(kind, subject, day if period == "daily" else None))
                self.expect(f"{kind} {subject} {period} held", spend[period]["held_usd"], 0)

    def log_rows(self, ask):
        """ask: SQL → rows, of whatever store it is."""
        rows = {r[0]: (r[1], r[2]) for r in ask("SELECT request_id, outcome, charged FROM logs")}
        self.expect("log rows", ask("SELECT COUNT(*) FROM logs")[0][0], len(self.j.outcomes))
        wrong = [i for i, p in self.j.outcomes.items() if rows.get(i) != (p["outcome"], p["charged"])]
        self.expect("calls whose row is missing or another", wrong, [])

    def rows(self, ask):
        """These, and the sums."""
        self.log_rows(ask)
        sums = ask("SELECT COALESCE(SUM(calls), 0), COALESCE(SUM(cost), 0) FROM usage_hourly")[0]
        self.expect("hourly sums: calls", int(sums[0]), len(self.j.outcomes))
        self.expect("hourly sums: cost", int(sums[1]),
                    sum(p.get("cost", 0) for p in self.j.outcomes.values()))
        self.expect("calls left open", ask("SELECT COUNT(*) FROM ledger_open")[0][0], 0)



def sqlite_of(data):
    """SQL → rows of an embedded database."""
    def ask(sql):
        db = sqlite3.connect(f"file:{data}/smartflow.db?mode=ro", uri=True)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()
    return ask


def postgres_of(server, database):
    def ask(sql):
        return [tuple(int(v) if re.fullmatch(r"-?\d+", v) else v for v in row)
                for row in server.sql(sql, database)]
    return ask


# --- rounds ---

class Rounds:
    """Rounds on one data folder; env: settings as Gateway takes them; ask: SQL → rows, where the
    store is not the embedded one."""

    def __init__(self, folder, env=None, seed=None, clients=8, most=1.2, ask=None):
        self.folder, self.clients, self.most = Path(folder), clients, most
        self.ask = ask or sqlite_of(self.folder / "data")
        self.random = random.Random(seed)
        self.upstream = CountingUpstream()
        self.env = {"OPENAI_API_KEY": "sk-upstream", "SMARTFLOW_NODE": "n1",
                    "OPENAI_API_BASE": f"http://127.0.0.1:{self.upstream.port}"} | (env or {})
        self.journal = Journal(self.folder / "data" / "journal")
        self.answers, self.bodies, self.keys, self.counts = [], {}, None, Counter()
        self.restarts = []  # seconds from start to ready

    def start(self):
        began = time.monotonic()
        g = Gateway(self.folder, self.env, plain=PLAIN)
        self.restarts.append(time.monotonic() - began)
        return g

    def kill_while_starting(self):
        """A start that is killed before, or just after, it is ready."""
        command = [program(PLAIN), "serve"]
        env = clean_environment() | {
            "PROXY_PORT": "0", "MANAGEMENT_PORT": "0", "SMARTFLOW_THREADS": "2",
            "SMARTFLOW_ADMIN_KEY": ADMIN_KEY, "SMARTFLOW_DATA": str(self.folder / "data")} | self.env
        child = subprocess.Popen(command, env=env, cwd=self.folder, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(self.random.uniform(0, max(self.restarts, default=0.3)))
        child.kill()
        child.wait()
        self.counts["killed while starting"] += 1

    def load_and_kill(self, g):
        load = Load(g.port, self.keys, self.clients, self.bodies)
        time.sleep(self.random.uniform(0.05, self.most))
        g.kill()
        load.end()
        self.counts["answered"] += len(load.answers)
        return load.answers

    def round(self):
        """What is wrong after it: a list of lines."""
        g = self.start()
        if not self.keys:
            self.keys, self.subjects = make_keys(g)
        answers = self.load_and_kill(g)
        if self.random.random() < 0.2:
            self.kill_while_starting()
        checkpointed = self.journal.checkpointed()
        g = self.start()
        wrong = self.check(g, answers, checkpointed)
        g.kill()
        return wrong

    def check(self, g, answers, checkpointed):
        before = len(self.journal.outcomes)
        checks = Checks(self.journal, self.folder / "data")
        checks.verify()
        self.journal.read_on()
        checks.recovery(g, checkpointed)
        checks.answered(answers)
        checks.opened(self.upstream, self.bodies)
        checks.outcomes()
        checks.budgets(g, self.subjects)
        checks.rows(self.ask)
        self.counts["outcomes"] += len(self.journal.outcomes) - before
        self.counts["unknown"] = sum(p["outcome"] == "unknown"
                                     for p in self.journal.outcomes.values())
        self.counts["replays"] = self.journal.recoveries
        self.bodies.clear()
        self.upstream.seen.clear()
        return checks.wrong

    def close(self):
        self.upstream.close()
