"""Options of the loss terms, each a union discriminated by `type`."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from sr.options.base import Section


class L1Options(Section):
    """Mean absolute difference."""

    type: Literal["L1"]
    weight: PositiveFloat = 1.0
    """Factor of this term in the total loss."""


class MSEOptions(Section):
    """Mean squared difference."""

    type: Literal["MSE"]
    weight: PositiveFloat = 1.0
    """Factor of this term in the total loss."""


class CharbonnierOptions(Section):
    """Mean of sqrt(difference^2 + epsilon^2), a smooth L1."""

    type: Literal["Charbonnier"]
    weight: PositiveFloat = 1.0
    """Factor of this term in the total loss."""
    epsilon: PositiveFloat = 1e-3
    """Width of the rounded tip, in units of the [0, 1] range."""


PixelOptions = Annotated[L1Options | MSEOptions | CharbonnierOptions, Field(discriminator="type")]


FeatureWeights = Literal["torchvision", "random"] | Path
"""torchvision's ImageNet weights (downloaded once), random ones, or a local file."""

_VGG_CONVOLUTIONS = {"VGG16": (2, 2, 3, 3, 3), "VGG19": (2, 2, 4, 4, 4)}  # per block


class PerceptualOptions(Section):
    """Distance of features of a VGG network, Johnson et al. 2016."""

    type: Literal["VGG16", "VGG19"]
    """Network whose features are compared."""
    layers: dict[str, PositiveFloat] = Field(min_length=1)
    """Layers with their weights; conv5_4 is before, relu5_4 after the activation."""
    weight: PositiveFloat = 1.0
    """Factor of this term in the total loss."""
    criterion: Literal["L1", "MSE"] = "L1"
    """Distance of two feature maps."""
    weights: FeatureWeights = "torchvision"
    """torchvision: ImageNet, downloaded once. Or a local safetensors or pth file with
    torchvision's key names; or `random`, for tests."""

    @model_validator(mode="after")
    def _layers_exist(self) -> Self:
        for name in self.layers:
            match = re.fullmatch(r"(?:conv|relu)([1-5])_([1-4])", name)
            if match is None or int(match[2]) > _VGG_CONVOLUTIONS[self.type][int(match[1]) - 1]:
                counts = _VGG_CONVOLUTIONS[self.type]
                last = ", ".join(f"{block}_{count}" for block, count in enumerate(counts, start=1))
                raise ValueError(
                    f"layers: expected conv or relu and block_number, up to {last} for "
                    f"{self.type}, got {name!r}"
                )
        return self


class AdversarialOptions(Section):
    """Adversarial term."""

    type: Literal["standard", "least_squares", "hinge", "wasserstein", "relativistic_average"]
    """Loss function of the logits. standard: SRGAN's; relativistic_average: ESRGAN's."""
    weight: PositiveFloat
    """Factor of this term in the total loss."""
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


class TotalVariationOptions(Section):
    """Differences of neighboring pixels of sr; has a smoothing effect."""

    type: Literal["squared", "absolute"]
    """Function of the differences; squared mostly smooths large ones."""
    weight: PositiveFloat
    """Factor of this term in the total loss; does not depend on the crop's size."""


class MSSSIMOptions(Section):
    """1 - MS-SSIM, Snell et al. 2017."""

    weight: PositiveFloat
    """Factor of this term in the total loss."""


class LPIPSOptions(Section):
    """LPIPS, Zhang et al. 2018."""

    network: Literal["AlexNet", "VGG16"] = "VGG16"
    """Network whose features are compared."""
    weight: PositiveFloat
    """Factor of this term in the total loss."""
    weights: FeatureWeights = "torchvision"
    """As in the perceptual term; those of `network`."""


class TemporalOptions(Section):
    """Temporal consistency of two consecutive results, after Lai et al. 2018. Batches then
    contain two references of each clip; needs a source of clips and datasets.window."""

    weight: PositiveFloat
    """Factor of this term in the total loss."""


class TeacherOptions(Section):
    """Distance of sr and what a trained model, the teacher, makes of the same input."""

    model: str = Field(min_length=1)
    """File of any model that the program reads, or the name of a bundled one; of the same scale,
    and of single images."""
    criterion: Literal["L1", "MSE", "Charbonnier"] = "L1"
    """Distance of two results, pixel by pixel."""
    weight: PositiveFloat = 1.0
    """Factor of this term in the total loss."""
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
    lpips: LPIPSOptions | None = None
    """Learned perceptual distance of sr and hr."""
    temporal: TemporalOptions | None = None
    """Flicker of consecutive results; for clips."""
    teacher: TeacherOptions | None = None
    """Distance of sr and a teacher's result: knowledge distillation."""

    @model_validator(mode="after")
    def _has_a_target(self) -> Self:
        if not any((self.pixel, self.perceptual, self.ms_ssim, self.lpips, self.teacher)):
            raise ValueError(
                "expected a term that compares sr with hr (pixel, perceptual, ms_ssim or lpips) or "
                "with a teacher's result (teacher)"
            )
        return self
