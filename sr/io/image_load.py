"""Image files of any kind -> libvips' images, lazily decoded; BMP and 8-bit Lab at once."""

import io
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import pyvips

from sr.io.bmp import load_bitmap, read_bitmap_size
from sr.io.decoded_formats import NAMES, decode_image
from sr.io.decoded_image import CodedFile, make_image
from sr.io.image_facts import ImageFacts
from sr.io.image_formats import EXPECTED, ImageError, get_first_line
from sr.io.jpeg_segments import END
from sr.io.png_chunks import repair
from sr.io.read_policy import AboveWhite, Damaged

Frames = Literal["refuse", "each"]

DAMAGE_HINT = ". --damaged continue takes what can be decoded"
PILLOW_FAULTS = (EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error)
"""What Pillow raises at damaged files."""
_AT_ONCE = 2**28  # pixels that are decoded as a whole
_DECODED_AT_ONCE = frozenset(NAMES) | {"bmp"}
_LOADERS = ("pngload", "jpegload", "webpload", "tiffload", "heifload", "gifload")


@dataclass(frozen=True)
class LoadOptions:
    """What to load of a file, as `sr.io.image_reader.open_image` says; pages count from 1."""

    max_pixels: int
    frames: Frames
    page: int | None
    damaged: Damaged
    above_white: AboveWhite | None = None


@dataclass(frozen=True)
class LoadedImage:
    """images: each of `num_frames` frames in a column. loader: libvips' name, or bmp."""

    images: Sequence[pyvips.Image]
    num_frames: int
    loader: str
    notes: list[str] = field(default_factory=list)


def load_image(
    source: Path | bytes, file: BinaryIO, name: str, facts: ImageFacts, options: LoadOptions
) -> LoadedImage:
    """Load a file, already open as `file`. Raises ImageError, and pyvips.Error for damage."""
    file.seek(0)
    if facts.kind in _DECODED_AT_ONCE:
        return _load_decoded(file, name, facts, options)
    if facts.is_lab8:
        return _load_lab(file, name, facts, options)
    opener, notes = Opener(source, file, facts), []
    if facts.lacks_end:
        content = file.read()
        if _has_all_pixels(content, name, options.max_pixels):
            notes.append("the end of the JPEG is missing, all pixels are there")
            opener = Opener(content + END, file, facts)
        elif options.damaged == "stop":
            raise ImageError(f"{name}: {EXPECTED}, got a JPEG damaged or cut short{DAMAGE_HINT}")
    try:
        loaded = _load_with_vips(opener, name, facts, options)
        if options.damaged == "continue":
            _decode(loaded)
    except pyvips.Error as error:
        if options.damaged == "stop":
            raise
        notes = [
            f"damaged or cut short: what cannot be decoded stays empty ({get_first_line(error)})"
        ]
        if facts.kind == "png":  # libvips gives nothing of one
            file.seek(0)
            source = repair(file.read(), options.max_pixels)
        opener = Opener(source, file, facts, fail_on="none")
        loaded = _load_with_vips(opener, name, facts, options)
    return replace(loaded, notes=notes)


@contextmanager
def convert_errors(name: str, hint: str = "") -> Iterator[None]:
    """Turn errors of a file and of its content into `ImageError`."""
    try:
        yield
    except pyvips.Error as error:
        if "wbuffer_write: write failed" in str(error):  # libvips' words
            raise ImageError(
                f"{name}: could not be decoded to a temporary file, as large images are:"
                f" no room in {tempfile.gettempdir()}. Set TMPDIR to a folder with more"
            ) from error
        raise ImageError(
            f"{name}: {EXPECTED}, got a file of another kind, damaged or cut short"
            f" ({get_first_line(error)}){hint}"
        ) from error
    except IsADirectoryError as error:
        raise ImageError(f"{name}: {EXPECTED}, got a folder") from error
    except OSError as error:
        raise ImageError(f"{name}: could not be read: {error.strerror}") from error


