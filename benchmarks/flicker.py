"""Measure flicker and PSNR before and after the temporal filter, as Markdown.

    python benchmarks/flicker.py CLIP [CLIP ...] [-m MODEL] [--frames 16] [--strength 1]
        [--radius 1]

A CLIP is a folder of HR frames, from which LR is made by MATLAB's bicubic downscaling, or a video
file with LR frames; then there is no original and no PSNR.

Flicker is the root of the warping error (`sr.metrics.flicker`) in 8-bit levels. Flow comes from the
original, or from bicubic upscaling of LR if there is none. The flicker of the original is the error
of flow and warping; that of bicubic is low because of blur. PSNR is that of luma without a border
as wide as the scale, averaged over the frames.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from math import sqrt
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from sr import Upscaler
from sr.data.imresize import imresize
from sr.data.sources import Image
from sr.inference.video.temporal_filter import TemporalFilter
from sr.io.rgb8 import image_to_tensor, read_rgb8
from sr.metrics.flicker import warping_error
from sr.metrics.psnr import psnr
from sr.models.bundled import choose_default_model
from sr.motion.flow import measure_flow, to_luma8


@dataclass(frozen=True)
class Clip:
    """Consecutive frames, (height, width, 3), uint8; hr is empty if unknown."""

    name: str
    lr: list[Image]
    hr: list[Image]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("-m", "--model", default=choose_default_model())
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--radius", type=int, default=1)
    arguments = parser.parse_args()

    upscaler = Upscaler.load(arguments.model, device="cpu")
    temporal_filter = TemporalFilter(arguments.strength, arguments.radius)
    sys.stdout.write("| clip | frames | flicker, levels | Y-PSNR, dB | filter, s/frame |\n")
    sys.stdout.write("|---|---|---|---|---|\n")
    for path in arguments.clips:
        clip = _read_clip(path, upscaler.scale, arguments.frames)
        for line in _measure_clip(clip, upscaler, temporal_filter):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _read_clip(path: Path, scale: int, num_frames: int) -> Clip:
    if not path.is_dir():
        with av.open(path) as video:
            frames = [
                np.ascontiguousarray(frame.to_ndarray(format="rgb24"), np.uint8)
                for frame in islice(video.decode(video=0), num_frames)
            ]
        return Clip(path.stem, frames, [])
    hr = [read_rgb8(file) for file in sorted(path.glob("*.png"))[:num_frames]]
    hr = [
        frame[: frame.shape[0] // scale * scale, : frame.shape[1] // scale * scale] for frame in hr
    ]
    return Clip(path.name, [imresize(frame, Fraction(1, scale)) for frame in hr], hr)


def _measure_clip(clip: Clip, upscaler: Upscaler, temporal_filter: TemporalFilter) -> list[str]:
    """Return lines of the table."""
    lr = [image_to_tensor(frame) for frame in clip.lr]
    hr = [image_to_tensor(frame) for frame in clip.hr]
    bicubic = [image_to_tensor(imresize(frame, upscaler.scale)) for frame in clip.lr]
    sr = [upscaler(frame) for frame in lr]
    started = time.perf_counter()
    numbered = zip(range(len(lr)), lr, sr, strict=True)
    filtered = [frame for _, frame in temporal_filter.filter(numbered)]
    seconds = (time.perf_counter() - started) / len(lr)

    flows = _compute_flows(hr or bicubic)
    variants = {"original": hr, "bicubic": bicubic, "sr": sr, "sr, filtered": filtered}
    lines = []
    for name, frames in variants.items():
        if frames:
            size = f"{frames[0].shape[-1]}x{frames[0].shape[-2]}"
            levels = 255 * sqrt(warping_error(frames, flows))
            score = _mean_psnr(frames, hr, upscaler.scale) if hr and frames is not hr else ""
            taken = f"{seconds:.3f}" if frames is filtered else ""
            lines.append(
                f"| {clip.name} {size}, {name} | {len(frames)} | {levels:.2f} | {score} | {taken} |"
            )
    return lines


def _mean_psnr(frames: Sequence[Tensor], hr: Sequence[Tensor], scale: int) -> str:
    pairs = zip(frames, hr, strict=True)
    values = [psnr(frame, original, border=scale, channel="y") for frame, original in pairs]
    return f"{sum(values) / len(values):.3f}"


def _compute_flows(frames: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Compute flow from each frame to the next, and back."""
    luma = [to_luma8(frame) for frame in frames]
    return [
        (torch.from_numpy(measure_flow(a, b)), torch.from_numpy(measure_flow(b, a)))
        for a, b in pairwise(luma)
    ]


if __name__ == "__main__":
    main()
