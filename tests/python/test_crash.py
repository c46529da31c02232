"""What the journal and the money survive: kill -9, a full disk, torn writes, a clock that jumps.

tools/campaign_kill does the first for as long as one likes.
"""

import os
import shutil
import struct
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from crash_rounds import (Checks, CountingUpstream, Journal, Load, Rounds, api, make_keys,
                          postgres_of, sqlite_of, start_line)
from gateway import Gateway, metric

DAY = 86400


def settings(upstream):
    return {"OPENAI_API_KEY": "sk-upstream", "SMARTFLOW_NODE": "n1",
            "OPENAI_API_BASE": f"http://127.0.0.1:{upstream.port}"}


@pytest.fixture
def counting():
    up = CountingUpstream()
    yield up
    up.close()


def wait_until(what, true, seconds=10):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def settled(data, load):
    """All calls of a load that ended are on the journal, and all of that in the database."""
    ask, journal = sqlite_of(data), Journal(Path(data) / "journal")
    served = sum(a.status == 200 for a in load.answers)

    def is_so():
        journal.read_on()
        at = ask("SELECT seq, sums_seq FROM ledger_position")
        return (len(journal.outcomes) >= served and journal.outcomes.keys() >= journal.reserved.keys()
                and at == [(journal.last_seq,) * 2])

    wait_until("the ledger is behind", is_so)


def all_checks(g, data, subjects, load, upstream, periods=("lifetime", "daily")):
    """The journal; and nothing is wrong with all that was made from it."""
    journal = Journal(Path(data) / "journal")
    journal.read_on()
    checks = Checks(journal, data)
    checks.verify()
    checks.outcomes()
    checks.budgets(g, subjects, periods)
    checks.rows(sqlite_of(data))
    checks.answered(load.answers)
    checks.opened(upstream, load.bodies)
    assert checks.wrong == []
    return journal


# --- kill -9 ---

def survives(rounds, n, replays=True):
    try:
        for _ in range(n):
            assert rounds.round() == []
    finally:
        rounds.close()
    assert rounds.counts["answered"] > 20 * n
    assert rounds.counts["unknown"] and (rounds.counts["replays"] or not replays)


def test_twenty_kills(tmp_path):
    survives(Rounds(tmp_path, seed=4, most=0.8), 20)


def test_kills_with_every_entry_waited_for(tmp_path):
    survives(Rounds(tmp_path, {"SMARTFLOW_JOURNAL": "strict"}, seed=5, most=0.6), 4,
             replays=False)  # what was answered is mostly on the chain already


def test_kills_over_redis_and_postgres(tmp_path, redis, postgres):
    database = postgres.new_database()
    redis.call("FLUSHALL")
    env = {"REDIS_URL": redis.url, "DATABASE_URL": postgres.url_of(database)}
    survives(Rounds(tmp_path, env, seed=6, most=0.6, ask=postgres_of(postgres, database)), 4)


# --- a disk that is full ---

