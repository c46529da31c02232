#!/usr/bin/env python3
"""The journal's format against other tools: Python's json and hmac, and `openssl dgst`.

A chain of 10,000 random entries (integers and strings, nested) is written by Python alone; the
program must call it clean, which it does only when it agrees on every canonical text and every HMAC.
openssl computes the HMACs of a part again. tools/audit_verify.py is tried on its own: the test of RFC
8032, and a chain with a checkpoint and a proof that openssl signs. Prints TAP. The program is
SMARTFLOW_BIN, or build/smartflow.
"""

import hmac
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("SMARTFLOW_BIN") or str(TOP / "build" / "smartflow")
VERIFIER = TOP / "tools" / "audit_verify.py"
KEY = bytes(range(32))
ENTRIES, BY_OPENSSL = 10000, 2000
CHARS = [chr(c) for c in range(0x20)] + list('abcXYZ012 "\\/{}[]:,\x7f') + ["é", "ß", "中", "\ufffd", "😀", "\u2028"]


def load_verifier():
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("audit_verify", VERIFIER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def ordered(value):
    if isinstance(value, dict):
        return {k: ordered(value[k]) for k in sorted(value, key=str.encode)}
    return [ordered(x) for x in value] if isinstance(value, list) else value


def random_value(r, depth):
    kind = r.random()
    if kind < 0.4 or (depth == 0 and kind < 0.6):
        return r.choice([0, -1, r.randrange(-2**63, 2**63), r.randrange(100)])
    if kind < 0.8 or depth == 0:
        return "".join(r.choices(CHARS, k=r.randrange(12)))
    if kind < 0.9:
        return [random_value(r, depth - 1) for _ in range(r.randrange(4))]
    return {"".join(r.choices(CHARS, k=r.randrange(1, 5))): random_value(r, depth - 1) for _ in range(4)}


def random_chain(r, n):
    """Lines, and the canonical text and HMAC of each."""
    link, lines = "genesis", []
    for seq in range(1, n + 1):
        payload = {"".join(r.choices(CHARS, k=3)): random_value(r, 3) for _ in range(r.randrange(6))}
        payload["event"] = "request"
        entry = ordered({"key_id": "kat-1", "payload": payload, "prev_hash": link, "seq": seq})
        text = text_of(entry)
        link = hmac.new(KEY, text, "sha256").hexdigest()
        lines.append((text_of({"entry_hmac": link, **entry}), text, link))
    return lines


def run(*args):
    return subprocess.run([str(a) for a in args], capture_output=True, timeout=100, check=False)


def verify(path, *more):
    done = run(PROGRAM, "audit", "verify", path, "--json", *more)
    return done.returncode, json.loads(done.stdout or b"{}")


def check_program(folder, lines):
    path = folder / "chain.jsonl"
    path.write_bytes(b"".join(x[0] + b"\n" for x in lines))
    code, report = verify(path, "--key", "hex:" + KEY.hex())
    yield code == 0 and report["entries_checked"] == len(lines), f"the program agrees: {report}"
    loose = b"[" + b",\n".join(json.dumps(json.loads(x[0]), indent=1, sort_keys=False).encode()
                               for x in lines[:500]) + b"]"
    path.write_bytes(loose)
    code, report = verify(path, "--key", "hex:" + KEY.hex())
    yield code == 0 and report["entries_checked"] == 500, f"also with white space and \\u escapes: {report}"
    code, report = verify(path)
    yield code == 1, f"without the key it says so: {report}"
    path.write_bytes(b"".join(x[0] + b"\n" for x in lines[:40] + lines[41:]))
    code, report = verify(path, "--key", "hex:" + KEY.hex())
    yield code == 2 and report["first_bad_seq"] == 41 and report["missing"] == 1, f"a gap is named: {report}"
    code, report = verify(folder / "nothing")
    yield code == 3 and report["error"], f"what cannot be read: {report}"


def check_openssl(folder, lines):
    names = []
    for i, (_, text, _) in enumerate(lines[:BY_OPENSSL]):
        (folder / f"e{i}").write_bytes(text)
        names.append(folder / f"e{i}")
    done = run("openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:" + KEY.hex(), *names)
    got = [x.split()[-1] for x in done.stdout.decode().splitlines()]
    yield got == [x[2] for x in lines[:BY_OPENSSL]], f"openssl computes the same {BY_OPENSSL} HMACs"


def signed_folder(folder, lines, v):
    """A folder as the gateway writes it, its checkpoint signed by openssl."""
    texts = lines[:50]
    (folder / "chain-0000000000000001.jsonl").write_bytes(b"".join(x[0] + b"\n" for x in texts))
    (folder / "keys.json").write_text(json.dumps([{"hex": KEY.hex(), "key_id": "kat-1"}]))
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / "key.pem")
    run("openssl", "pkey", "-in", folder / "key.pem", "-pubout", "-out", folder / "checkpoint.pub")
    leaves = [v.leaf(x[1]) for x in texts]
    c = {"count": 50, "from": 1, "head_hmac": texts[-1][2], "merkle_root": v.root(leaves).hex(), "to": 50}
    (folder / "signed").write_bytes(text_of(c))
    run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", folder / "key.pem", "-in", folder / "signed",
        "-out", folder / "sig")
    c["sig"] = (folder / "sig").read_bytes().hex()
    (folder / "checkpoints.jsonl").write_bytes(text_of(ordered(c)) + b"\n")
    return leaves


def check_verifier(folder, lines):
    v = load_verifier()
    public = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    signature = bytes.fromhex("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                              "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a")
    yield (v.ed25519_ok(public, b"\xaf\x82", signature)
           and not v.ed25519_ok(public, b"\xaf\x83", signature)), "Ed25519 as in RFC 8032"
    folder = folder / "signed-chain"
    folder.mkdir()
    signed_folder(folder, lines, v)
    yield run(sys.executable, VERIFIER, folder).returncode == 0, "the independent verifier: clean"
    code, report = verify(folder, "--key", folder / "keys.json")
    yield code == 0 and report["checkpoints_checked"] == 1, f"and so says the program: {report}"
    done = run(PROGRAM, "audit", "prove", "17", "--dir", folder)
    (folder / "proof.json").write_bytes(done.stdout)
    proof = (sys.executable, VERIFIER, "--proof", folder / "proof.json", "--pub", folder / "checkpoint.pub")
    yield run(*proof).returncode == 0, "the program's proof convinces the independent verifier"
    (folder / "proof.json").write_bytes(done.stdout.replace(b'"path":["', b'"path":["' + b"0" * 64 + b'","', 1))
    yield run(*proof).returncode == 2, "a changed proof does not"
    (folder / "keys.json").unlink()
    yield run(sys.executable, VERIFIER, folder).returncode == 1, "checkpoints with the public key alone"
    chain = folder / "chain-0000000000000001.jsonl"
    chain.write_bytes(chain.read_bytes().replace(b'"event":"request"', b'"event":"requesT"', 1))
    both = run(sys.executable, VERIFIER, folder).returncode, verify(folder)[0]
    yield both == (2, 2), "a change is seen without the HMAC key, by both"


def main():
    folder = Path(tempfile.mkdtemp(prefix="sf-journal-"))
    number = failed = 0
    try:
        lines = random_chain(random.Random(20261121), ENTRIES)
        for check in (check_program, check_openssl, check_verifier):
            for good, name in check(folder, lines):
                number += 1
                failed += not good
                what, _, report = name.partition(": {")
                print(f"{'ok' if good else 'not ok'} {number} - {what}")
                if not good and report:
                    print(f"# {report[:-1]}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"1..{number}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
