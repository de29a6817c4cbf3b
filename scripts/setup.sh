#!/bin/sh
# Installs what building and testing need beyond Rust itself. The program needs none of the
# test-only packages. Safe to run again.
set -eu
if [ "$(uname -s)" != Linux ]; then
    echo "setup: nothing to install on $(uname -s); the Rust toolchain is enough"
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: no apt-get here; install gcc, Mesa's Vulkan drivers and Xvfb with your package manager"
    exit 0
fi
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
build="gcc libc6-dev"
run="libgl1 libegl1 libx11-6 libx11-xcb1 libxcursor1 libxi6 libxkbcommon0 libxkbcommon-x11-0"
test="libgl1-mesa-dri mesa-vulkan-drivers xvfb xauth"
missing=""
for package in $build $run $test; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
if [ -z "$missing" ]; then
    echo "setup: everything is there"
    exit 0
fi
as_root apt-get update -q
# shellcheck disable=SC2086
as_root apt-get install -y -q --no-install-recommends $missing
