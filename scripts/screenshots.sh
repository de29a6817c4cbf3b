#!/bin/sh
# Takes pictures of the window on a project: every screen, every dataset, every dictionary.
#
#   sh scripts/screenshots.sh PROGRAM PROJECT FOLDER [SIZES [THEMES]]
#   sh scripts/screenshots.sh target/release/fluoroscope fluoroscope-demo pictures "1280x800" "dark"
#
# FEATURE, SAMPLE and STRENGTH in the environment choose what the feature and steering screens show;
# the README's pictures are those of the demo project with FEATURE=163 SAMPLE=19 STRENGTH=1.
# Without a display it needs Xvfb, which scripts/setup.sh installs. The settings of the user are
# neither read nor changed. The project must not be open elsewhere.
set -eu

if [ $# -lt 3 ]; then
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
program=$1
project=$2
folder=$3
sizes=${4:-1280x800 1920x1080}
themes=${5:-dark light}
feature=${FEATURE:+--show-feature $FEATURE}

if [ -z "${DISPLAY:-}" ] && [ -z "${SCREENSHOTS_IN_XVFB:-}" ]; then
    SCREENSHOTS_IN_XVFB=1 exec xvfb-run -a -s "-screen 0 2600x1600x24 -noreset" sh "$0" "$@"
fi

settings=$(mktemp -d)
trap 'rm -rf "$settings"' EXIT
export XDG_CONFIG_HOME="$settings"
mkdir -p "$folder"

shot() {
    name=$1
    shift
    for size in $sizes; do
        for theme in $themes; do
            file="$folder/$name-$theme-$size.png"
            "$program" open "$project" --size "$size" --theme "$theme" "$@" --screenshot "$file"
            echo "$file"
        done
    done
}

datasets=$("$program" dataset list --project "$project" | awk '{ print $1 }')
dictionaries=$("$program" sae list --project "$project" | awk '{ print $1 }')

shot start --screen start
for dataset in $datasets; do
    shot "data-$dataset" --screen data --show-dataset "$dataset" --show-sample 3
done
for dictionary in $dictionaries; do
    shot "gallery-$dictionary" --screen gallery --dictionary "$dictionary"
    # Split into words on purpose: nothing, or an option with its value.
    # shellcheck disable=SC2086
    shot "feature-$dictionary" --screen feature --dictionary "$dictionary" $feature
    # shellcheck disable=SC2086
    shot "steer-$dictionary" --screen steer --dictionary "$dictionary" $feature \
        --show-sample "${SAMPLE:-3}" --show-strength "${STRENGTH:-2}"
done
for left in $dictionaries; do
    for right in $dictionaries; do
        if [ "$left" \< "$right" ]; then
            shot "beside-$left-$right" --screen gallery --dictionary "$left" --beside "$right"
        fi
    done
done
