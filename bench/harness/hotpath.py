"""Counts of the hot path that do not depend on the machine's speed: heap allocations, system calls
and lock waits (futex calls) per request, at a steady state with 64 connections.

Two stretches of traffic of different length are counted, and only their difference is taken: what
the opening and closing of the connections cost is in both and falls out.

System calls are counted by the kernel's trace points (perf stat) where the machine allows it, or
else by strace, which slows the gateway down: it then finds more work waiting at each turn and calls
epoll_wait less often than it would.
"""

import re
import shutil
import signal
import struct
import subprocess
import time

import load

WINDOW = ("-m", "closed", "-c", 64, "-w", 0)


def _allocations(path):
    with open(path, "rb") as f:
        allocations, growths, _, size = struct.unpack("4Q", f.read(32))
    return allocations + growths, size


def _per_request(measure, seconds):
    """measure(seconds) -> (requests, counts); the counts of one request more."""
    (short_n, short), (long_n, long) = measure(seconds / 4), measure(seconds)
    return [max(0.0, (b - a) / (long_n - short_n)) for a, b in zip(short, long)]


def count_allocations(bench, peer, seconds):
    """(allocations, bytes) per request. The peer is started anew, with the counter preloaded."""
    counts = bench.stand.folder / "allocations"
    counts.unlink(missing_ok=True)
    bench.stand.start(peer, {"LD_PRELOAD": str(bench.stand.tools / "alloc_count.so"),
                             "BENCH_ALLOC_COUNTS": str(counts)})

    def measure(length):
        before = _allocations(counts)
        done = bench.loader.once(peer, *WINDOW, "-d", length)["ok"]
        return done, [b - a for a, b in zip(before, _allocations(counts))]

    try:
        bench.loader.once(peer, *WINDOW, "-d", 1)
        return _per_request(measure, seconds)
    finally:
        bench.stand.stop(peer)


def has_trace_points():
    if not shutil.which("perf"):
        return False
    tried = subprocess.run(["perf", "stat", "-x,", "-e", "syscalls:sys_enter_futex", "true"],
                           stderr=subprocess.PIPE, text=True)
    return tried.returncode == 0 and re.match(r"\d", tried.stderr) is not None


def _with_perf(pids):
    events = "raw_syscalls:sys_enter,syscalls:sys_enter_futex"
    return ["perf", "stat", "-x,", "-e", events, "-p", pids]


def _read_perf(text):
    numbers = {m[2]: int(m[1]) for m in re.finditer(r"^(\d+),,([\w:]+),", text, re.M)}
    return (numbers.get("raw_syscalls:sys_enter", 0), numbers.get("syscalls:sys_enter_futex", 0))


def _read_strace(text):
    calls = {m[2]: int(m[1]) for m in re.finditer(r"^\s*(\d+)\s+(\w+)$", text, re.M)}
    return calls.pop("total", sum(calls.values())), calls.get("futex", 0)


def _counter(pids):
    """The command that counts the system calls of these processes, and the reader of its words."""
    if has_trace_points():
        return _with_perf(",".join(map(str, pids))), _read_perf
    if not shutil.which("strace"):
        raise load.Failure("neither perf with trace points nor strace is here")
    command = ["strace", "-f", "-c", "-U", "calls,name"]
    for pid in pids:
        command += ["-p", str(pid)]
    return command, _read_strace


def count_calls(bench, peer, seconds):
    """(system calls, futex calls) per request, of all the peer's processes."""
    command, read = _counter(bench.stand.pids(peer))

    def measure(length):
        counter = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
        try:
            done = bench.loader.once(peer, *WINDOW, "-d", length)["ok"]
        finally:
            counter.send_signal(signal.SIGINT)
            said = counter.communicate(timeout=20)[1]
        return done, read(said)

    bench.loader.once(peer, *WINDOW, "-d", 0.5)
    return _per_request(measure, seconds)
