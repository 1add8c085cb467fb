"""Images that are decoded at once, by other libraries than libvips, and libvips' image of one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyvips

from sr.io.image_formats import ImageError
from sr.io.read_policy import AboveWhite

Pixels = npt.NDArray[Any]
ChooseFrames = Callable[[int, int, int], list[int]]
"""Returns which of frames of (height, width, number) are to be decoded, counted from 0; raises
ImageError for too many pixels, or too many frames."""


class CodedFile(NamedTuple):
    """A file to decode. name: for messages. above_white: of OpenEXR."""

    content: bytes
    name: str
    choose_frames: ChooseFrames
    above_white: AboveWhite


_INTERPRETATIONS = {
    "uint8": ("uchar", "b-w", "srgb"),
    "uint16": ("ushort", "grey16", "rgb16"),
    "float32": ("float", "b-w", "scrgb"),
}


@dataclass(frozen=True)
class DecodedImage:
    """pixels: (num_frames*H, W, C), uint8, uint16 or float32, C as in `Header`; of those frames
    that were chosen."""

    pixels: Pixels
    num_frames: int = 1
    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    delays: tuple[int, ...] = ()
    loop: int = 0
    notes: list[str] = field(default_factory=list)


def make_image(decoded: DecodedImage) -> pyvips.Image:
    """Make libvips' image of a decoded one."""
    pixels = np.ascontiguousarray(decoded.pixels)
    height, width, bands = pixels.shape
    kind, gray, color = _INTERPRETATIONS[str(pixels.dtype)]
    image = pyvips.Image.new_from_memory(pixels.data, width, height, bands, kind)
    image = image.copy(interpretation=gray if bands <= 2 else color)
    blobs = {
        "icc-profile-data": decoded.profile,
        "exif-data": decoded.exif,
        "xmp-data": decoded.xmp,
    }
    for key, blob in blobs.items():
        if blob:
            image.set_type(pyvips.GValue.blob_type, key, blob)
    if decoded.delays:
        image.set_type(pyvips.GValue.array_int_type, "delay", list(decoded.delays))
        image.set_type(pyvips.GValue.gint_type, "loop", decoded.loop)
    return image


def drop_opaque(pixels: Pixels) -> Pixels:
    """Leave out alpha (H, W, 4) that hides nothing."""
    return pixels[..., :3] if pixels.shape[2] == 4 and (pixels[..., 3] == 255).all() else pixels


def import_extra(name: str, format_name: str, *modules: str) -> Any:
    """Import the first of these modules that is there. Raises ImageError where none is."""
    for module in modules:
        try:
            return import_module(module)
        except ImportError:
            continue
    package = modules[0].replace("_", "-")
    raise ImageError(
        f"{name}: expected the extra `formats` (pip install 'sr[formats]'; of it {package}) for"
        f" {format_name}, got none installed"
    )
