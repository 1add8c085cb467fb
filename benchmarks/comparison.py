"""Show upscaled crops side by side: bicubic, each model and the original.

    python benchmarks/comparison.py OUT.png IMAGE:X,Y,W,H [IMAGE:X,Y,W,H ...] [-m MODEL ...]
        [--degraded Light|Real|RealESRGAN [--seed 0]]

Each IMAGE is an HR image; LR is made from it by MATLAB's bicubic downscaling, or as in training for
real images (degraded_images.py), and upscaled. X, Y, W, H is the crop to show, in HR pixels; it is
magnified by repeating pixels.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from degraded_images import KINDS, BlindlyDegraded, degradation_of

from sr.data.hr_only import HRImage
from sr.data.imresize import imresize
from sr.data.random_degradation import Degradation
from sr.data.sources import Image, Pair
from sr.io.rgb8 import image_to_tensor, read_size, tensor_to_rgb8, write_rgb8
from sr.models.bundled import choose_default_model
from sr.models.find_model import resolve_model
from sr.models.load import load_generator
from sr.tiling.upscaler import Upscaler

GAP = 8  # white pixels between images


def main() -> None:
    """Write the image."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("crops", nargs="+", metavar="IMAGE:X,Y,W,H")
    parser.add_argument("-m", "--model", type=Path, nargs="+", default=[choose_default_model()])
    parser.add_argument("--zoom", type=int, default=2, help="size of an HR pixel in the result")
    parser.add_argument("--degraded", choices=KINDS, help="blur, noise and compression for lr")
    parser.add_argument("--seed", type=int, default=0, help="of --degraded")
    arguments = parser.parse_args()

    upscalers = [_upscaler(resolve_model(model)) for model in arguments.model]
    scales = {upscaler.scale for upscaler in upscalers}
    if len(scales) > 1:
        parser.error(f"expected models of one scale, got {', '.join(map(str, sorted(scales)))}")
    degradation = None if arguments.degraded is None else degradation_of(arguments.degraded)
    rows = []
    for crop in arguments.crops:
        path, _, part = crop.rpartition(":")
        pair = _pair(Path(path), upscalers[0].scale, degradation, arguments.seed)
        rows.append(_row(pair, part, upscalers, arguments.zoom))
    write_rgb8(arguments.output, _join(rows, axis=0))


def _upscaler(model: Path) -> Upscaler:
    loaded = load_generator(model)
    return Upscaler(
        loaded.network,
        scale=loaded.scale,
        halo=loaded.receptive_radius,
        tile_size=256,
        device=torch.device("cpu"),
        dtype=torch.float32,
        multiple=loaded.size_multiple,
    )


def _pair(path: Path, scale: int, degradation: Degradation | None, seed: int) -> Pair:
    image = HRImage(path, scale, 1.0, read_size(path))
    if degradation is None:
        return image.load()
    return BlindlyDegraded(image, degradation, seed).load()


def _row(pair: Pair, part: str, upscalers: Sequence[Upscaler], zoom: int) -> Image:
    """Return bicubic, sr of each model and hr of the crop X,Y,W,H in a row."""
    x, y, width, height = (int(number) for number in part.split(","))
    lr, hr = pair
    results = [tensor_to_rgb8(upscaler(image_to_tensor(lr))) for upscaler in upscalers]
    images = (imresize(lr, upscalers[0].scale), *results, hr)
    parts = [image[y : y + height, x : x + width] for image in images]
    return _join([part.repeat(zoom, axis=0).repeat(zoom, axis=1) for part in parts], axis=1)


def _join(images: list[Image], axis: int) -> Image:
    """Images in a row or column, with white gaps; narrower rows are padded with white."""
    if axis == 0:
        widest = max(image.shape[1] for image in images)
        images = [
            np.pad(p, ((0, 0), (0, widest - p.shape[1]), (0, 0)), constant_values=255)
            for p in images
        ]
    shape = list(images[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for p in images for part in (p, gap)][:-1], axis=axis)


if __name__ == "__main__":
    main()
