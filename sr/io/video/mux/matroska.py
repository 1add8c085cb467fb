"""The shape of pixels in a Matroska or WebM file, told after it is written (RFC 9559).

FFmpeg's muxer takes it from a field of its stream that PyAV cannot set. Where the encoded frames do
not tell it (VP9, AV1), nothing would. The muxer leaves a gap after the index of the file's head, so
that what lies between it and the place of the two numbers can be moved into it by their length.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

_HEAD = 1 << 20  # bytes in which all that matters lies
_SEGMENT = 0x18538067
_SEEK_HEAD = 0x114D9B74
_SEEK = 0x4DBB
_SEEK_POSITION = 0x53AC
_VOID = 0xEC
_TRACKS = 0x1654AE6B
_TRACK_ENTRY = 0xAE
_VIDEO = 0xE0
_PIXEL_WIDTH = 0xB0
_PIXEL_HEIGHT = 0xBA
_DISPLAY_WIDTH = 0x54B0
_DISPLAY_HEIGHT = 0x54BA
_DISPLAY_UNIT = 0x54B2
_CRC = 0xBF


@dataclass(frozen=True)
class _Element:
    """Of EBML: an identifier, a size and that many bytes. All numbers are offsets in the file."""

    id: int
    start: int
    size_at: int
    data: int
    end: int


def write_pixel_shape(path: Path, ratio: Fraction) -> bool:
    """Write the ratio of a pixel's width to its height into the first video track.

    False where the file is not laid out as FFmpeg's muxer does it; then nothing is changed.
    Raises OSError if the file cannot be written.
    """
    with path.open("r+b") as file:
        head = bytearray(file.read(_HEAD))
        patched = _patched(head, ratio)
        if patched is None:
            return False
        file.seek(0)
        file.write(patched)
    return True


def _patched(head: bytearray, ratio: Fraction) -> bytearray | None:
    segment = _first(head, _SEGMENT, 0, len(head))
    if segment is None:
        return None
    within = (segment.data, min(segment.end, len(head)))
    seek_head = _first(head, _SEEK_HEAD, *within)
    void = _first(head, _VOID, *within)
    tracks = _first(head, _TRACKS, *within)
    if seek_head is None or void is None or tracks is None or void.start != seek_head.end:
        return None
    entry = _first(head, _TRACK_ENTRY, tracks.data, tracks.end)
    video = None if entry is None else _first(head, _VIDEO, entry.data, entry.end)
    if entry is None or video is None or tracks.end > len(head):
        return None
    told = _shape(head, video, ratio)
    if not told:
        return None
    unit = _first(head, _DISPLAY_UNIT, video.data, video.end)
    if unit is not None:  # the muxer has written that it does not know
        head[unit.data : unit.end] = bytes(unit.end - unit.data)  # pixels
    larger = _rebuilt(head, video, video.end, video.end, told)
    larger = _rebuilt(head, entry, video.start, video.end, larger)
    larger = _rebuilt(head, tracks, entry.start, entry.end, larger)
    growth = len(larger) - (tracks.end - tracks.start)
    room = void.end - void.start - growth
    if room < 9:  # a gap is at least its own head
        return None
    for seek in _children(head, seek_head.data, seek_head.end, _SEEK):
        position = _first(head, _SEEK_POSITION, seek.data, seek.end)
        if position is not None:
            _move(head, position, segment.data, (void.end, tracks.end), growth)
    seeks = _rebuilt(head, seek_head, seek_head.end, seek_head.end, b"")
    gap = bytes([_VOID]) + (room - 9 | 1 << 56).to_bytes(8, "big") + bytes(room - 9)
    before, between = head[: seek_head.start], head[void.end : tracks.start]
    return before + seeks + gap + between + larger + head[tracks.end :]


def _shape(head: bytearray, video: _Element, ratio: Fraction) -> bytes:
    """The elements that tell the size at which frames are shown; empty if they are told."""
    width = _first(head, _PIXEL_WIDTH, video.data, video.end)
    height = _first(head, _PIXEL_HEIGHT, video.data, video.end)
    known = _first(head, _DISPLAY_WIDTH, video.data, video.end)
    if width is None or height is None or known is not None:
        return b""
    columns, rows = (int.from_bytes(head[e.data : e.end], "big") for e in (width, height))
    if ratio >= 1:  # the longer side has the smaller error of rounding
        columns = round(columns * ratio)
    else:
        rows = round(rows / ratio)
    return _number(_DISPLAY_WIDTH, columns) + _number(_DISPLAY_HEIGHT, rows)


def _number(identifier: int, value: int) -> bytes:
    data = value.to_bytes(4, "big")
    return identifier.to_bytes(2, "big") + bytes([0x80 | len(data)]) + data


def _rebuilt(head: bytearray, element: _Element, start: int, end: int, new: bytes) -> bytes:
    """An element with `new` in place of [start, end), and its size and checksum to match."""
    content = head[element.data : start] + new + head[end : element.end]
    if content[0] == _CRC:  # of all that follows it
        content[2:6] = zlib.crc32(content[6:]).to_bytes(4, "little")
    length = element.data - element.size_at
    while len(content) >= (1 << 7 * length) - 1:  # all bits set means: unknown
        length += 1
    size = (len(content) | 1 << 7 * length).to_bytes(length, "big")
    return bytes(head[element.start : element.size_at] + size + content)


def _move(
    head: bytearray, position: _Element, origin: int, moved: tuple[int, int], less: int
) -> None:
    """Correct a position, told from `origin`, of something within `moved`."""
    told = int.from_bytes(head[position.data : position.end], "big")
    if moved[0] <= origin + told < moved[1]:
        size = position.end - position.data
        head[position.data : position.end] = (told - less).to_bytes(size, "big")


def _first(head: bytearray, identifier: int, start: int, end: int) -> _Element | None:
    return next(_children(head, start, end, identifier), None)


def _children(head: bytearray, start: int, end: int, identifier: int) -> Iterator[_Element]:
    """Elements of this kind that lie side by side in [start, end)."""
    while start < min(end, len(head) - 12):
        # The number of leading zeros in the first byte tells how many bytes follow.
        id_length = 9 - head[start].bit_length()
        size_at = start + id_length
        size_length = 9 - head[size_at].bit_length()
        data = size_at + size_length
        size = int.from_bytes(head[size_at:data], "big") & ((1 << 7 * size_length) - 1)
        found = int.from_bytes(head[start:size_at], "big")
        if found == identifier:
            yield _Element(found, start, size_at, data, data + size)
        start = data + size
