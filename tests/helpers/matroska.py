"""Matroska's elements that PyAV cannot write, put into files that it has written."""

from pathlib import Path

_SEGMENT, _TRACKS = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b"
_TRACK, _VIDEO = b"\xae", b"\xe0"
EQUIRECTANGULAR = b"\x76\x70\x84\x76\x71\x81\x01"
"""The projection of 360 degree video."""


def crop(*, top: int, bottom: int, left: int, right: int) -> bytes:
    """Return the elements by which players crop frames; numbers of pixels below 256."""
    ids = (b"\x54\xbb", b"\x54\xaa", b"\x54\xcc", b"\x54\xdd")
    return b"".join(
        name + b"\x81" + bytes([value])
        for name, value in zip(ids, (top, bottom, left, right), strict=True)
    )


def add_to_video_element(path: Path, elements: bytes) -> None:
    """Put elements into the video element of a file's first track, and repair all sizes."""
    data = bytearray(path.read_bytes())
    places = [0]  # of the sizes of the elements that hold them, from the outermost on
    for name in (_SEGMENT, _TRACKS, _TRACK, _VIDEO):
        start = places[-1] + _length(data, places[-1]) if len(places) > 1 else 0
        places.append(_find_child(data, start, name))
    video = places[-1]
    end = video + _length(data, video) + _read_size(data, video)
    data[end:end] = elements
    for place in places[1:]:
        _write_size(data, place, _read_size(data, place) + len(elements))
    path.write_bytes(data)


def _find_child(data: bytearray, place: int, name: bytes) -> int:
    """Return where the size of the first element of this name is, among those from `place` on."""
    while True:
        size_at = place + _length(data, place, most=4)
        if data[place:size_at] == name:
            return size_at
        place = size_at + _length(data, size_at) + _read_size(data, size_at)


def _length(data: bytearray, place: int, most: int = 8) -> int:
    """Return of how many bytes the size of an element consists, or its name (at most 4)."""
    length = 9 - data[place].bit_length()
    assert length <= most
    return length


def _read_size(data: bytearray, place: int) -> int:
    length = _length(data, place)
    most: int = 2 ** (7 * length) - 1
    return int.from_bytes(data[place : place + length]) & most


def _write_size(data: bytearray, place: int, size: int) -> None:
    length = _length(data, place)
    assert size < 2 ** (7 * length) - 1
    data[place : place + length] = (2 ** (7 * length) | size).to_bytes(length)
