#!/usr/bin/env python3
"""Writes an apt source for another Debian release, made from the machine's own sources.

Only entries of Debian's main archive for the running release are taken (not updates, security or
third parties): mirror, options and keys stay, the suite's name is replaced, the component is main.
So a machine behind a mirror keeps to its mirror. The new source is pinned at 100, below everything
the machine has: only packages that no other source carries come from it.

Both formats are read, deb822 (*.sources) and one line (*.list), and each is written in its own:
/etc/apt/sources.list.d/smartflow-CODENAME.{sources,list}, /etc/apt/preferences.d/smartflow-CODENAME.
"""

import argparse
import pathlib
import re
import subprocess
import sys

COMMENT = "# Written by Smartflow's set-up; see tools/apt_source.py. Safe to remove.\n"


def norm(uri):
    return uri.rstrip("/")


def archive_uris(running):
    """The URIs that apt itself knows to be Debian's archive of the running release, or None."""
    fields = "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)"
    try:
        text = subprocess.run(
            ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"],
            capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    rows = [line.split("|") for line in text.splitlines() if line.count("|") == 3]
    return {norm(r[3]) for r in rows if r[:3] == ["Debian", running, "main"]} or None


def is_archive(uri, known):
    if known is not None:
        return norm(uri) in known
    return re.search(r"/debian/?$", uri) is not None


def is_running(suite, running):
    return suite in (running, "oldstable", "stable")


def parse_stanza(stanza):
    """deb822 fields as a list of [name, value]; a value keeps its continuation lines."""
    fields = []
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in " \t" and fields:
            fields[-1][1] += "\n" + line
        elif ":" in line:
            name, value = line.split(":", 1)
            fields.append([name, value.strip()])
    return fields


def from_stanza(stanza, running, codename, known):
    """The stanza for the other release, or None when it is not one of Debian's archive."""
    fields = parse_stanza(stanza)
    get = {name.lower(): value for name, value in fields}
    uris = [u for u in get.get("uris", "").split() if is_archive(u, known)]
    suits = any(is_running(s, running) for s in get.get("suites", "").split())
    if get.get("enabled", "yes").lower() in ("no", "false") or not uris or not suits:
        return None
    if "deb" not in get.get("types", "").split() or "main" not in get.get("components", "").split():
        return None
    new = {"types": "deb", "uris": " ".join(uris), "suites": codename, "components": "main"}
    return "".join(f"{n}: {new.get(n.lower(), v)}\n" for n, v in fields if n.lower() != "enabled")


def from_line(line, running, codename, known):
    """The same for a line `deb [options] uri suite components`."""
    m = re.match(r"^\s*deb\s+(\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)$", line.split("#")[0])
    if not m or not is_archive(m[2], known) or not is_running(m[3], running):
        return None
    return f"deb {m[1] or ''}{m[2]} {codename} main\n" if "main" in m[4].split() else None


def own_files(etc):
    files = [etc / "sources.list"] + sorted((etc / "sources.list.d").glob("*"))
    return [f for f in files if f.is_file() and not f.name.startswith("smartflow-")]


def derive(etc, running, codename, known):
    """(deb822 text, one-line text) for the other release."""
    stanzas, lines = [], []
    for path in own_files(etc):
        text = path.read_text(errors="replace")
        if path.suffix == ".sources":
            found = (from_stanza(s, running, codename, known) for s in re.split(r"\n\s*\n", text))
            stanzas += [s for s in found if s and s not in stanzas]
        elif path.suffix == ".list":
            found = (from_line(x, running, codename, known) for x in text.splitlines())
            lines += [x for x in found if x and x not in lines]
    return "\n".join(stanzas), "".join(lines)


def write(path, text):
    path.write_text(COMMENT + text)
    path.chmod(0o644)


def running_codename():
    for line in pathlib.Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.split("=", 1)[1].strip('"')
    return ""


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--etc", type=pathlib.Path, default=pathlib.Path("/etc/apt"))
    args.add_argument("--codename", required=True, help="the release to add, as trixie")
    opt = args.parse_args()
    running = running_codename()
    known = archive_uris(running)
    stanzas, lines = derive(opt.etc, running, opt.codename, known)
    if not stanzas and not lines:
        sys.exit(f"no entry for Debian's {running} archive (component main) under {opt.etc}")
    (opt.etc / "preferences.d").mkdir(exist_ok=True)
    write(opt.etc / "preferences.d" / f"smartflow-{opt.codename}",
          f"Package: *\nPin: release n={opt.codename}\nPin-Priority: 100\n")
    if stanzas:
        write(opt.etc / "sources.list.d" / f"smartflow-{opt.codename}.sources", stanzas)
    if lines:
        write(opt.etc / "sources.list.d" / f"smartflow-{opt.codename}.list", lines)


if __name__ == "__main__":
    main()
