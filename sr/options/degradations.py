"""Options of blind degradations, a union discriminated by `type`.

The types have the same kinds of stages and differ in their defaults. Every range can be replaced
alone: `degradation: {type: Real, first: {quality: [30, 95]}}`.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat

from sr.options.base import Section


def _rising(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"expected the smaller number first, got {list(bounds)}")
    return bounds


def _around_one(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] <= 1 <= bounds[1]:
        raise ValueError(f"expected a range around 1, got {list(bounds)}")
    return bounds


def _odd(sizes: tuple[int, int]) -> tuple[int, int]:
    if sizes[0] > sizes[1] or not all(size % 2 for size in sizes):
        raise ValueError(f"expected two odd sizes, the smaller one first, got {list(sizes)}")
    return sizes


def _summing_to_one(shares: tuple[float, float, float]) -> tuple[float, float, float]:
    if abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"expected probabilities that sum to 1, got {list(shares)}")
    return shares


# The types carry the descriptions, so that a preset can replace a default without repeating one.
Probability = Annotated[float, Field(ge=0, le=1)]
_BlurProbability = Annotated[Probability, Field(description="Share of crops that are blurred.")]
_Side = Annotated[int, Field(ge=3, le=51)]
_KernelSizes = Annotated[
    tuple[_Side, _Side],
    AfterValidator(_odd),
    Field(description="Smallest and largest side of the blur kernels, odd, in pixels."),
]
_BlurSigma = Annotated[
    tuple[PositiveFloat, PositiveFloat],
    AfterValidator(_rising),
    Field(description="Standard deviations of the blur kernels, in pixels."),
]
_SincProbability = Annotated[
    Probability, Field(description="Share of blurs by a sinc kernel, which causes ringing.")
]
_ResizeProbabilities = Annotated[
    tuple[Probability, Probability, Probability],
    AfterValidator(_summing_to_one),
    Field(description="Probabilities of upscaling, downscaling, and keeping the size."),
]
_ResizeFactor = Annotated[
    tuple[Annotated[float, Field(ge=0.05)], Annotated[float, Field(le=4)]],
    AfterValidator(_around_one),
    Field(
        description="Smallest and largest size after resizing, as a factor of hr's size, in the "
        "last stage of lr's."
    ),
]
_ResizeFilters = Annotated[
    tuple[Literal["area", "bilinear", "bicubic"], ...],
    Field(
        min_length=1,
        description="Ways of resizing, one drawn each time. Only area averages when shrinking; "
        "the others sample, which leaves jagged edges.",
    ),
]
_GaussianProbability = Annotated[
    Probability, Field(description="Share of Gaussian noise; the rest gets Poisson noise.")
]
_GaussianSigma = Annotated[
    tuple[NonNegativeFloat, NonNegativeFloat],
    AfterValidator(_rising),
    Field(description="Standard deviations of Gaussian noise, in 8-bit levels."),
]
_PoissonScale = Annotated[
    tuple[NonNegativeFloat, NonNegativeFloat],
    AfterValidator(_rising),
    Field(description="Strengths of Poisson noise; 1: sqrt(v) levels at a value of v levels."),
]
_GrayProbability = Annotated[
    Probability, Field(description="Share of noise that is the same in all channels.")
]
_CompressionProbability = Annotated[
    Probability, Field(description="Share of crops that are compressed.")
]
_WebpProbability = Annotated[
    Probability, Field(description="Share of compressions by WebP (slow) instead of JPEG.")
]
_PerCent = Annotated[int, Field(ge=1, le=100)]
_Quality = Annotated[
    tuple[_PerCent, _PerCent],
    AfterValidator(_rising),
    Field(description="Lowest and highest quality of JPEG and WebP, of 100."),
]


class StageOptions(Section):
    """Blur, resizing, noise and compression; the defaults are Real-ESRGAN's first stage."""

    blur_probability: _BlurProbability = 1.0
    kernel_sizes: _KernelSizes = (7, 21)
    blur_sigma: _BlurSigma = (0.2, 3.0)
    sinc_probability: _SincProbability = 0.1
    resize_probabilities: _ResizeProbabilities = (0.2, 0.7, 0.1)
    resize_factor: _ResizeFactor = (0.15, 1.5)
    resize_filters: _ResizeFilters = ("area", "bilinear", "bicubic")
    gaussian_probability: _GaussianProbability = 0.5
    gaussian_sigma: _GaussianSigma = (1.0, 30.0)
    poisson_scale: _PoissonScale = (0.05, 3.0)
    grey_probability: _GrayProbability = 0.4
    compression_probability: _CompressionProbability = 1.0
    webp_probability: _WebpProbability = 0.0
    quality: _Quality = (30, 95)


