"""Redis and PostgreSQL that go away under load: gateways before them, phases, and what is asked.

test_chaos.py asks it of the sanitized program with generous bounds; tools/campaign_chaos measures.
"""

import http.client
import json
import time
from collections import defaultdict
from decimal import Decimal

from crash_rounds import (NANO, Checks, CountingUpstream, Journal, Load, api, make_keys, postgres_of)
from gateway import Gateway

UNKNOWN_KEY = "sk-sf-" + "9" * 48


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else 0.0


class Cluster:
    """Replicas over one Redis and one PostgreSQL; either may be None, for one replica alone.
    upstream: the port of another provider than a counting one of its own."""

    def __init__(self, folder, redis, postgres, replicas=3, plain=False, upstream=None):
        self.redis, self.postgres = redis, postgres
        self.upstream = None if upstream else CountingUpstream()
        settings = {"OPENAI_API_KEY": "sk-upstream", "SMARTFLOW_MASTER_KEY": "0123456789abcdef" * 4,
                    "OPENAI_API_BASE": f"http://127.0.0.1:{upstream or self.upstream.port}"}
        if redis:
            redis.call("FLUSHALL")
            settings["REDIS_URL"] = redis.url
        if postgres:
            self.database = postgres.new_database()
            settings["DATABASE_URL"] = postgres.url_of(self.database)
        self.folders = [folder / f"n{i}" for i in range(replicas)]
        self.gateways = [Gateway(f, settings | {"SMARTFLOW_NODE": f.name}, plain=plain)
                         for f in self.folders]
        keys, self.subjects = make_keys(self.gateways[0])
        self.keys = [keys[0], keys[1], keys[3]]  # not the one of few requests a minute
        for g in self.gateways:
            for key in self.keys:
                until(lambda g=g, key=key: status(g, key) == 400, 5, "a key is not known everywhere")

    # --- load ---

    def begin(self, clients=4):
        self.loads = [Load(g.port, self.keys, clients) for g in self.gateways]

    def end(self):
        for load in self.loads:
            load.end()

    def answers(self, began, ended):
        """What was asked in a phase."""
        return [a for load in self.loads for a in load.answers if began <= a.began < ended]

    def failures(self):
        return [a for load in self.loads for a in load.answers if a.status != 200] + \
            [f for load in self.loads for f in load.broken]

    def phase(self, seconds):
        """Lets time pass; the durations of its calls."""
        began = time.monotonic()
        time.sleep(seconds)
        return [a.took for a in self.answers(began, time.monotonic())]

    # --- what is asked ---

    def log_lines(self, words):
        """For each gateway and second, how many lines have one of the words."""
        seconds = defaultdict(int)
        for i, g in enumerate(self.gateways):
            for line in g.log():
                if line["event"] != "call" and any(w in json.dumps(line).lower() for w in words):
                    seconds[i, line["ts"][:19]] += 1
        return seconds

    def away(self, g):
        """What readiness names; it is 200 in any case."""
        code, body = g.get("/health/readiness")
        assert code == 200
        return json.loads(body).get("away", [])

    def wrong_sums(self, seconds=0):
        """Where journals, rows and counters do not agree, when they have had that long for it."""
        journals = [Journal(f / "data" / "journal") for f in self.folders]
        deadline = time.monotonic() + seconds
        while True:
            for j in journals:
                j.read_on()
            all_of = Checks(Together(journals), None)
            for g in self.gateways:
                all_of.budgets(g, self.subjects)
            if self.postgres:
                all_of.rows(postgres_of(self.postgres, self.database))
            if not all_of.wrong or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        return all_of.wrong + self.wrong_nodes(journals)

    def wrong_nodes(self, journals):
        wrong = []
        for i, j in enumerate(journals):
            c = Checks(j, self.folders[i] / "data")
            c.verify()
            c.outcomes()
            c.answered(self.loads[i].answers if self.loads else [])
            wrong += c.wrong
        return wrong

    def stop(self):
        for g in self.gateways:
            g.stop()
        if self.upstream:
            self.upstream.close()

    def kill(self):
        for g in self.gateways:
            g.kill()


class Together:
    """Several nodes' journals as one."""

    def __init__(self, journals):
        self.journals = journals
        self.outcomes = {i: p for j in journals for i, p in j.outcomes.items()}

    def charged(self, *of):
        return sum(j.charged(*of) for j in self.journals)


def until(true, seconds, what, every=0.02):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(every)


def until_unknown_key_gets(g, wanted, seconds):
    """Asked seldom: an address that sends many unknown keys is slowed."""
    until(lambda: status(g, UNKNOWN_KEY) == wanted, seconds, f"an unknown key does not get {wanted}",
          0.5)


def status(g, key, body=b"{}"):
    """Of one call on a connection of its own."""
    c = http.client.HTTPConnection("127.0.0.1", g.port, timeout=20)
    try:
        c.request("POST", "/v1/chat/completions", body,
                  {"authorization": f"Bearer {key}", "content-type": "application/json"})
        reply = c.getresponse()
        reply.read()
        return reply.status
    finally:
        c.close()


def spend_everywhere(cluster):
    """Lifetime spend of the first key as each replica tells it, in nano-dollars."""
    path = cluster.subjects[2][2]
    return [int(Decimal(api(g, "GET", path)["data"]["spend"]["lifetime"]["used_usd"]) * NANO)
            for g in cluster.gateways]


# --- what happens to a server ---

def stopped(server):
    """Ends at once; comes back, and empty if it keeps nothing, after 2 s."""
    server.stop()
    time.sleep(2)
    server.start()


def paused(server):
    """Takes connections and answers nothing, for 5 s."""
    server.pause()
    time.sleep(5)
    server.resume()


def restarted(server):
    """Ends, and is there again as soon as it can."""
    server.restart()


DISASTERS = {"stopped": stopped, "paused": paused, "restarted": restarted}
