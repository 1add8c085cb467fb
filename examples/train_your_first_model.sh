#!/bin/sh
# Train a small x2 network, upscale an image that was not used in training, and compare with bicubic:
#
#   sh examples/train_your_first_model.sh                     images: datasets/samples
#   sh examples/train_your_first_model.sh FOLDER              images of your own, 70x70 or larger
#   sh examples/train_your_first_model.sh FOLDER KEY=VALUE    and other options of first_model.yml
#
# Variables: STEPS (300), HELD_OUT (the file of FOLDER for validation; by default the first one),
# RESULTS (results/first_model), RUNS (runs), SR_PYTHON (.venv/bin/python, created if it is missing).
set -eu

folder=
if [ $# -gt 0 ]; then
    folder=$(CDPATH= cd -- "$1" && pwd)
    shift
fi
CDPATH= cd -- "$(dirname -- "$0")/.."
if [ -z "$folder" ]; then
    folder=datasets/samples
    HELD_OUT=${HELD_OUT:-casa-mila.png}
fi
STEPS=${STEPS:-300}
RESULTS=${RESULTS:-results/first_model}
RUNS=${RUNS:-runs}
SR_PYTHON=${SR_PYTHON:-.venv/bin/python}  # make has its own PYTHON
model=$RUNS/first_model/checkpoints/best.safetensors

first_image() {
    for file in "$folder"/*; do
        [ -f "$file" ] || continue
        case $file in
        *.[Pp][Nn][Gg] | *.[Jj][Pp][Gg] | *.[Jj][Pp][Ee][Gg] | *.[Ww][Ee][Bb][Pp] | \
        *.[Tt][Ii][Ff] | *.[Tt][Ii][Ff][Ff])
            basename "$file"
            return
            ;;
        esac
    done
    echo "no images in $folder" >&2
    return 2
}

quoted() { # for YAML, where an apostrophe within quotes is written twice
    printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"
}

literal() { # for exclude, where [, * and ? belong to patterns
    printf %s "$1" | sed 's/[[*?]/[&]/g'
}

if ! command -v "$SR_PYTHON" >/dev/null; then
    echo "== 0. Installing into .venv (once; 'make demo' does the same)"
    make .venv/installed
fi
held_out=${HELD_OUT:-$(first_image)}

echo "== 1. Data: training on $folder, but not on $held_out, which is held out"
size=$("$SR_PYTHON" examples/hold_out.py "$folder/$held_out" "$RESULTS")

echo "== 2. Training $STEPS steps; logs and checkpoints go to $RUNS/first_model"
"$SR_PYTHON" train.py -opt examples/first_model.yml --resume never \
    datasets.train.source.hr="[$(quoted "$folder")]" \
    datasets.train.source.exclude="[$(quoted "$(literal "$held_out")")]" \
    datasets.validation.0.source.hr="[$(quoted "$RESULTS/hr")]" \
    train.steps="$STEPS" log.folder="$(quoted "$RUNS")" "$@"

echo "== 3. Upscaling the held-out image, and scoring it against the original"
"$SR_PYTHON" infer.py -m "$model" -i "$RESULTS/lr/held_out.png" -o "$RESULTS/sr" \
    --reference "$RESULTS/hr" --overwrite

echo "== 4. Bicubic, your model and the original, side by side"
"$SR_PYTHON" benchmarks/comparison.py "$RESULTS/sheet.png" \
    "$RESULTS/hr/held_out.png:0,0,$size" -m "$model" --zoom 3

echo
"$SR_PYTHON" examples/scores.py "$RUNS/first_model/log.jsonl"
echo "See $RESULTS/sheet.png: bicubic (left), your model (middle), the original (right)."
echo "Upscale with it: $SR_PYTHON infer.py -m $model -i IMAGE -o OUT"
echo "A useful network needs hundreds of images and thousands of steps: see the option files in"
echo "options/train, and docs/training.md."
