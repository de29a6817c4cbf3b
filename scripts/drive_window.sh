#!/bin/sh
# Drives the window with mouse and keyboard from an empty start to a reviewed, steered, exported
# feature, closes it, starts it again, and leaves a picture of every step.
#
#   sh scripts/drive_window.sh PROGRAM FOLDER
#   sh scripts/drive_window.sh target/debug/fluoroscope pictures
#
# Each step is checked by what is on the disk or on the screen after it; the first that fails ends
# the run with its name. Needs Xvfb, xdotool, ImageMagick and python3, which scripts/setup.sh
# installs. The settings of the user are neither read nor changed.
set -eu

if [ $# -ne 2 ]; then
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
exec env -u WAYLAND_DISPLAY xvfb-run -a -s "-screen 0 1280x800x24 -noreset" \
    python3 "$here/drive_window.py" "$1" "$2"
