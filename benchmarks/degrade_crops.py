"""Time degradations crop by crop, as in workers, against whole batches on a device.

    python benchmarks/degrade_crops.py IMAGE [--type RealESRGAN] [--device auto] [--crop-size 256]
        [--scale 4] [--batch-size 16] [--batches 10]

IMAGE is repeated where crops with their margins are larger. Both degrade the same crops by the same
plans, in turn, batch by batch; on the CPU with one thread, as a worker has. `crop by crop` is what
a worker takes for the degradation alone, `batch` what the training process takes, with the copy to
the device. Prints the median milliseconds per crop of each.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import TypeAdapter

from sr.build_data import build_degradation
from sr.data.on_device.batch_degradation import PlannedCrop, degrade_crops
from sr.data.random_degradation import Degradation, degrade, draw_plan
from sr.device import resolve_device
from sr.io.rgb8 import read_rgb8
from sr.options.degradations import DegradationOptions

Image = npt.NDArray[np.uint8]
WARM_UP = 1  # batches that are not counted


def main() -> None:
    """Print the times of both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--type", default="RealESRGAN", help="of the degradation")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--crop-size", type=int, default=256)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--batches", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    device, scale = resolve_device(arguments.device), arguments.scale
    lr_side = arguments.crop_size // scale
    options: DegradationOptions = TypeAdapter(DegradationOptions).validate_python(
        {"type": arguments.type, "clean_probability": 0}
    )
    degradation, rng = build_degradation(options), np.random.default_rng(0)
    image = read_rgb8(arguments.image, convert=True)
    alone, together = [], []
    for number in range(WARM_UP + arguments.batches):
        drawn = [
            draw_crop(image, degradation, lr_side, scale, rng) for _ in range(arguments.batch_size)
        ]
        regions, crops = [list(part) for part in zip(*drawn, strict=True)]
        canvas = stack_regions(regions)

        def degrade_alone(regions: list[Image] = regions, crops: list[PlannedCrop] = crops) -> None:
            for region, crop in zip(regions, crops, strict=True):
                degrade(region, crop.plan, scale, rng)

        def degrade_together(
            canvas: torch.Tensor = canvas, crops: list[PlannedCrop] = crops
        ) -> None:
            degrade_crops(canvas.to(device), crops, lr_side, scale)
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        seconds = time_call(degrade_alone), time_call(degrade_together)
        if number >= WARM_UP:
            alone.append(seconds[0] / len(crops))
            together.append(seconds[1] / len(crops))
    sys.stdout.write(
        f"{arguments.type} x{scale}, crops of {arguments.crop_size}, batches of "
        f"{arguments.batch_size}, ms per crop\n"
        f"crop by crop, one CPU thread  {1000 * statistics.median(alone):8.2f}\n"
        f"batch on {device!s:20} {1000 * statistics.median(together):8.2f}\n"
    )


def draw_crop(
    image: Image, degradation: Degradation, lr_side: int, scale: int, rng: np.random.Generator
) -> tuple[Image, PlannedCrop]:
    """Draw a plan, and the region of the image, with the plan's margin, that it is for."""
    plan = draw_plan(degradation, rng)
    if plan is None:
        raise ValueError("expected a clean_probability of 0")
    margin = plan.compute_margin(scale)
    side = scale * (lr_side + 2 * margin)
    top, left = (int(rng.integers(max(1, length - side + 1))) for length in image.shape[:2])
    region = image[top : top + side, left : left + side]
    missing = [(0, side - length) for length in region.shape[:2]]
    whole = np.pad(region, [*missing, (0, 0)], mode="wrap")
    return np.ascontiguousarray(whole), PlannedCrop(plan, margin, int(rng.integers(2**63)))


def stack_regions(regions: list[Image]) -> torch.Tensor:
    """Put regions into the top left corners of a canvas, (B, 3, S, S)."""
    side = max(map(len, regions))
    canvas = torch.zeros(len(regions), 3, side, side, dtype=torch.uint8)
    for place, region in zip(canvas, regions, strict=True):
        place[:, : len(region), : len(region)] = torch.from_numpy(region).permute(2, 0, 1)
    return canvas


def time_call(function: Callable[[], None]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
