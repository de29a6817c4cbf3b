#!/bin/sh
# Builds the Linux packages from a release build and tries them on this Debian, as root:
#
#     sh scripts/check_packages.sh [RELEASE_FOLDER]
#
# RELEASE_FOLDER holds a built fluoroscope (default: target/release). The .deb is installed, started
# by its desktop entry, used to build the demo, and removed; whatever happens, it is not installed
# afterwards. BUNDLE_TARGET_DIR says where the helper that makes packages is compiled.
set -eu
cd "$(dirname "$0")/.."

package=fluoroscope
most_first_frame_ms=1000

say() { printf '\n== %s\n' "$1"; }
fail() {
    echo "check_packages: $1" >&2
    exit 1
}

for need in dpkg-deb:dpkg Xvfb:xvfb xdotool:xdotool xprop:x11-utils import:imagemagick rpm:rpm \
    readelf:binutils desktop-file-validate:desktop-file-utils update-mime-database:shared-mime-info; do
    command -v "${need%%:*}" >/dev/null ||
        fail "needs ${need%%:*}: apt-get install ${need#*:}"
done
[ "$(id -u)" = 0 ] || fail "installing and removing a package needs root"
if dpkg-query -W "$package" >/dev/null 2>&1; then
    fail "the package $package is installed already; this would remove it"
fi
release="$(realpath "${1:-target/release}")"
[ -x "$release/fluoroscope" ] ||
    fail "$release/fluoroscope is not there: cargo build --release --locked"

work="$(mktemp -d)"
server=""
window=""
tidy() {
    [ -z "$window" ] || kill "$window" 2>/dev/null || true
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    dpkg -r "$package" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap tidy EXIT
trap 'exit 130' INT TERM

# Where a network can be taken away, installing and starting must do without.
offline=""
if unshare -n true 2>/dev/null; then
    offline="unshare -n"
fi

say "packages"
cargo run --quiet --release --locked --manifest-path src-tauri/bundle/Cargo.toml \
    --target-dir "${BUNDLE_TARGET_DIR:-src-tauri/bundle/target}" -- \
    src-tauri "$release" deb,rpm,tar.gz >"$work/made"
deb="$(grep '\.deb$' "$work/made")"
rpm="$(grep '\.rpm$' "$work/made")"
archive="$(grep '\.tar\.gz$' "$work/made")"
for file in "$deb" "$rpm" "$archive"; do
    printf '%s  %s bytes\n' "$(basename "$file")" "$(wc -c <"$file" | tr -d ' ')"
done

echo "installed: $(dpkg-deb -f "$deb" Installed-Size) KiB"

say "what they depend on"
dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed 's/^ *//; s/ .*//' | sort >"$work/depends"
printf '%s\n' libc6 libegl1 libgcc-s1 libgl1 libx11-6 libx11-xcb1 libxcursor1 libxi6 \
    libxkbcommon-x11-0 libxkbcommon0 | sort >"$work/expected"
diff "$work/expected" "$work/depends" || fail "the .deb depends on something else than expected"
rpm -qpR "$rpm" 2>/dev/null | grep -v '^rpmlib(' | sort >"$work/rpm-depends"
if grep -iE 'webkit|gtk' "$work/depends" "$work/rpm-depends"; then
    fail "a package depends on a webview"
fi
# What the program is linked to must be what the package names.
readelf -d "$release/fluoroscope" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' >"$work/needed"
while read -r library; do
    case "$library" in
        libc.so.6 | libm.so.6 | libgcc_s.so.1 | ld-linux-*) ;;
        *) fail "the program is linked to $library, which no package depends on" ;;
    esac
done <"$work/needed"
newest="$(readelf --dyn-syms -W "$release/fluoroscope" | grep -o 'GLIBC_[0-9.]*' |
    sed 's/GLIBC_//' | sort -Vu | tail -1)"
stated="$(dpkg-deb -f "$deb" Depends | sed -n 's/.*libc6 (>= \([0-9.]*\)).*/\1/p')"
dpkg --compare-versions "$newest" le "$stated" ||
    fail "the program needs glibc $newest, the .deb asks for $stated"
echo ".deb: $(tr '\n' ' ' <"$work/depends")"
echo ".rpm: $(tr '\n' ' ' <"$work/rpm-depends")"
echo "linked to: $(tr '\n' ' ' <"$work/needed"); newest symbol of glibc: $newest"

