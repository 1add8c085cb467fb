"""Damage to files: of bits, of bytes, of numbers, and of the parts that a format is made of."""

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random

NUMBERS = (0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536)
LARGE = (2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
WORDS = (
    *("", "null", "~", "true", "[]", "{}", "-1", "0", "1e309", ".nan", ".inf", "1e30", "'", '"'),
    *("9" * 5000, "2" * 30, "[" * 1000, "{a: " * 60, "&a [*a]", "*missing", "!!bool 5", "- - -"),
    *("!!timestamp x", "!!binary aGk=", "!!python/name:os.system", "<<: {a: 1}", "\x00", "\x1b[2J"),
    *("../../etc/passwd", "a" * 20_000, "\u202e", "\ud800", "2020-01-01", "1:1:1", "0x" + "f" * 99),
)

Change = Callable[[bytes, Random, bytes], bytes]
"""(content, random, a second file of the format) -> the damaged content."""


def mutate(content: bytes, suffix: str, random: Random, other: bytes) -> bytes:
    """Return a damaged copy. other: a second file of the format, parts of which may be taken."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        change = random.choice(_BY_SUFFIX.get(suffix, ()) + _ANY)
        content = change(content, random, other) if content else content
    return content


def _flip_bits(content: bytes, random: Random, _: bytes) -> bytes:
    changed = bytearray(content)
    for _number in range(random.choice((1, 1, 2, 8, 64))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(content: bytes, random: Random, _: bytes) -> bytes:
    return content[: random.randrange(len(content))]


def _set_number(content: bytes, random: Random, _: bytes) -> bytes:
    """Most numbers of a file are lengths, counts and places in it."""
    size = random.choice((1, 2, 4, 4, 8))
    place = random.randrange(len(content))
    number = random.choice((*NUMBERS, *LARGE, len(content), len(content) - place))
    field: bytes = (number % 256**size).to_bytes(size, random.choice(("big", "little")))
    return content[:place] + field + content[place + size :]


def _repeat_or_remove(content: bytes, random: Random, _: bytes) -> bytes:
    start = random.randrange(len(content))
    end = min(len(content), start + random.choice((1, 2, 4, 16, 188, 512)))
    return content[:start] + content[start:end] * random.choice((0, 2, 2, 50)) + content[end:]


def _overwrite(content: bytes, random: Random, _: bytes) -> bytes:
    start, size = random.randrange(len(content)), random.choice((1, 4, 16, 64, 256))
    size = min(size, len(content) - start)
    filled = random.choice((bytes(size), b"\xff" * size, random.randbytes(size)))
    return content[:start] + filled + content[start + size :]


def _splice(content: bytes, random: Random, other: bytes) -> bytes:
    return content[: random.randrange(len(content))] + other[random.randrange(len(other)) :]


def _change_digits(content: bytes, random: Random, _: bytes) -> bytes:
    """Set a number that is written in digits."""
    places = [match.span() for match in re.finditer(rb"\d+", content)]
    if not places:
        return content
    start, end = random.choice(places)
    number = random.choice((*NUMBERS, *LARGE, 5, 6, 9, 12, 48, 64))
    return content[:start] + str(number).encode() + content[end:]


_ANY: tuple[Change, ...] = (
    _flip_bits,
    _flip_bits,
    _cut,
    _set_number,
    _set_number,
    _repeat_or_remove,
    _overwrite,
    _splice,
)


def _shuffle_parts(split: Callable[[bytes], list[bytes]]) -> Change:
    """Return a change that swaps, repeats, removes or damages whole parts."""

    def change(content: bytes, random: Random, other: bytes) -> bytes:
        parts = split(content)
        first, second = (random.randrange(len(parts)) for _ in range(2))
        match random.randrange(5):
            case 0:
                parts[first], parts[second] = parts[second], parts[first]
            case 1:
                parts.insert(second, parts[first])
            case 2:
                del parts[first]
            case 3:
                parts.insert(second, random.choice(split(other)))
            case _:
                damage = random.choice(_ANY)
                parts[first] = damage(parts[first], random, other) if parts[first] else b""
        return b"".join(parts)

    return change


def _split_png(content: bytes) -> list[bytes]:
    """Signature, then chunks of length, kind, data and checksum."""
    return [content[:8], *_split_by(content, 8, lambda place: 12 + _read(content, place, ">I"))]


def _split_riff(content: bytes) -> list[bytes]:
    """RIFF, size, kind; then chunks of kind, size and data, padded to even."""

    def measure(place: int) -> int:
        if content[place : place + 4] == b"LIST":
            return 12  # a list's head; its chunks are split too
        size = _read(content, place + 4, "<I")
        return 8 + size + size % 2

    return [content[:12], *_split_by(content, 12, measure)]


def _split_boxes(content: bytes) -> list[bytes]:
    """Boxes of size and kind; those that hold boxes are opened."""
    holders = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"moof", b"traf", b"iprp")

    def measure(place: int) -> int:
        kind = content[place + 4 : place + 8]
        return 8 if kind in holders else 12 if kind == b"meta" else _read(content, place, ">I")

    return _split_by(content, 0, measure)


def _split_jpeg(content: bytes) -> list[bytes]:
    return [b"\xff" + part for part in content.split(b"\xff")[1:]] or [content]


def _split_ebml(content: bytes) -> list[bytes]:
    """At the identifiers of Matroska's larger elements."""
    marks = (
        rb"(?=\x1a\x45\xdf\xa3|\x18\x53\x80\x67|\x11\x4d\x9b\x74|\x15\x49\xa9\x66|\x16\x54\xae\x6b"
    )
    marks += (
        rb"|\x1f\x43\xb6\x75|\x1c\x53\xbb\x6b|\x12\x54\xc3\x67|\x19\x41\xa4\x69|\xa3|\xae|\xe0)"
    )
    return re.split(marks, content)


def _split_packets(content: bytes) -> list[bytes]:
    return [content[start : start + 188] for start in range(0, len(content), 188)]


def _split_lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True) or [content]


