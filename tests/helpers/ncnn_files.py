"""Small ncnn programs, and what they compute, by torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

LINES = (
    "Input data 0 1 data",
    "Split copies 1 2 data a b",
    "Convolution conv 1 1 a c 0=12 1=3 4=1 5=1 6=324",
    "PixelShuffle up 1 1 c d 0=2",
    "Interp nearest 1 1 b e 0=1 1=2.000000e+00 2=2.000000e+00",
    "BinaryOp sum 2 1 d e output 0=0",
)
"""x2: a convolution and a pixel shuffle, over the nearest neighbors."""
WEIGHT = torch.randn(12, 3, 3, 3, generator=torch.Generator().manual_seed(0)) / 9
BIAS = torch.linspace(-0.1, 0.1, 12)


def join_lines(lines: Sequence[str] = LINES) -> str:
    """Return the text of a program of these layers."""
    counts = [line.split()[2:4] for line in lines]
    num_blobs = sum(int(outputs) for _, outputs in counts)
    return "\n".join(["7767517", f"{len(lines)} {num_blobs}", *lines, ""])


def pack_weights(weight: Tensor = WEIGHT, bias: Tensor = BIAS, *, half: bool = False) -> bytes:
    """Return what a .bin holds of one convolution."""
    if half:
        mark, data = 0x01306B47, weight.numpy().astype(np.float16).tobytes()
    else:
        mark, data = 0, weight.numpy().tobytes()
    return mark.to_bytes(4, "little") + data + bias.numpy().tobytes()


def write_program(path: Path, lines: Sequence[str] = LINES, weights: bytes | None = None) -> Path:
    """Write a .param and the .bin next to it. Returns the .param."""
    path.write_text(join_lines(lines))
    path.with_suffix(".bin").write_bytes(pack_weights() if weights is None else weights)
    return path


def compute(lr: Tensor, weight: Tensor = WEIGHT) -> Tensor:
    """Return what the program of LINES makes of (N, 3, H, W)."""
    detail = functional.pixel_shuffle(functional.conv2d(lr, weight, BIAS, padding=1), 2)
    return detail + functional.interpolate(lr, scale_factor=2.0, mode="nearest")
