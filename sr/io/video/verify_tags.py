"""Check of what a video's tags tell players of its look: color, shape of pixels, turns."""

import struct
from pathlib import Path

from av.sidedata.sidedata import SideData
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from sr.io.video.frame import UNSPECIFIED, Color
from sr.io.video.mux.video_track import VideoTrack
from sr.io.video.read.container import open_container
from sr.io.video.read.side_data import UNTURNED

_RATIO_ERROR = 0.02
"""Matroska tells the shape of pixels by a size in whole pixels, of which there may be few."""
_ONE = 65536  # in 16.16 fixed point
_TURN_ERROR = 0.01
_UNTOLD = (UNSPECIFIED, UNSPECIFIED, UNSPECIFIED, 0)


def verify_tags(output: Path, index: int, video: VideoTrack) -> list[str]:
    """Differences between the tags of a file's video stream and those it was to have, in words.

    One frame is decoded, with which turns are told. Raises VideoError if it cannot be opened.
    """
    with open_container(output) as container:
        stream = container.streams[index]
        assert isinstance(stream, VideoStream)
        faults = []
        ratio = float(stream.sample_aspect_ratio or 1)
        wanted = float(video.sample_aspect_ratio)
        if abs(ratio / wanted - 1) > _RATIO_ERROR:
            faults.append(f"video: expected pixels of the shape {wanted:.4g}, found {ratio:.4g}")
        told = _colors(stream.codec_context)
        frame = next(iter(container.decode(stream)), None)
    if frame is None:
        return [*faults, "video: no frame can be decoded"]
    faults += _color_faults(told, _colors(frame), video.color)
    return faults + _turn_faults(frame, video.display_matrix or UNTURNED)


def _colors(told: VideoCodecContext | VideoFrame) -> tuple[int, int, int, int]:
    """Matrix, primaries, transfer and range (1 limited, 2 full), as `_UNTOLD` where not given."""
    numbers = (told.colorspace, told.color_primaries, told.color_trc, told.color_range)
    matrix, primaries, transfer, full = (int(number) for number in numbers)
    return matrix, primaries, transfer, full


def _color_faults(container: tuple[int, ...], frame: tuple[int, ...], color: Color) -> list[str]:
    """What the encoded frames tell goes before what the container does, as in players."""
    wanted = (color.matrix, color.primaries, color.transfer, color.range_number)
    faults = []
    for i, name in enumerate(("matrix", "primaries", "transfer", "range (1 limited, 2 full)")):
        found = container[i] if frame[i] == _UNTOLD[i] else frame[i]
        if found != wanted[i] and wanted[i] != _UNTOLD[i]:
            faults.append(f"video: expected color {name} {wanted[i]}, found {found}")
    return faults


def _turn_faults(frame: VideoFrame, wanted: tuple[int, ...]) -> list[str]:
    """Only turns and flips are compared: Matroska keeps no more of the matrix."""
    data = frame.side_data.get("DISPLAYMATRIX")
    found = struct.unpack("<9i", data) if isinstance(data, SideData) else UNTURNED
    turns = (0, 1, 3, 4)
    if all(abs(found[i] - wanted[i]) <= _TURN_ERROR * _ONE for i in turns):
        return []
    expected, got = ([m[i] / _ONE for i in turns] for m in (wanted, found))
    return [f"video: expected to be turned by the matrix {expected}, found {got}"]
