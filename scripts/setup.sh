#!/bin/sh
# Installs the system packages that building, running and testing need beyond Rust's own toolchain.
# It does nothing when they are there already. The installed program needs only the second group.
set -eu

if [ "$(uname -s)" != Linux ]; then
    echo "setup: nothing to install on $(uname -s), Rust's toolchain is enough"
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: this system has no apt-get: install gcc, Mesa's OpenGL and Vulkan drivers," \
        "the X11 client libraries and Xvfb with its own package manager"
    exit 0
fi

build="gcc libc6-dev"
run="libgl1 libegl1 libx11-6 libx11-xcb1 libxcursor1 libxi6 libxkbcommon0 libxkbcommon-x11-0"
test="libgl1-mesa-dri mesa-vulkan-drivers xvfb xauth"
# A session driven with mouse and keyboard: scripts/drive_window.sh.
drive="xdotool imagemagick python3"
# Watches the program for network sockets: scripts/check_no_sockets.sh.
watch="strace"

missing=""
for package in $build $run $test $drive $watch; do
    case "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)" in
        "install ok installed") ;;
        *) missing="$missing $package" ;;
    esac
done
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}
install() {
    echo "setup: installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}
has_browser() {
    for program in chromium-headless-shell chromium chromium-browser google-chrome; do
        if command -v "$program" >/dev/null 2>&1; then
            return 0
        fi
    done
    return 1
}

if [ -z "$missing" ] && has_browser; then
    echo "setup: all system packages are installed"
    exit 0
fi
as_root apt-get update -q
if [ -n "$missing" ]; then
    # The list is split into words on purpose.
    # shellcheck disable=SC2086
    install $missing
fi
# A test opens a packet in a browser: 100 MB to download, 300 MB on the disk. Debian has Chromium
# without a window as a package; elsewhere the test is left out unless there is a browser.
if ! has_browser; then
    if apt-cache show chromium-headless-shell >/dev/null 2>&1; then
        install chromium-headless-shell ||
            echo "setup: no browser could be installed; the test of packets will be left out"
    else
        echo "setup: no browser is packaged here; the test of packets will be left out"
    fi
fi
