"""MATLAB's `imresize(image, scale, "bicubic")` for 8-bit images, pixel by pixel.

The kernel is Keys 1981, "Cubic convolution interpolation for digital image processing",
a = -1/2. When downscaling it is stretched by 1/factor, which is the antialiasing. Borders are
mirrored, the weights of each output pixel sum to one, and each pass is rounded to 8 bits (half
upwards) before the next.

Deviation from MATLAB: it calculates in floating point, this in exact fractions. With factor
`p/q` all weights are multiples of `1 / (16 n^3)`, n = max(p, q), so integers are summed (in
float64, which holds them exactly) and one division ends the pass. Sums that lie exactly between
two gray values are then rounded upwards on every machine.
"""

from fractions import Fraction
from functools import lru_cache
from math import ceil

import numpy as np
import numpy.typing as npt

_SUPPORT = 2  # the cubic kernel is zero from |t| = 2 on
_LARGEST_DENOMINATOR = 10_000  # of a factor given as a float, such as 0.333...
_WINDOW_VALUES = 1 << 17  # float64 values gathered at a time: 1 MiB, about a core's cache


def imresize(image: npt.NDArray[np.uint8], factor: Fraction | float) -> npt.NDArray[np.uint8]:
    """Scale an image by `factor`, its output size divided by its input size.

    image: (H, W) or (H, W, C), uint8.
    factor: `Fraction(1, 4)` makes the LR of an x4 pair, 4 enlarges fourfold.
    Returns (ceil(factor*H), ceil(factor*W)[, C]), uint8.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(
            "imresize: expected an image of shape (H, W) or (H, W, C), uint8, not empty, "
            f"got {image.shape}, {image.dtype}"
        )
    exact = _make_exact(factor)
    if exact == 1:
        return image.copy()
    # MATLAB starts with the dimension of the smaller factor; here both are equal: height first.
    resized = _resize_rows(image, exact)
    resized = _resize_rows(np.ascontiguousarray(resized.swapaxes(0, 1)), exact)
    return np.ascontiguousarray(resized.swapaxes(0, 1))


def _make_exact(factor: Fraction | float) -> Fraction:
    """Take a float for its simple fraction: as a double 1/5 is too large, 5 rows would become 2."""
    if isinstance(factor, float):
        if not 1 / _LARGEST_DENOMINATOR <= factor <= _LARGEST_DENOMINATOR:  # refuses NaN too
            raise ValueError(
                f"imresize: expected a factor from {1 / _LARGEST_DENOMINATOR} to "
                f"{_LARGEST_DENOMINATOR}, got {factor}"
            )
        return Fraction(factor).limit_denominator(_LARGEST_DENOMINATOR)
    if factor <= 0:
        raise ValueError(f"imresize: expected a factor above 0, got {factor}")
    return Fraction(factor)


def _resize_rows(image: npt.NDArray[np.uint8], factor: Fraction) -> npt.NDArray[np.uint8]:
    """Resize along the first dimension: (N, ...) to (ceil(factor*N), ...)."""
    rows = image.reshape(len(image), -1)  # (N, R)
    indices, weights = _compute_taps(len(rows), factor)  # both (M, T): M output rows, T taps each
    sums = weights.sum(axis=1, keepdims=True)
    resized = np.empty((len(indices), rows.shape[1]), dtype=np.uint8)
    step = max(1, _WINDOW_VALUES // (indices.shape[1] * rows.shape[1]))
    for start in range(0, len(indices), step):
        part = slice(start, start + step)
        windows = rows[indices[part]].astype(np.float64)  # (m, T, R)
        # einsum, not matmul: no BLAS threads that would crowd the loader's workers.
        filtered = np.einsum("mt,mtr->mr", weights[part], windows) / sums[part]
        resized[part] = np.clip(np.floor(filtered + 0.5), 0, 255)
    return resized.reshape(len(resized), *image.shape[1:])


@lru_cache(maxsize=256)
def _compute_taps(
    length: int, factor: Fraction
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Compute input indices and weights of every output pixel along one dimension.

    Returns indices (M, T) in [0, length) and weights (M, T), whole numbers, not normalized.
    """
    p, q = factor.numerator, factor.denominator
    n = max(p, q)
    # Positions are counted in 1/(2p) of an input pixel; the center of output pixel m lies at
    # (m + 1/2) q/p - 1/2 and the kernel reaches 2 n/p to both sides.
    centers = (2 * np.arange(ceil(length * factor), dtype=np.int64) + 1) * q - p  # (M,)
    first = -((2 * _SUPPORT * n - centers) // (2 * p))  # (M,), the first index inside the kernel
    num_taps = -(-2 * _SUPPORT * n // p)
    indices = first[:, None] + np.arange(num_taps)  # (M, T)
    weights = _cubic(np.abs(centers[:, None] - 2 * p * indices), n)
    mirrored = indices % (2 * length)  # the image and its mirror image, repeated for ever
    mirrored = np.minimum(mirrored, 2 * length - 1 - mirrored)
    mirrored.flags.writeable = weights.flags.writeable = False  # shared by all callers
    return mirrored, weights


def _cubic(a: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.float64]:
    """Keys' kernel at t = a/(2n), times 16 n^3, which makes it a whole number."""
    near = 3 * a**3 - 10 * n * a**2 + 16 * n**3  # (3/2)|t|^3 - (5/2)|t|^2 + 1
    far = -(a**3) + 10 * n * a**2 - 32 * n**2 * a + 32 * n**3  # -|t|^3/2 + (5/2)|t|^2 - 4|t| + 2
    return np.where(a <= 2 * n, near, np.where(a < 4 * n, far, 0)).astype(np.float64)
