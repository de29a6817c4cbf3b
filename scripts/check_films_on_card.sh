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
    --dictionary "$3" --show-feature "$4" --theme dark --size 1280x800 --screenshot "$work/$way.png" \
    2>"$work/said"
  cat "$work/said" >&2
  if grep -q "no card" "$work/said"; then
    exit 1
  fi
done
# Pixels that differ by more than one level, and the largest difference, of 255.
beyond="$(compare -metric AE -fuzz 0.45% "$work/processor.png" "$work/card.png" null: 2>&1 || true)"
worst="$(compare -metric PAE "$work/processor.png" "$work/card.png" null: 2>&1 || true)"
echo "pixels that differ by more than one level: $beyond; largest difference: $worst"
awk -v beyond="${beyond%% *}" -v worst="$worst" 'BEGIN {
  gsub(/.*\(|\).*/, "", worst)
  if (beyond + 0 > 2000 || worst * 255 > 6.5) {
    print "the card draws films otherwise than the processor"
    exit 1
  }
}'
