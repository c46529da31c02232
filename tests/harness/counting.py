"""What a runner's report says, as numbers, and as the lines worth showing."""

import json
import re
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field


@dataclass
class Result:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    closing: list = field(default_factory=list)  # the runner's own last lines
    problems: list = field(default_factory=list)  # what failed, with its reasons

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.closing += other.closing
        self.problems += other.problems
        return self

    def ran(self):
        return self.passed + self.failed


def failure(text):
    return Result(failed=1, problems=[text])


def one(ok, what, text=""):
    return Result(passed=1) if ok else failure(f"{what}\n{text}")


def from_tap(text, name):
    """A TAP report. A program that says it failed without naming a test counts as one failure."""
    r, lines = Result(), text.splitlines()
    for i, line in enumerate(lines):
        if re.match(r"ok\b.*# *skip", line, re.I):
            r.skipped += 1
        elif re.match(r"ok\b", line):
            r.passed += 1
        elif re.match(r"not ok\b", line):
            r.failed += 1
            r.problems.append(f"{name}: {line}" + comments(lines, i))
        elif line.startswith("Bail out!"):
            r.failed += 1
            r.problems.append(f"{name}: {line}")
    return r


def comments(lines, i):
    """The `#` lines next to a TAP line: a test says why before its verdict, or after it."""
    before, after = [], []
    for line in reversed(lines[:i]):
        if not line.startswith("#"):
            break
        before.insert(0, line)
    for line in lines[i + 1:]:
        if not line.startswith("#"):
            break
        after.append(line)
    return "".join("\n    " + x for x in (before + after)[:30])


def planned(text):
    m = re.search(r"^1\.\.(\d+)", text, re.M)
    return int(m[1]) if m else None


def from_meson_test(entry):
    """One line of meson's testlog.json: a program with its TAP output."""
    out, err = entry.get("stdout") or "", entry.get("stderr") or ""
    r = from_tap(out, entry["name"])
    plan = planned(out)
    if entry["result"] not in ("OK", "SKIP") and r.failed == 0:
        tail = "\n".join((out + err).splitlines()[-40:])
        r.add(failure(f"{entry['name']}: {entry['result']} (exit {entry.get('returncode')})\n{tail}"))
    elif entry["result"] == "OK" and not r.ran() + r.skipped:
        r.add(failure(f"{entry['name']}: ran no test"))
    elif plan is not None and plan != r.ran() + r.skipped:
        r.add(failure(f"{entry['name']}: planned {plan} tests, ran {r.ran() + r.skipped}"))
    elif r.failed and err.strip():
        r.problems.append("\n".join(err.splitlines()[-20:]))
    return r


def from_meson_log(path):
    total = Result()
    for line in path.read_text().splitlines():
        total.add(from_meson_test(json.loads(line)))
    return total


def from_junit(path):
    root, r = xml.parse(path).getroot(), Result()
    for suite in root.iter("testsuite"):
        n = {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
        bad = n["failures"] + n["errors"]
        r.failed += bad
        r.skipped += n["skipped"]
        r.passed += max(0, n["tests"] - bad - n["skipped"])
    return r


def from_node(text):
    counts = {m[1]: int(m[2]) for m in
              re.finditer(r"^(?:#|ℹ) (pass|fail|cancelled|skipped|todo) (\d+)$", text, re.M)}
    return Result(passed=counts.get("pass", 0), skipped=counts.get("skipped", 0),
                  failed=counts.get("fail", 0) + counts.get("cancelled", 0))
