#!/usr/bin/env bash
# Opens a project's feature in the real window twice, films drawn by the processor and by the
# shader of the window's renderer, and compares the two pictures.
#
#   scripts/check_films_on_card.sh FLUOROSCOPE PROJECT DICTIONARY FEATURE
set -euo pipefail
fluoroscope="$(realpath "$1")"
project="$(realpath "$2")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
for way in processor card; do
  XDG_CONFIG_HOME="$work/settings" FLUOROSCOPE_FILMS="$way" \
    xvfb-run -a -s "-screen 0 1280x800x24" "$fluoroscope" open "$project" --screen Feature \
    --dictionary "$3" --show-feature "$4" --theme dark --size 1280x800 --screenshot "$work/$way.png"
done
python3 - "$work/processor.png" "$work/card.png" <<'PY'
import sys

from PIL import Image, ImageChops

one, other = (Image.open(path).convert("RGB") for path in sys.argv[1:])
if one.size != other.size:
    sys.exit(f"pictures of {one.size} and {other.size} pixels")
apart = ImageChops.difference(one, other)
worst = max(high for _, high in apart.getextrema())
beyond = sum(1 for pixel in apart.getdata() if max(pixel) > 1)
print(f"{beyond} of {one.size[0] * one.size[1]} pixels differ by more than one level, at most by {worst}")
if worst > 6 or beyond > 2000:
    sys.exit("the card draws films otherwise than the processor")
PY
