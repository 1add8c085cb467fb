"""NIQE: how far the statistics of an image are from those of photographs; lower is better.

Mittal, Soundararajan, Bovik 2013, "Making a 'Completely Blind' Image Quality Analyzer", IEEE Signal
Processing Letters 20(3), sec. II: 18 features of each block at two scales, a Gaussian of them, and
its distance from that of good photographs. No reference is needed.

The numbers compare results of one program only. `niqe_photographs.npz` was fitted by
`benchmarks/fit_niqe.py` to freely licensed photographs, not to those of the authors: published NIQE
values, which go with the authors' parameters, are not comparable.

As in the authors' code: luma is rounded, the halved image is MATLAB's bicubic, and blocks do not
overlap, in spite of sec. II-D.
"""

from collections.abc import Iterator
from functools import cache
from math import nan
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sr.errors import UserError
from sr.metrics.luma import crop_and_quantize

Values = npt.NDArray[np.float64]

BLOCK_SIZE = 96  # pixels; sec. II-D
MIN_BLOCKS = 2  # in an image, for a covariance
SHARP = 0.75  # T of sec. II-B: the share of the sharpest block's sharpness that others need

_PARAMETERS = Path(__file__).parent / "niqe_photographs.npz"
_NEIGHBORS = ((0, 1), (1, 0), (1, 1), (1, -1))  # right, below, and on both diagonals
_SHAPES = np.arange(0.2, 10.001, 0.001)  # that are tried, as in the authors' code


class Pristine(NamedTuple):
    """Mean, (36,), and covariance, (36, 36), of the features of good photographs."""

    mean: Values
    covariance: Values


class Blocks(NamedTuple):
    """The blocks of an image, N."""

    features: Values  # (N, 36): 18 of each block, then 18 at half the size; NaN where it is flat
    sharpness: Values  # (N,), the mean local deviation


def niqe(image: Tensor, *, border: int, pristine: Pristine | None = None) -> float:
    """Return the NIQE of one image after rounding to 8 bits, 0 or more.

    image: (3, H, W) or (1, 3, H, W), RGB in [0, 1]; values outside are clamped. border: pixels left
    out on each side, by custom the scale. pristine: None for the bundled parameters. NaN for an
    image that is flat but for one block: there is nothing to measure. Raises UserError for fewer
    than two blocks.
    """
    blocks = measure_blocks(image, border)
    if len(blocks.features) < MIN_BLOCKS:
        height, width = image.shape[-2:]
        raise UserError(
            f"niqe: expected {MIN_BLOCKS} blocks of {BLOCK_SIZE}x{BLOCK_SIZE} px inside the border "
            f"of {border} px, got height {height}, width {width}"
        )
    complete = blocks.features[~np.isnan(blocks.features).any(axis=1)]
    if len(complete) < MIN_BLOCKS:
        return nan
    pristine = load_photographs() if pristine is None else pristine
    difference = pristine.mean - np.nanmean(blocks.features, axis=0)
    covariance = (pristine.covariance + np.cov(complete, rowvar=False)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference))  # eq. 10


