#!/usr/bin/env bash
# Checks that all C code has the layout of .clang-format; --fix gives it that layout. The version is
# the one pinned in tests/python/requirements.txt, since each version lays out a little differently;
# without that virtual environment (./test makes it), the machine's own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PWD/.cache/venv/bin:$PATH
folders=(src)
[ -d bench ] && folders+=(bench)
each() { # clang-format's options
    find "${folders[@]}" \( -name '*.c' -o -name '*.h' \) -print0 | sort -z |
        xargs -0 -r clang-format --style=file "$@"
}
if [ "${1:-}" = --fix ]; then
    each -i
elif ! said=$(each --dry-run -Werror 2>&1); then
    echo "these files are not laid out as .clang-format says (places: clang-format --dry-run FILE):"
    printf '%s\n' "$said" | grep -oE '^[^ :]+\.[ch]:' | sort | uniq -c | sort -rn
    exit 1
fi
