"""Scores of upscaled pictures against their originals, by the metrics of validation."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt

from sr.io.find_pictures import find_pictures
from sr.io.image import image_to_tensor
from sr.io.picture import open_picture
from sr.io.picture_formats import READABLE_SUFFIXES
from sr.io.whole_file import whole_file
from sr.metrics.psnr import psnr
from sr.metrics.ssim import ssim


class ScoreError(ValueError):
    """A picture that cannot be scored; the message tells why."""


@dataclass(frozen=True)
class Score:
    """PSNR in dB (infinite for equal pictures) and SSIM, on BT.601 luma and on RGB."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float

    def as_json(self) -> dict[str, float | str]:
        """Rounded for reading; "inf" for infinite, which JSON does not have."""
        return {
            name: round(value, 6) if math.isfinite(value) else str(value)
            for name, value in dataclasses.asdict(self).items()
        }


class References:
    """The original pictures of a folder, found by the name of their LR pictures."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_stem: dict[str, list[Path]] = {}
        for path in find_pictures([folder], recursive=False, suffixes=READABLE_SUFFIXES):
            self._by_stem.setdefault(path.stem, []).append(path)

    def original_of(self, source: Path) -> Path:
        """The original of an LR picture: `baby` for baby.png, babyx4.png and baby_x4.png."""
        stems = dict.fromkeys((source.stem, re.sub(r"[_-]?[xX]\d+$", "", source.stem)))
        matches = next((self._by_stem[stem] for stem in stems if stem in self._by_stem), [])
        if len(matches) != 1:
            came = ", ".join(path.name for path in matches) or "none"
            raise ScoreError(
                f"expected one original named {' or '.join(stems)} in {self._folder}; came: {came}"
            )
        return matches[0]


def refuse_unscored(path: Path, num_bands: int, depth: int) -> None:
    """Raise ScoreError for a picture that is not grey or RGB of 8 bits."""
    if num_bands in (2, 4) or depth != 8:
        alpha = ", with alpha" if num_bands in (2, 4) else ""
        raise ScoreError(
            "--reference: expected pictures of 8 bits a channel without alpha, to be scored;"
            f" {path} has {depth} bits{alpha}"
        )


def read_scored(path: Path) -> npt.NDArray[np.uint8]:
    """A grey or RGB picture of 8 bits: (H, W, 3). Raises ScoreError for others, and ImageError."""
    with open_picture(path) as picture:
        refuse_unscored(path, picture.header.num_bands, picture.header.depth)
        pixels = picture.read(slice(None), slice(None))  # (H, W, 1 or 3)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def score_against(sr: npt.NDArray[np.uint8], original: Path, border: int) -> Score:
    """Score an upscaled picture, `border` pixels left out on each side.

    Where the original's size is no multiple of the scale, both pictures are cut to what
    they share from the top left corner on. sr: (H, W, 3), uint8.
    """
    hr = read_scored(original)
    if max(abs(sr.shape[0] - hr.shape[0]), abs(sr.shape[1] - hr.shape[1])) >= max(border, 1):
        raise ScoreError(
            f"expected an original of {sr.shape[1]}x{sr.shape[0]} pixels, or less than"
            f" {border} more or less; came: {original} of {hr.shape[1]}x{hr.shape[0]}"
        )
    height, width = min(sr.shape[0], hr.shape[0]), min(sr.shape[1], hr.shape[1])
    if min(height, width) < 2 * border + 11:  # the window of SSIM
        raise ScoreError(
            f"expected at least {2 * border + 11} pixels a side to score; came: {width}x{height}"
        )
    ours = image_to_tensor(sr[:height, :width])  # (1, 3, height, width)
    theirs = image_to_tensor(hr[:height, :width])
    return Score(
        psnr_y=psnr(ours, theirs, border=border, channel="y"),
        ssim_y=ssim(ours, theirs, border=border, channel="y"),
        psnr_rgb=psnr(ours, theirs, border=border, channel="rgb"),
        ssim_rgb=ssim(ours, theirs, border=border, channel="rgb"),
    )


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean over pictures of each number."""
    return Score(*(fmean(column) for column in zip(*map(dataclasses.astuple, scores), strict=True)))


def write_scores(path: Path, about: Mapping[str, object], scores: Mapping[Path, Score]) -> None:
    """Write a JSON file of `about`, the mean and every picture's scores, whole or not at all."""
    content = {
        **about,
        "mean": mean_score(list(scores.values())).as_json(),
        "pictures": {str(source): score.as_json() for source, score in scores.items()},
    }
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
