"""What the campaigns in tools/ share: the Python with the tests' packages, the mock and the load
generator of bench/, and phases of load that are measured one by one.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
VENV = TOP / ".cache" / "venv"  # ./test makes it
TOOLS = TOP / "build" / "bench"  # bench/tools.sh makes them
COST = 51900  # nano-dollars of one call: what the mock bills, at the price of the model asked for


def in_venv():
    """Goes on in the Python that has the tests' packages."""
    python = str(VENV / "bin" / "python")
    if os.path.exists(python) and Path(sys.prefix) != VENV:
        os.execv(python, [python, *sys.argv])


def bench_tools():
    subprocess.run(["bash", "-c", f'. "{TOP}/tools/setup.sh"; . "{TOP}/bench/tools.sh"; build_tools'],
                   check=True, stdout=subprocess.DEVNULL)


class Mock:
    """The mock provider; it counts what it served."""

    def __init__(self, threads=1):
        self.child = subprocess.Popen([TOOLS / "mock", "-t", str(threads)], stdout=subprocess.PIPE,
                                      text=True)
        self.port = int(self.child.stdout.readline())

    def served(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/served", timeout=10) as reply:
            return json.loads(reply.read())["served"]

    def end(self):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()


def start_load(port, key, *args):
    """A generator of load at a rate, in an open loop, that runs by itself."""
    return subprocess.Popen(
        [TOOLS / "loadgen", "-u", f"http://127.0.0.1:{port}/v1/chat/completions", "-H",
         f"Authorization: Bearer {key}", "-m", "rate", *map(str, args)],
        stdout=subprocess.PIPE, text=True)


def end_load(child):
    """Waits for the generator; its own report."""
    out, _ = child.communicate()
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, child.args)
    return json.loads(out)


def load(port, key, rate, seconds, connections=64, warm_up=1.0):
    return end_load(start_load(port, key, "-r", rate, "-d", seconds, "-w", warm_up,
                               "-c", connections))


class Loads:
    """Load on several gateways at the same time."""

    def __init__(self, ports, key, rate, seconds, connections=64):
        self.reports = []
        self.threads = [threading.Thread(target=lambda p=p: self.reports.append(
            load(p, key, rate / len(ports), seconds, connections))) for p in ports]
        for t in self.threads:
            t.start()
        time.sleep(1)  # the warm-up

    def end(self):
        for t in self.threads:
            t.join()
        return self.reports


def count(reports, name):
    return sum(r[name] for r in reports)


FAILURES = ("non2xx", "errors", "unfinished")


def failed(reports):
    return sum(count(reports, n) for n in FAILURES)


def show(name, reports):
    """One line of a phase; the worst of the gateways' 99th percentiles, in milliseconds."""
    p50, p99 = (max(r["latency_us"][q] for r in reports) / 1e3 for q in ("p50", "p99"))
    print(f"  {name:<22} {count(reports, 'rps'):>8.0f}/s  p50 {p50:7.2f} ms  p99 {p99:7.2f} ms  "
          + (", ".join(f"{count(reports, n)} {n}" for n in FAILURES if count(reports, n))
             or "none failed"), flush=True)
    return p99
