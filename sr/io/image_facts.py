"""What a file says that libvips does not: color without a profile, pages, unusual samples.

What is no image to upscale is refused here: archives.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from sr.io import avif_boxes, jpeg_segments, png_chunks, tiff_directories
from sr.io.color_encoding import ColorEncoding, make_encoding
from sr.io.decoded_formats import detect_kind
from sr.io.image_formats import EXPECTED, ImageError

_RAW_STARTS = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILM")  # ORF, RW2, RAF
_RAW_BRAND = b"crx "  # CR3
_ARCHIVE_STARTS = (b"Rar!", b"7z\xbc\xaf", b"PK\3\4")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
_AVIF_BRAND = b"avif"
_LAB, _ICC_LAB = 8, 9  # photometric interpretations of TIFF


@dataclass(frozen=True)
class ImageFacts:
    """Facts of a file; those of WebP and GIF are empty, as libvips reports all of them.

    kind: png, jpeg, tiff, avif, bmp, or one of `sr.io.decoded_formats`; else empty. notes: what
    will be left out, for the user.
    light: chunks of PNG on the light of HDR. pages: numbers of the pages of a TIFF that are no
    reduced copies; None if libvips counts them. lacks_end: of a JPEG.
    """

    kind: str = ""
    notes: tuple[str, ...] = ()
    encoding: ColorEncoding | None = None
    light: Mapping[bytes, bytes] = field(default_factory=dict)
    is_gray: bool = False
    pages: tuple[int, ...] | None = None
    extra_samples: tuple[int, ...] = ()
    is_lab8: bool = False
    is_icc_lab: bool = False
    lacks_end: bool = False


def read_facts(file: BinaryIO, name: str) -> ImageFacts:
    """Read the facts of a file, whose position is then anywhere. Raises ImageError.

    name: of the file, for messages.
    """
    head = file.read(12)
    if not head:
        raise ImageError(f"{name}: {EXPECTED}, got an empty file")
    if head.startswith(_RAW_STARTS):
        return ImageFacts("raw")
    if head.startswith(png_chunks.SIGNATURE):
        return _read_png(file)
    if head.startswith(jpeg_segments.SIGNATURE):
        notes = jpeg_segments.describe_more_images(file)
        return ImageFacts("jpeg", tuple(notes), lacks_end=not jpeg_segments.has_end(file))
    if head.startswith(tiff_directories.MAGIC):
        return _read_tiff(file)
    if head[4:8] == b"ftyp":
        return _read_avif(file)
    if head.startswith(_ARCHIVE_STARTS):
        raise ImageError(f"{name}: {EXPECTED}, got an archive; repack it as CBZ or ZIP")
    kind = detect_kind(head, name)
    return ImageFacts(kind or ("bmp" if head[:2] == b"BM" else ""))


def _read_png(file: BinaryIO) -> ImageFacts:
    chunks = png_chunks.read_chunks(file)
    is_animated = b"acTL" in chunks  # of which libvips would read one frame
    light = {kind: chunks[kind] for kind in png_chunks.LIGHT_CHUNKS if chunks.get(kind)}
    kind = "apng" if is_animated else "png"
    return ImageFacts(kind, encoding=png_chunks.parse_encoding(chunks), light=light)


def _read_tiff(file: BinaryIO) -> ImageFacts:
    directories = tiff_directories.read_directories(file)
    if tiff_directories.is_camera_raw(file, directories):
        return ImageFacts("raw")
    if not directories:
        return ImageFacts("tiff")
    pages = tuple(number for number, each in enumerate(directories) if each.is_page) or (0,)
    first = directories[pages[0]]
    return ImageFacts(
        "tiff",
        pages=pages,
        extra_samples=first.extra_samples,
        is_lab8=first.photometric == _LAB and first.depth == 8,
        is_icc_lab=first.photometric == _ICC_LAB,
    )


def _read_avif(file: BinaryIO) -> ImageFacts:
    facts = avif_boxes.read_facts(file)
    if _RAW_BRAND in facts.brands:
        return ImageFacts("raw")
    notes = []
    if facts.has_gain_map:
        notes.append("HDR gain map left out")
    if facts.has_light_levels:
        notes.append("HDR mastering metadata left out")
    codes = None if facts.has_profile else facts.codes
    is_heic = _AVIF_BRAND not in facts.brands and any(b in facts.brands for b in _HEIC_BRANDS)
    kind = "avis" if facts.is_animated else "heic" if is_heic else "avif"
    is_gray = facts.is_gray and not facts.is_animated  # of one Pillow gives colors
    return ImageFacts(kind, tuple(notes), make_encoding(codes), is_gray=is_gray)
