#!/usr/bin/env bash
# What ./run and ./test share: the packages they need, the versions these must have, the plain build
# in build/, and the token tables in build/share. Sourced, it only defines functions. Called by
# itself, `tools/setup.sh packages run|test` installs the packages and nothing else, for those who
# want that step, and only that step, done by root; `tools/setup.sh tables` makes the token tables.
#
# A start on a machine that has all it needs never calls apt: one dpkg-query says so. Everything
# here speaks on standard error, so that the program's own output stays clean.
#
# Two libraries, llhttp and yyjson, are packaged only from Debian 13 on. On Debian 12 they come from
# a second apt source, made by tools/apt_source.py from the machine's own and pinned so low that
# nothing else is ever taken from it. An install that would change a package which is already there
# (libc above all) is refused.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

run_packages="gcc libc6-dev meson ninja-build pkg-config python3 python3-pip libssl-dev zlib1g-dev
    libzstd-dev libyaml-dev libyyjson-dev libllhttp-dev libsqlite3-dev libpq-dev libhiredis-dev"

# package, command that prints the version (or - for the package's own), oldest that will do
wanted_versions="gcc|gcc -dumpfullversion|12
meson|meson --version|1.0
ninja-build|ninja --version|1.10
python3|-|3.9
libssl-dev|-|3.0
zlib1g-dev|-|1.2.11
libzstd-dev|-|1.4
libyaml-dev|-|0.2
libsqlite3-dev|-|3.40
libpq-dev|-|14
libhiredis-dev|-|0.14
libyyjson-dev|-|0.8
libllhttp-dev|-|9.2"

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

debian_version() { # 12, 13, or nothing
    (. /etc/os-release 2>/dev/null && [ "${ID:-}" = debian ] && echo "${VERSION_ID:-}") || true
}

test_packages() { # what ./test needs on top; the compiler's run-time library goes by its version
    local runtime=libclang-rt-dev
    [ "$(debian_version)" = 12 ] && runtime=libclang-rt-14-dev
    echo "$run_packages python3-venv clang $runtime gdb redis-server postgresql"
}

# -- packages ---------------------------------------------------------------------------------------

installed_table=   # lines "package version" of what is installed among those asked for
read_installed() { # packages...
    installed_table=$(dpkg-query -W -f='${Package} ${db:Status-Status} ${Version}\n' "$@" 2>/dev/null |
        while read -r name status version; do
            [ "$status" = installed ] && echo "$name $version"
        done) || true
}

missing_of() { # packages... -> those not installed, on one line
    local p out=
    for p in "$@"; do
        case $'\n'"$installed_table" in
        *$'\n'"$p "*) ;;
        *) out="$out $p" ;;
        esac
    done
    echo "${out# }"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

can_be_root() {
    [ "$(id -u)" = 0 ] && return 0
    command -v sudo >/dev/null || return 1
    sudo -n true 2>/dev/null || [ -t 0 ]
}

apt() { # arguments of apt-get; quiet, once more after a failure, its words only when both fail
    local log try
    log=$(mktemp)
    for try in 1 2; do
        if as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
            -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 </dev/null; then
            rm -f "$log"
            return 0
        fi
        [ "$try" = 1 ] && say "apt-get $1 failed, once more ..." && sleep 3
    done
    tail -n 20 "$log" >&2
    rm -f "$log"
    return 1
}

has_candidate() {
    case $(LC_ALL=C apt-cache policy "$1" 2>/dev/null) in
    *'Candidate: '[0-9]*) return 0 ;;
    *) return 1 ;;
    esac
}

add_second_source() {
    say "adding: an apt source for Debian 13, pinned at 100, for:$*"
    as_root python3 "$top/tools/apt_source.py" --codename trixie || return 1
    apt update
}

# Packages of another release may bring new packages with them, and may change none that is there.
check_nothing_changes() { # packages...
    local changes
    changes=$(LC_ALL=C apt-get -s -o Debug::NoLocking=1 --no-install-recommends install "$@" |
        grep -E '^(Remv |Inst [^ ]+ \[)' | cut -d' ' -f2-3) ||  true
    [ -z "$changes" ] || die "installing $* would change packages that are already installed:
$changes
Nothing was installed. Bring the machine up to date (apt-get upgrade), or use Debian 13."
}

explain_packages() { # missing packages...
    say "error: these packages are missing: $*"
    say "Neither root nor sudo is at hand. Let an administrator run, once:"
    if [ "$(debian_version)" = 12 ]; then
        say "    sudo $top/tools/setup.sh packages $setup_kind"
        say "which runs the following, with llhttp and yyjson from Debian 13's archive:"
    fi
    say "    apt-get update && apt-get install --no-install-recommends $*"
    exit 1
}

