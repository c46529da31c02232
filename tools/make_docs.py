#!/usr/bin/env python3
"""Keeps the documents true to the code.

    tools/make_docs.py            rewrites the tables between the markers
    tools/make_docs.py --check    changes nothing; prints TAP and fails where a document is old

Tables stand between `<!-- table:NAME:begin -->` and `<!-- table:NAME:end -->`. Settings, providers
and endpoints come from the program itself (--program, else build/smartflow); limits, metrics and
the header fields that are kept back come from the sources. --check also looks for what the tables
cannot show: every error code, log field, pipeline stage and unlisted setting must be named in its
document, every path and function that ARCHITECTURE.md names must exist, and every link must lead
somewhere.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
SRC = TOP / "src"
PLACES = {  # table -> document
    "settings": "docs/configuration.md",
    "providers": "docs/configuration.md",
    "endpoints": "docs/endpoints.md",
    "metrics": "docs/operations.md",
    "limits": "docs/operations.md",
}
LIMIT_WORDS = {  # where the source says nothing, as the name says it to those who know it
    "LIMIT_TRAILER_BYTES": "trailers of a chunked body",
    "LIMIT_WS_FRAME_BYTES": "a WebSocket frame, and a message that is looked at",
    "LIMIT_MULTIPART_HEAD": "the head of one part of a form",
    "LIMIT_MULTIPART_PARTS": "parts in a form",
    "LIMIT_BOUNDARY_BYTES": "a form's boundary",
    "LIMIT_JSON_DEPTH": "nesting of a JSON body",
    "LIMIT_EXCHANGE_ARENA": "memory that one call may take besides its body",
    "LIMIT_OFFLOAD_QUEUE": "jobs that wait for the offload pool",
}
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]


def source(name):
    return (SRC / name).read_text()


def sources():
    return [p for p in sorted(SRC.rglob("*.[chS]")) if not p.stem.endswith(("_test", "_fuzz"))]


def output(program, *args):
    done = subprocess.run([program, *args], capture_output=True, timeout=60, check=True)
    return done.stdout.decode("utf-8", "replace")


def cell(text):
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(cell(c) for c in row) + " |" for row in rows])


def code(text):
    return f"`{text}`" if text and text != "-" else ""


# -- the tables -------------------------------------------------------------------------------------

def settings_table(program):
    rows = []
    for line in output(program, "config", "list").split("\nProviders", 1)[0].splitlines():
        m = re.match(r"([A-Za-z_0-9]+)\s+(\S+)\s+(.*)$", line)
        if m:
            rows.append((code(m[1]), code(m[2]), m[3]))
    return table(("setting", "default", "meaning"), rows)


def providers_table(program):
    rows = []
    for line in output(program, "config", "list").split("\nProviders", 1)[1].splitlines()[1:]:
        names = line.split()
        if not names:
            continue
        key = next((n for n in names[1:2] if not n.endswith(("_API_BASE", "_BASE_URL"))), "")
        rest = names[2:] if key else names[1:]
        rows.append((code(names[0]), code(key), code(rest[0] if rest else ""),
                     " ".join(code(n) for n in rest[1:])))
    return table(("provider", "key", "base URL", "further variables"), rows)


def endpoints_table(program):
    rows = []
    for line in output(program, "endpoints").splitlines():
        m = re.match(r"(\w+)\s+((?:[A-Z]+, )*OPTIONS).*?\s(/\S+)$", line)
        if m:
            rows.append((m[1], m[2].replace(", OPTIONS", ""), code(m[3])))
    return table(("dialect", "methods", "path"), rows)


def metrics_table(_):
    rows, types = [], {"COUNTER": "counter", "GAUGE": "gauge", "HISTOGRAM": "histogram"}
    for path in sources():
        for m in re.finditer(r"^static struct metric_family \w+ = \{(.*?)\n\};", path.read_text(),
                             re.S | re.M):
            name = re.search(r'\.name = "([^"]+)"', m[1])
            text = "".join(re.findall(r'"([^"]*)"', re.search(r"\.help =(.*?),\n", m[1], re.S)[1]))
            labels = re.search(r"\.labels = \{(.*?)\}", m[1], re.S)
            kind = re.search(r"\.type = METRIC_(\w+)", m[1])[1]
            rows.append((code(name[1]), types.get(kind, kind.lower()),
                         " ".join(code(x) for x in re.findall(r'"([^"]+)"', labels[1]))
                         if labels else "", text))
    return table(("metric", "type", "labels", "meaning"), sorted(rows))


def limits_table(_):
    rows = []
    for m in re.finditer(r"^#define (LIMIT_\w+)\s+(\([^)]*\)|\d+)[ \t]*(?:/\*(.*?)\*/)?",
                         source("base/limits.h"), re.M):
        value = m[2].strip("()").replace(" * ", " ")
        rows.append((code(m[1]), value.replace("KIB", "KiB").replace("MIB", "MiB"),
                     (m[3] or LIMIT_WORDS.get(m[1], "")).replace("(s)", "adjustable;").strip(" ;")))
    return table(("limit", "value", "of what"), rows)


TABLES = {"settings": settings_table, "providers": providers_table, "endpoints": endpoints_table,
          "metrics": metrics_table, "limits": limits_table}


def markers(name):
    return f"<!-- table:{name}:begin -->", f"<!-- table:{name}:end -->"


def replaced(text, name, new):
    begin, end = markers(name)
    if begin not in text or end not in text:
        sys.exit(f"{PLACES[name]} has no {begin} ... {end}")
    before, rest = text.split(begin, 1)
    return before + begin + "\n" + new + "\n" + end + rest.split(end, 1)[1]


def write(program):
    for name, place in PLACES.items():
        path = TOP / place
        old = path.read_text()
        new = replaced(old, name, TABLES[name](program))
        if new != old:
            path.write_text(new)
            print(f"{place}: {name}")


def old_tables(program):
    for name, place in PLACES.items():
        text = (TOP / place).read_text()
        if replaced(text, name, TABLES[name](program)) != text:
            yield f"{place}: the table of {name} is old; run tools/make_docs.py"


# -- what must be named -----------------------------------------------------------------------------

def unnamed(words, place, what):
    text = (TOP / place).read_text()
    for w in sorted(words):
        if not re.search(rf"(?<![\w-]){re.escape(w)}(?![\w-])", text):
            yield f"{place} does not name the {what} {w}"


def unlisted_settings():
    m = re.search(r"others\[\] = \{(.*?)\};", source("config/settings.c"), re.S)
    return set(re.findall(r'"([^"]+)"', m[1])) if m else set()


def error_codes():
    found = set()
    for path in sources():
        if path.parent.name in ("demo", "admin"):
            continue
        text = path.read_text()
        found |= set(re.findall(r'exchange_fail\w*\(\s*x,\s*\d+,\s*STR\("([a-z_]+)"\)', text))
        found |= set(re.findall(r'\{-E\w+, \d+, "([a-z_]+)"', text))
        found |= set(re.findall(r'\.?code = STR\("([a-z_]+)"\)', text))
        if path.parent.name == "net":
            found |= set(re.findall(r'STR\("((?:upstream|address)_[a-z_]+)"\)', text))
    return found


def log_fields():
    text = "".join(p.read_text() for p in (SRC / "telemetry").glob("*.c"))
    return set(re.findall(r'log_(?:str|int|bool|raw)\(\s*\w+,\s*"(\w+)"', text)) | set(
        re.findall(r'log_(?:str|int|bool|raw)\(\s*&l,\s*"(\w+)"', text))


def stages():
    m = re.search(r"table\[\] = \{(.*?)\n\};", source("gateway/pipeline.c"), re.S)
    return set(re.findall(r"&(stage_\w+)", m[1]))


def missing_names():
    yield from unnamed(unlisted_settings(), "docs/configuration.md", "setting")
    yield from unnamed(error_codes(), "docs/endpoints.md", "error code")
    yield from unnamed(log_fields(), "docs/operations.md", "log field")
    yield from unnamed(stages(), "ARCHITECTURE.md", "stage")


# -- what is named must exist -----------------------------------------------------------------------

def documents():
    return [TOP / d for d in DOCUMENTS if (TOP / d).exists()] + sorted((TOP / "docs").rglob("*.md"))


def dead_links():
    for path in documents():
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
            if "://" not in link and not (path.parent / link).exists():
                yield f"{path.relative_to(TOP)}: nothing at {link}"


def dead_paths():
    for path in documents():
        for name in re.findall(r"`([\w.-]+(?:/[\w.-]+)*/[\w-]+\.(?:c|h|S|py|sh|txt|tsv|build))`",
                               path.read_text()):
            if not (TOP / name).exists() and not (SRC / name).exists():
                yield f"{path.relative_to(TOP)}: there is no {name}"


def dead_functions():
    text = "".join(p.read_text() for p in sources())
    for path in [TOP / "ARCHITECTURE.md", *sorted((TOP / "docs" / "decisions").glob("*.md"))]:
        for name in set(re.findall(r"`([a-z_0-9]+)\(\)`", path.read_text())):
            if not re.search(rf"\b{name}\s*\(", text):
                yield f"{path.relative_to(TOP)}: no function {name}()"


def long_architecture():
    lines = (TOP / "ARCHITECTURE.md").read_text().count("\n")
    if lines > 400:
        yield f"ARCHITECTURE.md has {lines} lines, more than 400"


def check(program):
    checks = {
        "tables in the documents are those of the code": old_tables(program),
        "what the code has is named in the documents": missing_names(),
        "links lead somewhere": dead_links(),
        "files that documents name exist": dead_paths(),
        "functions that documents name exist": dead_functions(),
        "ARCHITECTURE.md can be read in one go": long_architecture(),
    }
    failed = 0
    for number, (name, found) in enumerate(checks.items(), 1):
        problems = list(found)
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
        for p in problems:
            print(f"#   {p}")
        failed += bool(problems)
    print(f"1..{len(checks)}")
    return 1 if failed else 0


def main():
    args = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--check", action="store_true", help="change nothing, print TAP")
    args.add_argument("--program", default=str(TOP / "build" / "smartflow"))
    opt = args.parse_args()
    if opt.check:
        return check(opt.program)
    write(opt.program)
    return 0


if __name__ == "__main__":
    sys.exit(main())
