#!/usr/bin/env python3
"""Checks the layers of src/ against tools/layers.txt, and draws them.

For each folder of src/: it stands in a layer; every #include "folder/file.h" goes to itself, to a
lower layer or along a named arrow; its meson.build `uses` is exactly what its files include; a
header of another project is included only where `libs` names the library, here or below; and
`*_int.h` stays inside its folder. Prints TAP. With --picture it prints the drawing, with --update
it writes that between the markers in ARCHITECTURE.md.
"""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
SRC = TOP / "src"
BEGIN, END = "<!-- layers:begin -->", "<!-- layers:end -->"
FOREIGN = {"openssl/": "openssl", "yyjson.h": "yyjson", "llhttp.h": "llhttp", "zlib.h": "zlib",
           "zstd.h": "zstd", "yaml.h": "yaml"}
WIDTH = 76


class Layers:
    def __init__(self, text):
        self.names, self.layer_of, self.order, self.arrows = {}, {}, {}, {}
        for line in text.splitlines():
            self.read(line)

    def read(self, line):
        if m := re.match(r"layer (\d+) (.*?)\s*: (.*)$", line):
            number, folders = int(m[1]), m[3].split()
            self.names[number], self.order[number] = m[2], folders
            self.layer_of |= {f: number for f in folders}
        elif m := re.match(r"arrow (\S+) -> (\S+)\s*: (.+)$", line):
            self.arrows[m[1], m[2]] = m[3]
        elif line.strip() and not line.startswith("#"):
            sys.exit(f"tools/layers.txt: not understood: {line}")

    def allows(self, a, b):
        if a not in self.layer_of or b not in self.layer_of:
            return False
        return self.layer_of[b] < self.layer_of[a] or (a, b) in self.arrows


class Folder:
    def __init__(self, path):
        self.name = path.name
        build = (path / "meson.build").read_text()
        build = re.sub(r"#.*", "", build)
        self.uses = set(self.words(build, "uses"))
        self.libs = set(self.words(build, "libs"))
        self.own, self.foreign, self.odd = {}, {}, []
        for f in sorted(path.iterdir()):
            if f.suffix in (".c", ".h", ".inc"):
                self.read(f)
        self.has_code = any(path.glob("*.c"))

    @staticmethod
    def words(text, name):
        m = re.search(rf"^{name}\s*=\s*\[(.*?)\]", text, re.S | re.M)
        return re.findall(r"'([^']+)'", m[1]) if m else []

    def read(self, path):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            m = re.match(r'\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', line)
            if not m:
                continue
            place = f"src/{self.name}/{path.name}:{number}"
            if m[2]:
                self.foreign.setdefault(m[2], place)
            elif "/" not in m[1]:
                self.odd.append(f'{place}: "{m[1]}" has no folder; includes are named from src/')
            else:
                self.own.setdefault(m[1], place)

    def included(self):
        return {i.split("/")[0] for i in self.own} - {self.name}


def check_arrows(layers, f):
    for inc, place in f.own.items():
        to = inc.split("/")[0]
        if not (SRC / inc).exists():
            yield f"{place}: there is no src/{inc}"
        if to == f.name:
            continue
        if not layers.allows(f.name, to):
            yield f"{place}: {f.name} may not include {to} (tools/layers.txt)"
        if re.search(r"_int\.(h|inc)$", inc):
            yield f"{place}: {inc} is internal to {to}"


def check_uses(layers, f):
    for u in sorted(f.uses):
        if not layers.allows(f.name, u):
            yield f"src/{f.name}/meson.build: uses {u}, which tools/layers.txt does not allow"
    for u in sorted(f.included() - f.uses):
        yield f"src/{f.name}/meson.build: {u} is included but not in `uses`"
    if f.has_code:
        for u in sorted(f.uses - f.included()):
            yield f"src/{f.name}/meson.build: `uses` names {u}, which no file includes"


def libs_below(folders, name):
    seen, todo = set(), [name]
    while todo:
        n = todo.pop()
        if n not in seen and n in folders:
            seen.add(n)
            todo += folders[n].uses
    return set().union(*(folders[n].libs for n in seen))


