# What bench/run and bench/profile share, to be sourced after tools/setup.sh: their own programs in
# build/bench, and the packages they need.

bench_tools=$top/build/bench

newer_than() { # program, sources...
    local out=$1 f
    shift
    [ -e "$out" ] || return 0
    for f in "$@"; do
        [ "$f" -nt "$out" ] && return 0
    done
    return 1
}

build_tool() { # program, gcc's options and sources...
    local out=$1
    shift
    newer_than "$out" "$top"/bench/*.c "$top"/bench/*/*.[ch] || return 0
    gcc -std=gnu17 -D_GNU_SOURCE -O2 -g -Wall -Wextra -o "$out.new" "$@" && mv "$out.new" "$out" ||
        die "gcc could not build $out"
}

build_tools() {
    mkdir -p "$bench_tools"
    build_tool "$bench_tools/mock" "$top"/bench/mock/*.c -pthread
    build_tool "$bench_tools/loadgen" "$top"/bench/loadgen/*.c
    build_tool "$bench_tools/alloc_count.so" -shared -fPIC "$top"/bench/alloc_count.c
}

# Others' programs: installed from the machine's packages when they are missing.
need_program() { # program, package
    PATH=$PATH:/usr/sbin command -v "$1" >/dev/null && return 0
    can_be_root || die "$1 is missing; let an administrator run: apt-get install $2"
    say "installing: $2"
    apt update && apt install --no-install-recommends "$2" || die "apt-get could not install $2"
}

set_up_bench() {
    if [ -z "${SMARTFLOW_PROGRAM:-}" ]; then
        need_packages run
        build_program
    fi
    build_tools
    need_program nginx nginx-light
    need_program redis-server redis-server
}

# SMARTFLOW_PROGRAM: another build of the gateway than the one in build/, for comparing two.
program=${SMARTFLOW_PROGRAM:-$top/build/smartflow}
