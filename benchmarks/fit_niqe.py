"""Fit the parameters of sr/metrics/niqe.py to photographs.

    python benchmarks/fit_niqe.py FOLDER [FOLDER ...] [--exclude PATTERN ...]

The photographs must be sharp, without traces of JPEG and noise, and not be those of a test. Writes
sr/metrics/niqe_photographs.npz and prints how many images and blocks it comes from.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from sr.data.sources import list_images
from sr.io.rgb8 import image_to_tensor, read_rgb8
from sr.metrics.niqe import SHARP, count_blocks, fit_photographs, measure_blocks

OUTPUT = Path(__file__).parents[1] / "sr/metrics/niqe_photographs.npz"


def main() -> None:
    """Write the parameters."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--exclude", nargs="*", default=(), help="patterns of names to leave out")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    measured = []
    for path in list_images(given.folders, given.exclude):
        image = read_rgb8(path, convert=True)
        if count_blocks(image.shape[:2], border=0):
            measured.append(measure_blocks(image_to_tensor(image), border=0))
    pristine = fit_photographs(measured)
    np.savez(given.output, mean=pristine.mean, covariance=pristine.covariance)
    num_blocks = sum(
        int((each.sharpness > SHARP * each.sharpness.max()).sum()) for each in measured
    )
    sys.stdout.write(f"{given.output}: {len(measured)} images, {num_blocks} sharp blocks\n")


if __name__ == "__main__":
    main()
