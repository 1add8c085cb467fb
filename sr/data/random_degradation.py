"""Random degradation from hr to lr: its ranges, a plan drawn from them, and its execution.

The high-order degradation of Real-ESRGAN, Wang et al. 2021, arXiv 2107.10833, fig. 2, sec. 3.2 and
4.1. Every stage blurs, resizes, adds noise and compresses; in the last one the compression comes
randomly before or after the resizing to lr's size with a sinc filter. With two stages that is
the paper's recipe, with one the classical degradation (sec. 3.1).

Deviations: those of `kernels` and `degrade`; hr is degraded as it is, where the authors' code
sharpens it first (here an option, see `sharpen`); crops are degraded one by one, with a margin, so
that no pool of earlier samples is needed to mix a batch.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, hypot

import numpy as np
import numpy.typing as npt

from sr.data.degradations import (
    Codec,
    Filter,
    FloatImage,
    add_gaussian_noise,
    add_poisson_noise,
    blur,
    compress,
    resize,
    to_float,
    to_uint8,
)
from sr.data.kernels import Kernel, Range, draw_blur_kernel, draw_sinc_kernel

_FILTER_REACH = 2  # pixels of the coarser image; the cubic's four taps


@dataclass(frozen=True)
class Stage:
    """The probabilities and ranges of one stage; ranges are drawn from uniformly."""

    blur_probability: float
    kernel_sizes: tuple[int, int]  # odd, pixels per side
    blur_sigma: Range  # pixels
    sinc_probability: float  # of a sinc kernel instead of the other shapes
    resize_probabilities: tuple[float, float, float]  # up, down, keep
    resize_factor: Range  # around 1; of hr's size, in the last stage of lr's
    resize_filters: tuple[Filter, ...]
    gaussian_probability: float  # of Gaussian noise; else Poisson noise
    gaussian_sigma: Range  # 8-bit levels
    poisson_scale: Range
    grey_probability: float  # of noise that is the same in all channels
    compression_probability: float
    webp_probability: float  # of WebP instead of JPEG
    quality: tuple[int, int]


@dataclass(frozen=True)
class Degradation:
    """Stages in order, the last step, and the share of crops with the bicubic lr."""

    stages: tuple[Stage, ...]
    final_sinc_probability: float
    clean_probability: float


@dataclass(frozen=True)
class StagePlan:
    """One stage with all random choices made."""

    kernel: Kernel | None
    factor: float  # of hr's size, in the last stage of lr's
    filter: Filter
    gaussian: bool
    noise: float  # sigma of Gaussian noise, scale of Poisson noise
    gray: bool
    codec: Codec | None
    quality: int


@dataclass(frozen=True)
class DegradationPlan:
    """A degradation with all random choices made, except the noise itself."""

    stages: tuple[StagePlan, ...]
    final_kernel: Kernel | None
    final_filter: Filter
    compress_last: bool

    def compute_margin(self, scale: int) -> int:
        """Return how many LR pixels around a crop can change it visibly.

        The reaches of blurs and resizing add up as the sigmas of consecutive blurs: by squares.
        """
        sizes = [1.0, *self._sizes(scale), 1 / scale]  # as shares of hr's size
        kernels = [*(stage.kernel for stage in self.stages), self.final_kernel]
        places = [*sizes[: len(self.stages)], 1 / scale]
        reaches = [
            len(kernel) // 2 / place
            for kernel, place in zip(kernels, places, strict=True)
            if kernel is not None
        ]
        for before, after in pairwise(sizes):
            if before != after:
                reaches.append(_FILTER_REACH / min(before, after))
        return ceil(hypot(*reaches) / scale)

    def _sizes(self, scale: int) -> list[float]:
        """Sizes after each stage's resizing, as shares of hr's size."""
        *earlier, last = (stage.factor for stage in self.stages)
        return [*earlier, last / scale]


def draw_plan(degradation: Degradation, rng: np.random.Generator) -> DegradationPlan | None:
    """Make all random choices; None for a crop with the bicubic lr."""
    if rng.random() < degradation.clean_probability:
        return None
    last = degradation.stages[-1]
    with_sinc = rng.random() < degradation.final_sinc_probability
    return DegradationPlan(
        stages=tuple(_draw_stage(stage, rng) for stage in degradation.stages),
        final_kernel=draw_sinc_kernel(last.kernel_sizes, rng) if with_sinc else None,
        final_filter=_draw_filter(last, rng),
        compress_last=bool(rng.random() < 0.5),  # sec. 4.1: both orders equally often
    )


def degrade(
    hr: npt.NDArray[np.uint8], plan: DegradationPlan, scale: int, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Degrade hr by a plan; rng makes the noise.

    hr: (scale*H, scale*W, 3), uint8 RGB. Returns (H, W, 3), uint8 RGB, in register with hr.
    """
    lr_size = hr.shape[0] // scale, hr.shape[1] // scale
    image = to_float(hr)
    for stage in plan.stages[:-1]:
        image = _degrade_once(image, stage, (hr.shape[0], hr.shape[1]), rng)
        image = _compress(image, stage)
    last = plan.stages[-1]
    image = _degrade_once(image, last, lr_size, rng)
    if not plan.compress_last:
        image = _compress(image, last)
    image = resize(image, lr_size, plan.final_filter)
    if plan.final_kernel is not None:
        image = blur(image, plan.final_kernel)
    if plan.compress_last:
        image = _compress(image, last)
    return to_uint8(image)


def _draw_stage(stage: Stage, rng: np.random.Generator) -> StagePlan:
    kernel: Kernel | None = None
    if rng.random() < stage.blur_probability:
        kernel = draw_blur_kernel(stage.kernel_sizes, stage.blur_sigma, stage.sinc_probability, rng)
    gaussian = bool(rng.random() < stage.gaussian_probability)
    codec: Codec | None = None
    if rng.random() < stage.compression_probability:
        codec = "webp" if rng.random() < stage.webp_probability else "jpeg"
    return StagePlan(
        kernel=kernel,
        factor=_draw_factor(stage, rng),
        filter=_draw_filter(stage, rng),
        gaussian=gaussian,
        noise=rng.uniform(*(stage.gaussian_sigma if gaussian else stage.poisson_scale)),
        gray=bool(rng.random() < stage.grey_probability),
        codec=codec,
        quality=int(rng.integers(*stage.quality, endpoint=True)),
    )


def _draw_factor(stage: Stage, rng: np.random.Generator) -> float:
    up, down, _ = stage.resize_probabilities
    choice = rng.random()
    if choice < up:
        return rng.uniform(1, stage.resize_factor[1])
    if choice < up + down:
        return rng.uniform(stage.resize_factor[0], 1)
    return 1.0


def _draw_filter(stage: Stage, rng: np.random.Generator) -> Filter:
    return stage.resize_filters[int(rng.integers(len(stage.resize_filters)))]


def _degrade_once(
    image: FloatImage, plan: StagePlan, base: tuple[int, int], rng: np.random.Generator
) -> FloatImage:
    """Blur, resize to `factor` of the base size and add noise."""
    if plan.kernel is not None:
        image = blur(image, plan.kernel)
    height, width = (max(1, round(plan.factor * side)) for side in base)
    image = resize(image, (height, width), plan.filter)
    if plan.noise == 0:
        return image
    add_noise = add_gaussian_noise if plan.gaussian else add_poisson_noise
    return add_noise(image, plan.noise, plan.gray, rng)


def _compress(image: FloatImage, plan: StagePlan) -> FloatImage:
    return image if plan.codec is None else compress(image, plan.codec, plan.quality)
