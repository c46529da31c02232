#!/usr/bin/env python3
"""An independent verifier of Smartflow's journal: plain Python 3.9, no packages, no network.

    audit_verify.py FOLDER [--pub FILE] [--key FILE|hex:...]   entries and checkpoints
    audit_verify.py --proof FILE --pub FILE                    one inclusion proof

With the public key alone it checks every checkpoint: its Ed25519 signature (RFC 8032) and its Merkle
tree (RFC 6962) over the entries. With the HMAC key (by default keys.json of the folder, if it can be
read) it also checks each entry by itself. Exit code: 0 clean, 1 without the key, 2 tampered with,
3 unreadable.
"""

import argparse
import base64
import hashlib
import hmac
import json
import sys
from pathlib import Path

# -- Ed25519, RFC 8032 section 5.1, verification only -------------------------------------------------
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
I = pow(2, (P - 1) // 4, P)


def add(a, b):
    s, t = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    u, v = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = t - s, v - u, v + u, t + s
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, point)
        point = add(point, point)
        n >>= 1
    return result


def decode_point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * I % P
    if (x * x - x2) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_ok(public, message, signature):
    a, r = decode_point(public), decode_point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or not a or not r or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = times(s, BASE), add(r, times(k, a))
    return ((left[0] * right[2] - right[0] * left[2]) % P == 0
            and (left[1] * right[2] - right[1] * left[2]) % P == 0)


def public_keys(text):
    if "BEGIN PUBLIC KEY" in text:
        der = base64.b64decode("".join(x for x in text.splitlines() if "-----" not in x))
        return [der[-32:]]
    keys = json.loads(text)
    return [base64.urlsafe_b64decode(k["x"] + "=") for k in keys.get("keys", [keys]) if k.get("crv") == "Ed25519"]


# -- canonical text, leaves and trees -------------------------------------------------------------------
def canonical(value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=False)
    return text.encode()


def in_order(value):
    if isinstance(value, dict):
        return {k: in_order(value[k]) for k in sorted(value, key=lambda s: s.encode())}
    if isinstance(value, list):
        return [in_order(x) for x in value]
    if isinstance(value, float):
        raise ValueError("a number with a fraction")
    return value


def without_repeats(pairs):
    names = [k for k, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name stands twice")
    return dict(pairs)


def read(line):
    """The entry, and its canonical text without entry_hmac; ValueError when the line is not canonical."""
    entry = json.loads(line, object_pairs_hook=without_repeats)
    if canonical(in_order(entry)) != line:
        raise ValueError("not in canonical form")
    return entry, canonical(in_order({k: v for k, v in entry.items() if k != "entry_hmac"}))


def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return node(root(leaves[:k]), root(leaves[k:]))


def root_by_path(hash_, index, size, path):
    """RFC 6962 section 2.1.1 backwards: which side each hash stands on follows from index and size."""
    if size == 1:
        return hash_ if not path else None
    k = 1
    while 2 * k < size:
        k *= 2
    if not path:
        return None
    if index < k:
        below = root_by_path(hash_, index, k, path[:-1])
        return below and node(below, path[-1])
    below = root_by_path(hash_, index - k, size - k, path[:-1])
    return below and node(path[-1], below)


def signature_ok(c, keys):
    text = canonical({k: c[k] for k in ("count", "from", "head_hmac", "merkle_root", "to")})
    return any(ed25519_ok(k, text, bytes.fromhex(c["sig"])) for k in keys)


# -- the checks -----------------------------------------------------------------------------------------
def check_entries(lines, keys, problems):
    """Yields (seq, entry_hmac, leaf) of each entry."""
    seq, link = 0, "genesis"
    for line in lines:
        seq += 1
        try:
            entry, text = read(line)
        except ValueError as e:
            problems.append(f"seq {seq}: {e}")
            continue
        if entry["seq"] != seq:
            problems.append(f"seq {seq}: seq {entry['seq']} stands here")
            seq = entry["seq"]
        elif entry["prev_hash"] != link:
            problems.append(f"seq {seq}: prev_hash does not match the entry before")
        if keys is not None:
            key = keys.get(entry["key_id"], keys.get(None))
            mac = hmac.new(key, text, "sha256").hexdigest() if key else ""
            if not hmac.compare_digest(mac, entry.get("entry_hmac", "")):
                problems.append(f"seq {seq}: entry_hmac does not match")
        link = entry["entry_hmac"]
        yield seq, link, leaf(text)


def check_checkpoints(lines, entries, keys, problems):
    after = 0
    for line in lines:
        c = json.loads(line)
        wanted = range(c["from"], c["to"] + 1)
        name = f"checkpoint {c['from']} to {c['to']}"
        if c["from"] != after + 1 or c["count"] != len(wanted):
            problems.append(f"{name}: does not begin where the one before ended")
        after = c["to"]
        if not signature_ok(c, keys):
            problems.append(f"{name}: its signature does not match")
        if not all(s in entries for s in wanted):
            problems.append(f"{name}: entries are missing")
        elif root([entries[s][1] for s in wanted]).hex() != c["merkle_root"]:
            problems.append(f"{name}: its Merkle root does not match the entries")
        elif entries[c["to"]][0] != c["head_hmac"]:
            problems.append(f"{name}: its head_hmac does not match")
    return after


def check_proof(proof, keys):
    c, entry = proof["checkpoint"], proof["entry"]
    hash_ = leaf(canonical(in_order({k: v for k, v in entry.items() if k != "entry_hmac"})))
    index, size = entry["seq"] - c["from"], c["to"] - c["from"] + 1
    if not signature_ok(c, keys):
        return "the checkpoint's signature does not match"
    path = [bytes.fromhex(x) for x in proof["path"]]
    if not 0 <= index < size or root_by_path(hash_, index, size, path) != bytes.fromhex(c["merkle_root"]):
        return "the path does not lead from the entry to the checkpoint's root"
    return None


def hmac_keys(spec, folder):
    if spec and spec.startswith("hex:"):
        return {None: bytes.fromhex(spec[4:])}
    try:
        text = Path(spec or folder / "keys.json").read_text()
    except OSError:
        if spec:
            raise
        return None
    return {k["key_id"]: bytes.fromhex(k["hex"]) for k in json.loads(text)}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("folder", nargs="?", type=Path)
    p.add_argument("--pub")
    p.add_argument("--key")
    p.add_argument("--proof")
    args = p.parse_args()
    if args.proof:
        wrong = check_proof(json.loads(Path(args.proof).read_text()), public_keys(Path(args.pub).read_text()))
        print(wrong or "the entry is under the checkpoint, and the checkpoint is signed")
        return 2 if wrong else 0
    problems, keys = [], hmac_keys(args.key, args.folder)
    publics = public_keys(Path(args.pub or args.folder / "checkpoint.pub").read_text())
    segments = sorted(args.folder.glob("chain-*.jsonl"))
    lines = (x.rstrip(b"\n") for s in segments for x in s.open("rb"))
    entries = {seq: (link, hash_) for seq, link, hash_ in check_entries(lines, keys, problems)}
    covered = check_checkpoints((args.folder / "checkpoints.jsonl").open("rb"), entries, publics, problems)
    print(f"{len(entries)} entries, checkpoints up to {covered}" + ("" if keys else ", without the HMAC key"))
    for x in problems[:20]:
        print(f"  {x}")
    return 2 if problems else 0 if keys else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, KeyError, TypeError) as e:
        print(f"unreadable: {e!r}", file=sys.stderr)
        sys.exit(3)