def check_libs(folders, f):
    libs = libs_below(folders, f.name)
    for header, place in f.foreign.items():
        for start, lib in FOREIGN.items():
            if header.startswith(start) and lib not in libs:
                yield f"{place}: <{header}>, but {lib} is not among `libs`"


def check_arrows_exist(layers, folders):
    for a, b in layers.arrows:
        for end in (a, b):
            if end not in layers.layer_of:
                yield f"arrow {a} -> {b}: {end} is in no layer"
        if layers.layer_of.get(a) != layers.layer_of.get(b):
            yield f"arrow {a} -> {b}: arrows are for folders of one layer"
        if (b, a) in layers.arrows:
            yield f"arrow {a} -> {b}: there and back"
        if a in folders and folders[a].has_code and b not in folders[a].included():
            yield f"arrow {a} -> {b}: nothing goes along it"


def wrap(words, width):
    lines = [""]
    for w in words:
        if len(lines[-1]) + len(w) + 2 > width:
            lines.append("")
        lines[-1] += w + "  "
    return [x.rstrip() for x in lines]


def picture(layers, folders):
    rule = "+" + "-" * (WIDTH - 2) + "+"
    out = [rule]
    for number in sorted(layers.names, reverse=True):
        here = [f for f in layers.order[number] if f in folders]
        head = f"{number} {layers.names[number]}"
        if number == 0:
            head = "0"
        for i, text in enumerate(wrap(here, WIDTH - 30)):
            out.append(f"| {head if i == 0 else '':<24} {text:<{WIDTH - 29}} |")
        inside = [f"{a} -> {b}" for a, b in layers.arrows
                  if layers.layer_of[a] == number and a in folders and b in folders]
        for text in wrap(inside, WIDTH - 30):
            if text:
                out.append(f"| {'':<24} {text:<{WIDTH - 29}} |")
        out.append(rule)
    return "\n".join(out) + "\n"


def embedded(text):
    if BEGIN not in text or END not in text:
        return None
    return text.split(BEGIN, 1)[1].split(END, 1)[0]


def block(layers, folders):
    return f"\n```text\n{picture(layers, folders)}```\n"


def check_picture(layers, folders):
    page = TOP / "ARCHITECTURE.md"
    if not page.exists():
        return
    if embedded(page.read_text()) != block(layers, folders):
        yield "ARCHITECTURE.md: the picture of the layers is old; tests/layers_test.py --update"


def update(layers, folders):
    page = TOP / "ARCHITECTURE.md"
    text = page.read_text()
    if embedded(text) is None:
        sys.exit(f"ARCHITECTURE.md has no {BEGIN} ... {END}")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.write_text(before + BEGIN + block(layers, folders) + END + after)


def report(results):
    failed = 0
    for number, (name, problems) in enumerate(results, 1):
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
        for p in problems:
            print(f"#   {p}")
        failed += bool(problems)
    print(f"1..{len(results)}")
    return 1 if failed else 0


def main():
    layers = Layers((TOP / "tools" / "layers.txt").read_text())
    folders = {p.name: Folder(p) for p in sorted(SRC.iterdir()) if (p / "meson.build").exists()}
    if "--picture" in sys.argv:
        print(picture(layers, folders), end="")
        return 0
    if "--update" in sys.argv:
        update(layers, folders)
        return 0
    results = []
    for name, f in folders.items():
        placed = [] if name in layers.layer_of else [f"src/{name} is in no layer"]
        results.append((f"{name}: includes go down", placed + f.odd + list(check_arrows(layers, f))))
        results.append((f"{name}: uses is what it includes", list(check_uses(layers, f))))
        results.append((f"{name}: libraries are named", list(check_libs(folders, f))))
    results.append(("arrows", list(check_arrows_exist(layers, folders))))
    results.append(("picture in ARCHITECTURE.md", list(check_picture(layers, folders))))
    return report(results)


if __name__ == "__main__":
    sys.exit(main())
