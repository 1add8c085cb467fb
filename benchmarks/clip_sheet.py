"""Show a crop and a slice through time of several results of a clip side by side.

    python benchmarks/clip_sheet.py OUT.png --frame 7 --part LEFT TOP WIDTH HEIGHT --row Y \
        NAME=FOLDER [NAME=FOLDER ...]

Each FOLDER holds the frames of one result, all of the same size. The upper row shows a crop of one
frame. The lower row shows line Y of that crop in all frames, one below the other, each repeated (an
x-t slice): static content gives vertical stripes, flicker makes them ragged.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from sr.data.sources import Image
from sr.io.find_files import find_images
from sr.io.rgb8 import read_rgb8

ZOOM = 3  # pixels of the sheet for one of the image
LINE_HEIGHT = 6  # pixels of the sheet for one frame of the slice


def main() -> None:
    """Write the image."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("results", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--frame", type=int, default=0)
    parser.add_argument("--part", type=int, nargs=4, required=True)
    parser.add_argument("--row", type=int, required=True)
    arguments = parser.parse_args()

    mpl.use("agg")
    left, top, width, height = arguments.part
    columns = {}
    for result in arguments.results:
        name, _, folder = result.partition("=")
        frames = [read_rgb8(path) for path in find_images([Path(folder)], recursive=False)]
        parts = [frame[top : top + height, left : left + width] for frame in frames]
        columns[name] = (parts[arguments.frame], _slice(parts, arguments.row - top))
    _draw(columns, arguments.output, arguments.row - top)


def _slice(parts: list[Image], row: int) -> Image:
    """Line `row` of each part, one below the other."""
    return np.stack([part[row] for part in parts])


def _draw(columns: dict[str, tuple[Image, Image]], output: Path, row: int) -> None:
    first, lines = next(iter(columns.values()))
    heights = [first.shape[0] * ZOOM, lines.shape[0] * LINE_HEIGHT]
    size = (len(columns) * first.shape[1] * ZOOM / 100, (sum(heights) + 60) / 100)
    figure, axes = plt.subplots(
        2, len(columns), figsize=size, height_ratios=heights, squeeze=False, layout="constrained"
    )
    for column, (name, (part, time_slice)) in enumerate(columns.items()):
        axes[0, column].imshow(part, interpolation="nearest")
        axes[0, column].axhline(row, color="red", linewidth=0.5)
        axes[0, column].set_title(name, fontsize=9)
        axes[1, column].imshow(time_slice, interpolation="nearest", aspect="auto")
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(output, dpi=100)


if __name__ == "__main__":
    main()
