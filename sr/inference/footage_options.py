"""The options of `infer.py` for old footage: fields, telecine, black bars, oblong pixels."""

from dataclasses import dataclass
from typing import Annotated

from sr.errors import UsageError
from sr.inference.flag import VIDEO, Flag
from sr.io.video.filter_options import Deinterlace, FieldOrder, FilterOptions


@dataclass(frozen=True)
class FootageOptions:
    """How the frames of videos from tape, DVD and television are made whole before the network."""

    deinterlace: Annotated[Deinterlace, Flag(VIDEO)] = "auto"
    """Interlaced video. auto: frames that the file flags as interlaced are deinterlaced (FFmpeg's
    bwdif); on: all frames, for files without flags; fields: all, each field becomes a frame, 50 or
    59.94 per second instead of 25 or 29.97; off: frames stay as they are."""
    field_order: Annotated[FieldOrder, Flag(VIDEO)] = "auto"
    """Which field of interlaced frames is shown first. auto: as each frame is flagged, top where it
    is not; DV is bottom."""
    inverse_telecine: Annotated[bool, Flag(VIDEO)] = False
    """Undo 3:2 pulldown: film of 24 frames per second in NTSC's 29.97 (FFmpeg's fieldmatch and
    decimate); what stays interlaced is deinterlaced, unless that is off."""
    crop_bars: Annotated[bool, Flag(VIDEO)] = False
    """Crop black bars: what is black at the sides in all of 24 frames, evenly over the video."""
    square_pixels: Annotated[bool, Flag(VIDEO)] = False
    """Make the result's pixels square: its width follows from the source's pixel aspect ratio."""

    def __post_init__(self) -> None:
        if self.inverse_telecine and self.deinterlace == "fields":
            raise UsageError(
                "--inverse-telecine and --deinterlace fields: expected one of them, got both"
            )

    @property
    def filters(self) -> FilterOptions:
        """What concerns the reader."""
        return FilterOptions(
            self.deinterlace, self.field_order, self.inverse_telecine, self.crop_bars
        )
