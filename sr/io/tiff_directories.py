"""The directories of a TIFF file: its pages, camera raw, and samples that libvips takes for alpha.

TIFF 6.0, section 2, and BigTIFF; DNG 1.7 for camera raw. What is damaged reads as if it were not
there: libvips says what is wrong with it.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _PHOTOMETRIC, _SUB_DIRECTORIES = 254, 255, 262, 330
_EXTRA_SAMPLES, _BITS_PER_SAMPLE, _DNG_VERSION = 338, 258, 50706
_WANTED = (
    *(_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _PHOTOMETRIC, _SUB_DIRECTORIES),
    *(_EXTRA_SAMPLES, _BITS_PER_SAMPLE, _DNG_VERSION),
)
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # integers, by TIFF's number
_MAX_VALUES, _MAX_ENTRIES, _MAX_DIRECTORIES = 32, 4096, 100_000
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
_SENSOR = (32803, 34892)  # photometric: a color filter array, linear raw


@dataclass(frozen=True)
class Directory:
    """A page, or an image that belongs to one.

    tags: the values of those above, by number. next: where the one behind it begins, or 0.
    inner: those that it names as its own: reduced copies, or the sensor's image of camera raw.
    """

    tags: Mapping[int, tuple[int, ...]]
    next: int
    inner: tuple["Directory", ...] = ()

    def get(self, tag: int, default: int) -> int:
        return (self.tags.get(tag) or (default,))[0]

    @property
    def is_page(self) -> bool:
        """Whether it is a page of its own: not a reduced copy of one, nor a mask for one."""
        if self.get(_SUBFILE_TYPE, 0) == _OLD_REDUCED:
            return False
        return not self.get(_NEW_SUBFILE_TYPE, 0) & (_REDUCED | _MASK)

    @property
    def photometric(self) -> int:
        return self.get(_PHOTOMETRIC, 1)

    @property
    def depth(self) -> int:
        return self.get(_BITS_PER_SAMPLE, 1)

    @property
    def extra_samples(self) -> tuple[int, ...]:
        """What follows the colors: 0 unspecified, 1 and 2 alpha; empty where nothing is said."""
        return self.tags.get(_EXTRA_SAMPLES, ())


def read_directories(file: BinaryIO) -> list[Directory]:
    """Read the chain of directories, in libtiff's order."""
    file.seek(0)
    head = file.read(16)
    order, is_big = "<" if head[:2] == b"II" else ">", b"+" in head[2:4]
    directories: list[Directory] = []
    if head[:4] not in MAGIC or len(head) < 16:
        return directories
    (offset,) = struct.unpack_from(order + ("Q" if is_big else "I"), head, 8 if is_big else 4)
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < _MAX_DIRECTORIES:
        seen.add(offset)
        directory = _read_directory(file, offset, order, is_big)
        if directory is None:
            break
        offsets = directory.tags.get(_SUB_DIRECTORIES, ())
        inner = [_read_directory(file, each, order, is_big) for each in offsets]
        directories.append(replace(directory, inner=tuple(filter(None, inner))))
        offset = directory.next
    return directories


def is_camera_raw(file: BinaryIO, directories: Sequence[Directory]) -> bool:
    """Return whether a TIFF holds what a camera's sensor saw, and at most a preview as an image."""
    file.seek(8)
    if not directories or file.read(4) == b"CR\x02\0":
        return bool(directories)
    if any(_DNG_VERSION in each.tags for each in directories):
        return True
    inner = [found for each in directories for found in each.inner]
    if any(each.photometric in _SENSOR for each in (*directories, *inner)):
        return True
    return not any(each.is_page for each in directories) and any(each.is_page for each in inner)


def _read_directory(file: BinaryIO, offset: int, order: str, is_big: bool) -> Directory | None:
    """Return None for one that is not in the file whole."""
    entry_format, pointer = (order + "HHQ8s", "Q") if is_big else (order + "HHI4s", "I")
    size, num_bytes = struct.calcsize(entry_format), 8 if is_big else 2
    try:
        file.seek(offset)
        (count,) = struct.unpack(order + ("Q" if is_big else "H"), file.read(num_bytes))
        if count > _MAX_ENTRIES:
            return None
        table = file.read(count * size + struct.calcsize(pointer))
        (following,) = struct.unpack_from(order + pointer, table, count * size)
        tags = {}
        for place in range(0, count * size, size):
            tag, kind, length, value = struct.unpack_from(entry_format, table, place)
            if tag in _WANTED and kind in _TYPES and 0 < length <= _MAX_VALUES:
                tags[tag] = _read_values(file, order, _TYPES[kind], length, value)
    except (OSError, OverflowError, struct.error):
        return None
    return Directory(tags, following)


def _read_values(
    file: BinaryIO, order: str, kind: str, length: int, value: bytes
) -> tuple[int, ...]:
    """Return the numbers that stand in an entry, or where it points to."""
    size = length * struct.calcsize("=" + kind)
    if size > len(value):
        pointer = "Q" if len(value) == 8 else "I"
        file.seek(struct.unpack(order + pointer, value)[0])
        value = file.read(size)
    return struct.unpack_from(f"{order}{length}{kind}", value)
