"""One run of the load generator against one peer, and what it cost whom."""

import json
import os
import select
import subprocess
import sys
import time

import machine
import peers

QUIET = 0.3  # cores that others may use in a round that counts
CALM = 0.1  # cores that others may use when a run begins


class Failure(Exception):
    pass


class Loader:
    """patience: seconds in all that may go to waiting for the machine and to repeating runs."""

    def __init__(self, stand, patience):
        self.stand, self.patience = stand, patience

    def _command(self, peer, args):
        command = [str(self.stand.tools / "loadgen"), "-u", peer.url]
        for line in peers.field_lines(peer):
            command += ["-H", line]
        return command + [str(a) for a in args]

    def wait_for_calm(self):
        while self.patience > 0:
            watch = machine.Disturbance(self.stand.own_pids()).start()
            time.sleep(0.25)
            if watch.cores() < CALM:
                return
            self.patience -= 0.25

    def once(self, peer, *args):
        """The generator's report, with "cpu": the peer's CPU seconds, "disturbance": cores."""
        return self.together([peer], *args)

    def together(self, some, *args):
        """Several peers under load at the same time, as one: the sums of their reports."""
        watch = machine.Disturbance(self.stand.own_pids()).start()
        pids = [pid for peer in some for pid in self.stand.pids(peer)]
        before = machine.cpu_seconds(pids)
        running = [subprocess.Popen(self._command(peer, args), stdout=subprocess.PIPE, text=True)
                   for peer in some]
        reports = [finished(child, peer, args) for child, peer in zip(running, some)]
        report = reports[0]
        for other in reports[1:]:
            report.update({n: report[n] + other[n] for n in ("ok", "rps", "cpu_s")})
        report["cpu"] = machine.cpu_seconds(pids) - before
        report["disturbance"] = watch.cores(report["cpu_s"])
        return report

    def quiet(self, some, *args):
        """Repeats a run that others disturbed while there is patience; gives the calmest."""
        best = None
        while True:
            self.wait_for_calm()
            began = time.monotonic()
            report = self.together(some, *args)
            if best is None or report["disturbance"] < best["disturbance"]:
                best = report
            if best["disturbance"] < QUIET or self.patience <= 0:
                return best
            self.patience -= time.monotonic() - began

    def hold(self, peer, args, limit):
        return Held(self._command(peer, args), peer, limit)


def finished(child, peer, args):
    """The report of a generator that has a good one."""
    try:
        out, _ = child.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        child.kill()
        raise
    if child.returncode or not out:
        raise Failure(f"loadgen ended with {child.returncode} against {peer.name}")
    report = json.loads(out)
    if report["errors"] or report["non2xx"] or not report["ok"]:
        raise Failure(f"{peer.name}: {report['errors']} errors, {report['non2xx']} replies other "
                      f"than 2xx, {report['ok']} good ones ({' '.join(map(str, args))})")
    return report


class Held:
    """Streams that stay open as long as the block lasts."""

    def __init__(self, command, peer, limit):
        self.command, self.peer, self.limit = command, peer, limit

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE)
        ready, _, _ = select.select([self.process.stdout], [], [], self.limit)
        line = self.process.stdout.readline() if ready else b""
        self.open = json.loads(line).get("open", 0) if line else 0
        if not self.open:
            self.end()
            raise Failure(f"{self.peer.name}: {self.report.get('firsts')} streams began in "
                          f"{self.limit} s, too few")
        return self

    def end(self):
        self.process.terminate()
        try:
            out = self.process.communicate(timeout=15)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            out = self.process.communicate()[0]
        lines = out.splitlines()
        self.report = json.loads(lines[-1]) if lines else {}

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.end()


def note(text):
    if os.environ.get("BENCH_QUIET") != "1":
        print(text, file=sys.stderr, flush=True)
