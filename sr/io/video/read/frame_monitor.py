"""Find in the frames of a video what their first one need not have: metadata that begin later."""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import av
from av.sidedata.sidedata import Type as Kind

from sr.io.video.filter_options import FilterOptions
from sr.io.video.read.frame_metadata import read_frame_side_data

INTERLACED = "interlaced; upscaled as it is: --deinterlace auto makes whole frames of it"
DEINTERLACED = (
    "interlaced, so deinterlaced: --deinterlace fields keeps its motion (50 frames of 50 fields),"
    " off its fields"
)
_LEFT_OUT = {
    Kind.DOVI_RPU_BUFFER: "Dolby Vision's metadata is left out",
    Kind.DOVI_METADATA: "Dolby Vision's metadata is left out",
    Kind.DYNAMIC_HDR_PLUS: "HDR10+ metadata is left out",
    Kind.DYNAMIC_HDR_VIVID: "HDR Vivid metadata is left out",
    Kind.A53_CC: "closed captions inside the frames are left out",
}
_OF_THE_FIRST = {
    Kind.MASTERING_DISPLAY_METADATA: "metadata of the mastering display is left out",
    Kind.CONTENT_LIGHT_LEVEL: "the content's light level is left out",
    Kind.DISPLAYMATRIX: "a rotation is left out",
    Kind.SPHERICAL: "the tag of 360 degree video is left out",
    Kind.STEREO3D: "the tag of stereoscopic video is left out",
}
"""What is read of the first frame alone, and holds for the whole result."""


class _Traits(NamedTuple):
    """What is noted of a frame, and differs in few of them."""

    kinds: frozenset[Kind]
    """Of its side data."""
    interlaced: bool
    color: tuple[int, int, int, int]
    """Matrix, primaries, transfer and range."""
    size: str
    ratio: Fraction

    def list_losses(self) -> Iterator[str]:
        """Yield what is lost of any frame, in words."""
        if self.interlaced:
            yield INTERLACED
        for kind, note in _LEFT_OUT.items():
            if kind in self.kinds:
                yield note

    def list_changes(self, first: "_Traits") -> Iterator[str]:
        """Yield how this frame differs from the first, in words."""
        for kind, note in _OF_THE_FIRST.items():
            if kind in self.kinds and kind not in first.kinds:
                yield f"{note}, as the first frame has none"
        if self.color != first.color:
            yield "color matrix, primaries, transfer or range change; taken as before"
        if self.ratio != first.ratio:
            yield (
                f"the pixels' aspect ratio becomes {float(self.ratio):.4g}, the result keeps"
                f" {float(first.ratio):.4g}"
            )
        if self.size != first.size:
            yield f"frames of {self.size} are converted to the first one's {first.size}"


class FrameMonitor:
    """Compares the frames of a video, each given once, in order."""

    def __init__(self, filters: FilterOptions) -> None:
        """filters: what becomes of interlaced frames."""
        is_wanted = filters.inverse_telecine or filters.deinterlace in ("on", "fields")
        self._noted = {INTERLACED} if is_wanted else set()
        self._is_deinterlaced = filters.deinterlace == "auto"
        self._first: _Traits | None = None
        self._last: _Traits | None = None

    def find_new(self, frame: av.VideoFrame, ratio: Fraction) -> list[str]:
        """Return notes for the user on what no frame before had; ratio: a pixel's width to height.

        A note is given once, as soon as a frame has its reason.
        """
        traits = _Traits(
            frozenset(read_frame_side_data(frame)),
            frame.interlaced_frame,
            (
                int(frame.colorspace),
                int(frame.color_primaries),
                int(frame.color_trc),
                int(frame.color_range),
            ),
            describe_size(frame),
            ratio,
        )
        if traits == self._last:
            return []
        self._last = traits
        self._first = self._first or traits
        # two kinds may share a note
        notes = dict.fromkeys((*traits.list_losses(), *traits.list_changes(self._first)))
        new = [note for note in notes if note not in self._noted]
        self._noted.update(new)
        if self._is_deinterlaced:
            new = [DEINTERLACED if note == INTERLACED else note for note in new]
        return new


def describe_size(frame: av.VideoFrame) -> str:
    """Return size and pixel format for messages: `64x48 yuv420p`."""
    return f"{frame.width}x{frame.height} {frame.format.name}"
