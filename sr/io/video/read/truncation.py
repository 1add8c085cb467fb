"""Files that were cut short, told by the sizes that their own parts declare."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # Matroska: RFC 9559, section 5.1
_RIFF = b"RIFF"
_MP4_STARTS = (b"ftyp", b"wide", b"mdat", b"free", b"skip", b"moov")  # kinds of a first box


def is_cut_short(path: Path) -> bool:
    """True if an MP4, Matroska or AVI file ends before a part that began in it; else unknown."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        if start[4:] in _MP4_STARTS:
            return any(end > size for _, end in mp4_boxes(file))
        if start[:4] == _RIFF:
            return any(end > size for end in _riff_ends(file))
        if start[:4] == _EBML:
            end = _segment_end(file)
            return end is not None and end > size
    return False


def is_mp4(path: Path) -> bool:
    """The file begins as MP4 and QuickTime files do."""
    with path.open("rb") as file:
        return file.read(8)[4:] in _MP4_STARTS


def mp4_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and end (byte) of each box of the outermost level; ISO/IEC 14496-12, section 4.2."""
    start = 0
    while len(header := file.read(8)) == 8:
        size = int.from_bytes(header[:4])
        if size == 1:
            size = int.from_bytes(file.read(8))
        if size == 0:  # up to the end of the file
            size = os.fstat(file.fileno()).st_size - start
        yield header[4:], start + size
        if size < 8:
            return
        start = file.seek(start + size)


def _riff_ends(file: BinaryIO) -> Iterator[int]:
    """Where each chunk of the outermost level ends; large AVI files have several."""
    while len(header := file.read(8)) == 8 and header[:4] == _RIFF:
        size = int.from_bytes(header[4:], "little")
        if size == 0:  # not filled in
            return
        end = file.tell() + size + size % 2
        yield end
        file.seek(end)


def _segment_end(file: BinaryIO) -> int | None:
    """Where Matroska's segment ends; None if it does not tell."""
    file.seek(len(_EBML))
    size = _variable_size(file)
    if size is None:
        return None
    file.seek(size, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return None
    size = _variable_size(file)
    return None if size is None else file.tell() + size


def _variable_size(file: BinaryIO) -> int | None:
    """An element's size: leading zero bits tell its bytes, all ones an unknown one (RFC 8794)."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    unknown = 2 ** (7 * length) - 1
    size = int.from_bytes(first + file.read(length - 1)) & unknown
    return None if size == unknown else size
