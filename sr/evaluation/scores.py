"""Scores of upscaled images and clips against their originals, by the metrics of validation."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
import torch

from sr.errors import UserError
from sr.io.atomic_write import atomic_write
from sr.io.image_formats import has_alpha
from sr.io.image_reader import open_image
from sr.io.rgb8 import image_to_tensor
from sr.losses.lpips import LPIPS
from sr.metrics.psnr import psnr
from sr.metrics.ssim import ssim

RGB8 = npt.NDArray[np.uint8]
"""(H, W, 3), RGB, 0 to 255."""

_SSIM_SIDE = 11  # pixels, its window
_ALEXNET_SIDE = 31  # pixels, of which its halvings leave one


class ScoreError(UserError):
    """What cannot be scored; the message says why."""


@dataclass(frozen=True)
class Score:
    """PSNR in dB (infinite for equal images) and SSIM, on BT.601 luma and on RGB.

    lpips: of RGB, lower is better; None where it was not asked for.
    """

    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float
    lpips: float | None = None

    def as_json(self) -> dict[str, float | str]:
        """Round for reading; "inf" stands for infinite, which JSON does not have."""
        return _as_json(dataclasses.asdict(self))


@dataclass(frozen=True)
class VideoScore:
    """How a clip's frames are, and how they follow each other.

    mean: over the frames. pairs: consecutive frames without a scene cut between them, which the
    rest is a mean over; None where there are no such pairs. flicker: the root of the warping error
    (`sr.metrics.flicker`) in 8-bit levels, with flow between frames of the original;
    original_flicker: that of the original, which is due to flow and warping. tof: in pixels
    (`sr.metrics.tof`).
    """

    frames: int
    mean: Score
    pairs: int
    flicker: float | None
    original_flicker: float | None
    tof: float | None

    def as_json(self) -> dict[str, float | str]:
        """Round as `Score.as_json`, all in one dictionary."""
        numbers = dataclasses.asdict(self)
        mean = numbers.pop("mean")
        return _as_json({"frames": numbers.pop("frames"), **mean, **numbers})


def _as_json(numbers: Mapping[str, float | None]) -> dict[str, float | str]:
    return {
        name: round(value, 6) if math.isfinite(value) else str(value)
        for name, value in numbers.items()
        if value is not None
    }


def check_scorable(path: Path, num_bands: int, depth: int) -> None:
    """Raise ScoreError for an image that is not gray or RGB of 8 bits."""
    if has_alpha(num_bands) or depth != 8:
        alpha = ", with alpha" if has_alpha(num_bands) else ""
        raise ScoreError(
            "--reference: expected images of 8 bits per channel without alpha, to be scored, got"
            f" {path} of {depth} bits{alpha}"
        )


def read_scorable(path: Path) -> RGB8:
    """Read a gray or RGB image of 8 bits, (H, W, 3). Raises ScoreError for others, ImageError."""
    with open_image(path) as image:
        check_scorable(path, image.header.num_bands, image.header.depth)
        pixels = image.read(slice(None), slice(None))  # (H, W, 1 or 3)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def score_against_file(sr: RGB8, original: Path, border: int, lpips: LPIPS | None = None) -> Score:
    """Score an upscaled image, `border` pixels left out on each side.

    Where the original's size is no multiple of the scale, both images are cut to what
    they share from the top left corner on. sr: (H, W, 3), uint8.
    """
    hr = read_scorable(original)
    height, width = find_shared_size(
        sr.shape[:2], hr.shape[:2], border, name=original, with_lpips=lpips is not None
    )
    return score_image(sr[:height, :width], hr[:height, :width], border, lpips)


def find_shared_size(
    sr: tuple[int, ...], hr: tuple[int, ...], border: int, *, name: Path, with_lpips: bool
) -> tuple[int, int]:
    """Return (height, width) of what an upscaled image and its original, `name`, share.

    sr, hr: (height, width). Raises ScoreError where they differ by `border` or more, or are too
    small to be scored.
    """
    if max(abs(sr[0] - hr[0]), abs(sr[1] - hr[1])) >= max(border, 1):
        raise ScoreError(
            f"expected an original of {sr[1]}x{sr[0]} pixels, or less than {border} more or less;"
            f" got {name} of {hr[1]}x{hr[0]}"
        )
    height, width = min(sr[0], hr[0]), min(sr[1], hr[1])
    least = 2 * border + (_ALEXNET_SIDE if with_lpips else _SSIM_SIDE)
    if min(height, width) < least:
        raise ScoreError(
            f"expected at least {least} pixels per side to score, got {width}x{height}"
        )
    return height, width


def score_image(sr: RGB8, hr: RGB8, border: int, lpips: LPIPS | None) -> Score:
    """Score an image against its original of the same size; `border` pixels left out per side."""
    ours, theirs = image_to_tensor(sr), image_to_tensor(hr)  # (1, 3, H, W)
    return Score(
        psnr_y=psnr(ours, theirs, border=border, channel="y"),
        ssim_y=ssim(ours, theirs, border=border, channel="y"),
        psnr_rgb=psnr(ours, theirs, border=border, channel="rgb"),
        ssim_rgb=ssim(ours, theirs, border=border, channel="rgb"),
        lpips=None if lpips is None else _distance(sr, hr, border, lpips),
    )


def _distance(sr: RGB8, hr: RGB8, border: int, lpips: LPIPS) -> float:
    height, width = hr.shape[:2]
    inside = (slice(border, height - border), slice(border, width - border))
    device = lpips.features.mean.device
    x, y = (image_to_tensor(image[inside]).to(device) for image in (sr, hr))
    with torch.inference_mode():
        return float(lpips(x, y))


def average_scores(scores: Sequence[Score]) -> Score:
    """Average each number over images."""
    return Score(
        psnr_y=fmean(score.psnr_y for score in scores),
        ssim_y=fmean(score.ssim_y for score in scores),
        psnr_rgb=fmean(score.psnr_rgb for score in scores),
        ssim_rgb=fmean(score.ssim_rgb for score in scores),
        lpips=_mean([score.lpips for score in scores]),
    )


def average_video_scores(scores: Sequence[VideoScore]) -> VideoScore:
    """Average each number over clips, each clip counting alike; sum frames and pairs."""
    return VideoScore(
        frames=sum(score.frames for score in scores),
        mean=average_scores([score.mean for score in scores]),
        pairs=sum(score.pairs for score in scores),
        flicker=_mean([score.flicker for score in scores]),
        original_flicker=_mean([score.original_flicker for score in scores]),
        tof=_mean([score.tof for score in scores]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """Average those that there are."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def write_scores(
    path: Path,
    about: Mapping[str, object],
    scores: Mapping[Path, Score],
    clips: Mapping[Path, VideoScore],
) -> None:
    """Write a JSON file of `about`, the means and all scores, whole or not at all."""
    content = dict(about)
    if scores:
        content["mean"] = average_scores(list(scores.values())).as_json()
        content["pictures"] = {str(source): score.as_json() for source, score in scores.items()}
    if clips:
        content["mean_of_clips"] = average_video_scores(list(clips.values())).as_json()
        content["clips"] = {str(source): score.as_json() for source, score in clips.items()}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
