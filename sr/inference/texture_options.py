"""Options of `infer.py` on the texture of results; see `sr.inference.options`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from sr.errors import UsageError
from sr.inference.flag import TEXTURE, Flag

MAX_GRAIN = 50.0  # levels of 8 bits


@dataclass(frozen=True)
class TextureOptions:
    """What is mixed with the model's result, before it is rounded to the bits of the file."""

    strength: Annotated[float, Flag(TEXTURE, "0..1")] = 1.0
    """Share of the model in the result: 1 is the model's alone, 0 bicubic interpolation, without
    added texture and without added detail."""
    strength_with: Annotated[
        str | None, Flag(TEXTURE, "NAME|FILE", default="bicubic interpolation")
    ] = None
    """With --strength: mix with this model of the same scale instead, such as compact_x4 with
    compact_real_x4."""
    mask: Annotated[Path | None, Flag(TEXTURE, "IMAGE")] = None
    """Use the model where this image is white, bicubic interpolation where it is black, and a mix
    where it is gray. It is stretched over each input, and has its aspect ratio."""
    grain: Annotated[float, Flag(TEXTURE, "LEVELS")] = 0.0
    """Add film grain to the brightness: its standard deviation in middle gray, in levels of 8 bits;
    3 is fine, 8 coarse. The same at every run; of a video's frames each has its own."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise UsageError(f"--strength {self.strength:g}: expected a number from 0 to 1")
        if self.strength_with is not None and self.strength == 1:
            raise UsageError("--strength-with: needs --strength below 1, the share of -m")
        if not 0 <= self.grain <= MAX_GRAIN:
            raise UsageError(f"--grain {self.grain:g}: expected a number from 0 to {MAX_GRAIN:g}")
