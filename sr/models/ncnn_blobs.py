"""What flows between the layers of an ncnn program, as far as running it needs to be known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction


class UnknownLayerError(ValueError):
    """A layer, or a use of it, that is not known here."""


@dataclass(frozen=True)
class Blob:
    """An image inside the network, or one value per channel. scale: its pixels per LR pixel.

    reach: how far it sees, in LR pixels; None if as far as the whole image.
    """

    channels: int
    scale: Fraction = Fraction(1)
    reach: Fraction | None = Fraction(0)
    is_image: bool = True


@dataclass(frozen=True)
class Weights:
    """Numbers in the .bin file. is_tagged: their type stands before them; else they are float32."""

    count: int
    is_tagged: bool


@dataclass(frozen=True)
class Step:
    """What a layer makes, and of what. is_in_place: the output takes the input's memory.

    workspace: numbers per pixel of the output that it needs meanwhile.
    """

    outputs: Sequence[Blob]
    weights: Sequence[Weights] = ()
    is_in_place: bool = False
    workspace: float = 0


def take_one(inputs: Sequence[Blob], *, image: bool = False) -> Blob:
    """Return the only input. Raises ValueError where there is not one."""
    if len(inputs) != 1 or (image and not inputs[0].is_image):
        raise ValueError(f"expected one {'image as ' if image else ''}input, got {len(inputs)}")
    return inputs[0]


def widen_reach(blob: Blob, num_pixels: int, channels: int) -> Blob:
    """Return a blob that sees so many of its own pixels farther."""
    reach = None if blob.reach is None else blob.reach + Fraction(num_pixels) / blob.scale
    return replace(blob, channels=channels, reach=reach)
