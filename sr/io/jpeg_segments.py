"""Segments of JPEG that libvips does not read: more images behind the first, and a missing end.

ITU-T T.81, annex B; CIPA DC-007 (MPF); Ultra HDR image format 1.1.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

SIGNATURE = b"\xff\xd8\xff"
END = b"\xff\xd9"

_SCAN, _TABLES, _APP1, _APP2 = 0xDA, 0xDB, 0xE1, 0xE2
_STANDALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length
_GAIN_MAP_XMP = b"hdrgm:Version"
_GAIN_MAP_ISO = b"urn:iso:std:iso:ts:21496:-1\0"
_MOTION_PHOTO = (b'MotionPhoto="1"', b'MicroVideo="1"')
_SUM_AT_QUALITY_50 = 3688  # of T.81's table K.1, for luma
_MPF, _MP_ENTRIES = b"MPF\0", 0xB002
_LARGE_THUMBNAIL, _GAIN_MAP = 0x01, 0x05  # upper byte of an image's type


def describe_more_images(file: BinaryIO) -> list[str]:
    """Describe what a JPEG has next to its main image, for the user: it is left out."""
    types: list[int] = []
    has_gain_map = has_video = False
    for marker, content in _list_segments(file):
        if marker == _APP1:
            has_gain_map |= _GAIN_MAP_XMP in content
            has_video |= any(text in content for text in _MOTION_PHOTO)
        elif marker == _APP2 and content.startswith(_MPF):
            types += _list_image_types(content[len(_MPF) :])
        elif marker == _APP2 and content.startswith(_GAIN_MAP_ISO):
            has_gain_map = True
    more = [kind for kind in types[1:] if kind != _LARGE_THUMBNAIL]
    notes = []
    if has_gain_map or _GAIN_MAP in more:
        notes.append("HDR gain map left out: the result is in standard dynamic range")
    elif more:
        notes.append(f"{len(more)} more image(s) in this JPEG left out (depth, views, gain map)")
    if has_video:
        notes.append("video of the motion photo left out")
    return notes


def has_end(file: BinaryIO) -> bool:
    """Return whether the marker of its end is anywhere behind the begin of a JPEG's pixels."""
    file.seek(-2, 2)
    if file.read() == END:
        return True
    for _ in _list_segments(file):  # leaves the file behind the head of the first scan
        pass
    return END in file.read()


def estimate_quality(file: BinaryIO) -> int | None:
    """Return the quality of a JPEG, 1 to 100, None without a table of luma.

    By the sum of its quantization table, as libjpeg scales that of T.81, annex K, for a quality;
    other encoders have tables of their own, and this is what they compare to.
    """
    for marker, content in _list_segments(file):
        if marker != _TABLES:
            continue
        while content:
            is_wide, number = content[0] >> 4, content[0] & 15
            size = 128 if is_wide else 64
            values, content = content[1 : 1 + size], content[1 + size :]
            if number == 0 and len(values) == size:
                total: int = sum(struct.unpack(">64H" if is_wide else "64B", values))
                percent = max(100 * total / _SUM_AT_QUALITY_50, 1)
                quality = (200 - percent) / 2 if percent <= 100 else 5000 / percent
                return min(max(round(quality), 1), 100)
    return None


def _list_segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """List the markers before the first scan, with their contents."""
    file.seek(2)
    while len(start := file.read(2)) == 2 and start[0] == 0xFF:
        marker = start[1]
        if marker == 0xFF:  # padding
            file.seek(-1, 1)
            continue
        if marker in _STANDALONE:
            continue
        length = int.from_bytes(file.read(2))
        if marker == _SCAN or length < 2:
            return
        yield marker, file.read(length - 2)


def _list_image_types(content: bytes) -> list[int]:
    """Return the upper bytes of the types of all images, the main one first."""
    order = "<" if content[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(order + "I", content, 4)
        (count,) = struct.unpack_from(order + "H", content, start)
        entries = b""
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, length, offset = struct.unpack_from(order + "HHII", content, place)
            if tag == _MP_ENTRIES:
                entries = content[offset : offset + length]
        attributes = [each[0] for each in struct.iter_unpack(order + "IIII", entries)]
    except struct.error:
        return []
    return [attribute >> 16 & 0xFF for attribute in attributes]
