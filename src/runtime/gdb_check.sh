#!/bin/sh
# Checks tools/gdb/coroutines.py: stops a unit test at a place where coroutines are parked, and looks
# for their names and frames in what the commands print; first in the live process, then in a core
# file of it, if the kernel writes one into the working directory. (Not gdb's own: gcore cannot read
# past the guard pages.) Needs gdb with Python; run by hand, as few machines that build have it:
#
#     src/runtime/gdb_check.sh BUILD_DIR
set -eu
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cd "$out"
ulimit -c unlimited

gdb -q -nx -batch -ex "source $root/tools/gdb/coroutines.py" -ex 'break group_cancel' -ex run \
    -ex 'smartflow coroutines' -ex 'smartflow bt all' -ex 'echo here:\n' -ex 'bt 1' \
    -ex 'signal SIGABRT' "$build/runtime_sync_test" >live 2>&1 || true
kinds=live
for core in core*; do
    test -f "$core" || continue
    gdb -q -nx -batch -ex "source $root/tools/gdb/coroutines.py" -ex 'smartflow coroutines' \
        -ex 'smartflow bt all' "$build/runtime_sync_test" "$core" >dead 2>&1 || true
    kinds="live dead"
done

for kind in $kinds; do
    for wanted in 'sleeps .*parked .*sleep' '^#.* co_park' '^#.* co_sleep_until' \
        '^#.* child_sleeps' '^#.* child_main' '^#.* enter'; do
        if ! grep -q "$wanted" "$kind"; then
            echo "not ok: no '$wanted' in the $kind process:"
            cat "$kind"
            exit 1
        fi
    done
    if grep -q 'corrupt stack' "$kind"; then
        echo "not ok: gdb does not see where a stack ends"
        exit 1
    fi
done
# The registers of the thread itself are back afterwards.
if ! grep -A1 '^here:' live | grep -q '^#0  group_cancel'; then
    echo "not ok: the thread's registers were not restored"
    exit 1
fi
echo "ok ($kinds)"
