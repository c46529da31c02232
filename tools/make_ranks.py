#!/usr/bin/env python3
"""Makes the token tables that exact token counts need: cl100k_base.bpe and o200k_base.bpe.

    tools/make_ranks.py --out build/share
    tools/make_ranks.py --out build/share --wheel llama_index_core-0.14.25-py3-none-any.whl

The ranks are data of the tiktoken project. They are taken out of a package that carries tiktoken's
own files, fetched with pip by name and version; a second package stands by for when the first
cannot be had. What counts is the content: each file must have the digest that tiktoken itself pins.
The result is the same bytes on every machine, and its digest is pinned here too. Files that are
there and right are left alone, so that a second run needs no network.

Format of a table, all little-endian (read by src/text/bpe.c, which maps it and parses nothing):

    header   magic "SFBPE\\0\\r\\n", then u32: version, splitter (1 cl100k, 2 o200k), tokens,
             log2 of the slots, bytes of text, longest token
    slots    of 8 bytes: u32 offset into the text << 8 | length (0 = free),
             u32 tag << 18 | rank; found by hash with linear probing
    text     the tokens' bytes, in the order of their ranks
"""
import argparse
import base64
import hashlib
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile

MAGIC, VERSION = b'SFBPE\0\r\n', 1

# package, version, folder of the files in its wheel
SOURCES = [('llama-index-core', '0.14.25', 'llama_index/core/_static/tiktoken_cache/'),
           ('litellm', '1.109.1', 'litellm/litellm_core_utils/tokenizers/')]

# table: splitter, tiktoken's name for the file in its cache, digest of that file, of the table
TABLES = {
    'cl100k_base': (1, '9b5ad71b2ce5302211f9c61530b329a4922fc6a4',
                    '223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7',
                    '57a94d8a518c27fc18372a48134f9dd17c4716941baacf0508da5f7cd39bcd6e'),
    'o200k_base': (2, 'fb374d419588a4632f3f557e76b4b70aebbca790',
                   '446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d',
                   '0fa2ca582e2162290e225d66e8e7b2799246cc1de38ef0865d78e5adab76d699'),
}

MASK = (1 << 64) - 1
MULTIPLIER = 0x9E3779B97F4A7C15


def digest(data):
    return hashlib.sha256(data).hexdigest()


def token_hash(token):
    """As hash_of() in src/text/bpe.c."""
    h = len(token)
    for i in range(0, len(token), 8):
        h = (h ^ int.from_bytes(token[i:i + 8], 'little')) * MULTIPLIER & MASK
        h ^= h >> 32
    return h * MULTIPLIER & MASK


def read_ranks(text):
    """tiktoken's file: a line for each token, base64 and rank. In the order of ranks."""
    ranks = {}
    for line in text.split(b'\n'):
        if line:
            token, rank = line.split()
            ranks[int(rank)] = base64.b64decode(token)
    return sorted(ranks.items())


def make_table(splitter, ranks):
    bits = (2 * len(ranks) - 1).bit_length()
    slots = [None] * (1 << bits)
    text = bytearray()
    for rank, token in ranks:
        h = token_hash(token)
        at = h >> (64 - bits)
        while slots[at] is not None:
            at = (at + 1) % len(slots)
        slots[at] = len(text) << 8 | len(token), (h >> 16 & 0x3FFF) << 18 | rank
        text += token
    longest = max(len(token) for _, token in ranks)
    head = MAGIC + struct.pack('<6I', VERSION, splitter, len(ranks), bits, len(text), longest)
    return head + b''.join(struct.pack('<2I', *(slot or (0, 0))) for slot in slots) + text


def files_of(wheel, folder):
    """{table: tiktoken's file}; raises ValueError when one is missing or not what tiktoken has."""
    found = {}
    with zipfile.ZipFile(wheel) as archive:
        for name, (_, member, wanted, _) in TABLES.items():
            try:
                found[name] = archive.read(folder + member)
            except KeyError:
                raise ValueError(f'{wheel} has no {folder + member}') from None
            if digest(found[name]) != wanted:
                raise ValueError(f'{folder + member} in {wheel} is not the file of tiktoken')
    return found


def fetch(package, version, into):
    command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-input', '--no-deps',
               '--disable-pip-version-check', '--only-binary', ':all:', '--dest', into,
               f'{package}=={version}']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(pathlib.Path(into).glob('*.whl'))
    if done.returncode or len(wheels) != 1:
        raise ValueError(f'pip could not fetch {package} {version}: {done.stderr.strip()[-500:]}')
    return wheels[0]


def rank_files():
    problems = []
    for package, version, folder in SOURCES:
        with tempfile.TemporaryDirectory() as into:
            try:
                return files_of(fetch(package, version, into), folder)
            except (ValueError, zipfile.BadZipFile) as e:
                problems.append(str(e))
    sys.exit('error: no source of token ranks: ' + '; '.join(problems))


def rank_files_of(wheel):
    for _, _, folder in SOURCES:
        try:
            return files_of(wheel, folder)
        except ValueError as e:
            problem = e
    sys.exit(f'error: {problem}')


def is_made(path, wanted):
    return path.is_file() and digest(path.read_bytes()) == wanted


def write(path, data):
    """Whole or not at all: a running gateway may have the old file mapped."""
    temporary = path.with_name(f'{path.name}.{os.getpid()}')
    temporary.write_bytes(data)
    temporary.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--out', type=pathlib.Path, required=True, help='folder for the tables')
    parser.add_argument('--wheel', type=pathlib.Path, help='a package at hand; nothing is fetched')
    args = parser.parse_args()
    paths = {name: args.out / f'{name}.bpe' for name in TABLES}
    if all(is_made(paths[name], TABLES[name][3]) for name in TABLES):
        return
    files = rank_files_of(args.wheel) if args.wheel else rank_files()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, (splitter, _, _, wanted) in TABLES.items():
        table = make_table(splitter, read_ranks(files[name]))
        if digest(table) != wanted:
            sys.exit(f'error: {name} came out as {digest(table)}, not as {wanted}')
        write(paths[name], table)
        print(f'{paths[name]}: {len(table)} bytes')


if __name__ == '__main__':
    main()