say "the same program in all three"
mkdir "$work/tar" "$work/deb"
tar -xzf "$archive" -C "$work/tar"
dpkg-deb -x "$deb" "$work/deb"
"$work/tar"/*/fluoroscope --version
# The bundler notes the kind of package in the program, so that the three are not the same bytes.
for file in /usr/bin/fluoroscope /usr/share/applications/Fluoroscope.desktop \
    /usr/share/mime/packages/fluoroscope.xml /usr/lib/Fluoroscope/licences/third-party-notices.txt; do
    rpm -qpl "$rpm" 2>/dev/null | grep -qx "$file" || fail "the .rpm has no $file"
    [ -s "$work/deb$file" ] || fail "the .deb has no $file"
done

listing() {
    find /usr /etc /opt /srv /var/lib/dpkg/info -xdev 2>/dev/null | sort
}

say "install${offline:+, without a network}"
listing >"$work/before"
$offline dpkg -i "$deb" >"$work/dpkg" 2>&1 || {
    cat "$work/dpkg" >&2
    fail "dpkg cannot install it; the packages it depends on come with scripts/setup.sh"
}
listing >"$work/with"
comm -13 "$work/before" "$work/with" | grep -c . | sed 's/$/ files and folders installed/'

say "desktop entry"
entry=/usr/share/applications/Fluoroscope.desktop
desktop-file-validate "$entry" || fail "$entry is not valid"
value() { sed -n "s/^$1=//p" "$entry"; }
[ "$(value Icon)" = fluoroscope ] && [ -s /usr/share/icons/hicolor/128x128/apps/fluoroscope.png ] ||
    fail "the icon is not there"
app_id="$(sed -n 's/.*with_app_id("\(.*\)").*/\1/p' src-tauri/src/window.rs)"
[ "$(value StartupWMClass)" = "$app_id" ] ||
    fail "StartupWMClass is $(value StartupWMClass), the window's app id $app_id"
kind="$(value MimeType)"
[ "$kind" = "application/x-fluoroscope-project;" ] || fail "MimeType is \"$kind\""
grep -q "^${kind%;}:\*.fluoroscope$" /usr/share/mime/globs ||
    fail "the type of .fluoroscope files is not known to the desktop"
grep "^${kind%;}=" /usr/share/applications/mimeinfo.cache | grep -q Fluoroscope.desktop ||
    fail "the desktop does not open .fluoroscope files with the program"
echo "valid; Exec=$(value Exec), Icon=$(value Icon), StartupWMClass=$app_id, MimeType=$kind"

say "start by its Exec line${offline:+, without a network}"
Xvfb -displayfd 3 -screen 0 1280x800x24 -nolisten tcp -noreset 3>"$work/display" >/dev/null 2>&1 &
server=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -s "$work/display" ] && break
    sleep 0.5
done
DISPLAY=":$(tr -d '\n' <"$work/display")"
export DISPLAY
mkdir "$work/home"
# Starts the program as the desktop does, on the file $1 where one is given, until its window is
# mapped: eframe maps it when the first frame is drawn. Sets `took` to the milliseconds.
start() {
    line="$(value Exec | sed "s|%f|${1:-}|")"
    began="$(date +%s%N)"
    # shellcheck disable=SC2086
    (cd / && HOME="$work/home" exec $offline $line) >"$work/said" 2>&1 &
    window=$!
    id=""
    while [ -z "$id" ]; do
        kill -0 "$window" 2>/dev/null || {
            cat "$work/said" >&2
            fail "the program ended before its window was there"
        }
        now="$(date +%s%N)"
        [ $(((now - began) / 1000000)) -lt 30000 ] || fail "no window within 30 seconds"
        id="$(xdotool search --onlyvisible --class "^$app_id\$" 2>/dev/null | head -1 || true)"
    done
    took=$((($(date +%s%N) - began) / 1000000))
    sleep 2
    class="$(xprop -id "$id" WM_CLASS)"
    echo "$class" | grep -q "\"$app_id\"" || fail "the window says $class"
    import -window "$id" "$work/window.png"
    colours="$(identify -format %k "$work/window.png")"
    [ "$colours" -gt 50 ] || fail "the window shows only $colours colours"
    title="$(xdotool getwindowname "$id")"
    kill "$window"
    wait "$window" 2>/dev/null || true
    window=""
}
start
echo "start to first frame: $took ms; window \"$title\", $colours colours"

say "demo"
(cd "$work/home" && HOME="$work/home" $offline fluoroscope demo demo --headless --json) \
    >"$work/demo.json" 2>"$work/demo.err" || {
    tail -5 "$work/demo.err" >&2
    fail "the installed program does not build the demo"
}
HOME="$work/home" fluoroscope project check --project "$work/home/demo"
times=""
for _ in 1 2 3 4 5; do
    start "$work/home/demo/demo.fluoroscope"
    times="$times $took"
done
grep -q "$work/home/demo" "$work/home/.config/fluoroscope/settings.json" ||
    fail "the window did not open the project whose file it was given"
# The list is split into words on purpose.
# shellcheck disable=SC2086
best="$(printf '%s\n' $times | sort -n | head -1)"
echo "start to first frame on the demo, five times:$times ms; best $best, limit $most_first_frame_ms"
[ "$best" -lt "$most_first_frame_ms" ] || fail "the window takes $best ms at best"

say "remove"
find "$work/home" -type f | sort >"$work/user-before"
dpkg -r "$package" >"$work/dpkg" 2>&1
listing >"$work/after"
comm -13 "$work/before" "$work/after" >"$work/left"
if [ -s "$work/left" ]; then
    cat "$work/left" >&2
    fail "these were not there before"
fi
comm -23 "$work/before" "$work/after" >"$work/lost"
if [ -s "$work/lost" ]; then
    cat "$work/lost" >&2
    fail "these were there before"
fi
find "$work/home" -type f | sort | diff "$work/user-before" - ||
    fail "the user's files are not as they were"
echo "nothing is left in /usr, /etc, /opt and /srv; the user keeps:"
(cd "$work/home" && find . -mindepth 1 -maxdepth 2 \( -path './demo/*' -prune -o -print \) | sort)

say "all passed"
