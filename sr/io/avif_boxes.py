"""Boxes of AVIF that libvips neither reads nor writes: what the colors mean, gray, animations.

ISO/IEC 14496-12 (boxes), 23008-12 (items and their properties), AV1 Image File Format.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

NCLX_BYTES = 20  # that `insert_codes` adds: a property of 19, and its number
_PARENTS = {b"meta": 4, b"iprp": 0, b"ipco": 0}  # and bytes before their first child
_MAX_META = 2**24  # bytes
_MAX_CODE = 255  # of H.273
_BT601, _FULL_RANGE = 6, 0x80  # how libheif writes YUV where it writes no nclx


@dataclass(frozen=True)
class Box:
    """A box in a file: where it begins, where its content does, and where it ends."""

    kind: bytes
    start: int
    content: int
    end: int


@dataclass(frozen=True)
class AvifFacts:
    """codes: H.273's (primaries, transfer) by nclx. has_profile: an ICC profile counts instead."""

    brands: tuple[bytes, ...]
    is_animated: bool = False
    is_gray: bool = False
    has_profile: bool = False
    codes: tuple[int, int] | None = None
    has_gain_map: bool = False
    has_light_levels: bool = False


def read_facts(file: BinaryIO) -> AvifFacts:
    """Read facts of the primary image of a file that begins with the box ftyp."""
    boxes = {box.kind: box for box in _list_boxes(file)}
    if b"ftyp" not in boxes:
        return AvifFacts(())
    file.seek(boxes[b"ftyp"].content)
    names = file.read(min(boxes[b"ftyp"].end - boxes[b"ftyp"].content, 256))
    brands = tuple(names[i : i + 4] for i in range(0, len(names), 4) if i != 4)
    is_animated = b"avis" in brands and b"moov" in boxes
    if b"meta" not in boxes or boxes[b"meta"].end - boxes[b"meta"].start > _MAX_META:
        return AvifFacts(brands, is_animated)
    file.seek(boxes[b"meta"].start)
    meta = _Meta(file.read(boxes[b"meta"].end - boxes[b"meta"].start))
    properties = meta.list_primary_properties()
    colors = [content for kind, content in properties if kind == b"colr"]
    codes = [struct.unpack_from(">HH", content, 4) for content in colors if content[:4] == b"nclx"]
    config = next((content for kind, content in properties if kind == b"av1C"), bytes(4))
    return AvifFacts(
        brands,
        is_animated,
        is_gray=bool(config[2] & 0x10),
        has_profile=any(content[:4] in (b"prof", b"rICC") for content in colors),
        codes=codes[0] if codes and max(codes[0]) <= _MAX_CODE else None,
        has_gain_map=b"tmap" in meta.content,
        has_light_levels=any(kind in (b"clli", b"mdcv") for kind, _ in properties),
    )


def write_codes(file: BinaryIO, room: int, codes: tuple[int, int]) -> None:
    """Write H.273's (primaries, transfer) into a file of libheif that begins at `room`.

    room: `NCLX_BYTES`, or 0 for a file that has an nclx.
    """
    file.seek(room)
    sizes = [int.from_bytes(file.read(4))]  # of ftyp and meta, which come first
    file.seek(room + sizes[0])
    sizes.append(int.from_bytes(file.read(4)))
    file.seek(room)
    head = insert_codes(file.read(sum(sizes)), codes)
    assert len(head) == sum(sizes) + room
    file.seek(0)
    file.write(head)
    file.flush()


def insert_codes(head: bytes, codes: tuple[int, int]) -> bytes:
    """Return `head`, the boxes ftyp and meta of a file of libheif, with nclx of these codes.

    It becomes longer by `NCLX_BYTES`, which all offsets in it take into account; or stays as long
    if it has an nclx.
    """
    (start,) = (box.start for box in _walk(head, 0, len(head)) if box.kind == b"meta")
    meta = _Meta(head[start:])
    content = bytearray(meta.content)
    for box in meta.boxes:
        if box.kind == b"colr" and content[box.content : box.content + 4] == b"nclx":
            struct.pack_into(">HH", content, box.content + 4, *codes)
            return head[:start] + content
    item, width = meta.find_primary()
    ipco, ipma = meta.find(b"ipco"), meta.find(b"ipma")
    number = len(list(_walk(meta.content, ipco.content, ipco.end))) + 1
    count = next(place for found, place in meta.list_associations() if found == item)
    # From the end to the start, so that places stay valid: the number of the property first.
    content[count] += 1
    content.insert(count + content[count], number)
    nclx = struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", *codes, _BT601, _FULL_RANGE)
    content[ipco.end : ipco.end] = nclx
    for kind, more in ((b"ipma", 1), (b"ipco", 19), (b"iprp", 20), (b"meta", 20)):
        _add(content, meta.find(kind).start + (19 if kind == b"ipma" else 0), 4, more)
    assert meta.find(b"iloc").start < ipco.start < ipma.start
    assert width == 2
    _shift_items(content, meta.find(b"iloc").content, NCLX_BYTES)
    return head[:start] + content