class RealESRGANSecondStage(StageOptions):
    """Real-ESRGAN's second stage."""

    blur_probability: _BlurProbability = 0.8
    blur_sigma: _BlurSigma = (0.2, 1.5)
    resize_probabilities: _ResizeProbabilities = (0.3, 0.4, 0.3)
    resize_factor: _ResizeFactor = (0.3, 1.2)
    gaussian_sigma: _GaussianSigma = (1.0, 25.0)
    poisson_scale: _PoissonScale = (0.05, 2.5)


class RealFirstStage(StageOptions):
    """First stage between Real-ESRGAN's and the mild ones of community templates."""

    blur_probability: _BlurProbability = 0.8
    kernel_sizes: _KernelSizes = (7, 13)
    blur_sigma: _BlurSigma = (0.2, 2.0)
    resize_factor: _ResizeFactor = (0.4, 1.5)
    gaussian_sigma: _GaussianSigma = (0.0, 10.0)
    poisson_scale: _PoissonScale = (0.0, 0.6)
    webp_probability: _WebpProbability = 0.1
    quality: _Quality = (40, 95)


class RealSecondStage(StageOptions):
    """Second stage between Real-ESRGAN's and the mild ones of community templates."""

    blur_probability: _BlurProbability = 0.4
    kernel_sizes: _KernelSizes = (7, 13)
    blur_sigma: _BlurSigma = (0.2, 1.0)
    resize_probabilities: _ResizeProbabilities = (0.3, 0.4, 0.3)
    resize_factor: _ResizeFactor = (0.6, 1.2)
    gaussian_sigma: _GaussianSigma = (0.0, 6.0)
    poisson_scale: _PoissonScale = (0.0, 0.4)
    webp_probability: _WebpProbability = 0.1
    quality: _Quality = (35, 95)


class LightStage(StageOptions):
    """The only stage, for nearly clean images: little blur, antialiased, high quality."""

    blur_probability: _BlurProbability = 0.5
    kernel_sizes: _KernelSizes = (7, 9)
    blur_sigma: _BlurSigma = (0.2, 1.5)
    sinc_probability: _SincProbability = 0.0
    resize_probabilities: _ResizeProbabilities = (0.0, 0.0, 1.0)
    resize_factor: _ResizeFactor = (0.8, 1.2)
    resize_filters: _ResizeFilters = ("area",)
    gaussian_sigma: _GaussianSigma = (0.0, 5.0)
    poisson_scale: _PoissonScale = (0.0, 0.3)
    compression_probability: _CompressionProbability = 0.8
    webp_probability: _WebpProbability = 0.1
    quality: _Quality = (70, 95)


_FinalSincProbability = Annotated[
    Probability, Field(description="Share of lr crops with a final sinc filter.")
]
_CleanProbability = Annotated[
    Probability,
    Field(description="Share of crops with only bicubic downscaling (MATLAB's), for clean images."),
]


class RealESRGANOptions(Section):
    """Two stages with the ranges of Real-ESRGAN, Wang et al. 2021, sec. 4.1; unlike there, 10 % of
    the crops stay clean by default (`clean_probability`)."""

    type: Literal["RealESRGAN"]
    first: StageOptions = StageOptions()
    second: RealESRGANSecondStage = RealESRGANSecondStage()
    final_sinc_probability: _FinalSincProbability = 0.8
    clean_probability: _CleanProbability = 0.1  # 0 in the paper, whose model blurs clean images


class RealOptions(Section):
    """Two milder stages, for photos from cameras and the web."""

    type: Literal["Real"]
    first: RealFirstStage = RealFirstStage()
    second: RealSecondStage = RealSecondStage()
    final_sinc_probability: _FinalSincProbability = 0.4
    clean_probability: _CleanProbability = 0.1


class LightOptions(Section):
    """One weak stage, for nearly clean images."""

    type: Literal["Light"]
    only: LightStage = LightStage()
    final_sinc_probability: _FinalSincProbability = 0.0
    clean_probability: _CleanProbability = 0.1


DegradationOptions = Annotated[
    RealESRGANOptions | RealOptions | LightOptions, Field(discriminator="type")
]
