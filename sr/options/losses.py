"""Options of the loss terms, each a union told apart by `type`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from sr.options.section import Section


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


class LossesOptions(Section):
    """The terms of the generator's loss."""

    pixel: PixelOptions
    """Distance of sr and hr, pixel by pixel."""
