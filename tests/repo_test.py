#!/usr/bin/env python3
"""Tidiness of the repository: nothing of one machine in it, nothing left for later, no giant file.

Looks at every text file that git would take. Prints TAP.
"""

import fnmatch
import os
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
MAX_LINES = 1000
# Data and what is generated may be long; a lock file and a licence are as they are.
LONG_OK = ("src/llm/model_facts*", "tests/data/*", "tests/golden/*", "fuzz/corpus/*", "tests/node/package-lock.json", "LICENSE",
           "*.inc")
CODE = (".c", ".h", ".inc", ".py", ".js", ".mjs", ".ts", ".sh", ".build", ".yaml", ".yml")

MACHINE_PATH = re.compile(r"(?<![\w.~/:*$}])/(?:work|farm|root|home/\w+|Users/\w+|opt/wheels)/\w")
LEFT_FOR_LATER = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
# A build names packages; where they come from is the machine's business (apt, pip and npm settings).
REGISTRY = re.compile(r"registry\.npmjs\.org|files\.pythonhosted\.org|pypi\.org/simple|\bpkg\.dev/|"
                      r"arti" r"factory\b|codearti" r"fact\b|(?:deb|snapshot)\.debian\.org|security\.debian\.org")
SWITCHED_OFF = re.compile(r"\b(?:pytest\.skip|pytest\.mark\.xfail)\b|\bassert True\b")


def ignored():
    patterns = []
    for path in (TOP / ".gitignore", TOP / "fuzz" / ".gitignore"):
        base = "" if path.parent == TOP else "fuzz/"
        lines = path.read_text().splitlines() if path.exists() else []
        patterns += [(base if x.startswith("/") else "") + x.strip("/") for x in lines if x.strip()]
    return patterns


def is_ignored(name, patterns):
    last = name.rsplit("/", 1)[-1]
    return any(fnmatch.fnmatch(name, p) or fnmatch.fnmatch(last, p) for p in patterns)


def files():
    patterns = ignored() + [".git"]
    for folder, inner, names in os.walk(TOP):
        at = Path(folder).relative_to(TOP)
        keep = [d for d in inner if not is_ignored((at / d).as_posix(), patterns)]
        inner[:] = sorted(keep)
        for n in sorted(names):
            name = (at / n).as_posix()
            if not is_ignored(name, patterns):
                yield name


def texts():
    for name in files():
        data = (TOP / name).read_bytes()
        if b"\0" not in data[:8192]:
            yield name, data.decode("utf-8", "replace")


def findings(pattern, all_texts, wanted=lambda name: True):
    for name, text in all_texts:
        if not wanted(name):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                yield f"{name}:{number}: {line.strip()[:100]}"


def long_files(all_texts):
    for name, text in all_texts:
        lines = text.count("\n")
        if lines > MAX_LINES and not any(fnmatch.fnmatch(name, p) for p in LONG_OK):
            yield f"{name}: {lines} lines, more than {MAX_LINES}"


def odd_ends(all_texts):
    for name, text in all_texts:
        if Path(name).suffix not in CODE or not text:
            continue
        if not text.endswith("\n"):
            yield f"{name}: no newline at the end"
        if "\r" in text:
            yield f"{name}: carriage returns"
        if "\t" in text:
            yield f"{name}: tabs"


def unlisted_tests():
    """A test or fuzz file that no meson.build names would never run."""
    for build in sorted((TOP / "src").glob("*/meson.build")):
        text = build.read_text()
        for kind, key in (("test", "unit_tests"), ("fuzz", "fuzzers")):
            m = re.search(rf"^{key}\s*=\s*\[(.*?)\]", text, re.S | re.M)
            named = re.findall(r"'([^']+)'", m[1]) if m else []
            for f in sorted(build.parent.glob(f"*_{kind}.c")):
                if f.stem.removesuffix(f"_{kind}") not in named:
                    yield f"{f.relative_to(TOP)} is not in `{key}` of {build.relative_to(TOP)}"


def main():
    all_texts = list(texts())
    not_data = lambda name: not fnmatch.fnmatch(name, "data/*")
    in_tests = lambda name: name.startswith("tests/") and name != "tests/repo_test.py"
    checks = {
        "no path of one machine": findings(MACHINE_PATH, all_texts, not_data),
        "nothing left for later": findings(LEFT_FOR_LATER, all_texts, not_data),
        "no package registry's host name": findings(REGISTRY, all_texts, not_data),
        "no file is too long": long_files(all_texts),
        "no odd white space": odd_ends(all_texts),
        "no test is switched off": findings(SWITCHED_OFF, all_texts, in_tests),
        "every test and fuzz file is built": unlisted_tests(),
    }
    failed = 0
    for number, (name, found) in enumerate(checks.items(), 1):
        problems = list(found)
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
        for p in problems[:20]:
            print(f"#   {p}")
        failed += bool(problems)
    print(f"1..{len(checks)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
