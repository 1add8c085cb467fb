"""Blur kernels of Real-ESRGAN: Gaussian, generalized Gaussian, plateau and sinc.

Wang, Xie, Dong, Shan 2021, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure
Synthetic Data", arXiv 2107.10833: shapes in sec. 3.1, sinc in sec. 3.3, numbers in sec. 4.1.

With C = (x, y) from the kernel's center, x to the right and y down, and S the covariance with the
standard deviations sigma_1 along `angle` and sigma_2 across it:

    generalized Gaussian   k = exp(-1/2 (C^T S^-1 C)^beta)     (beta = 1: the Gaussian)
    plateau                k = 1 / (1 + (C^T S^-1 C)^beta)
    sinc                   k = w / (2 pi r) J1(w r),  r = |C|, k(0) = w^2 / (4 pi)

Deviations: kernels are cut to the smallest square that holds 99.9 % of the sum of their absolute
values, which the paper pads with zeros to 21 pixels instead; the rest is below what 8 bits show,
and a small kernel is several times faster.
"""

from math import pi

import numpy as np
import numpy.typing as npt
import torch

Kernel = npt.NDArray[np.float32]  # (size, size), size odd, sums to 1
Range = tuple[float, float]

# Sec. 4.1: shares of Gaussian, generalized Gaussian and plateau kernels, each round and oblong.
_SHAPES = ("gaussian", "gaussian", "generalized", "generalized", "plateau", "plateau")
_SHARES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
_BETAS = {"gaussian": (1.0, 1.0), "generalized": (0.5, 4.0), "plateau": (1.0, 2.0)}
_KEPT = 0.999


def make_gaussian_kernel(
    size: int, sigmas: Range, angle: float = 0.0, beta: float = 1.0, *, plateau: bool = False
) -> Kernel:
    """Make a generalized Gaussian (the Gaussian for beta = 1), or a plateau kernel.

    size: odd, pixels per side.
    sigmas: standard deviations in pixels, along `angle` and across it.
    angle: of the first axis in radians, from the x axis (to the right) towards y (down).
    """
    offsets = np.arange(size) - size // 2
    y, x = np.meshgrid(offsets, offsets, indexing="ij")
    along = (np.cos(angle) * x + np.sin(angle) * y) / sigmas[0]
    across = (np.cos(angle) * y - np.sin(angle) * x) / sigmas[1]
    distance = (along**2 + across**2) ** beta
    return _normalize(1 / (1 + distance) if plateau else np.exp(-distance / 2))


def make_sinc_kernel(size: int, cutoff: float) -> Kernel:
    """Make the circular low-pass filter, which causes ringing.

    size: odd, pixels per side.
    cutoff: w in radians per pixel; pi keeps (nearly) everything.
    """
    offsets = np.arange(size) - size // 2
    radius = np.hypot(*np.meshgrid(offsets, offsets))
    radius[size // 2, size // 2] = 1  # any value, to avoid a division by zero
    bessel = torch.special.bessel_j1(torch.from_numpy(cutoff * radius)).numpy()
    kernel = cutoff / (2 * pi * radius) * bessel
    kernel[size // 2, size // 2] = cutoff**2 / (4 * pi)
    return _normalize(kernel)


def draw_blur_kernel(
    sizes: tuple[int, int], sigma: Range, sinc_probability: float, rng: np.random.Generator
) -> Kernel:
    """Draw a kernel of random shape, as in sec. 4.1.

    sizes: smallest and largest, both odd. sigma: range of both standard deviations, in pixels.
    """
    size = _draw_size(sizes, rng)
    if rng.random() < sinc_probability:
        lowest = pi / 3 if size < 13 else pi / 5  # the released code; the paper names no numbers
        return trim_kernel(make_sinc_kernel(size, rng.uniform(lowest, pi)))
    choice = int(rng.choice(len(_SHAPES), p=_SHARES))
    shape, oblong = _SHAPES[choice], choice % 2 == 1
    first = rng.uniform(*sigma)
    second = rng.uniform(*sigma) if oblong else first
    angle = rng.uniform(-pi, pi) if oblong else 0.0
    low, high = _BETAS[shape]
    # As in the released code: half of all exponents below 1, half above.
    beta = rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high)
    kernel = make_gaussian_kernel(size, (first, second), angle, beta, plateau=shape == "plateau")
    return trim_kernel(kernel)


def draw_sinc_kernel(sizes: tuple[int, int], rng: np.random.Generator) -> Kernel:
    """Draw the sinc kernel of the last step, with a cutoff from pi/3 (released code) to pi."""
    return trim_kernel(make_sinc_kernel(_draw_size(sizes, rng), rng.uniform(pi / 3, pi)))


def trim_kernel(kernel: Kernel) -> Kernel:
    """The smallest centered square with 99.9 % of the kernel's absolute sum, summing to 1."""
    size = len(kernel)
    absolute = np.abs(kernel)
    enough = _KEPT * absolute.sum()
    for cut in range(size // 2, 0, -1):
        if absolute[cut : size - cut, cut : size - cut].sum() >= enough:
            return _normalize(kernel[cut : size - cut, cut : size - cut])
    return kernel


def _draw_size(sizes: tuple[int, int], rng: np.random.Generator) -> int:
    """Draw an odd number from sizes[0] to sizes[1], both odd and included."""
    return 2 * int(rng.integers(sizes[0] // 2, sizes[1] // 2, endpoint=True)) + 1


def _normalize(kernel: npt.NDArray[np.floating]) -> Kernel:
    normalized: Kernel = (kernel / kernel.sum(dtype=np.float64)).astype(np.float32)
    return normalized