def _split_by(content: bytes, place: int, measure: Callable[[int], int]) -> list[bytes]:
    parts: list[bytes] = []
    while place < len(content) and len(parts) < 500:
        size = max(measure(place), 8)
        parts.append(content[place : place + size])
        place += size
    return parts or [b""]


def _read(content: bytes, place: int, form: str) -> int:
    field = content[place : place + 4]
    return int(struct.unpack(form, field)[0]) if len(field) == 4 else 0


def _change_png_data(content: bytes, random: Random, other: bytes) -> bytes:
    """Damage the data of a chunk and correct its checksum, so that it is looked at."""
    parts = _split_png(content)
    number = random.randrange(len(parts))
    data = parts[number][8:-4]
    if number == 0 or not data:
        return content
    if parts[number][4:8] in (b"IDAT", b"iCCP") and random.random() < 0.5:
        data = zlib.compress(random.choice((bytes(10**6), data, b"", random.randbytes(50))))
    data = random.choice(_ANY)(data, random, other)
    kind = parts[number][4:8]
    parts[number] = struct.pack(">I", len(data)) + kind + data
    parts[number] += struct.pack(">I", zlib.crc32(kind + data))
    return b"".join(parts)


def _change_word(content: bytes, random: Random, other: bytes) -> bytes:
    """Put another word in the place of a key, a value or a mark."""
    words = re.split(rb"([\w.+-]+|[^\w\s])", content)
    words[random.randrange(len(words))] = random.choice(
        (*(word.encode("utf-8", "surrogatepass") for word in WORDS), random.choice(other.split()))
    )
    return b"".join(words)


def _change_header(content: bytes, random: Random, other: bytes) -> bytes:
    """Change the JSON at a safetensors file's head, and correct its length."""
    length = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + length], content[8 + length :]
    if random.random() < 0.5 and b"__metadata__" in header:
        try:
            tree = json.loads(header)
            about = tree["__metadata__"]["sr"].encode()
            about = _change_word(about, random, other[8:200])
            tree["__metadata__"]["sr"] = about.decode("utf-8", "replace")
            header = json.dumps(tree).encode()
        except (ValueError, LookupError, AttributeError):
            pass  # damaged before
    else:
        header = _change_word(header, random, other[8:200])
    return len(header).to_bytes(8, "little") + header + data


def _change_member(content: bytes, random: Random, other: bytes) -> bytes:
    """Damage a part of a zip archive, and correct its checksum."""
    packed = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        name = random.choice([*(name for name in parts if name.endswith(".pkl")), *parts])
        parts[name] = random.choice(_ANY)(parts[name] or b"\0", random, other)
        with zipfile.ZipFile(packed, "w") as archive:
            for name, part in parts.items():
                archive.writestr(name, part)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, IndexError, OSError):
        # Damaged before, of the older format, or changed to a version or compression that zipfile
        # refuses by NotImplementedError.
        return _flip_bits(content, random, other)
    return packed.getvalue()


_BY_SUFFIX: dict[str, tuple[Change, ...]] = {
    ".png": (_shuffle_parts(_split_png), *(_change_png_data,) * 4),
    ".jpg": (_shuffle_parts(_split_jpeg),) * 3,
    ".webp": (_shuffle_parts(_split_riff),) * 3,
    ".avi": (_shuffle_parts(_split_riff),) * 3,
    ".avif": (_shuffle_parts(_split_boxes),) * 3,
    ".mp4": (_shuffle_parts(_split_boxes),) * 3,
    ".mov": (_shuffle_parts(_split_boxes),) * 3,
    ".mkv": (_shuffle_parts(_split_ebml),) * 3,
    ".webm": (_shuffle_parts(_split_ebml),) * 3,
    ".ts": (_shuffle_parts(_split_packets),) * 3,
    ".yml": (_shuffle_parts(_split_lines), *(_change_word,) * 12),
    ".param": (_shuffle_parts(_split_lines), *(_change_digits,) * 20),
    ".safetensors": (_change_header,) * 8,
    ".pth": (_change_member,) * 6,
}
