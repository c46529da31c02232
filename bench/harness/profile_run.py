"""bench/profile: one kind of load against the gateway under perf, and the symbols that cost most."""

import argparse
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import load
import machine
import peers

LOADS = {
    "chat": ("-m", "closed", "-c", 64, "-b", 1024),
    "chat-30k": ("-m", "closed", "-c", 64, "-b", 30 * 1024),
    "stream": ("-m", "closed", "-c", 64, "-s", "-x", "mock:chunks=32"),
    "first-event": ("-m", "rate", "-r", 200, "-c", 128, "-s", "-x", "mock:chunks=32,interval=10"),
}
RATE = 2999  # samples a second; odd, so that nothing periodic hides from it


def record(stand, peer, args, seconds, data):
    pid = peer.process.pid
    recorder = subprocess.Popen(
        ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(RATE), "--call-graph", "fp",
         "-o", str(data), "-p", str(pid), "--", "sleep", str(seconds)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    report = load.Loader(stand, 0).once(peer, *args, "-d", seconds, "-w", 0.5)
    recorder.wait()
    return report


def symbols(data):
    """(share, module, symbol), the most expensive first; shares are of all samples."""
    out = subprocess.run(["perf", "report", "-i", str(data), "--no-children", "-g", "none",
                          "--sort", "dso,symbol", "--stdio", "-w", "0,30,60"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    for line in out.splitlines():
        m = re.match(r"\s*([\d.]+)%\s+(\S+)\s+\[(.)\]\s+(\S+)", line)
        if m:
            yield float(m[1]), "kernel" if m[3] == "k" else m[2], m[4]


def show(found, title, per_request, limit):
    share = sum(s for s, _, _ in found)
    print(f"\n{title}: {share:.1f} % of its CPU time, {share / 100 * per_request:.2f} µs a request")
    for s, module, name in found[:limit]:
        print(f"  {s:6.2f} %  {s / 100 * per_request:6.3f} µs  {name}  ({module})")


def main():
    p = argparse.ArgumentParser(prog="bench/profile", description=__doc__)
    p.add_argument("load", nargs="?", choices=LOADS, default="chat")
    p.add_argument("seconds", nargs="?", type=float, default=5)
    p.add_argument("--top", type=int, default=40, help="symbols to show of its own code (40)")
    p.add_argument("--column", choices=peers.COLUMNS, default="bare")
    p.add_argument("--tools", required=True, help=argparse.SUPPRESS)
    p.add_argument("--program", required=True, help=argparse.SUPPRESS)
    o = p.parse_args()
    folder = tempfile.mkdtemp(prefix="smartflow-profile-")
    stand = peers.Stand(folder, o.tools, machine.raise_file_limit(20000))
    data = Path(o.tools) / "perf.data"
    try:
        peer = peers.ours(o.column, o.program)
        stand.start(peer)
        report = record(stand, peer, LOADS[o.load], o.seconds, data)
    finally:
        stand.close()
        shutil.rmtree(folder, ignore_errors=True)
    per_request = report["cpu"] / report["ok"] * 1e6
    found = list(symbols(data))
    own = [f for f in found if f[1] != "kernel"]
    print(f"{report['ok']:,} requests, {per_request:.1f} µs of CPU each (perf's own share in it)")
    show(own, "its own code and libraries", per_request, o.top)
    show([f for f in found if f[1] == "kernel"], "kernel", per_request, o.top // 2)


if __name__ == "__main__":
    main()