class SmallDisk:
    """A file system of its own in memory, seen by the processes that `inside` starts.

    It lives in the mount namespace of a process that waits: no rights beyond one's own are needed,
    and nothing is left behind. Others look into it through /proc. In a chroot the root is no mount
    point, whose mounts unshare could make private: there it has to go without.
    """

    def __init__(self, folder, megabytes):
        self.script = f"mount -t tmpfs -o size={megabytes}m none {folder} && echo ready && exec sleep 3600"
        self.user = [] if os.getuid() == 0 else ["--user", "--preserve-credentials"]
        assert self.begin() or self.begin("--propagation", "unchanged")
        self.inside = ["nsenter", "-t", str(self.holder.pid), "-m", *self.user, "--"]
        self.folder, self.path = folder, Path(f"/proc/{self.holder.pid}/root{folder}")

    def begin(self, *how):
        self.holder = subprocess.Popen(["unshare", *(["-r"] if self.user else []), "-m", *how, "sh",
                                        "-c", self.script], stdout=subprocess.PIPE)
        if self.holder.stdout.readline() == b"ready\n":
            return True
        self.end()
        return False

    def fill(self):
        try:
            with open(self.path / "filler", "wb", 0) as f:
                while True:
                    f.write(bytes(1 << 16))
        except OSError:
            pass

    def empty(self):
        (self.path / "filler").unlink()

    def remove(self):
        subprocess.run([*self.inside, "umount", "-l", self.folder], check=True)
        self.end()

    def end(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


@pytest.fixture
def small_disk(tmp_path):
    (tmp_path / "disk").mkdir()
    disk = SmallDisk(tmp_path / "disk", 200)
    yield disk
    disk.remove()


def test_a_full_disk_refuses_and_recovers(tmp_path, small_disk, counting):
    g = Gateway(tmp_path, settings(counting) | {"SMARTFLOW_DATA": str(tmp_path / "disk" / "data")},
                prefix=small_disk.inside)
    keys, subjects = make_keys(g)
    load = Load(g.port, [keys[0], keys[1], keys[3]], 4)

    def seen(status, more):
        had = sum(a.status == status for a in load.answers)
        wait_until(f"no more {status}", lambda: sum(a.status == status for a in load.answers)
                   >= had + more)

    seen(200, 200)
    small_disk.fill()
    seen(503, 200)
    served = len([a for a in load.answers if a.status == 200])
    seen(503, 1000)
    assert len([a for a in load.answers if a.status == 200]) <= served + 4  # that were running
    small_disk.empty()
    seen(200, 100)
    load.end()
    assert set(Counter(a.status for a in load.answers)) == {200, 503}
    refused = sum(a.status == 503 for a in load.answers)
    assert metric(g, "smartflow_journal_refusals_total") == refused
    said = [x for x in g.log() if "the journal" in x["event"]]
    assert [x["level"] for x in said] == ["error", "info"], said
    assert "No space left" in said[0]["event"]
    codes = {x.get("error_code") for x in g.log() if x.get("status") == 503}
    assert codes == {"journal_unavailable"}
    g.stop()
    shutil.copytree(small_disk.path / "data", tmp_path / "data")
    g = Gateway(tmp_path, settings(counting))
    all_checks(g, tmp_path / "data", subjects, load, counting)
    g.stop()


def test_no_start_on_a_full_disk(tmp_path, small_disk, counting):
    small_disk.fill()
    with pytest.raises(AssertionError, match="No space left|disk is full"):
        Gateway(tmp_path, settings(counting) | {"SMARTFLOW_DATA": str(tmp_path / "disk" / "data")},
                prefix=small_disk.inside)


# --- torn writes ---

@pytest.fixture
def crashed(tmp_path, counting, request):
    """A folder that a killed gateway left, under load or at rest, and what is to be asked of it."""
    g = Gateway(tmp_path, settings(counting))
    keys, subjects = make_keys(g)
    load = Load(g.port, [keys[0], keys[1], keys[3]], 4)
    wait_until("no load", lambda: len(load.answers) > 150)
    if getattr(request, "param", "") == "at rest":
        load.end()
        settled(tmp_path / "data", load)
    g.kill()
    load.end()
    segment = sorted((tmp_path / "data" / "journal").glob("chain-*"))[-1]
    return tmp_path, subjects, load, segment


@pytest.mark.parametrize("garbage", [b"x", b'{"entry_hmac":"00', b"\n", b"\0" * 70000,
                                     b'{"entry_hmac":"00"}\n{}\n', bytes(range(256)) * 3])
def test_garbage_behind_the_chain_is_cut(crashed, counting, garbage):
    folder, subjects, load, segment = crashed
    with open(segment, "ab") as f:
        f.write(garbage)
    g = Gateway(folder, settings(counting))
    assert start_line(g)["lost_bytes"] == len(garbage)
    journal = all_checks(g, folder / "data", subjects, load, counting)
    assert journal.recoveries == 1
    g.stop()


@pytest.mark.parametrize("crashed", ["under load", "at rest"], indirect=True)
@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_a_cut_tail_comes_back_from_the_rings(crashed, counting, cut):
    """More than a torn write can do: what was synced is gone from the segment."""
    folder, subjects, load, segment = crashed
    os.truncate(segment, segment.stat().st_size - cut)
    g = Gateway(folder, settings(counting))
    assert start_line(g)["replayed"] > 0
    all_checks(g, folder / "data", subjects, load, counting)
    g.stop()


def test_garbage_behind_the_checkpoints_is_cut(crashed, counting):
    folder, subjects, load, _ = crashed
    with open(folder / "data" / "journal" / "checkpoints.jsonl", "ab") as f:
        f.write(b'{"alg":"Ed25519","chain":')
    g = Gateway(folder, settings(counting))
    all_checks(g, folder / "data", subjects, load, counting)
    g.stop()
    Gateway(folder, settings(counting)).stop()


# --- a clock that jumps ---

class Clock:
    def __init__(self, folder):
        self.file, library = folder / "shift", folder / "clock_shift.so"
        self.set(0)
        source = Path(__file__).with_name("clock_shift.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        self.env = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(self.file)}

    def set(self, seconds):
        mode = "r+b" if self.file.exists() else "w+b"
        with open(self.file, mode) as f:
            f.write(struct.pack("q", seconds))


def test_the_clock_jumps_a_day_and_back(tmp_path, counting):
    clock = Clock(tmp_path)
    g = Gateway(tmp_path, settings(counting) | clock.env, plain=True)
    keys, subjects = make_keys(g)
    load = Load(g.port, keys, 4)  # k2 has requests a minute, too

    def more(n=150):
        had = len(load.answers)
        wait_until("calls hang", lambda: len(load.answers) >= had + n)

    def daily(shift):
        """Used in the day that the clock shows, by the first key; and when it ends."""
        d = api(g, "GET", subjects[2][2])["data"]["spend"]["daily"]
        today = time.strftime("%Y-%m-%d", time.gmtime(time.time() + shift + DAY))
        assert d["resets_at"].startswith(today)
        return d["used_usd"]

    more()
    first = daily(0)
    for shift in (DAY, -DAY, 0, 365 * DAY, -30 * DAY, 0):
        clock.set(shift)
        more()
        assert daily(shift) > 0
    assert daily(0) > first > 0
    load.end()
    assert set(Counter(a.status for a in load.answers)) <= {200, 429}
    settled(tmp_path / "data", load)
    all_checks(g, tmp_path / "data", subjects, load, counting, ["lifetime"])
    g.kill()
    clock.set(-DAY)  # and a restart before what is on the journal
    g = Gateway(tmp_path, settings(counting) | clock.env, plain=True)
    daily(-DAY)
    clock.set(0)
    all_checks(g, tmp_path / "data", subjects, load, counting, ["lifetime"])
    g.stop()