class Opener:
    """Opens a file through libvips, lazily and for any order.

    By descriptor, not by name: libvips remembers images by name (a changed file would come back
    unchanged), and takes "[...]" in a name for options.
    """

    def __init__(
        self, source: Path | bytes, file: BinaryIO, facts: ImageFacts, fail_on: str = "error"
    ) -> None:
        self._source = source
        self._file = file
        self._is_jpeg = facts.kind == "jpeg"
        self._fail_on = fail_on

    def open(self, **options: int) -> pyvips.Image:
        """Open again; an image that was opened before and not decoded yet is then useless."""
        if isinstance(self._source, bytes):
            return self._load(pyvips.Source.new_from_memory(self._source), options)
        self._file.seek(0)
        descriptor = self._file.fileno()  # libvips takes a duplicate, its own to close
        return self._load(pyvips.Source.new_from_descriptor(descriptor), options)

    def open_apart(self, **options: int) -> pyvips.Image:
        """Open so that others can be decoded at the same time."""
        if isinstance(self._source, bytes):
            return self.open(**options)
        with self._source.open("rb") as file:
            return self._load(pyvips.Source.new_from_descriptor(file.fileno()), options)

    def _load(self, source: pyvips.Source, options: dict[str, Any]) -> pyvips.Image:
        options |= {"access": "random", "fail_on": self._fail_on}
        if self._is_jpeg:  # libvips has another one for a gain map, which ignores XMP and IPTC
            return pyvips.Image.jpegload_source(source, **options)
        return pyvips.Image.new_from_source(source, "", **options)


def _load_with_vips(
    opener: Opener, name: str, facts: ImageFacts, options: LoadOptions
) -> LoadedImage:
    first = opener.open() if facts.pages is None else opener.open(page=facts.pages[0])
    loader = first.get("vips-loader").removesuffix("_source")
    if not loader.startswith(_LOADERS):
        raise ImageError(f"{name}: {EXPECTED}, got a file of another kind")
    pages: Sequence[int] = facts.pages or range(count_pages(first))
    pages = _choose_pages(name, pages, options)
    size = (first.height, first.width)
    _check_num_pixels(name, [size] * len(pages), options.max_pixels)
    if pages == [0]:
        return LoadedImage([first], 1, loader)
    del first  # it reads from the same place of the file
    if all(after == before + 1 for before, after in pairwise(pages)):
        try:
            image = opener.open(page=pages[0], n=len(pages))
        except pyvips.Error as error:
            if "differs" not in str(error):
                raise
            raise _make_size_error(name, len(pages)) from error
        _check_num_pixels(name, [(image.height, image.width)], options.max_pixels)
        return LoadedImage([image], len(pages), loader)
    images = [opener.open_apart(page=page) for page in pages]
    _check_alike(name, images)
    return LoadedImage(images, 1, loader)


def count_pages(image: pyvips.Image) -> int:
    """Return the pages or frames of the file that an image is of."""
    return image.get("n-pages") if image.get_typeof("n-pages") else 1


def _choose_pages(name: str, pages: Sequence[int], options: LoadOptions) -> list[int]:
    """Return those that are asked for of the pages, or frames, of a file."""
    if options.page is not None:
        if options.page > len(pages):
            raise ImageError(
                f"{name}: expected a page of 1 to {len(pages)} (--page), got {options.page}"
            )
        return [pages[options.page - 1]]
    if len(pages) > 1 and options.frames == "refuse":
        raise ImageError(
            f"{name}: expected an image of one frame, got {len(pages)} pages or frames."
            " --frames each upscales all of them into one file, --frames files into one file"
            " each, --page one of them"
        )
    return list(pages)


def _check_alike(name: str, images: Sequence[pyvips.Image]) -> None:
    kinds = {(each.height, each.width, each.bands, each.format) for each in images}
    if len(kinds) > 1:
        raise _make_size_error(name, len(images))


