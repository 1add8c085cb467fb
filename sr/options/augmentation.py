"""Options of what is done to training crops after they were cut: augmentations, sharpening."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, model_validator

from sr.options.base import Probability, Section

_SHARED = ("mixup", "cutmix", "cutmixup")


class AugmentationOptions(Section):
    """Augmentations of Yoo et al. 2020; a crop gets at most one, drawn by the shares. The paper's
    mixture has 0.4 for cutblur and 0.1 for each of the others."""

    probability: Probability = 0.5
    """Share of crops that are augmented."""
    rgb: NonNegativeFloat = 0.0
    """Share of permuted color channels, relative to the other kinds; 0: none."""
    blend: NonNegativeFloat = 0.0
    """Share of crops that are blended with a random color."""
    mixup: NonNegativeFloat = 0.0
    """Share of means, randomly weighted, with another crop of the batch."""
    cutmix: NonNegativeFloat = 0.0
    """Share of crops of which a part, 70 % of each side, is another crop's."""
    cutmixup: NonNegativeFloat = 0.0
    """Share of crops of which a part, or all but a part, is mixed as by mixup."""
    cutblur: NonNegativeFloat = 0.0
    """Share of lr crops of which a part, or all but a part, is downscaled hr, without degradation.
    Needs a degradation, or PairedFolders."""

    @property
    def needs_several_crops(self) -> bool:
        """Whether crops of a batch are mixed with each other."""
        return any(getattr(self, kind) for kind in _SHARED)

    @model_validator(mode="after")
    def _there_is_a_kind(self) -> Self:
        kinds = [name for name in type(self).model_fields if name != "probability"]
        if not any(getattr(self, kind) for kind in kinds):
            raise ValueError(f"expected a share above 0 for one of {', '.join(kinds)}")
        return self


def _check_odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError(f"expected an odd number, got {size}")
    return size


class SharpeningOptions(Section):
    """Unsharp masking of hr before it is degraded, as Real-ESRGAN's, so that results are sharper.
    Validation compares with hr as it is; PSNR is lower."""

    targets: Literal["all", "all_but_adversarial"] = "all_but_adversarial"
    """What the sharpened hr is the target of. all: of every loss term (as in RealESRNet);
    all_but_adversarial: not of the adversarial and the contrastive term, and the discriminator sees
    hr as it is (as in RealESRGAN)."""
    kernel_size: Annotated[int, Field(ge=3, le=101), AfterValidator(_check_odd)] = 51
    """Side of the Gaussian kernel, odd, in HR pixels; its sigma is 0.15 times that plus 0.35."""
    amount: PositiveFloat = 0.5
    """Factor of what the blur removes, which is added."""
    threshold: Annotated[float, Field(ge=0, lt=255)] = 10.0
    """Only where the blur removes more than this, in 8-bit levels, hr is sharpened."""
