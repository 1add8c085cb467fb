"""Write results to image files, streamed, with the metadata of their source.

Letters: H, W height and width of one frame in pixels, C bands.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyvips

from sr.io.atomic_write import atomic_write
from sr.io.avif_boxes import NCLX_BYTES, write_codes
from sr.io.film_grain import FilmGrain
from sr.io.image_formats import (
    ImageError,
    check_writable,
    get_first_line,
    has_alpha,
    limit_depth,
    select_kinds,
)
from sr.io.image_metadata import Metadata, attach_metadata, fit_encoding, profile_fits
from sr.io.image_reader import ImageReader
from sr.io.linear_light import resample_in_linear_light
from sr.io.png_chunks import pack_chunks, write_chunks

_FORMATS = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
_MAX_VALUES = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
_MAX_VALUES_OF_FORMATS = {"uchar": 255.0, "ushort": 65535.0, "float": 1.0}
_CLASSIC_TIFF_BYTES = 4_000_000_000  # 32-bit offsets end there
_KEEP_ALL_BUT_EXIF = 2 | 4 | 8 | 16  # libvips' VipsForeignKeep: XMP, IPTC, ICC, the others


def write_image(
    target: Path | BinaryIO,
    pixels: npt.NDArray[Any],
    *,
    suffix: str,
    like: ImageReader | None,
    quality: int = 95,
    lossless: bool = False,
    size: tuple[int, int] | None = None,
    num_frames: int = 1,
    depth: int | None = None,
    grain: FilmGrain | None = None,
) -> None:
    """Write an image in the format of `suffix`; a path's file appears completely or not at all.

    pixels: (num_frames*H, W, C), uint8, uint16, or float32 in [0, 1]; C as in `Header`. They
    may be mapped from a file, and are not copied. like: the source, whose metadata are carried;
    it may be closed. quality: 1 to 100, of JPEG, WebP and AVIF. lossless: of WebP and AVIF.
    size: (height, width) that frames are resampled to, in linear light. depth: bits per channel,
    8, 16, or 32 for float; None for that of `like`, or of `pixels` without it, but never more than
    theirs. grain: added last, before the pixels are rounded.
    Raises `ImageError` if the format cannot hold it, or the file cannot be written.
    """
    suffix = suffix.lower()
    name = target if isinstance(target, Path) else getattr(target, "name", "the output")
    height, width = size or (pixels.shape[0] // num_frames, pixels.shape[1])
    num_bands = pixels.shape[2]
    check_writable(
        suffix, height=height, width=width, num_bands=num_bands, num_frames=num_frames, name=name
    )
    bits = _choose_bits(suffix, pixels.dtype, like, depth)
    image = _make_image(pixels, size, num_frames)
    if grain is not None:
        max_value = _MAX_VALUES_OF_FORMATS[image.format]
        image = grain.add_to_image(image, max_value=max_value, alpha=has_alpha(num_bands))
    image = _quantize(image, bits)
    metadata = like.metadata if like is not None else Metadata()
    metadata = fit_encoding(metadata, suffix, num_bands)
    kinds = set(select_kinds(suffix, metadata.kinds, num_bands=num_bands, num_frames=num_frames))
    if metadata.profile and not profile_fits(metadata.profile, num_bands):
        kinds.discard("color profile")  # the result is RGB, its source was gray, or the reverse
    image = attach_metadata(image, metadata, kinds, (height, width), suffix)
    options = _choose_save_options(suffix, quality, lossless, bits, image)
    if num_frames > 1:
        image.set_type(pyvips.GValue.gint_type, "page-height", height)
    if not _keeps_exif(suffix, kinds):
        options["keep"] = _KEEP_ALL_BUT_EXIF
    try:
        _save(image, target, suffix, options, metadata)
    except pyvips.Error as error:
        raise ImageError(f"{name}: could not be written: {get_first_line(error)}") from error
    except OSError as error:
        raise ImageError(f"{name}: could not be written: {error.strerror}") from error


def _make_image(
    pixels: npt.NDArray[Any], size: tuple[int, int] | None, num_frames: int
) -> pyvips.Image:
    """Return `pixels` as an image: as they are, or float in [0, 1] if they are resampled."""
    height, width, num_bands = pixels.shape
    memory = np.ascontiguousarray(pixels).data  # no copy of what is contiguous
    kind = str(pixels.dtype)
    image = pyvips.Image.new_from_memory(memory, width, height, num_bands, _FORMATS[kind])
    if size is None or (height, width) == (size[0] * num_frames, size[1]):
        return image
    return resample_in_linear_light(
        image,
        size,
        max_value=_MAX_VALUES[kind],
        alpha=has_alpha(num_bands),
        num_frames=num_frames,
    )


def _choose_bits(
    suffix: str, dtype: np.dtype[Any], like: ImageReader | None, depth: int | None
) -> int:
    """Return the bits per channel to write: 8, 10 or 12 (AVIF), 16, or 32 for float."""
    if depth is None:
        own = 8 if dtype == np.uint8 else 16 if dtype == np.uint16 else None
        depth = like.header.depth if like is not None else own or 8
        depth = min(depth, own or depth)
    bits = limit_depth(suffix, depth)
    source_bits = like.bits if like is not None else bits
    return min(bits, source_bits) if bits == 12 and source_bits > 8 else bits


def _quantize(image: pyvips.Image, bits: int) -> pyvips.Image:
    """Round to `bits` bits, halves up; 10 and 12 are put in the upper bits of 16, for AVIF."""
    max_value = _MAX_VALUES_OF_FORMATS[image.format]
    if bits == 32:
        image = (image / max_value).cast("float")
        return image.copy(interpretation="b-w" if image.bands <= 2 else "scrgb")
    target = "uchar" if bits == 8 else "ushort"
    levels = 2**bits - 1
    if image.format != target or bits in (10, 12):
        image = (image * (levels / max_value) + 0.5).cast(target)  # clamps, and cuts off
    if bits in (10, 12):
        image = image << (16 - bits)
    gray, color = ("b-w", "srgb") if bits == 8 else ("grey16", "rgb16")
    return image.copy(interpretation=gray if image.bands <= 2 else color)


def _keeps_exif(suffix: str, kinds: set[str]) -> bool:
    """Return whether to write an EXIF block; libvips makes one where there was none."""
    if suffix in (".jpg", ".jpeg"):
        return True  # libvips leaves out the JFIF header, so that a JPEG needs this one
    return "EXIF" in kinds or (suffix in (".webp", ".avif") and "resolution" in kinds)


def _choose_save_options(
    suffix: str, quality: int, lossless: bool, bits: int, image: pyvips.Image
) -> dict[str, object]:
    match suffix:
        case ".png":
            return {"filter": "paeth", "compression": 3}  # for photographs as small as all filters
        case ".jpg" | ".jpeg":
            return {"Q": quality}  # libvips keeps full color resolution from 90 on
        case ".webp" if lossless:
            return {"lossless": True, "exact": True}  # exact: colors under full transparency too
        case ".webp":
            return {"Q": quality, "smart_subsample": True}
        case ".avif" if lossless:
            return {"lossless": True, "bitdepth": bits}
        case ".avif":
            return {"Q": quality, "bitdepth": bits}  # full color resolution from 90 on, too
        case _:
            num_bytes = image.width * image.height * image.bands * bits // 8
            return {
                "compression": "deflate",
                "predictor": "none" if bits == 32 else "horizontal",  # float's is not read by all
                "bigtiff": num_bytes > _CLASSIC_TIFF_BYTES,
            }


def _save(
    image: pyvips.Image,
    target: Path | BinaryIO,
    suffix: str,
    options: dict[str, object],
    metadata: Metadata,
) -> None:
    if isinstance(target, Path):
        with atomic_write(target) as temporary, temporary.open("r+b") as file:
            _save_to_file(image, file, suffix, options, metadata)
        return
    with tempfile.TemporaryFile() as file:  # TIFF is not written in order, a pipe must be
        _save_to_file(image, file, suffix, options, metadata)
        file.seek(0)
        shutil.copyfileobj(file, target)
        target.flush()


def _save_to_file(
    image: pyvips.Image,
    file: BinaryIO,
    suffix: str,
    options: dict[str, object],
    metadata: Metadata,
) -> None:
    """Save through libvips, and put what it does not write into the room left at the start."""
    encoding, chunks, room = metadata.encoding, b"", 0
    if suffix == ".png":
        chunks = pack_chunks(encoding, metadata.light)
        room = len(chunks)
    elif suffix == ".avif" and encoding is not None and not options.get("lossless"):
        room = NCLX_BYTES  # of a lossless one libheif writes an nclx
    file.seek(room)
    image.write_to_target(pyvips.Target.new_to_descriptor(file.fileno()), suffix, **options)
    if chunks:
        write_chunks(file, chunks)
    elif suffix == ".avif" and encoding is not None and encoding.codes is not None:
        write_codes(file, room, encoding.codes)
