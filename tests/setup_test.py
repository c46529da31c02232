#!/usr/bin/env python3
"""Tests of the set-up: tools/apt_source.py on apt's two formats, and the functions of tools/setup.sh
that need no apt. Prints TAP."""

import pathlib
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tools"))
sys.dont_write_bytecode = True
import apt_source  # noqa: E402

MIRROR = "http://mirror.example/debian"
SOURCES = f"""# the archive
Types: deb deb-src
URIs: {MIRROR}/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: https://packages.example.com/apt
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----
"""
LINES = f"""deb [arch=amd64 signed-by=/k.gpg] {MIRROR} bookworm main contrib # ours
deb {MIRROR} bookworm-updates main
deb-src {MIRROR} bookworm main
# deb {MIRROR} bookworm main
deb https://download.example.com/linux/debian bookworm stable
deb https://apt.example.com bookworm main
"""


def derive(files, known):
    with tempfile.TemporaryDirectory() as folder:
        etc = pathlib.Path(folder)
        (etc / "sources.list.d").mkdir()
        for name, text in files.items():
            (etc / name).write_text(text)
        return apt_source.derive(etc, "bookworm", "trixie", known)


def test_deb822_keeps_mirror_and_key():
    stanzas, lines = derive({"sources.list.d/debian.sources": SOURCES}, {MIRROR})
    assert stanzas == (f"Types: deb\nURIs: {MIRROR}/\nSuites: trixie\nComponents: main\n"
                       "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"), stanzas
    assert lines == ""


def test_deb822_without_apts_knowledge_goes_by_the_path():
    stanzas, _ = derive({"sources.list.d/debian.sources": SOURCES}, None)
    assert stanzas.count("Suites: trixie") == 1 and "example.com" not in stanzas, stanzas


def test_deb822_key_in_the_file_stays():
    text = f"Types: deb\nURIs: {MIRROR}\nSuites: bookworm\nComponents: main\nSigned-By:\n a\n .\n b\n"
    stanzas, _ = derive({"sources.list.d/x.sources": text}, {MIRROR})
    assert stanzas.endswith("Signed-By: \n a\n .\n b\n"), stanzas


def test_deb822_switched_off():
    text = f"Enabled: no\nTypes: deb\nURIs: {MIRROR}\nSuites: bookworm\nComponents: main\n"
    assert derive({"sources.list.d/x.sources": text}, {MIRROR}) == ("", "")


def test_one_line_keeps_options():
    stanzas, lines = derive({"sources.list": LINES}, {MIRROR})
    assert lines == f"deb [arch=amd64 signed-by=/k.gpg] {MIRROR} trixie main\n", lines
    assert stanzas == ""


def test_own_and_unused_files_are_not_read():
    files = {"sources.list.d/smartflow-trixie.sources": SOURCES,
             "sources.list.d/debian.sources.disabled": SOURCES}
    assert derive(files, {MIRROR}) == ("", "")


def test_the_same_entry_twice_is_one():
    _, lines = derive({"sources.list": LINES, "sources.list.d/more.list": LINES}, {MIRROR})
    assert lines.count("trixie") == 1


def shell(code):
    done = subprocess.run(["bash", "-c", f". {TOP}/tools/setup.sh; {code}"], capture_output=True,
                          text=True, check=False)
    return done.stdout.strip(), done.returncode, done.stderr


def test_versions_compare():
    for have, want, code in (("12.2.0", "12", 0), ("9.2.1", "9.2", 0), ("9.1.9", "9.2", 1),
                             ("1.10", "1.9", 0), ("0.10.0", "0.8", 0), ("2.9", "3.0", 1)):
        assert shell(f"at_least {have} {want}")[1] == code, (have, want)


def test_upstream_version():
    for given, want in (("9.2.1~7.3.0+dfsg1-1", "9.2.1"), ("1:1.2.13.dfsg-1", "1.2.13.dfsg"),
                        ("3.0.17-1~deb12u2", "3.0.17")):
        assert shell(f"upstream_version {given}")[0] == want


def test_old_versions_are_named():
    table = "\n".join(["python3 3.8.1-1", "libssl-dev 3.0.2-1", "zlib1g-dev 1:1.2.13-1",
                       "libzstd-dev 1.5-1", "libyaml-dev 0.2.5-1", "libyyjson-dev 0.10-1",
                       "libllhttp-dev 9.1.3-1"])
    _, code, err = shell("gcc() { echo 11.4.0; }; meson() { echo 1.0.1; }; ninja() { echo 1.11; }\n"
                         f"installed_table='{table}'; check_versions")
    assert code == 1 and "gcc: 11.4.0, needed: 12" in err, err
    assert "python3: 3.8.1, needed: 3.9" in err and "libllhttp-dev: 9.1.3, needed: 9.2" in err, err
    assert "meson" not in err and "libssl-dev" not in err, err


def test_missing_packages_without_root():
    code = ("debian_version() { echo 12; }; can_be_root() { return 1; }; setup_kind=run\n"
            "install_packages gcc libllhttp-dev")
    _, status, err = shell(code)
    assert status == 1, status
    assert "apt-get update && apt-get install --no-install-recommends gcc libllhttp-dev" in err, err
    assert "sudo" in err and "tools/setup.sh packages run" in err, err


def test_changes_to_installed_packages_are_refused():
    plan = ("Inst libllhttp9.2 (9.2.1 Debian:13/stable [amd64])\\n"
            "Inst libc6 [2.36-9] (2.41-12 Debian:13/stable [amd64])\\n")
    _, status, err = shell(f"apt-get() {{ printf '{plan}'; }}; check_nothing_changes libllhttp-dev")
    assert status == 1 and "libc6 [2.36-9]" in err and "libllhttp9.2" not in err, err
    plan = "Inst libllhttp9.2 (9.2.1 Debian:13/stable [amd64])\\n"
    _, status, err = shell(f"apt-get() {{ printf '{plan}'; }}; check_nothing_changes libllhttp-dev")
    assert status == 0, err


def main():
    tests = {k: v for k, v in globals().items() if k.startswith("test_")}
    failed = 0
    for number, (name, test) in enumerate(tests.items(), 1):
        try:
            test()
            print(f"ok {number} - {name}")
        except AssertionError as e:
            failed += 1
            print(f"not ok {number} - {name}\n#   " + repr(e))
    print(f"1..{len(tests)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
