"""Options of the generator's loss: its terms, and how they are weighted."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from sr.options.base import Section
from sr.options.feature_losses import (
    ContextualOptions,
    ContrastiveOptions,
    DistributionOptions,
    DISTSOptions,
    HighFrequencyOptions,
    LPIPSOptions,
    PerceptualOptions,
)
from sr.options.image_losses import (
    ColorOptions,
    FrequencyOptions,
    GradientVarianceOptions,
    LDLOptions,
    MSSSIML1Options,
    MSSSIMOptions,
    PixelOptions,
    S3IMOptions,
    TermOptions,
    TotalVariationOptions,
    WaveletOptions,
)


class AdversarialOptions(TermOptions):
    """Adversarial term."""

    type: Literal["standard", "least_squares", "hinge", "wasserstein", "relativistic_average"]
    """Loss function of the logits. standard: SRGAN's; relativistic_average: ESRGAN's."""
    weight: NonNegativeFloat
    """Factor of this term in the total loss. 0 trains the discriminator alone, for
    losses.contrastive."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The discriminator's target for hr is 1 minus this; not with hinge and wasserstein."""
    r1_weight: NonNegativeFloat = 0.0
    """Weight of the R1 penalty in the discriminator's loss (Mescheder et al. 2018); 0 is off."""
    r1_interval: PositiveInt = 1
    """R1 is computed in every N-th step of the discriminator, with N times the weight."""

    @model_validator(mode="after")
    def _smoothing_has_a_meaning(self) -> Self:
        if self.label_smoothing and self.type in ("hinge", "wasserstein"):
            raise ValueError(
                f"label_smoothing: expected 0 with {self.type}, got {self.label_smoothing}"
            )
        return self


class TemporalOptions(TermOptions):
    """Temporal consistency of two consecutive results, after Lai et al. 2018. Batches then
    contain two references of each clip; needs a source of clips and datasets.window."""

    weight: PositiveFloat


class TeacherOptions(TermOptions):
    """Distance of sr and what a trained model, the teacher, makes of the same input."""

    model: str = Field(min_length=1)
    """File of any model that the program reads, or a name that `infer.py -m` takes; of
    single images, and of the same scale or a larger one, whose results are shrunk."""
    criterion: Literal["L1", "MSE", "Charbonnier"] = "L1"
    """Distance of two results, pixel by pixel."""
    inputs: tuple[Literal["lr", "zoomed"], ...] = ("lr",)
    """What both upscale: lr; with `zoomed` also parts of hr of lr's size, of which there is no
    original (Zhang et al. 2023). Each step then upscales twice as many crops."""

    @model_validator(mode="after")
    def _inputs_begin_with_lr(self) -> Self:
        if self.inputs not in (("lr",), ("lr", "zoomed")):
            raise ValueError(
                f"inputs: expected [lr] or [lr, zoomed], got [{', '.join(self.inputs)}]"
            )
        return self


class UncertaintyOptions(Section):
    """Learned weights after Kendall et al. 2018: the sum of exp(-s) * weight * term + s over the
    terms that lead to the original by themselves (pixel, perceptual, ms_ssim, ms_ssim_l1, lpips,
    dists, frequency), s learned for each from 0 on. All other weights stay as they are."""

    learning_rate: PositiveFloat = 1e-3
    """Of Adam, for s; constant. s stays within -4 and 4."""


class LossesOptions(Section):
    """The terms of the generator's loss: total = sum of weight * term."""

    pixel: PixelOptions | None = None
    """Distance of sr and hr, pixel by pixel."""
    perceptual: PerceptualOptions | None = None
    """Distance of sr and hr in the features of a network."""
    adversarial: AdversarialOptions | None = None
    """Needs a discriminator."""
    total_variation: TotalVariationOptions | None = None
    """Smoothness of sr."""
    ms_ssim: MSSSIMOptions | None = None
    """Structural distance of sr and hr."""
    ms_ssim_l1: MSSSIML1Options | None = None
    """Structural distance and L1 in one term."""
    lpips: LPIPSOptions | None = None
    """Learned perceptual distance of sr and hr."""
    dists: DISTSOptions | None = None
    """Learned perceptual distance that tolerates another sample of the same texture."""
    frequency: FrequencyOptions | None = None
    """Distance of sr and hr in the Fourier domain."""
    wavelet: WaveletOptions | None = None
    """Distance of sr and hr in high frequencies."""
    color: ColorOptions | None = None
    """Distance of the averaged colors of sr and hr."""
    gradient_variance: GradientVarianceOptions | None = None
    """Sharpness of sr where hr is sharp."""
    s3im: S3IMOptions | None = None
    """Structural distance over random pixels."""
    ldl: LDLOptions | None = None
    """Distance of sr and hr where there are artifacts."""
    contextual: ContextualOptions | None = None
    """Distance of sr and hr as sets of features."""
    high_frequency: HighFrequencyOptions | None = None
    """Distance of sr and hr in high frequencies of features."""
    distribution: DistributionOptions | None = None
    """Divergence of the features of sr and hr."""
    contrastive: ContrastiveOptions | None = None
    """Nearness of sr to hr, compared with blurred images."""
    temporal: TemporalOptions | None = None
    """Flicker of consecutive results; for clips."""
    teacher: TeacherOptions | None = None
    """Distance of sr and a teacher's result: knowledge distillation."""
    uncertainty: UncertaintyOptions | None = None
    """Learns the weights of terms during the run."""

    @property
    def terms(self) -> dict[str, TermOptions]:
        """The terms that are there, by key."""
        return {name: term for name, term in self if isinstance(term, TermOptions)}

    @property
    def targets(self) -> dict[str, TermOptions]:
        """Those of the terms that lead to the original by themselves."""
        return {name: term for name, term in self.terms.items() if term.is_target}

    @model_validator(mode="after")
    def _has_a_target(self) -> Self:
        if not self.targets and self.teacher is None:
            raise ValueError(
                "expected a term that compares sr with hr (pixel, perceptual, ms_ssim, ms_ssim_l1, "
                "lpips, dists or frequency) or with a teacher's result (teacher)"
            )
        return self

    @model_validator(mode="after")
    def _discriminator_has_a_use(self) -> Self:
        if self.contrastive is not None and self.adversarial is None:
            raise ValueError(
                "contrastive: expected losses.adversarial too, which trains the discriminator, got "
                "none; its weight may be 0"
            )
        if self.contrastive is None and self.adversarial and not self.adversarial.weight:
            raise ValueError("adversarial.weight: expected above 0 without contrastive, got 0")
        return self

    @model_validator(mode="after")
    def _learned_weights_have_a_choice(self) -> Self:
        if self.uncertainty is not None and len(self.targets) < 2:
            raise ValueError(
                "uncertainty: expected two or more of pixel, perceptual, ms_ssim, ms_ssim_l1, "
                f"lpips, dists and frequency, got {', '.join(self.targets) or 'none'}"
            )
        return self
