#!/bin/sh
# Makes an .AppImage from a .deb of this program, with appimagetool on the path:
#
#     sh scripts/make_appimage.sh FILE.deb FOLDER
#
# Not through Tauri's bundler, which would pack GTK and look for WebKitGTK; this program uses neither.
# OpenGL and X11 come from the system, as they must. Unproven until the release workflow has run.
set -eu

deb="$1"
into="$2"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
app="$work/Fluoroscope.AppDir"

dpkg-deb -x "$deb" "$app"
cp "$app/usr/share/applications/Fluoroscope.desktop" "$app/fluoroscope.desktop"
cp "$app/usr/share/icons/hicolor/128x128/apps/fluoroscope.png" "$app/fluoroscope.png"
ln -s fluoroscope.png "$app/.DirIcon"
ln -s usr/bin/fluoroscope "$app/AppRun"
mkdir -p "$into"
name="$(basename "$deb" .deb).AppImage"
ARCH="$(uname -m)" appimagetool --no-appstream "$app" "$into/$name"