def _make_size_error(name: str, num_pages: int) -> ImageError:
    return ImageError(
        f"{name}: expected frames or pages of one size, got {num_pages} of several."
        " --page upscales one of them"
    )


def _load_decoded(
    file: BinaryIO, name: str, facts: ImageFacts, options: LoadOptions
) -> LoadedImage:
    """Decode what libvips does not read, at once."""
    if facts.kind == "bmp":
        size = read_bitmap_size(file, name)
        _check_num_pixels(name, [size], options.max_pixels)
        _choose_pages(name, [0], options)
        file.seek(0)
        return LoadedImage([load_bitmap(file, name, size)], 1, "bmp")

    def choose(height: int, width: int, num_frames: int) -> list[int]:
        pages = _choose_pages(name, range(num_frames), options)
        _check_num_pixels(name, [(height, width)] * len(pages), min(options.max_pixels, _AT_ONCE))
        return pages

    coded = CodedFile(file.read(), name, choose, options.above_white or "refuse")
    decoded = decode_image(facts.kind, coded)
    return LoadedImage([make_image(decoded)], decoded.num_frames, facts.kind, decoded.notes)


def _load_lab(file: BinaryIO, name: str, facts: ImageFacts, options: LoadOptions) -> LoadedImage:
    """Decode a TIFF of 8-bit Lab through Pillow, at once; libvips does not open it."""
    from PIL import Image  # not needed for other images

    pages = _choose_pages(name, facts.pages or [0], options)
    images = []
    try:
        with Image.open(io.BytesIO(file.read())) as opened:
            for page in pages:
                opened.seek(page)
                size = (opened.height, opened.width)
                _check_num_pixels(name, [size] * len(pages), options.max_pixels)
                if opened.mode != "LAB":
                    raise ImageError(
                        f"{name}: expected only pages of Lab, got one of {opened.mode}"
                    )
                images.append(_make_lab(np.asarray(opened)))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: expected 8-bit Lab of fewer pixels ({error})") from error
    except PILLOW_FAULTS as error:
        raise ImageError(f"{name}: {EXPECTED}, got 8-bit Lab that is damaged ({error})") from error
    _check_alike(name, images)
    return LoadedImage(images, 1, "tiffload")


def _make_lab(levels: npt.NDArray[np.uint8]) -> pyvips.Image:
    """levels: (h, w, 3), L, and signed a and b."""
    height, width, _ = levels.shape
    lab = np.dstack([levels[..., :1] * (100 / 255), levels[..., 1:].view(np.int8)])
    content = np.ascontiguousarray(lab, np.float32).data
    image = pyvips.Image.new_from_memory(content, width, height, 3, "float")
    return image.copy(interpretation="lab")


def _has_all_pixels(content: bytes, name: str, max_pixels: int) -> bool:
    """Return whether a JPEG without its end has all pixels: what follows then changes none.

    Decodes it, unless it has more than `max_pixels`.
    """
    content = content.rstrip(b"\xff")  # the first half of the marker
    followed = [content + filler * 4096 + END for filler in (b"\0", b"\x55", b"\xc6")]
    try:
        first, *others = (pyvips.Image.jpegload_buffer(each, fail_on="none") for each in followed)
        _check_num_pixels(name, [(first.height, first.width)], max_pixels)
        return all((first != other).max() == 0 for other in others)
    except pyvips.Error:
        return False


def _decode(loaded: LoadedImage) -> None:
    """Decode all pixels, to find damage; raises pyvips.Error."""
    for image in loaded.images:
        image.avg()


def _check_num_pixels(name: str, sizes: Sequence[tuple[int, int]], max_pixels: int) -> None:
    if sum(height * width for height, width in sizes) > max_pixels:
        height, width = sizes[0]
        frames = f" in {len(sizes)} frames" if len(sizes) > 1 else ""
        raise ImageError(
            f"{name}: expected at most {max_pixels} pixels, got {width}x{height}{frames}."
            " --max-pixels allows more"
        )
