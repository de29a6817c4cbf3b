#!/bin/sh
# Shows that nothing here opens a network socket: the demo, a session of the window, and the tests.
#
#     sh scripts/check_no_sockets.sh [PROGRAM] [--quick | --without-tests]
#
# PROGRAM is a built fluoroscope (default: target/debug/fluoroscope). --quick watches a session of the
# command line on a small project and nothing else, in about a minute. Tests whose names contain
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
        strace -f -qq --seccomp-bpf -e trace=socket -o "$work/$name.trace" "$@" || return
        if grep -E 'AF_INET6?,' "$work/$name.trace" >"$work/$name.found"; then
            echo "check_no_sockets: $name opened a network socket:" >&2
            head -5 "$work/$name.found" >&2
            exit 1
        fi
    else
        unshare -rn "$@" || return
    fi
    echo "$name: no network socket"
}

# One that must be seen: a server on this computer that is not there.
seen() {
    name="$1"
    shift
    if [ "$how" != strace ]; then
        return
    fi
    strace -f -qq --seccomp-bpf -e trace=socket -o "$work/$name.trace" "$@" >/dev/null 2>&1 || true
    if ! grep -qE 'AF_INET6?,' "$work/$name.trace"; then
        echo "check_no_sockets: $name must open a socket, and none was seen" >&2
        exit 1
    fi
    echo "$name: seen, as it must be"
}

# As `watched`, of a command that must be refused.
refused() {
    name="$1"
    shift
    if watched "$name" "$@" >"$work/$name.out" 2>&1; then
        echo "check_no_sockets: $name was not refused" >&2
        exit 1
    fi
    if ! grep -q 'nothing was sent' "$work/$name.out"; then
        cat "$work/$name.out" >&2
        exit 1
    fi
    if [ "$how" = strace ] && grep -qE 'AF_INET6?,' "$work/$name.trace"; then
        echo "check_no_sockets: $name opened a network socket:" >&2
        exit 1
    fi
    echo "$name: refused without a network socket"
}

# From an empty folder to labels that are tested and handed on.
session() {
    project="$work/session"
    run() {
        watched "$1" "$program" "$@" --project "$project" >>"$work/session.out" 2>"$work/session.err" || {
            cat "$work/session.out" "$work/session.err" >&2
            exit 1
        }
    }
    printf 'n_features = 96\nk = 6\nlr = 2e-3\nbatch_rows = 256\nsteps = 300\n' >"$work/sae.toml"
    watched project "$program" project new "$project" >/dev/null
    run dataset phantom films --kind radiographs --count 240
    run model add phantom-vlm --path assets/phantom-vlm
    run harvest run films --model phantom-vlm --dataset films --hook vision.blocks.1.hook_resid_post --positions image
    run sae train films --harvest films --config "$work/sae.toml"
    run features index films
    run features associations films
    run explain propose films --with keywords
    run explain features films --with keywords --limit 8 --most 5 --no-baselines
    run explain score films --judge keywords --limit 8 --most 5
    run features export films "$work/features.jsonl"
    run review packet films "$work/packet.html" --limit 2
    test -s "$work/features.jsonl"
    test -s "$work/packet.html"
    grep -c 'no network socket' "$work/session.out" | sed 's/$/ commands of a session: no network socket/'
    refused elsewhere "$program" explain propose films --limit 2 \
        --with 'http://192.0.2.1:80/v1#model' --project "$project"
    seen here "$program" explain propose films --limit 2 \
        --with http://127.0.0.1:9/v1 --project "$project"
}
session

if [ "${2:-}" = --quick ]; then
    exit 0
fi

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

# The test that opens a packet in Chromium, another program: it opens datagram sockets to read the
# interfaces of the network, so it is shown apart that it connects and sends to nothing.
browser=two_readers_answer_one_packet

# The tests, each program of them started through the tracer.
triple="$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')"
if [ "$how" = strace ]; then
    runner="strace -f -qq --seccomp-bpf -e trace=socket -A -o $work/tests.trace"
else
    runner="unshare -rn"
fi
env "CARGO_TARGET_${triple}_RUNNER=$runner" \
    cargo test --workspace --locked --quiet --lib --bins --tests -- --skip loopback --skip "$browser"
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

# The browser reaches nothing at all.
if [ "$how" = strace ]; then
    runner="strace -f -qq --seccomp-bpf -e trace=connect,bind,sendto,sendmsg -A -o $work/browser.trace"
    env "CARGO_TARGET_${triple}_RUNNER=$runner" \
        cargo test --workspace --locked --quiet --test packet -- "$browser"
    if grep -E 'AF_INET6?,' "$work/browser.trace" >"$work/browser.found"; then
        echo "check_no_sockets: the browser of the packet's test reached an address:" >&2
        head -5 "$work/browser.found" >&2
        exit 1
    fi
else
    env "CARGO_TARGET_${triple}_RUNNER=unshare -rn" \
        cargo test --workspace --locked --quiet --test packet -- "$browser"
fi
echo "browser: connects to nothing"
