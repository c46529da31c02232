"""Running a stage's programs: output to a log, a time limit, and nothing left behind.

Each program gets a process group of its own, so that a limit that is reached ends it and all that
it started. While it runs, a line each minute says that it does.
"""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

HEARTBEAT = 60


@dataclass
class Done:
    code: int
    text: str
    timed_out: bool

    def tail(self, lines=40):
        return "\n".join(self.text.splitlines()[-lines:])


def end_group(child):
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            continue


def wait(child, name, limit):
    began = time.monotonic()
    while True:
        left = limit - (time.monotonic() - began)
        if left <= 0:
            return True
        try:
            child.wait(min(HEARTBEAT, left))
            return False
        except subprocess.TimeoutExpired:
            print(f"   ... {name}: {time.monotonic() - began:.0f} s", flush=True)


def run(command, log, limit, env=None, cwd=None):
    log.parent.mkdir(parents=True, exist_ok=True)
    full = dict(os.environ, **(env or {}))
    with open(log, "wb") as out:
        child = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT, env=full, cwd=cwd,
                                 start_new_session=True)
        try:
            timed_out = wait(child, log.stem, limit)
        finally:
            end_group(child)
    text = log.read_text(errors="replace")
    if timed_out:
        text += f"\nended after its limit of {limit} s"
    return Done(child.returncode, text, timed_out)


def fixed_addresses():
    """A prefix that switches address randomisation off: older sanitizers cannot map their shadow
    where the kernel uses more than 28 random bits. Empty where it is not allowed."""
    prefix = ["setarch", os.uname().machine, "-R"]
    if not shutil.which("setarch"):
        return []
    works = subprocess.run(prefix + ["true"], capture_output=True, check=False).returncode == 0
    return prefix if works else []


def cores():
    return len(os.sched_getaffinity(0)) or 1


def top():
    return Path(__file__).resolve().parent.parent.parent
