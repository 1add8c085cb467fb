"""Options of the loss terms that compare images, without a network."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from sr.options.base import Section


class TermOptions(Section):
    """A term of the generator's loss."""

    weight: PositiveFloat = 1.0
    """Factor of this term in the total loss."""

    # Whether the term alone leads to the original; the others go with one that does.
    is_target: ClassVar[bool] = False

    @property
    def least_crop_size(self) -> int:
        """Side of the smallest HR crop that the term takes, pixels."""
        return 1


class L1Options(TermOptions):
    """Mean absolute difference."""

    type: Literal["L1"]
    is_target = True


class MSEOptions(TermOptions):
    """Mean squared difference."""

    type: Literal["MSE"]
    is_target = True


class CharbonnierOptions(TermOptions):
    """Mean of sqrt(difference^2 + epsilon^2), a smooth L1."""

    type: Literal["Charbonnier"]
    epsilon: PositiveFloat = 1e-3
    """Width of the rounded tip, in units of the [0, 1] range."""
    is_target = True


PixelOptions = Annotated[L1Options | MSEOptions | CharbonnierOptions, Field(discriminator="type")]


class TotalVariationOptions(TermOptions):
    """Differences of neighboring pixels of sr; has a smoothing effect."""

    type: Literal["squared", "absolute"]
    """Function of the differences; squared mostly smooths large ones."""
    weight: PositiveFloat
    """Factor of this term in the total loss; does not depend on the crop's size."""


class MSSSIMOptions(TermOptions):
    """1 - MS-SSIM, Snell et al. 2017."""

    weight: PositiveFloat
    is_target = True

    @property
    def least_crop_size(self) -> int:
        """One window."""
        return 11


class MSSSIML1Options(TermOptions):
    """alpha * (1 - MS-SSIM) + (1 - alpha) * L1 under a Gaussian, Zhao et al. 2017. Its MS-SSIM has
    windows of five widths at full size, that of `ms_ssim` one window at five sizes."""

    alpha: Annotated[float, Field(ge=0, le=1)] = 0.84
    """Share of MS-SSIM; 0.84 is the paper's."""
    is_target = True

    @property
    def least_crop_size(self) -> int:
        """Its widest window reaches so far that a border can be reflected."""
        return 25


class FrequencyOptions(TermOptions):
    """Distance of the Fourier transforms. focal: squares, where frequencies that are far off count
    more, Jiang et al. 2021. L1: mean of the absolute real and imaginary parts, Cho et al. 2021."""

    type: Literal["focal", "L1"] = "focal"
    """Distance of two spectra. L1 is about as large as the L1 of the pixels, focal far smaller."""
    alpha: NonNegativeFloat = 1.0
    """focal: exponent of the weights of the frequencies; 0 makes it the MSE of the pixels."""
    is_target = True


class WaveletOptions(TermOptions):
    """Distance of the detail bands of a Haar wavelet transform: high frequencies only."""

    levels: Annotated[int, Field(ge=1, le=5)] = 2
    """Halvings, each with three bands; their distances are summed."""
    criterion: Literal["L1", "MSE"] = "L1"
    """Distance of two bands."""

    @property
    def least_crop_size(self) -> int:
        """One coefficient of the coarsest bands."""
        return 1 << self.levels


class ColorOptions(TermOptions):
    """L1 of the Oklab coordinates (Ottosson 2020) after averaging: color without detail, against
    the drift of color that structural and adversarial terms allow."""

    pool_size: PositiveInt = 8
    """Side of the squares that are averaged, HR pixels."""

    @property
    def least_crop_size(self) -> int:
        """One square."""
        return self.pool_size


class GradientVarianceOptions(TermOptions):
    """Distance of the variances of the gradient in small squares, Abrahamyan et al. 2022."""

    patch_size: Annotated[int, Field(ge=2)] = 8
    """Side of the squares, HR pixels."""

    @property
    def least_crop_size(self) -> int:
        """One square, and the border that the gradient needs."""
        return self.patch_size + 2


class S3IMOptions(TermOptions):
    """1 - SSIM of windows of random pixels from the whole batch, Xie et al. 2023. The draw follows
    from `seed` and the step, so that a resumed run repeats it."""

    repeats: PositiveInt = 10
    """Permutations of the pixels that are compared per step."""
    window_size: Annotated[int, Field(ge=2)] = 4
    """Side of a window: each has its square of pixels."""

    @property
    def least_crop_size(self) -> int:
        """One window."""
        return self.window_size


class LDLOptions(TermOptions):
    """L1 where sr looks like it has artifacts, Liang et al. 2022: where its error varies and
    exceeds that of the averaged weights, which upscale the batch too. Goes with an adversarial
    term."""

    @property
    def least_crop_size(self) -> int:
        """A window and its border's reflection."""
        return 7
