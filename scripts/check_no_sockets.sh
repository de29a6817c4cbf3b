#!/bin/sh
# Shows that nothing here opens a network socket: the demo, a session of the window, and the tests.
#
#     sh scripts/check_no_sockets.sh [PROGRAM] [--without-tests]
#
# PROGRAM is a built fluoroscope (default: target/debug/fluoroscope). Tests whose names contain
# `loopback` are left out here: they reach 127.0.0.1 and nothing else, which a second pass over them
# shows. Where system calls cannot be traced, everything runs in a network namespace without any
# interface instead; where neither is possible, this fails.
set -eu
cd "$(dirname "$0")/.."

program="$(realpath "${1:-target/debug/fluoroscope}")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

if strace -f -qq -e trace=none true 2>/dev/null; then
    how=strace
elif unshare -rn true 2>/dev/null; then
    how=unshare
else
    echo "check_no_sockets: neither strace nor unshare -rn works here" >&2
    exit 1
fi
echo "watching with $how"

# Runs a command and notes every socket that it and its children open.
watched() {
    name="$1"
    shift
    if [ "$how" = strace ]; then
        strace -f -qq --seccomp-bpf -e trace=socket -o "$work/$name.trace" "$@"
        if grep -E 'AF_INET6?,' "$work/$name.trace" >"$work/$name.found"; then
            echo "check_no_sockets: $name opened a network socket:" >&2
            head -5 "$work/$name.found" >&2
            exit 1
        fi
    else
        unshare -rn "$@"
    fi
    echo "$name: no network socket"
}

watched demo "$program" demo "$work/demo" --headless --json >"$work/demo.json"
tail -n 1 "$work/demo.json" | cut -c1-80

window="$program open $work/demo --screen gallery --size 1280x800 --screenshot $work/gallery.png"
# The X server is another program; it is not watched.
# shellcheck disable=SC2086
if command -v Xvfb >/dev/null; then
    Xvfb :97 -screen 0 1280x800x24 -nolisten tcp >/dev/null 2>&1 &
    server=$!
    trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
    sleep 2
    DISPLAY=:97 watched window $window
    test -s "$work/gallery.png"
else
    echo "check_no_sockets: Xvfb is not here, so the window cannot be watched" >&2
    exit 1
fi

if [ "${2:-}" = --without-tests ]; then
    exit 0
fi

# The tests, each program of them started through the tracer.
triple="$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')"
if [ "$how" = strace ]; then
    runner="strace -f -qq --seccomp-bpf -e trace=socket -A -o $work/tests.trace"
else
    runner="unshare -rn"
fi
env "CARGO_TARGET_${triple}_RUNNER=$runner" \
    cargo test --workspace --locked --quiet --lib --bins --tests -- --skip loopback
if [ "$how" = strace ]; then
    test -e "$work/tests.trace"
    if grep -E 'AF_INET6?,' "$work/tests.trace" >"$work/tests.found"; then
        echo "check_no_sockets: a test that is not marked loopback opened a network socket:" >&2
        head -5 "$work/tests.found" >&2
        exit 1
    fi
fi
echo "tests: no network socket"

# Tests marked loopback may reach 127.0.0.1 and nothing else.
if [ "$how" = strace ]; then
    runner="strace -f -qq --seccomp-bpf -e trace=connect,bind,sendto -A -o $work/loopback.trace"
    env "CARGO_TARGET_${triple}_RUNNER=$runner" \
        cargo test --workspace --locked --quiet --lib --bins --tests -- loopback
    if grep -E 'AF_INET6?,' "$work/loopback.trace" | grep -v 'inet_addr("127\.' >"$work/loopback.found"; then
        echo "check_no_sockets: a loopback test reached another address:" >&2
        head -5 "$work/loopback.found" >&2
        exit 1
    fi
    grep -q 'inet_addr("127\.' "$work/loopback.trace"
fi
echo "loopback: 127.0.0.1 only"
