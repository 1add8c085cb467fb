"""What decoders hand out next to a frame's samples: rotation, HDR's metadata, and more."""

import struct
from collections.abc import Iterable
from typing import cast

import av
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as Kind

from sr.io.video.frame import Mastering

UNTURNED = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
"""The display matrix of frames that show as they are."""
_LEFT_OUT = {
    Kind.DOVI_RPU_BUFFER: "Dolby Vision's metadata is left out",
    Kind.DOVI_METADATA: "Dolby Vision's metadata is left out",
    Kind.DYNAMIC_HDR_PLUS: "HDR10+ metadata is left out",
    Kind.A53_CC: "closed captions inside the frames are left out",
}


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """Nine numbers of ISO/IEC 14496-12; None where frames show as they are."""
    content = _contents(frame).get(Kind.DISPLAYMATRIX)
    if content is None:
        return None
    matrix = struct.unpack_from("=9i", content)
    return None if matrix == UNTURNED else matrix


def mastering(frame: av.VideoFrame) -> Mastering | None:
    """HDR's static metadata, None where the mastering display is not told in full."""
    contents = _contents(frame)
    display = contents.get(Kind.MASTERING_DISPLAY_METADATA)
    if display is None:
        return None
    # AVMasteringDisplayMetadata: ten rationals and two flags
    *numbers, has_primaries, has_luminance = struct.unpack_from("=22i", display)
    if not has_primaries or not has_luminance:
        return None
    values = [
        numerator / denominator if denominator else 0.0
        for numerator, denominator in zip(numbers[::2], numbers[1::2], strict=True)
    ]
    max_content, max_average = struct.unpack_from(
        "=2I", contents.get(Kind.CONTENT_LIGHT_LEVEL, bytes(8))
    )
    return Mastering(
        primaries=tuple(zip(values[:8:2], values[1:8:2], strict=True)),
        min_luminance=values[8],
        max_luminance=values[9],
        max_content=max_content,
        max_average=max_average,
    )


def left_out(frame: av.VideoFrame) -> tuple[str, ...]:
    """What of it the result will not have, in words for the user."""
    contents = _contents(frame)
    notes = dict.fromkeys(note for kind, note in _LEFT_OUT.items() if kind in contents)
    if Kind.CONTENT_LIGHT_LEVEL in contents and mastering(frame) is None:
        notes["the content's light level is left out, as no mastering display is told"] = None
    return tuple(notes)


def _contents(frame: av.VideoFrame) -> dict[Kind, bytes]:
    known = cast(Iterable[SideData], frame.side_data)  # its stub tells of one kind only
    return {data.type: bytes(data) for data in known}
