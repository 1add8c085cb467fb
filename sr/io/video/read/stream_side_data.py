"""What a container says of a whole video stream next to its codec: cropping, projection, stereo.

PyAV hands it out only within the text in which FFmpeg describes a file.
"""

import re
from dataclasses import astuple, dataclass

import av.logging
from av.container import InputContainer
from av.stream import Stream

from sr.io.video.ffmpeg_log import capture_log
from sr.io.video.frame import Layout, Planes

SPHERICAL = "Spherical Mapping"
STEREO = "Stereo 3D"
_CROPPING = "Frame Cropping"
_STREAM = re.compile(r"  Stream #\d+:(\d+)")
_ENTRY = re.compile(r"      (?P<name>[^:]+): *(?P<value>.*)")


@dataclass(frozen=True)
class Cropping:
    """How many columns and rows of the decoded frames players leave out at each side."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    def fits(self, layout: Layout, height: int, width: int) -> bool:
        """Return whether whole chroma samples are left out, and something stays."""
        across, down = (2**shift for shift in layout.chroma_shift)
        return (
            not (self.left % across or self.right % across or self.top % down or self.bottom % down)
            and self.left + self.right < width
            and self.top + self.bottom < height
        )

    def add(self, other: "Cropping") -> "Cropping":
        """Return the wider of both at each side."""
        return Cropping(*(max(pair) for pair in zip(astuple(self), astuple(other), strict=True)))

    def apply(self, planes: Planes, layout: Layout) -> Planes:
        """Return copies of what stays."""
        cropped = []
        for number, plane in enumerate(planes):
            is_chroma = layout.kind == "yuv" and number in (1, 2)
            across, down = layout.chroma_shift if is_chroma else (0, 0)
            rows = slice(self.top >> down, plane.shape[0] - (self.bottom >> down))
            columns = slice(self.left >> across, plane.shape[1] - (self.right >> across))
            cropped.append(plane[rows, columns].copy())
        return tuple(cropped)


NO_CROPPING = Cropping()


def read_stream_side_data(container: InputContainer, stream: Stream) -> dict[str, str]:
    """Return FFmpeg's names of a stream's side data, and their values in its words."""
    with capture_log([], av.logging.INFO):
        text: str = container.dumps_format()  # type: ignore[attr-defined]  # the stubs lack it
    found: dict[str, str] = {}
    index, is_inside = -1, False
    for line in text.splitlines():
        if header := _STREAM.match(line):
            index, is_inside = int(header[1]), False
        elif line.strip() == "Side data:":
            is_inside = index == stream.index
        elif is_inside and (entry := _ENTRY.match(line)):
            found[entry["name"].strip()] = entry["value"].strip()
        else:
            is_inside = False
    return found


def parse_cropping(side_data: dict[str, str]) -> Cropping:
    """Return the cropping that `read_stream_side_data` has found."""
    numbers = re.fullmatch(r"(\d+)/(\d+)/(\d+)/(\d+)", side_data.get(_CROPPING, ""))
    return NO_CROPPING if numbers is None else Cropping(*map(int, numbers.groups()))