def count_blocks(size: tuple[int, int], border: int) -> int:
    """Return how many whole blocks an image of (H, W) pixels has inside its border."""
    rows, columns = (max(side - 2 * border, 0) // BLOCK_SIZE for side in size)
    return rows * columns


def fit_photographs(blocks: list[Blocks]) -> Pristine:
    """Fit the Gaussian of sec. II-D to the sharp blocks of photographs."""
    sharp = [each.features[each.sharpness > SHARP * each.sharpness.max()] for each in blocks]
    features = np.concatenate(sharp)
    features = features[~np.isnan(features).any(axis=1)]
    return Pristine(features.mean(axis=0), np.cov(features, rowvar=False))


def measure_blocks(image: Tensor, border: int) -> Blocks:
    """Measure all whole blocks. image, border: see `niqe`."""
    luma, _ = crop_and_quantize(image, image, border=border, channel="y")
    height, width = (side - side % BLOCK_SIZE for side in luma.shape[-2:])
    plane: Values = luma[0, :height, :width].cpu().numpy().round()
    if not plane.size:
        return Blocks(np.empty((0, 36)), np.empty(0))
    normal, deviation = _normalize(plane)
    half, _ = _normalize(_halve(plane))
    features = [
        _measure_features(_cut(values, size))
        for values, size in ((normal, BLOCK_SIZE), (half, BLOCK_SIZE // 2))
    ]
    sharpness = _cut(deviation, BLOCK_SIZE).mean(axis=(1, 2))  # eq. 5, but for a factor
    return Blocks(np.concatenate(features, axis=1), sharpness)


def fit_gaussians(samples: Values) -> tuple[Values, Values, Values]:
    """Fit an asymmetric generalized Gaussian to each row by its moments: eq. 3 to 7.

    samples: (N, P). Returns shape and left and right spread, alpha, beta_l, beta_r; (N,) each. A
    spread is NaN without values on its side, and the shape then the first that is tried.
    """
    squares = samples**2
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (
            np.sqrt((squares * side).sum(axis=1) / side.sum(axis=1))
            for side in (samples < 0, samples > 0)
        )
        ratio = left / right
        r = np.abs(samples).mean(axis=1) ** 2 / squares.mean(axis=1)
        r = r * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    table = _compute_moment_ratios()
    above = np.searchsorted(table, r).clip(1, len(table) - 1)
    nearest = np.where(r - table[above - 1] < table[above] - r, above - 1, above)
    shape: Values = _SHAPES[np.where(np.isnan(r), 0, nearest)]
    spread = np.exp((_lgamma(1 / shape) - _lgamma(3 / shape)) / 2)
    return shape, left * spread, right * spread


@cache
def load_photographs() -> Pristine:
    """Load the bundled parameters."""
    with np.load(_PARAMETERS) as arrays:
        return Pristine(arrays["mean"], arrays["covariance"])


def _normalize(plane: Values) -> tuple[Values, Values]:
    """Return (I - mean) / (deviation + 1), eq. 1, and the local deviation, eq. 3, of (H, W)."""
    taps = np.exp(-(np.arange(-3.0, 4) ** 2) / (2 * (7 / 6) ** 2))  # 7x7 pixels, sigma 7/6
    taps /= taps.sum()
    border = cv2.BORDER_REPLICATE
    mean = cv2.sepFilter2D(plane, -1, taps, taps, borderType=border)
    squares = cv2.sepFilter2D(plane * plane, -1, taps, taps, borderType=border)
    deviation: Values = np.sqrt(np.abs(squares - mean * mean))
    return (plane - mean) / (deviation + 1), deviation


def _cut(plane: Values, size: int) -> Values:
    """(H, W) to blocks, (N, size, size)."""
    height, width = plane.shape
    cut = plane.reshape(height // size, size, width // size, size)
    return cut.swapaxes(1, 2).reshape(-1, size, size)


def _measure_features(blocks: Values) -> Values:
    """(N, size, size) to (N, 18), in the order of the authors' code."""
    return np.stack(list(_list_features(blocks)), axis=1)


def _list_features(blocks: Values) -> Iterator[Values]:
    """Of the values, the shape and the mean of both spreads; of the products with each neighbor,
    the shape, the mean (eq. 8) and both spreads.
    """
    rows = len(blocks)
    shape, left, right = fit_gaussians(blocks.reshape(rows, -1))
    yield from (shape, (left + right) / 2)
    for shift in _NEIGHBORS:
        products = blocks * np.roll(blocks, shift, axis=(1, 2))
        shape, left, right = fit_gaussians(products.reshape(rows, -1))
        mean = (right - left) * np.exp(_lgamma(2 / shape) - _lgamma(1 / shape))
        yield from (shape, mean, left, right)


@cache
def _compute_moment_ratios() -> Values:
    """Return gamma(2/a)^2 / (gamma(1/a) gamma(3/a)) of each shape a, which rises with a."""
    ratios: Values = np.exp(2 * _lgamma(2 / _SHAPES) - _lgamma(1 / _SHAPES) - _lgamma(3 / _SHAPES))
    return ratios


def _lgamma(values: Values) -> Values:
    logs: Values = torch.lgamma(torch.from_numpy(values)).numpy()
    return logs


def _halve(plane: Values) -> Values:
    """MATLAB's bicubic at factor 1/2, not rounded, of even sides; see `sr.data.imresize`."""
    t = np.abs(np.arange(-3.5, 4)) / 2
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    taps = np.where(t <= 1, near, far)
    for _ in range(2):
        length = len(plane)
        padded = np.pad(plane, ((3, 3), (0, 0)), mode="symmetric")
        rows = [tap * padded[i : i + length - 1 : 2] for i, tap in enumerate(taps / taps.sum())]
        plane = np.sum(rows, axis=0).T
    return np.ascontiguousarray(plane)
