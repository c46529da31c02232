#!/usr/bin/env python3
"""Runs the fuzz targets of build-fuzz for a while each, some at a time; prints TAP.

Seeds come from fuzz/corpus/TARGET, and what is found goes to a temporary folder, or, with --keep, to
fuzz/corpus-found/TARGET, which the next run starts from. An input that fails is kept in
fuzz/crashes-found; running the target with that file as its argument shows the failure again.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
CRASHES = TOP / "fuzz" / "crashes-found"
KEPT = TOP / "fuzz" / "corpus-found"


class Target:
    def __init__(self, program):
        self.program, self.name = program, program.name
        short = self.name.removeprefix("fuzz_")
        self.seeds = [d for d in (TOP / "fuzz" / "corpus" / short, TOP / "fuzz" / "corpus" / self.name)
                      if d.is_dir()]
        self.dictionary = TOP / "fuzz" / "dict" / f"{short}.dict"
        self.short = short

    def command(self, found, seconds):
        # The limits are those of one input: memory in MiB, time in seconds.
        options = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2560",
                   "-print_final_stats=1", f"-artifact_prefix={CRASHES}/{self.short}-"]
        if self.dictionary.exists():
            options.append(f"-dict={self.dictionary}")
        return [str(self.program), *options, str(found), *map(str, self.seeds)]

    def run(self, found, seconds):
        """(ok, one line about it, its output)."""
        found.mkdir(parents=True, exist_ok=True)
        try:
            done = subprocess.run(self.command(found, seconds), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=seconds + 120, check=False)
            code, text = done.returncode, done.stdout.decode(errors="replace")
        except subprocess.TimeoutExpired as e:
            code, text = -1, (e.stdout or b"").decode(errors="replace") + "\ndid not end in time"
        runs = number(r"stat::number_of_executed_units:\s*(\d+)", text)
        cover = number(r"cov: (\d+)", text)
        return code == 0 and runs > 0, f"{runs} runs, {cover} edges", text


def number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def targets(build, match):
    programs = [p for p in sorted(build.glob("fuzz_*")) if p.is_file()]
    return [Target(p) for p in programs if match in p.name]


class Report:
    """TAP lines, in the order in which targets end."""

    def __init__(self):
        self.lock, self.count, self.failed = threading.Lock(), 0, 0

    def add(self, name, ok, line, text):
        with self.lock:
            self.count += 1
            self.failed += not ok
            if not ok:
                for x in text.splitlines()[-60:]:
                    print(f"#   {x}")
            print(f"{'ok' if ok else 'not ok'} {self.count} - {name}")
            print(f"# {name}: {line}", flush=True)

    def end(self):
        print(f"1..{self.count}")
        return 1 if self.failed or not self.count else 0


def campaign(found, chosen, opt):
    report, end = Report(), time.monotonic() + opt.seconds * len(chosen) / opt.jobs + 60

    def one(target):
        left = max(1, min(opt.seconds, int(end - time.monotonic())))
        report.add(target.name, *target.run(found / target.short, left))

    with ThreadPoolExecutor(opt.jobs) as pool:
        for done in [pool.submit(one, t) for t in chosen]:
            done.result()
    return report.end()


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--build", type=Path, default=TOP / "build-fuzz")
    args.add_argument("--seconds", type=int, default=10, help="for each target")
    args.add_argument("--jobs", type=int, default=2)
    args.add_argument("--match", default="", help="only targets whose names hold this")
    args.add_argument("--keep", action="store_true", help="keep what is found for the next run")
    args.add_argument("--count", action="store_true", help="print how many targets there are")
    opt = args.parse_args()
    chosen = targets(opt.build, opt.match)
    if opt.count:
        print(len(chosen))
        return 0
    CRASHES.mkdir(parents=True, exist_ok=True)
    if not chosen:
        print("1..0")
        return 0 if opt.match else 1
    if opt.keep:
        return campaign(KEPT, chosen, opt)
    with tempfile.TemporaryDirectory() as found:
        return campaign(Path(found), chosen, opt)


if __name__ == "__main__":
    sys.exit(main())
