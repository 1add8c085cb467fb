"""Overfit one crop with any generator: does it learn through the classes that train it?

    python benchmarks/overfit_crop.py IMAGE GENERATOR [--scale 4] [--size 64] [--steps 100]

GENERATOR is the section of an option file: 'type: Spandrel, arch: HAT, options: {...}'. The crop is
the middle of the image, lr MATLAB's bicubic; Adam, L1. Prints the loss at steps 1, 2, 5, 10, 20,
..., and PSNR of the crop before and after, next to bicubic's.
"""

import argparse
import sys
import time
from fractions import Fraction
from pathlib import Path

import torch
import yaml
from pydantic import TypeAdapter
from torch.nn import functional

from sr.build import build_generator
from sr.data.imresize import imresize
from sr.io.rgb8 import image_to_tensor, read_rgb8
from sr.metrics.psnr import psnr
from sr.options.generator import GeneratorOptions


def main() -> None:
    """Train, and print what happens."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("generator")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--size", type=int, default=64, help="of the hr crop, pixels")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()

    image = read_rgb8(given.image, convert=True)
    top, left = ((side - given.size) // 2 for side in image.shape[:2])
    crop = image[top : top + given.size, left : left + given.size]
    small = imresize(crop, Fraction(1, given.scale))
    lr, hr = (image_to_tensor(each).to(given.device) for each in (small, crop))

    torch.manual_seed(0)
    options = TypeAdapter[GeneratorOptions](GeneratorOptions).validate_python(
        yaml.safe_load(f"{{{given.generator}}}")
    )
    network = build_generator(options, given.scale).to(given.device).train()
    count = sum(parameter.numel() for parameter in network.parameters())
    sys.stdout.write(f"{count:,} parameters, lr {tuple(lr.shape)}\n")
    optimizer = torch.optim.Adam(network.parameters(), given.learning_rate)
    shown = {given.steps} | {n * 10**k for n in (1, 2, 5) for k in range(6)}
    start = time.perf_counter()
    first = torch.empty(0)
    for step in range(1, given.steps + 1):
        optimizer.zero_grad()
        sr = network(lr)
        first = sr.detach() if step == 1 else first
        loss = functional.l1_loss(sr, hr)
        loss.backward()
        optimizer.step()
        if step in shown:
            seconds = time.perf_counter() - start
            sys.stdout.write(f"step {step}: L1 {float(loss.detach()):.5f}, {seconds:.0f} s\n")
            sys.stdout.flush()
    with torch.no_grad():
        last = network(lr)
    bicubic = image_to_tensor(imresize(small, given.scale)).to(given.device)
    scores = [psnr(each, hr, border=0, channel="rgb") for each in (first, last, bicubic)]
    sys.stdout.write("PSNR {:.2f} -> {:.2f} dB, bicubic {:.2f} dB\n".format(*scores))


if __name__ == "__main__":
    main()
