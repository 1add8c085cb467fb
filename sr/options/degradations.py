"""Options of blind degradations, a union discriminated by `type`.

The types have the same kind of stages and differ in their defaults. Every range can be replaced
alone: `degradation: {type: Real, first: {quality: [30, 95]}}`.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
)

from sr.options.base import PositiveRange, Probability, Range, Section, check_order


def _check_around_one(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] <= 1 <= bounds[1]:
        raise ValueError(f"expected a range around 1, got {list(bounds)}")
    return bounds


def _check_odd(sizes: tuple[int, int]) -> tuple[int, int]:
    if sizes[0] > sizes[1] or not all(size % 2 for size in sizes):
        raise ValueError(f"expected two odd sizes, the smaller one first, got {list(sizes)}")
    return sizes


def _check_sum(shares: tuple[float, float, float]) -> tuple[float, float, float]:
    if abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"expected probabilities that sum to 1, got {list(shares)}")
    return shares


_KernelSize = Annotated[int, Field(ge=3, le=51)]
_Percent = Annotated[int, Field(ge=1, le=100)]


class StageOptions(Section):
    """Blur, resizing, noise and compression."""

    blur_probability: Probability = 1.0
    """Share of crops that are blurred."""
    kernel_sizes: Annotated[tuple[_KernelSize, _KernelSize], AfterValidator(_check_odd)] = (7, 21)
    """Smallest and largest side of the blur kernels, odd, in pixels."""
    blur_sigma: PositiveRange = (0.2, 3.0)
    """Standard deviations of the blur kernels, in pixels."""
    sinc_probability: Probability = 0.1
    """Share of blurs by a sinc kernel, which causes ringing."""
    resize_probabilities: Annotated[
        tuple[Probability, Probability, Probability], AfterValidator(_check_sum)
    ] = (0.2, 0.7, 0.1)
    """Probabilities of upscaling, downscaling, and keeping the size."""
    resize_factor: Annotated[
        tuple[Annotated[float, Field(ge=0.05)], Annotated[float, Field(le=4)]],
        AfterValidator(_check_around_one),
    ] = (0.15, 1.5)
    """Smallest and largest size after resizing, as a factor of hr's size, in the last stage of
    lr's."""
    resize_filters: tuple[Literal["area", "bilinear", "bicubic"], ...] = Field(
        default=("area", "bilinear", "bicubic"), min_length=1
    )
    """Ways of resizing, one drawn each time. Only area averages when shrinking; the others sample,
    which leaves jagged edges."""
    gaussian_probability: Probability = 0.5
    """Share of Gaussian noise; the rest gets Poisson noise."""
    gaussian_sigma: Range = (1.0, 30.0)
    """Standard deviations of Gaussian noise, in 8-bit levels."""
    poisson_scale: Range = (0.05, 3.0)
    """Strengths of Poisson noise; 1: sqrt(v) levels at a value of v levels."""
    grey_probability: Probability = 0.4
    """Share of noise that is the same in all channels."""
    compression_probability: Probability = 1.0
    """Share of crops that are compressed."""
    webp_probability: Probability = 0.0
    """Share of compressions by WebP (slow) instead of JPEG."""
    quality: Annotated[tuple[_Percent, _Percent], AfterValidator(check_order)] = (30, 95)
    """Lowest and highest quality of JPEG and WebP, of 100."""


class _Preset(Section):
    """Degradations whose stages have defaults of their own."""

    on_device: bool = False
    """Degrade whole batches on the GPU instead of each crop in a worker process, which then only
    reads and crops: for GPUs that wait for workers. Parameters of each crop are the same; results
    differ in the noise and, by rounding, in JPEG. WebP stays on the CPU. Slower on CPUs."""

    @field_validator("first", "second", "only", mode="before", check_fields=False)
    @classmethod
    def _keep_other_defaults(cls, stage: Any, info: ValidationInfo) -> Any:
        """Take what a stage leaves out from this preset instead of from StageOptions."""
        assert info.field_name is not None
        default = cls.model_fields[info.field_name].default
        return {**dict(default), **stage} if isinstance(stage, dict) else stage


class RealESRGANOptions(_Preset):
    """Two stages with the ranges of Real-ESRGAN, Wang et al. 2021, sec. 4.1; unlike there, 10 % of
    the crops stay clean by default (`clean_probability`)."""

    type: Literal["RealESRGAN"]
    first: StageOptions = StageOptions()
    """Real-ESRGAN's first stage."""
    second: StageOptions = StageOptions(
        blur_probability=0.8,
        blur_sigma=(0.2, 1.5),
        resize_probabilities=(0.3, 0.4, 0.3),
        resize_factor=(0.3, 1.2),
        gaussian_sigma=(1.0, 25.0),
        poisson_scale=(0.05, 2.5),
    )
    """Real-ESRGAN's second stage."""
    final_sinc_probability: Probability = 0.8
    """Share of lr crops with a final sinc filter."""
    clean_probability: Probability = 0.1  # 0 in the paper, whose model blurs clean images
    """Share of crops with only bicubic downscaling (MATLAB's), for clean images."""


class RealOptions(_Preset):
    """Two milder stages, for photos from cameras and the web."""

    type: Literal["Real"]
    first: StageOptions = StageOptions(
        blur_probability=0.8,
        kernel_sizes=(7, 13),
        blur_sigma=(0.2, 2.0),
        resize_factor=(0.4, 1.5),
        gaussian_sigma=(0.0, 10.0),
        poisson_scale=(0.0, 0.6),
        webp_probability=0.1,
        quality=(40, 95),
    )
    """First stage, between Real-ESRGAN's and the mild ones of community templates."""
    second: StageOptions = StageOptions(
        blur_probability=0.4,
        kernel_sizes=(7, 13),
        blur_sigma=(0.2, 1.0),
        resize_probabilities=(0.3, 0.4, 0.3),
        resize_factor=(0.6, 1.2),
        gaussian_sigma=(0.0, 6.0),
        poisson_scale=(0.0, 0.4),
        webp_probability=0.1,
        quality=(35, 95),
    )
    """Second stage, between Real-ESRGAN's and the mild ones of community templates."""
    final_sinc_probability: Probability = 0.4
    """As in RealESRGAN."""
    clean_probability: Probability = 0.1
    """As in RealESRGAN."""


class LightOptions(_Preset):
    """One weak stage, for nearly clean images."""

    type: Literal["Light"]
    only: StageOptions = StageOptions(
        blur_probability=0.5,
        kernel_sizes=(7, 9),
        blur_sigma=(0.2, 1.5),
        sinc_probability=0.0,
        resize_probabilities=(0.0, 0.0, 1.0),
        resize_factor=(0.8, 1.2),
        resize_filters=("area",),
        gaussian_sigma=(0.0, 5.0),
        poisson_scale=(0.0, 0.3),
        compression_probability=0.8,
        webp_probability=0.1,
        quality=(70, 95),
    )
    """The only stage: little blur, antialiased, high quality."""
    final_sinc_probability: Probability = 0.0
    """As in RealESRGAN."""
    clean_probability: Probability = 0.1
    """As in RealESRGAN."""


DegradationOptions = Annotated[
    RealESRGANOptions | RealOptions | LightOptions, Field(discriminator="type")
]
