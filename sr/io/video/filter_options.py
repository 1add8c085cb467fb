"""How the frames of a video are filtered while they are read; imports no codec."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Deinterlace = Literal["off", "auto", "on", "fields"]
"""Which frames: none; those that are flagged as interlaced; all; all, a frame from each field."""
FieldOrder = Literal["auto", "top", "bottom"]
"""Which field is shown first. auto: as each frame is flagged, top where it is not."""

TELECINE_CYCLE = 5  # frames, of which one is a repetition: 24 frames in 60 fields (3:2 pulldown)


@dataclass(frozen=True)
class FilterOptions:
    """See the flags of the same names."""

    deinterlace: Deinterlace = "off"
    field_order: FieldOrder = "auto"
    inverse_telecine: bool = False
    crop_bars: bool = False

    @property
    def rate_factor(self) -> Fraction:
        """Frames that are handed out per frame that is decoded."""
        if self.inverse_telecine:
            return Fraction(TELECINE_CYCLE - 1, TELECINE_CYCLE)
        return Fraction(2 if self.deinterlace == "fields" else 1)

    @property
    def ticks_per_tick(self) -> int:
        """New units of time per unit of the source, so that all new times are whole."""
        if self.inverse_telecine:
            return TELECINE_CYCLE - 1
        return 2 if self.deinterlace == "fields" else 1

    def count_frames(self, num_frames: int) -> int:
        """Return how many frames are handed out of `num_frames`."""
        if self.inverse_telecine:
            cycles, rest = divmod(num_frames, TELECINE_CYCLE)
            return cycles * (TELECINE_CYCLE - 1) + rest
        return num_frames * int(self.rate_factor)


NO_FILTERS = FilterOptions()
