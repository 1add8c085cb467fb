"""Sizes in the headers of formats that are decoded as a whole: known before memory is taken."""

import struct
from itertools import chain, count
from typing import NamedTuple

_SIZ = b"\xff\x4f\xff\x51"  # start of a JPEG 2000 codestream, ISO/IEC 15444-1, A.5.1
_CODESTREAM = b"\xff\x0a"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # ISO/IEC 18181-1, D.2
_SIZE_BITS = (9, 13, 18, 30)
_EXR_TILED = 0x200  # bit of the version
_EXR_LINES = (1, 1, 1, 16, 32, 16, 32, 32, 32, 256)  # of a chunk, by the number of its compression


class CodedSize(NamedTuple):
    """max_value: of the samples."""

    height: int
    width: int
    max_value: int


def read_pnm_size(content: bytes) -> CodedSize:
    """Read the header of PBM, PGM or PPM. Raises ValueError."""
    fields: list[int] = []
    num_fields = 2 if content[1:2] in b"14" else 3
    for line in content[2:2000].split(b"\n"):
        fields += [
            int(word) for word in line.partition(b"#")[0].split()[: num_fields - len(fields)]
        ]
        if len(fields) == num_fields:
            break
    width, height, *levels = fields
    return CodedSize(height, width, levels[0] if levels else 255)


def read_jpeg2000_size(content: bytes) -> CodedSize:
    """Read the header of JP2 or of a bare codestream. Raises ValueError and struct.error."""
    start = content.index(_SIZ) + len(_SIZ)
    right, bottom, left, top = struct.unpack_from(">4I", content, start + 4)
    (num_components,) = struct.unpack_from(">H", content, start + 36)
    depths = {content[start + 38 + 3 * number] for number in range(num_components)}
    if len(depths) != 1 or (depth := depths.pop()) >= 16:  # its highest bit is for signed samples
        raise ValueError("expected unsigned components of one depth, of at most 16 bits")
    return CodedSize(bottom - top, right - left, 2 ** (depth + 1) - 1)


def read_jpegxl_size(content: bytes) -> tuple[int, int]:
    """Return (height, width) of a JPEG XL. Raises ValueError and struct.error."""
    bits = _Bits(_find_codestream(content))
    is_small = bits.read(1)
    height = _read_side(bits, is_small)
    ratio = bits.read(3)
    if not ratio:
        return height, _read_side(bits, is_small)
    across, down = _RATIOS[ratio - 1]
    return height, height * across // down


class ExrHeader(NamedTuple):
    """height, width: the larger of both windows. has_colors: with primaries of its own."""

    height: int
    width: int
    has_colors: bool


def read_exr_header(content: bytes) -> ExrHeader:
    """Read the header of an OpenEXR, and check that the file has all of its chunks.

    Raises ValueError, LookupError and struct.error.
    """
    position, attributes = 8, {}
    while content[position] != 0:
        name, _, rest = content[position : position + 600].partition(b"\0")
        kind, _, _ = rest.partition(b"\0")
        position += len(name) + len(kind) + 2
        (length,) = struct.unpack_from("<i", content, position)
        if length < 0:
            raise ValueError("an attribute of a negative size")
        position += 4 + length
        attributes[name] = content[position - length : position]
    windows = [struct.unpack("<4i", attributes[name]) for name in (b"dataWindow", b"displayWindow")]
    sides = [(bottom - top + 1, right - left + 1) for left, top, right, bottom in windows]
    if min(chain(*sides)) < 1:
        raise ValueError("an empty window")
    height, width = (max(side) for side in zip(*sides, strict=True))
    is_tiled = bool(struct.unpack_from("<I", content, 4)[0] & _EXR_TILED)
    if is_tiled:
        across, down, levels = struct.unpack("<2IB", attributes[b"tiles"])
        if levels & 15:
            raise ValueError("several levels of detail")
    else:
        across, down = sides[0][1], _EXR_LINES[attributes[b"compression"][0]]
    num_chunks = -(-sides[0][0] // down) * -(-sides[0][1] // across)
    _check_exr_chunks(content, position + 1, num_chunks, is_tiled=is_tiled)
    return ExrHeader(height, width, b"chromaticities" in attributes)


def _check_exr_chunks(content: bytes, table: int, num_chunks: int, *, is_tiled: bool) -> None:
    """Check that all chunks lie inside the file: FFmpeg leaves black what lacks. Raises ValueError.

    table: where the chunks' places are, 8 bytes each.
    """
    if table + 8 * num_chunks > len(content):
        raise ValueError("its end is missing")
    place = 16 if is_tiled else 4  # of a chunk's size
    for start in struct.unpack_from(f"<{num_chunks}Q", content, table):
        if start + place + 4 > len(content):
            raise ValueError("its end is missing")
        (length,) = struct.unpack_from("<i", content, start + place)
        if length < 0 or start + place + 4 + length > len(content):
            raise ValueError("its end is missing")


def _find_codestream(content: bytes) -> bytes:
    """Return the codestream of a JPEG XL, behind its signature, or its start."""
    position = 0
    if content.startswith(_CODESTREAM):
        return content[2:]
    for _ in count():
        length, kind = struct.unpack_from(">I4s", content, position)
        start = position + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", content, start)
            start += 8
        if kind in (b"jxlc", b"jxlp"):
            start += 4 if kind == b"jxlp" else 0  # the number of a part
            return content[start + 2 : start + 32]
        if length < 8:
            break
        position += length
    raise ValueError("no codestream")


def _read_side(bits: "_Bits", is_small: int) -> int:
    return 8 * (bits.read(5) + 1) if is_small else bits.read(_SIZE_BITS[bits.read(2)]) + 1


class _Bits:
    """Bits of bytes, the lowest first."""

    def __init__(self, content: bytes) -> None:
        self._value = int.from_bytes(content[:32], "little")

    def read(self, number: int) -> int:
        value = self._value & ((1 << number) - 1)
        self._value >>= number
        return value
