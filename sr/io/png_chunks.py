"""Chunks of PNG that libvips neither reads nor writes: color without a profile, animations.

PNG Specification, third edition, 5.3 (layout) and 11.3.2 (color).
"""

import os
import struct
import zlib
from collections.abc import Mapping
from typing import BinaryIO

from sr.io.color_encoding import ColorEncoding, make_encoding

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LIGHT_CHUNKS = (b"mDCV", b"cLLI")  # mastering display, content light level
_WANTED = (b"cICP", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"acTL", *LIGHT_CHUNKS)
_HEAD_BYTES = 33  # signature and IHDR, which comes first
_UNIT = 100_000  # of gAMA and cHRM
_CHANNELS = {2: 3, 4: 2, 6: 4}  # by color type; 1 of the others
_PIECE_BYTES = 1024  # that are decompressed at once; those before damage count
_MAX_BYTES = 64  # of the chunks that are read


def read_chunks(file: BinaryIO) -> dict[bytes, bytes]:
    """Read the chunks of `_WANTED` that stand before the pixels; too long ones come back empty."""
    file.seek(len(SIGNATURE))
    chunks: dict[bytes, bytes] = {}
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind == b"IDAT":
            break
        content = file.read(length) if kind in _WANTED and length <= _MAX_BYTES else b""
        if kind in _WANTED:
            chunks[kind] = content
        file.seek(length - len(content) + 4, os.SEEK_CUR)  # with the checksum
    return chunks


def parse_encoding(chunks: Mapping[bytes, bytes]) -> ColorEncoding | None:
    """Return the meaning of the colors, None where a profile or sRGB is stated.

    Which chunk takes precedence: cICP, then iCCP, then sRGB, then gAMA with cHRM.
    """
    codes = gamma = chromaticities = None
    if len(chunks.get(b"cICP", b"")) == 4:
        codes = (chunks[b"cICP"][0], chunks[b"cICP"][1])
    elif b"iCCP" in chunks or b"sRGB" in chunks:
        return None
    if len(chunks.get(b"gAMA", b"")) == 4:
        gamma = int.from_bytes(chunks[b"gAMA"]) / _UNIT or None
    if len(chunks.get(b"cHRM", b"")) == 32:
        x = [number / _UNIT for number in struct.unpack(">8I", chunks[b"cHRM"])]
        if min(x) > 0:
            chromaticities = (x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7])
    return make_encoding(codes, gamma, chromaticities)


def pack_chunks(encoding: ColorEncoding | None, light: Mapping[bytes, bytes]) -> bytes:
    """Pack an encoding, and what is known of its light, as chunks to follow IHDR."""
    chunks = dict(light)
    if encoding is not None:
        if encoding.codes is not None:
            chunks[b"cICP"] = bytes([*encoding.codes, 0, 1])  # RGB, full range
        if encoding.gamma is not None:
            chunks[b"gAMA"] = struct.pack(">I", round(encoding.gamma * _UNIT))
        if encoding.chromaticities is not None:
            numbers = [round(each * _UNIT) for each in encoding.chromaticities]
            chunks[b"cHRM"] = struct.pack(">8I", *numbers)
    return b"".join(_pack_chunk(kind, content) for kind, content in chunks.items())


def repair(content: bytes, max_pixels: int) -> bytes:
    """Return a damaged PNG with the rows that can be decompressed, the rest 0.

    Returns it as it was where its head is damaged, or has more than `max_pixels`.
    """
    kept, compressed, place = b"", b"", len(SIGNATURE)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind == b"IDAT":
            compressed += content[place + 8 : place + 8 + length]
        elif not compressed:
            kept += content[place : place + 12 + length]
        place += 12 + length
    if len(kept) < _HEAD_BYTES - len(SIGNATURE):
        return content
    width, height, depth, color, *_, interlace = struct.unpack_from(">IIBBBBB", kept, 8)
    if not 0 < width * height <= max_pixels or depth > 16:
        return content
    row = 1 + -(-width * depth * _CHANNELS.get(color, 1) // 8)
    size = row * height * (2 if interlace else 1)  # seven smaller images have more rows
    pixels = _decompress(compressed, size)
    return b"".join(
        (
            *(SIGNATURE, kept),
            _pack_chunk(b"IDAT", zlib.compress(pixels.ljust(size, b"\0"), level=1)),
            _pack_chunk(b"IEND", b""),
        )
    )


def _decompress(compressed: bytes, limit: int) -> bytes:
    """Return at most `limit` bytes, up to where the stream is damaged."""
    stream, found = zlib.decompressobj(), bytearray()
    for start in range(0, len(compressed), _PIECE_BYTES):
        try:
            found += stream.decompress(compressed[start : start + _PIECE_BYTES])
        except zlib.error:
            break
        if len(found) >= limit:
            break
    return bytes(found[:limit])


def _pack_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I4s", len(content), kind) + content + checksum


def write_chunks(file: BinaryIO, chunks: bytes) -> None:
    """Put chunks behind IHDR of a PNG that begins at len(chunks) of a file, which then is whole."""
    file.seek(len(chunks))
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    file.write(head + chunks)
    file.flush()
