"""Watch the frames of a video for what their first one need not have: metadata that begin later.

A note is given once for each kind, as soon as a frame has it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av.sidedata.sidedata import SideData, SideDataContainer
from av.sidedata.sidedata import Type as Kind

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


@dataclass(frozen=True)
class _Traits:
    """What is taken from the first frame for all."""

    contents: dict[Kind, bytes]
    color: tuple[int, int, int, int]
    """Matrix, primaries, transfer and range."""
    size: str
    ratio: Fraction

    def list_changes(self, other: "_Traits") -> Iterator[str]:
        """Yield how another frame differs, in words."""
        for kind, note in _OF_THE_FIRST.items():
            if kind in other.contents and kind not in self.contents:
                yield f"{note}, as the first frame has none"
        if other.color != self.color:
            yield "color matrix, primaries, transfer or range change; taken as before"
        if other.ratio != self.ratio:
            yield (
                f"the pixels' aspect ratio becomes {float(other.ratio):.4g}, the result keeps"
                f" {float(self.ratio):.4g}"
            )
        if other.size != self.size:
            yield f"frames of {other.size} are converted to the first one's {self.size}"


class FrameWatch:
    """Looks at each frame of a video once, in order.

    notes: for the user, without the file's name; they grow while frames are looked at.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._noted: set[str] = set()
        self._first: _Traits | None = None

    def look(self, frame: av.VideoFrame, place: str, ratio: Fraction) -> None:
        """Note what is new in a frame. place: for messages. ratio: width of a pixel to height."""
        traits = _Traits(
            read_contents(frame),
            (
                int(frame.colorspace),
                int(frame.color_primaries),
                int(frame.color_trc),
                int(frame.color_range),
            ),
            describe_size(frame),
            ratio,
        )
        where = "" if self._first is None else f", from {place} on"
        if frame.interlaced_frame:
            self._note("interlaced; upscaled as it is, deinterlace it first", where)
        for kind, note in _LEFT_OUT.items():
            if kind in traits.contents:
                self._note(note, where)
        if self._first is None:
            self._first = traits
        else:
            for note in self._first.list_changes(traits):
                self._note(note, where)

    def _note(self, note: str, where: str) -> None:
        if note not in self._noted:
            self._noted.add(note)
            self.notes.append(note + where)


def read_contents(frame: av.VideoFrame) -> dict[Kind, bytes]:
    """Return a frame's side data by kind; nothing where it has a kind that PyAV does not know.

    Not by `frame.side_data`, which refers to the frame and is kept by it: such frames live on, and
    their buffers too, until Python collects cycles.
    """
    try:
        # the stubs lack its argument
        side_data = cast(Iterable[SideData], SideDataContainer(frame))  # type: ignore[call-arg]
    except ValueError:
        return {}
    return {data.type: bytes(data) for data in side_data}


def describe_size(frame: av.VideoFrame) -> str:
    """Return size and pixel format for messages: `64x48 yuv420p`."""
    return f"{frame.width}x{frame.height} {frame.format.name}"
