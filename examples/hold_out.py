"""Hold out an image for validation: its center in hr and, at half the size, in lr of a folder.

    python examples/hold_out.py IMAGE FOLDER [--scale 2] [--side 256]

Writes FOLDER/hr/held_out.png and FOLDER/lr/held_out.png, replacing earlier ones; no other file is
touched. lr is made by MATLAB's bicubic downscaling, as in training. Prints the size of hr:
WIDTH,HEIGHT.
"""

import argparse
import sys
from fractions import Fraction
from pathlib import Path

from sr.data.imresize import imresize
from sr.io.image_formats import ImageError
from sr.io.rgb8 import read_rgb8, write_rgb8


def main() -> None:
    """Write both images."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("folder", type=Path, help="where hr and lr are made")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--side", type=int, default=256, help="of hr at most, in pixels")
    arguments = parser.parse_args()

    try:
        image = read_rgb8(arguments.image)  # (H, W, 3)
    except ImageError as error:
        parser.error(str(error))
    scale = arguments.scale
    height, width = (min(size, arguments.side) // scale * scale for size in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    hr = image[top : top + height, left : left + width]
    for name, pixels in (("hr", hr), ("lr", imresize(hr, Fraction(1, scale)))):
        folder = arguments.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        write_rgb8(folder / "held_out.png", pixels)
    sys.stdout.write(f"{width},{height}\n")


if __name__ == "__main__":
    main()
