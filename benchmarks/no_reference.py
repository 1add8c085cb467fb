"""No-reference metrics: NIQE and PIQE; lower is better.

Their packages are not requirements of the project; `load_metrics` reports how to install them.

NIQE: Mittal, Soundararajan, Bovik 2013, "Making a 'Completely Blind' Image Quality Analyzer", IEEE
Signal Processing Letters 20(3): how far the statistics of an image's blocks are from those of good
photographs. The parameters, the authors', and the window are read from BasicSR's package; nothing
of it is imported. On rounded luma (BT.601), in float64 as MATLAB: on Set5 within 0.03 of BasicSR's
function given float64. BasicSR itself calls it in float32, which gives up to 0.4 less on images
with even areas, where there is nothing to measure but rounding.

PIQE: Venkatanath et al. 2015, "Blind image quality evaluation using perception based features",
NCC 2015: blocks of 16 pixels are checked for blocking and noise. From the package pypiqe.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from math import exp, lgamma, nan
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from sr.data.augment import Image
from sr.io.rgb8 import image_to_tensor
from sr.metrics.luma import crop_and_quantize

Metric = Callable[[Image], float]
Values = npt.NDArray[np.float64]

BLOCK_SIZE = 96  # pixels; sec. II-D of NIQE
METRICS = {
    "niqe": ("basicsr", "pip install --no-deps --no-build-isolation basicsr==1.4.2"),
    "piqe": ("pypiqe", "pip install --no-deps pypiqe"),
}
"""Name -> the package that it needs, and how to install it without another OpenCV."""

_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # neighbors right, below, and on both diagonals
_SHAPES = np.arange(0.2, 10.001, 0.001)  # that are tried, as in the authors' code


class Pristine(NamedTuple):
    """NIQE's reference: statistics of the features of good photographs, and the window of MSCN."""

    mean: Values  # (36,)
    covariance: Values  # (36, 36)
    window: Values  # (7, 7), sums to one


def load_metrics(names: Sequence[str]) -> dict[str, Metric]:
    """Return metrics by name, which take (H, W, 3), uint8 RGB.

    Raises ValueError if a package is not installed.
    """
    metrics: dict[str, Metric] = {}
    for name in names:
        package, command = METRICS[name]
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise ValueError(f"{name}: needs the package {package}: {command}")
        if name == "niqe":
            parameters = Path(spec.origin).parent / "metrics" / "niqe_pris_params.npz"
            metrics[name] = partial(niqe, pristine=read_pristine(parameters))
        else:
            metrics[name] = partial(_piqe, import_module(package).piqe)
    return metrics


def read_pristine(path: Path) -> Pristine:
    """Read an npz file with BasicSR's names."""
    with np.load(path) as arrays:
        names = ("mu_pris_param", "cov_pris_param", "gaussian_window")
        mean, covariance, window = (arrays[name].astype(np.float64) for name in names)
    return Pristine(mean.reshape(-1), covariance, window)


def niqe(image: Image, pristine: Pristine) -> float:
    """image: (H, W, 3), uint8 RGB. Raises ValueError for fewer than two blocks."""
    features = block_features(image, pristine.window)  # (blocks, 36)
    whole = features[~np.isnan(features).any(axis=1)]  # without even blocks, which have no shape
    if len(whole) < 2:
        raise ValueError(
            f"niqe: expected two blocks of {BLOCK_SIZE}x{BLOCK_SIZE} pixels that are not even, "
            f"got an image of {image.shape[1]}x{image.shape[0]} (width x height)"
        )
    difference = pristine.mean - np.nanmean(features, axis=0)
    covariance = (pristine.covariance + np.cov(whole, rowvar=False)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference))  # eq. 10


def block_features(image: Image, window: Values) -> Values:
    """(blocks, 36): 18 features of each block, then 18 at half the size; NaN where it is even."""
    pixels = image_to_tensor(image)
    (luma, _) = crop_and_quantize(pixels, pixels, border=0, channel="y")
    height, width = (side // BLOCK_SIZE * BLOCK_SIZE for side in image.shape[:2])
    values = luma[0].numpy().round()[:height, :width]
    if not values.size:
        return np.empty((0, 36))
    scales = []
    for size, plane in ((BLOCK_SIZE, values), (BLOCK_SIZE // 2, _halve(values))):
        normal = _mscn(plane, window)
        corners = product(range(0, plane.shape[0], size), range(0, plane.shape[1], size))
        blocks = (normal[top : top + size, left : left + size] for top, left in corners)
        scales.append([list(_features(block)) for block in blocks])
    return np.concatenate([np.array(rows) for rows in scales], axis=1)


def _mscn(plane: Values, window: Values) -> Values:
    """Eq. 1: (I - mean) / (deviation + 1), mean and deviation weighted around each pixel."""
    border = cv2.BORDER_REPLICATE
    mean = cv2.filter2D(plane, -1, window, borderType=border)
    squares = cv2.filter2D(plane * plane, -1, window, borderType=border)
    normal: Values = (plane - mean) / (np.sqrt(np.abs(squares - mean * mean)) + 1)
    return normal


def _features(block: Values) -> Iterator[float]:
    """Of the values, the shape and the mean of both spreads; of the products with each neighbor,
    the shape, the mean (eq. 8) and both spreads.
    """
    shape, left, right = _fit_gaussian(block)
    yield from (shape, (left + right) / 2)
    for shift in _SHIFTS:
        shape, left, right = _fit_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        mean = (right - left) * exp(lgamma(2 / shape) - lgamma(1 / shape))
        yield from (shape, mean, left, right)


def _fit_gaussian(values: Values) -> tuple[float, float, float]:
    """Shape, left and right spread of an asymmetric generalized Gaussian, by moments: eq. 3 to 7.

    A spread without values is NaN, and the shape then the first that is tried, as in MATLAB.
    """
    left, right = _root_mean_square(values[values < 0]), _root_mean_square(values[values > 0])
    shape = float(_SHAPES[0])
    if not np.isnan(left + right):
        ratio = left / right
        r = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
        r *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
        shape = float(_SHAPES[np.argmin((_moment_ratios() - r) ** 2)])
    spread = exp((lgamma(1 / shape) - lgamma(3 / shape)) / 2)
    return shape, left * spread, right * spread


def _root_mean_square(values: Values) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else nan


@lru_cache(maxsize=1)
def _moment_ratios() -> Values:
    """gamma(2/a)^2 / (gamma(1/a) gamma(3/a)) of each shape a."""
    logs = [2 * lgamma(2 / a) - lgamma(1 / a) - lgamma(3 / a) for a in _SHAPES.tolist()]
    ratios: Values = np.exp(np.array(logs))
    return ratios


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


def _piqe(score: Any, image: Image) -> float:
    """The package's function takes gray images, and blue first of others."""
    return float(score(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0])