install_packages() { # missing packages...
    local p now= later=
    can_be_root || explain_packages "$@"
    say "updating: package lists"
    apt update || die "apt-get update failed; look at the lines above (network, or /etc/apt)"
    for p in "$@"; do
        if has_candidate "$p"; then now="$now $p"; else later="$later $p"; fi
    done
    if [ -n "$now" ]; then
        say "installing:$now"
        apt install --no-install-recommends $now || die "apt-get could not install:$now"
    fi
    [ -n "$later" ] || return 0
    [ "$(debian_version)" = 12 ] || die "no package source of this machine has:$later
Smartflow is built on Debian 12 or 13."
    add_second_source $later || die "could not add a source for Debian 13; see above"
    for p in $later; do
        has_candidate "$p" || die "package $p is neither in Debian 12 nor, by this machine's mirror, in 13"
    done
    check_nothing_changes $later
    say "installing:$later"
    apt install --no-install-recommends $later || die "apt-get could not install:$later"
}

need_packages() { # run|test
    local list missing
    setup_kind=$1
    [ -z "${SMARTFLOW_SKIP_SETUP:-}" ] || return 0
    if ! command -v dpkg-query >/dev/null; then
        say "warning: this is not Debian; nothing is installed, the build takes what it finds"
        return 0
    fi
    list=$run_packages
    [ "$1" = test ] && list=$(test_packages)
    read_installed $list
    missing=$(missing_of $list)
    if [ -n "$missing" ]; then
        install_packages $missing
        read_installed $list
        missing=$(missing_of $list)
        [ -z "$missing" ] || die "still not installed after apt-get: $missing"
    fi
    check_versions
}

# -- versions ---------------------------------------------------------------------------------------

at_least() { # have want
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

upstream_version() { # 1:9.2.1~7.3.0+dfsg1-1 -> 9.2.1
    local v=${1#*:}
    echo "${v%%[-+~]*}"
}

check_versions() {
    local name command least have old=
    while IFS='|' read -r name command least; do
        if [ "$command" = - ]; then
            have=$(printf '%s\n' "$installed_table" | awk -v n="$name" '$1 == n {print $2; exit}')
            have=$(upstream_version "$have")
        else
            have=$($command 2>/dev/null) || have=
        fi
        [ -n "$have" ] && at_least "$have" "$least" && continue
        old="$old
    $name: ${have:-not found}, needed: $least or newer"
        [ "$command" = - ] || old="$old (found as: $(command -v "${command%% *}" || echo nothing))"
    done <<<"$wanted_versions"
    [ -z "$old" ] || die "too old:$old
Upgrade these packages (sudo apt-get update && sudo apt-get install --only-upgrade PACKAGE), or put a
newer program earlier in PATH. Debian 12 and 13 carry what is needed."
}

# -- build ------------------------------------------------------------------------------------------

# A build folder knows the paths it was made with: one that was moved, or whose set-up was
# interrupted, is made again.
build_folder_is_sound() {
    [ -f "$top/build/build.ninja" ] && [ -f "$top/build/meson-private/coredata.dat" ] &&
        grep -qF "\"source\": \"$top\"" "$top/build/meson-info/meson-info.json" 2>/dev/null
}

logged() { # what, command...: its output only when it fails, or live on a terminal
    local what=$1 log=$top/.cache/setup.log began=$SECONDS
    shift
    say "$what ..."
    if [ -t 2 ]; then
        "$@" >&2 || die "$what failed"
    elif ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        die "$what failed (all of its output: $log)"
    fi
    say "$what: $((SECONDS - began)) s"
}

build_program() {
    if ! build_folder_is_sound; then
        rm -rf "$top/build"
        logged configuring meson setup "$top/build" "$top" -Db_lto=true
    fi
    case $(ninja -C "$top/build" -n smartflow 2>/dev/null | tail -n 1) in
    *'no work to do'*) ;;
    *) logged building ninja -C "$top/build" smartflow ;; # all would be the unit tests, too
    esac
}

# Token tables (BPE ranks) are data of other projects' packages and are fetched, not kept here. They
# are optional: without them tokens are estimated. A failed fetch is tried again a day later.
make_token_tables() {
    local script=$top/tools/make_ranks.py stamp=$top/build/ranks.stamp
    [ -f "$script" ] || return 0
    if [ "$stamp" -nt "$script" ]; then
        [ "$(cat "$stamp")" = made ] && [ -d "$top/build/share" ] && return 0
        [ -z "$(find "$stamp" -mmin +1440)" ] && return 0
    fi
    say "fetching: token tables"
    if PATH=$top/.cache/venv/bin:$PATH timeout 180 python3 "$script" --out "$top/build/share" \
        >"$top/.cache/ranks.log" 2>&1 </dev/null; then
        echo made >"$stamp"
    else
        tail -n 3 "$top/.cache/ranks.log" >&2
        say "warning: no token tables; token counts are estimates until $script succeeds"
        echo failed >"$stamp"
    fi
}

# Only one at a time sets up: two starts at once would build over each other. The lock's descriptor
# is closed afterwards, so that the gateway does not hold it.
with_lock() {
    mkdir -p "$top/.cache" || die "cannot write to $top"
    exec 9>"$top/.cache/setup.lock"
    flock -n 9 || { say "waiting: another set-up is at work ..." && flock 9; }
    "$@"
    exec 9>&-
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    case "${1:-} ${2:-}" in
    'packages run' | 'packages test') need_packages "$2" ;;
    'tables ') mkdir -p "$top/.cache" && make_token_tables ;;
    *)
        say "usage: tools/setup.sh packages run|test, or tools/setup.sh tables"
        exit 2
        ;;
    esac
fi
