#!/usr/bin/env python3
"""Compiles every source with gcc -fanalyzer and fails on what it finds; prints TAP.

The commands are those of build-plain/compile_commands.json. What was looked at and is a false alarm
stands with its reason in tools/analyzer_allow.txt, by source, warning and function. Unit tests and
fuzz targets are not analyzed. Arguments: only files whose names hold one of these words.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
ALLOW = TOP / "tools" / "analyzer_allow.txt"
LIMIT = 300  # seconds for one file


def allowed():
    rows = set()
    for line in ALLOW.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            rows.add(tuple(line.split(" : ")[0].split()))
    return rows


def commands(words):
    build = TOP / "build-plain"
    found = {}
    for row in json.loads((build / "compile_commands.json").read_text()):
        path = (Path(row["directory"]) / row["file"]).resolve()
        name = str(path.relative_to(TOP)) if path.is_relative_to(TOP) else ""
        if not name.startswith("src/") or re.search(r"_(test|fuzz)\.c$", name):
            continue
        if not words or any(w in name for w in words):
            found[name] = (strip(shlex.split(row["command"])), row["directory"])
    return found


def strip(command):
    """The compile command without what it writes."""
    out, skip = [], False
    for word in command:
        if skip:
            skip = False
        elif word in ("-o", "-MQ", "-MF"):
            skip = True
        elif word not in ("-MD", "-c"):
            out.append(word)
    return out


def analyze(name, command, folder):
    """The findings as (file, warning, function, text)."""
    extra = ["-c", "-o", "/dev/null", "-fanalyzer", "-fdiagnostics-path-format=none",
             "-fdiagnostics-color=never"]
    env = dict(os.environ, LC_ALL="C", CCACHE_DISABLE="1")
    try:
        done = subprocess.run(command + extra, cwd=folder, env=env, capture_output=True, text=True,
                              timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return [(name, "time", "-", f"{name}: not analyzed in {LIMIT} s")]
    found = parse(name, done.stderr, folder)
    if done.returncode and not found:
        found = [(name, "compile", "-", done.stderr[-2000:])]
    return found


def parse(source, text, folder):
    """Findings go by the source compiled, also those in a header: a header's inline function may be
    called wrongly in one source and rightly in all others."""
    found, function = [], "-"
    for line in text.splitlines():
        if m := re.search(r"In function '([^']+)'", line):
            function = m[1]
        elif m := re.match(r"([^:]+):(\d+):.*\[-W(?:error=)?(analyzer-[\w-]+)\]", line):
            path = (Path(folder) / m[1]).resolve()
            place = str(path.relative_to(TOP)) if path.is_relative_to(TOP) else str(path)
            found.append((source, m[3], function, f"{place}:{line.split(':', 1)[1]} in {function}()"))
    return found


def main():
    allow, used = allowed(), set()
    rows = commands(sys.argv[1:])
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = pool.map(lambda n: (n, analyze(n, *rows[n])), sorted(rows))
        failed = 0
        for number, (name, found) in enumerate(results, 1):
            used |= {f[:3] for f in found} & allow
            bad = [f[3] for f in found if f[:3] not in allow]
            for text in bad:
                print("\n".join(f"#   {x}" for x in text.splitlines()))
            print(f"{'not ok' if bad else 'ok'} {number} - {name}", flush=True)
            failed += bool(bad)
    for row in sorted(allow - used):
        print(f"# allowed, but this gcc does not find it: {' '.join(row)}")
    print(f"1..{len(rows)}")
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
