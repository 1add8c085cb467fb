"""Signs that an image was compressed or is noisy, and of pixel art, from its pixels alone.

Letters: h, w height and width of a sample in pixels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.float32]
"""(h, w), in levels of 8 bits, 0 to 255."""

_BLOCK = 8  # pixels a side, of JPEG
_PATCH = 16  # pixels a side, in which noise is measured
_VISIBLE = (16, 239)  # means of patches whose noise is not cut off
_RENDERED = 0.3  # share of equal neighbors; noise of 3 levels leaves 0.1
_FLATTEST = 10  # percent of the patches: those with the least texture
_SIGNIFICANT = 3.0  # times the deviation of the other columns
_MAX_COLORS = 256
_SMALL_STEP = 16  # levels; between neighbors that are part of a gradient
_MAX_GRADIENT, _MIN_EQUAL = 0.02, 0.3  # shares of neighbors


def measure_blockiness(gray: Gray) -> float:
    """Return by how many levels steps at every eighth column and row exceed those around them.

    0 where they are not larger than chance makes them. The grid may begin anywhere. About 0.2 for
    clean images, 0.7 at a JPEG quality of 80, 1.3 at 70, 2 at 50, 3.5 at 30.
    """
    return min(_measure_columns(gray), _measure_columns(gray.T))


def _measure_columns(gray: Gray) -> float:
    steps = np.abs(np.diff(gray, axis=1))
    if steps.shape[1] < 4 * _BLOCK:
        return 0.0
    excess = steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2
    means = np.array([excess[:, phase::_BLOCK].mean() for phase in range(_BLOCK)])
    others = np.sort(means)[:-1]
    height = float(means.max() - np.median(others))
    # A block's edge makes the steps on both sides look smaller, so of the others the larger ones.
    return height if height > _SIGNIFICANT * float(others[2:].std()) else 0.0


def estimate_noise(gray: Gray) -> float:
    """Return the standard deviation of white noise, in levels, in the flattest patches.

    Immerkaer 1996, "Fast Noise Variance Estimation", patch by patch; texture everywhere looks like
    noise. 0 for images of less than a few patches, and where most are rendered, such as text: with
    equal pixels next to each other, which noise leaves few of.
    """
    if min(gray.shape) < 3:
        return 0.0
    differences = np.abs(np.diff(np.diff(gray, n=2, axis=0), n=2, axis=1))
    noise = _average_patches(differences) * np.sqrt(np.pi / 2) / 6
    means = _average_patches(gray[1:-1, 1:-1])
    equal = _average_patches(np.asarray(gray[1:-1, 1:-1] == gray[1:-1, 2:], np.float32))
    is_seen = (means > _VISIBLE[0]) & (means < _VISIBLE[1])
    seen = noise[is_seen & (equal < _RENDERED)]
    if seen.size < max(4, is_seen.sum() / 2):
        return 0.0
    return float(np.percentile(seen, _FLATTEST))


def _average_patches(values: Gray) -> Gray:
    """Return the means of patches of _PATCH x _PATCH."""
    rows, columns = (side // _PATCH for side in values.shape)
    patches = values[: rows * _PATCH, : columns * _PATCH]
    means = patches.reshape(rows, _PATCH, columns, _PATCH).mean((1, 3))
    return np.asarray(means, np.float32)


def is_pixel_art(pixels: npt.NDArray[np.uint8]) -> bool:
    """Return whether an image, (h, w, C), has few colors, at least three, and no gradients."""
    packed: npt.NDArray[Any] = np.zeros(pixels.shape[:2], np.uint32)
    for band in range(pixels.shape[2]):
        packed = packed << 8 | pixels[..., band]
    if not 3 <= len(np.unique(packed)) <= _MAX_COLORS:
        return False
    colors = pixels[..., :3].astype(np.int16)
    steps = np.abs(np.diff(colors, axis=1)).max(2)
    if not steps.size:
        return False
    gradient = np.mean((steps > 0) & (steps <= _SMALL_STEP))
    return bool(gradient < _MAX_GRADIENT and np.mean(steps == 0) > _MIN_EQUAL)
