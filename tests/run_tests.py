#!/usr/bin/env python3
"""Runs the stages of ./test and counts. The last line is `N passed, N failed`.

    ./test                 everything
    ./test unit fuzz       the stages whose names begin with these words
    ./test -k PATTERN      what matches, in whatever stage it is
    ./test --list          the stages, the unit tests and fuzz targets
    ./test --build NAME    makes one of the build folders (build-asan, build-fuzz, ...) and stops

FUZZ_SECONDS (10) is how long each fuzz target runs. Logs are kept in .cache/test-logs.
"""

import argparse
import os
import re
import sys
import time

from harness.counting import Result, failure
from harness.stages import BUILDS, STAGES, Session, build

QUIET_WITHOUT_MATCH = ("build",)  # not a test that -k looks for


def arguments():
    args = argparse.ArgumentParser(prog="./test", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter,
                                   epilog="stages: " + ", ".join(STAGES))
    args.add_argument("stages", nargs="*", help="stages, by the beginnings of their names")
    args.add_argument("-k", dest="pattern", default="", help="only tests whose names hold this")
    args.add_argument("--list", action="store_true", help="what there is, and run nothing")
    args.add_argument("--build", choices=sorted(BUILDS), help="make this build folder, and stop")
    return args.parse_args()


def chosen(words):
    for w in words:
        if not any(name.startswith(w) for name in STAGES):
            sys.exit(f"error: no stage begins with {w}; there are: {', '.join(STAGES)}")
    return [n for n in STAGES if not words or any(n.startswith(w) for w in words)]


def list_all(session):
    for name, (_, what) in STAGES.items():
        print(f"{name:<12} {what}")
    for kind in ("unit_tests", "fuzzers"):
        print(f"\n{kind.replace('_', ' ')}:")
        for build in sorted((session.top / "src").glob("*/meson.build")):
            m = re.search(rf"^{kind}\s*=\s*\[(.*?)\]", build.read_text(), re.S | re.M)
            names = re.findall(r"'([^']+)'", m[1]) if m else []
            if names:
                print(f"  {build.parent.name:<12} {' '.join(names)}")


def build_only(session, name):
    targets = [] if name == "build-fuzz" else ["all", "meson-test-prereq"]
    wrong = build(session, name, targets)
    print("\n".join(wrong.problems) if wrong else f"{name} is built")
    return 1 if wrong else 0


def run_stage(session, name):
    print(f"== {name}: {STAGES[name][1]}", flush=True)
    began = time.monotonic()
    try:
        result = STAGES[name][0](session)
    except (OSError, ValueError, KeyError, ImportError) as e:
        result = failure(f"{name}: {type(e).__name__}: {e}")
    if not result.ran() and not session.pattern:
        result.add(failure(f"{name}: nothing ran"))
    for line in result.closing:
        print(f"   {line}")
    for problem in result.problems:
        print("   FAILED " + problem.replace("\n", "\n   | "))
    skipped = f", {result.skipped} skipped" if result.skipped else ""
    print(f"   {name}: {result.passed} passed, {result.failed} failed{skipped}, "
          f"{time.monotonic() - began:.0f} s", flush=True)
    return result


def main():
    opt = arguments()
    session = Session(pattern=opt.pattern, fuzz_seconds=int(os.environ.get("FUZZ_SECONDS", "10")))
    if opt.list:
        list_all(session)
        return 0
    if opt.build:
        return build_only(session, opt.build)
    names = chosen(opt.stages)
    if opt.pattern:
        names = [n for n in names if n not in QUIET_WITHOUT_MATCH or n in opt.stages]
    began, total = time.monotonic(), Result()
    failed = []
    for name in names:
        result = run_stage(session, name)
        failed += [name] if result.failed else []
        total.add(result)
    print(f"== {time.monotonic() - began:.0f} s in all; "
          + (f"failed in: {', '.join(failed)}" if failed else "no stage failed")
          + (f"; {total.skipped} skipped" if total.skipped else ""))
    if not total.ran():
        print("error: nothing ran")
    print(f"{total.passed} passed, {total.failed} failed", flush=True)
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    sys.exit(main())
