"""The bench: measures the gateway against the goals of docs/performance.md; see `bench/run --help`.

Rounds: all peers are started, every case runs against every peer in turn (in an order that rotates
from round to round), all are stopped. Counts that need no rounds follow, each with fresh processes.
Everything stays on 127.0.0.1, and only what was started here is ended.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cases
import load
import machine
import peers
import table

FAILURES = (load.Failure, peers.StartError, subprocess.TimeoutExpired)
FILES_WANTED = 40000  # 9,000 streams are 18,000 connections of a proxy


class Bench:
    """What a case needs: load against peers, and how long and how much."""

    def __init__(self, stand, loader, options):
        self.stand, self.loader = stand, loader
        self.seconds = options.seconds
        self.warm_up = 0.3 if options.quick else 0.75
        self.settle = 3 if options.quick else 8
        # A proxy needs two files for a stream, and some for itself.
        self.streams = min(900 if options.quick else 9000, (stand.nofile - 500) // 2)
        self.worst = 0.0
        self.failures = 0

    def disturbed(self, cores):
        self.worst = max(self.worst, cores)

    def quiet(self, peer, *args):
        """A report, or None when the peer failed: one that fails does not end the others."""
        return self.quiet_together([peer], *args)

    def quiet_together(self, some, *args):
        """Of several peers that are under load at the same time: the sums of their reports."""
        try:
            report = self.loader.quiet(some, *args, "-d", self.seconds, "-w", self.warm_up)
        except load.Failure as e:
            self.failed(e)
            return None
        self.disturbed(report["disturbance"])
        return report

    def restart(self, peer, times):
        self.stand.stop(peer)
        times.append(self.stand.start(peer))

    def alone(self, some, measure):
        """{name: measure(peer)} of each proxy in turn, in a fresh process, alone on the machine."""
        values = {}
        for peer in some:
            if not peer.command:
                continue
            try:
                self.stand.start(peer)
                values[peer.name] = measure(peer)
            except FAILURES as e:
                self.failed(e)
            finally:
                if peer in self.stand.running:
                    self.stand.stop(peer)
        return values

    def failed(self, error):
        self.failures += 1
        load.note(f"   ! {error}")


def one_case(bench, case, some, rounds):
    bench.worst = 0.0
    began = time.monotonic()
    try:
        values = case.run(bench, some)
    except FAILURES as e:
        bench.failed(f"{case.key}: {e}")
        return
    rounds.setdefault(case.key, []).append({"values": values, "disturbance": bench.worst})
    load.note(f"   {case.key}: {time.monotonic() - began:.0f} s, others used "
              f"{bench.worst:.2f} cores at most")


def all_rounds(bench, chosen, some, count, rounds):
    timed = [c for c in chosen if not c.once]
    for r in range(count if timed else 0):
        load.note(f"round {r + 1} of {count}")
        turn = r % len(some)
        order = some[turn:] + some[:turn]
        with bench.stand.having(order):
            for case in timed:
                one_case(bench, case, order, rounds)
    once = [c for c in chosen if c.once]
    if once:
        load.note("counts")
    for case in once:
        one_case(bench, case, some, rounds)


def options():
    p = argparse.ArgumentParser(prog="bench/run", description=__doc__.split("\n")[0],
                                epilog="A full run takes 12 to 15 minutes on a quiet machine.")
    p.add_argument("--rounds", type=int, help="interleaved rounds (5)")
    p.add_argument("--seconds", type=float, help="of one measurement (5)")
    p.add_argument("--quick", action="store_true", help="one short round, to see that all works")
    p.add_argument("--only", type=lambda s: s.split(","), metavar="CASE,...",
                   help=", ".join(c.key for c in cases.CASES))
    p.add_argument("--column", type=lambda s: s.split(","), default=list(peers.COLUMNS),
                   metavar="NAME,...", help=", ".join(peers.COLUMNS))
    p.add_argument("--others", action="store_true", help="other gateways that are installed, too")
    p.add_argument("--json", metavar="FILE", help="write all numbers there")
    p.add_argument("--patience", type=float,
                   help="seconds in all for waiting and repeating when others disturb (240)")
    p.add_argument("--tools", required=True, help=argparse.SUPPRESS)
    p.add_argument("--program", required=True, help=argparse.SUPPRESS)
    o = p.parse_args()
    o.rounds = o.rounds or (1 if o.quick else 5)
    o.seconds = o.seconds or (1 if o.quick else 5)
    o.patience = (0 if o.quick else 240) if o.patience is None else o.patience
    unknown = set(o.only or ()) - {c.key for c in cases.CASES}
    unknown |= set(o.column) - set(peers.COLUMNS)
    if unknown:
        p.error(f"there is no {', '.join(sorted(unknown))}")
    return o


def estimate(chosen, some, o):
    share = len([p for p in some if p.command]) / 2
    rounds = sum(c.seconds for c in chosen if not c.once) * (o.seconds + 1.5) * o.rounds * share
    return rounds + 25 * share * len([c for c in chosen if c.once])


def machine_line():
    with open("/proc/cpuinfo") as f:
        model = next((x.split(":", 1)[1].strip() for x in f if x.startswith("model name")), "")
    return f"{os.cpu_count()} cores, {model or platform.machine()}, Linux {platform.release()}"


def measure(o, chosen, some, folder):
    """(table, number of failures); an interrupted run gives what it had measured."""
    stand = peers.Stand(folder, o.tools, machine.raise_file_limit(FILES_WANTED))
    bench = Bench(stand, load.Loader(stand, o.patience), o)
    rounds = {}
    try:
        all_rounds(bench, chosen, some, o.rounds, rounds)
    except FAILURES + (KeyboardInterrupt,) as e:
        bench.failed(str(e) or "interrupted")
    finally:
        stand.close()
    return table.Table(chosen, rounds, some, bench.streams, o.rounds), bench.failures


def write_json(o, result):
    about = {"machine": machine_line(), "rounds": o.rounds, "seconds": o.seconds,
             "streams": result.streams, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    Path(o.json).write_text(json.dumps({**about, "rows": result.json()}, indent=1) + "\n")


def main():
    o = options()
    chosen = [c for c in cases.CASES if not o.only or c.key in o.only]
    some = [peers.Peer("direct"), peers.nginx()]
    some += [peers.ours(c, o.program) for c in o.column]
    some += peers.others() if o.others else []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load.note(f"{machine_line()}; about {estimate(chosen, some, o) / 60:.0f} min")
    folder = tempfile.mkdtemp(prefix="smartflow-bench-")
    began = time.monotonic()
    result, failures = measure(o, chosen, some, folder)
    print(result.text())
    print(f"\n{machine_line()}; {o.rounds} rounds of {o.seconds:g} s, "
          f"{(time.monotonic() - began) / 60:.1f} min")
    if o.json:
        write_json(o, result)
    if failures:
        load.note(f"{failures} failures, see above; the peers' output is in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
