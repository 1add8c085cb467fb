"""How near ncnn, by Vulkan and on the CPU, comes to torch in fp32: one crop of an image.

    python benchmarks/ncnn_difference.py span_x4 compact_x4 --image photo.png

Prints a table: the largest difference in the [0, 1] range, and the PSNR between the two results.
The image is a crop of 64x64 from its middle.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from sr.device import name_precision
from sr.errors import UserError
from sr.inference.list_devices import describe_devices
from sr.io.rgb8 import image_to_tensor, read_rgb8
from sr.models.backends import use_backend
from sr.models.find_model import resolve_model
from sr.models.load import load_generator
from sr.models.loaded_model import LoadedGenerator
from sr.tiling.runner import use_precision

SIDE = 64  # LR pixels


def read_crop(path: Path) -> Tensor:
    """Return (1, 3, SIDE, SIDE), in [0, 1]."""
    image = read_rgb8(path)
    top, left = ((side - SIDE) // 2 for side in image.shape[:2])
    return image_to_tensor(image[top : top + SIDE, left : left + SIDE])


def run(generator: LoadedGenerator, lr: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the network's result, (1, 3, scale*SIDE, scale*SIDE)."""
    with use_precision(torch.device("cpu"), dtype):
        sr: Tensor = generator.network(lr)
    return sr


def compare(model: str, lr: Tensor, device: torch.device, dtype: torch.dtype) -> str:
    """Return a line of the table."""
    ours = load_generator(resolve_model(model))
    theirs = use_backend(ours, "ncnn", device=device, precision=dtype)
    run(theirs, lr, dtype)  # shaders are compiled at the first pass
    started = time.perf_counter()
    sr = run(theirs, lr, dtype)
    seconds = time.perf_counter() - started
    error = (sr - run(ours, lr, torch.float32)).double()
    psnr = -10 * error.square().mean().log10()
    return (
        f"| {Path(model).stem} | {device}, {name_precision(dtype)} | {error.abs().max():.1e} | "
        f"{psnr:.1f} | {seconds:.2f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="+", help="bundled names or files")
    parser.add_argument("--image", type=Path, required=True)
    arguments = parser.parse_args()
    lr = read_crop(arguments.image)
    print("\n".join(f"{name}: {facts}" for name, facts in describe_devices().items()))  # noqa: T201
    print("| model | ncnn on | largest difference | PSNR, dB | s |\n|---|---|---|---|---|")  # noqa: T201
    runs = [(torch.device("cpu"), torch.float32)]
    runs += [(torch.device("vulkan", 0), dtype) for dtype in (torch.float32, torch.float16)]
    for model in arguments.models:
        for device, dtype in runs:
            try:
                line = compare(model, lr, device, dtype)
            except UserError as error:
                line = f"| {model} | {device} | {error} | | |"
            print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