class _Meta:
    """The box meta of a file, whole; places are in its content."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.boxes = list(_walk(content, 0, len(content), _PARENTS))

    def find(self, kind: bytes) -> Box:
        return next(box for box in self.boxes if box.kind == kind)

    def find_primary(self) -> tuple[int, int]:
        """Return the number of the primary item, and of how many bytes it is."""
        box = self.find(b"pitm")
        width = 2 if self.content[box.content] == 0 else 4
        start = box.content + 4
        return int.from_bytes(self.content[start : start + width]), width

    def list_associations(self) -> Iterator[tuple[int, int]]:
        """List items that have properties, and the places where their number stands."""
        box = self.find(b"ipma")
        version, flags = self.content[box.content], self.content[box.content + 3]
        (num_items,) = struct.unpack_from(">I", self.content, box.content + 4)
        place = box.content + 8
        for _ in range(num_items):
            width = 2 if version == 0 else 4
            item = int.from_bytes(self.content[place : place + width])
            place += width
            yield item, place
            place += 1 + self.content[place] * (2 if flags & 1 else 1)

    def list_primary_properties(self) -> list[tuple[bytes, bytes]]:
        """List kinds and contents of the properties of the primary item."""
        try:
            item, _ = self.find_primary()
            ipco, wide = self.find(b"ipco"), self.content[self.find(b"ipma").content + 3] & 1
            known = list(_walk(self.content, ipco.content, ipco.end))
            found = []
            for each, place in self.list_associations():
                if each != item:
                    continue
                for index in range(self.content[place]):
                    start = place + 1 + index * (1 + wide)
                    number = int.from_bytes(self.content[start : start + 1 + wide])
                    box = known[(number & (0x7FFF if wide else 0x7F)) - 1]
                    found.append((box.kind, self.content[box.content : box.end]))
        except (StopIteration, IndexError, struct.error):  # damaged, as the decoder will find
            return []
        return found


def _shift_items(content: bytearray, place: int, shift: int) -> None:
    """Add `shift` to where the items begin in the file, by the box iloc at `place`."""
    version, sizes = content[place], content[place + 4]
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, content[place + 5] >> 4
    (num_items,) = struct.unpack_from(">H", content, place + 6)
    assert version in (0, 1)
    place += 8
    for _ in range(num_items):
        in_file = version == 0 or content[place + 3] & 15 == 0  # else within meta
        place += 4 + 2 * version
        if in_file and base_size:
            _add(content, place, base_size, shift)
        place += base_size
        (num_extents,) = struct.unpack_from(">H", content, place)
        place += 2
        for _ in range(num_extents):
            if in_file and not base_size:
                _add(content, place, offset_size, shift)
            place += offset_size + length_size


def _add(content: bytearray, place: int, size: int, more: int) -> None:
    """Add to the number of `size` bytes at a place."""
    number = int.from_bytes(content[place : place + size]) + more
    content[place : place + size] = number.to_bytes(size)


def _walk(content: bytes, start: int, end: int, parents: Mapping[bytes, int] = {}) -> Iterator[Box]:
    """List the boxes of `content`, with those inside `parents`."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, start)
        if size < 8 or start + size > end:
            return
        yield Box(kind, start, start + 8, start + size)
        if kind in parents:
            yield from _walk(content, start + 8 + parents[kind], start + size, parents)
        start += size


def _list_boxes(file: BinaryIO) -> Iterator[Box]:
    """List the outer boxes of a file, without reading what is in them."""
    start, size_of_file = 0, file.seek(0, 2)
    while start + 8 <= size_of_file:
        file.seek(start)
        header = file.read(16)
        size, kind = struct.unpack_from(">I4s", header)
        length = 8
        if size == 1 and len(header) == 16:
            size, length = struct.unpack_from(">Q", header, 8)[0], 16
        size = size or size_of_file - start
        if size < length:
            return
        yield Box(kind, start, start + length, start + size)
        start += size
