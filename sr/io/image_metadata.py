"""Metadata of images: what a file holds next to its pixels, as libvips gives and takes it.

Orientation is no part of it: it is applied to the pixels while reading, so a result is upright.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyvips

from sr.io.color_encoding import ColorEncoding, make_profile
from sr.io.image_facts import ImageFacts
from sr.io.image_formats import stores_gray

_DEFAULT_DPI = 72  # what libvips reports for a PNG or JPEG without a resolution
_MM_PER_INCH = 25.4
_PHOTOSHOP = b"Photoshop 3.0\0"  # how the JPEG segment begins that holds IPTC
_IPTC_RESOURCE = 0x0404
_SRGB_TOLERANCE = 3  # of 255; writers of sRGB profiles round differently, other spaces are far off
_MORE_IMAGES = re.compile(  # what XMP says of a gain map or a video behind a JPEG's image
    rb"\s+(?:hdrgm:\w+|\w*Camera:(?:MotionPhoto|MicroVideo)\w*)\s*=\s*(?:\"[^\"]*\"|'[^']*')"
    rb"|<(hdrgm:\w+|\w*Camera:(?:MotionPhoto|MicroVideo)\w*|G?Container:Directory)\b.*?</\1>",
    re.DOTALL,
)


@dataclass(frozen=True)
class Metadata:
    """Metadata of an image.

    exif: the raw block, as it was; a result gets it updated.
    resolution: (horizontal, vertical) pixels per mm of the upright image; None if unknown.
    delays: ms that each frame of an animation is shown. loop: times it is played, 0 forever.
    encoding: of the colors, where no profile says it. light: PNG's chunks on the light of HDR.
    is_oriented: an orientation is stated outside XMP, so that the one in XMP does not count.
    """

    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    resolution: tuple[float, float] | None = None
    delays: tuple[int, ...] = ()
    loop: int = 0
    encoding: ColorEncoding | None = None
    light: Mapping[bytes, bytes] = field(default_factory=dict)
    is_oriented: bool = True

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of what is present, in the words of `sr.io.image_formats.METADATA_KINDS`."""
        held = {
            "color profile": self.profile,
            "color encoding": self.encoding,
            "HDR light levels": self.light,
            "EXIF": self.exif,
            "XMP": self.xmp,
            "IPTC": self.iptc,
            "resolution": self.resolution,
            "frame delays": self.delays,
        }
        return tuple(kind for kind, value in held.items() if value)


def read_metadata(image: pyvips.Image, facts: ImageFacts) -> Metadata:
    """Read the metadata of an image as libvips loaded it, before it is turned upright."""
    xmp, delays = _field(image, "xmp-data"), _field(image, "delay")
    iptc = _field(image, "iptc-data")
    return Metadata(
        profile=_field(image, "icc-profile-data") or None,
        exif=_field(image, "exif-data") or None,
        xmp=_MORE_IMAGES.sub(b"", xmp) if xmp else None,
        iptc=_extract_iptc(iptc) if iptc else None,
        resolution=_read_resolution(image),
        delays=tuple(delays or ()),
        loop=_field(image, "loop") or 0,
        encoding=facts.encoding,
        light=facts.light,
        is_oriented=facts.kind in ("avif", "avis", "heic")
        or _field(image, "orientation") is not None,
    )


def fit_encoding(metadata: Metadata, suffix: str, num_bands: int) -> Metadata:
    """Turn a color encoding into a profile where a file of `suffix` needs that, and it is possible.

    In PNG an encoding counts more than a profile next to it, so it takes its place elsewhere.
    """
    encoding = metadata.encoding
    if encoding is None or suffix == ".png":
        return metadata
    if suffix == ".avif" and encoding.codes is not None:
        return replace(metadata, profile=None)
    gray = num_bands <= 2
    profile = make_profile(encoding, gray=gray) if stores_gray(suffix) or not gray else None
    return metadata if profile is None else replace(metadata, profile=profile, encoding=None)


def attach_metadata(
    image: pyvips.Image, metadata: Metadata, kinds: set[str], size: tuple[int, int], suffix: str
) -> pyvips.Image:
    """Return a copy of `image` with those `kinds` of metadata, for a file of `suffix`.

    size: (height, width) in pixels of a frame, to be put into the XMP block; libvips does so in
    the EXIF block.
    """
    dots = metadata.resolution if "resolution" in kinds else None
    x, y = dots or (_DEFAULT_DPI / _MM_PER_INCH,) * 2
    image = image.copy(xres=x, yres=y)
    if "EXIF" in kinds:
        _set_blob(image, "exif-data", metadata.exif)  # makes fields of what is in the block
        thumbnail = ("jpeg-thumbnail-data", "exif-ifd1-")
        for name in image.get_fields():
            if name.startswith(thumbnail):
                image.remove(name)
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)  # after EXIF, which has its own
    if "color profile" in kinds:
        _set_blob(image, "icc-profile-data", metadata.profile)
    if "XMP" in kinds and metadata.xmp:
        _set_blob(image, "xmp-data", _update_xmp(metadata.xmp, size, turned=metadata.is_oriented))
    if "IPTC" in kinds and metadata.iptc:
        _set_blob(image, "iptc-data", _pack_iptc(metadata.iptc, suffix))
    if "frame delays" in kinds:
        image.set_type(pyvips.GValue.array_int_type, "delay", list(metadata.delays))
        image.set_type(pyvips.GValue.gint_type, "loop", metadata.loop)
    return image


def profile_fits(profile: bytes, num_bands: int) -> bool:
    """Return whether an ICC profile is for gray (1, 2 bands) or RGB (3, 4) as the pixels are."""
    space, signature = profile[16:20], profile[36:40]  # ICC.1, 7.2
    return signature == b"acsp" and space == (b"GRAY" if num_bands <= 2 else b"RGB ")


def is_srgb(profile: bytes, num_bands: int) -> bool:
    """Return whether a color profile maps a grid of colors onto themselves in sRGB."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    axes = np.meshgrid(*[levels] * num_bands, indexing="ij")
    grid = np.stack(axes, axis=-1).reshape(1, -1, num_bands)
    colors = pyvips.Image.new_from_memory(grid.data, grid.shape[1], 1, num_bands, "uchar")
    colors = colors.copy(interpretation="srgb" if num_bands == 3 else "b-w")
    colors.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    try:
        mapped = colors.icc_transform("srgb", embedded=True).numpy()  # (1, N, 3)
    except pyvips.Error:
        return False
    return bool(np.abs(mapped.astype(int) - grid.astype(int)).max() <= _SRGB_TOLERANCE)


def _field(image: pyvips.Image, name: str) -> Any:
    return image.get(name) if image.get_typeof(name) else None


def _set_blob(image: pyvips.Image, name: str, content: bytes | None) -> None:
    image.set_type(pyvips.GValue.blob_type, name, content)


def _read_resolution(image: pyvips.Image) -> tuple[float, float] | None:
    x, y = image.xres, image.yres
    if (x, y) == (1.0, 1.0):  # unknown; libvips ignores EXIF for WebP, AVIF and PNG
        x, y = _read_exif_resolution(image)
    if x <= 0 or y <= 0 or max(abs(dots * _MM_PER_INCH - _DEFAULT_DPI) for dots in (x, y)) < 0.1:
        return None
    sideways = (_field(image, "orientation") or 1) >= 5
    return (y, x) if sideways else (x, y)


def _read_exif_resolution(image: pyvips.Image) -> tuple[float, float]:
    """Return (horizontal, vertical) pixels per mm by EXIF, 0 where it has none."""
    unit = _field(image, "exif-ifd0-ResolutionUnit") or "2"
    mm = 10.0 if unit.startswith("3") else _MM_PER_INCH  # 3 is per cm, 2 per inch
    dots = []
    for axis in "XY":
        text = _field(image, f"exif-ifd0-{axis}Resolution") or ""
        ratio = re.match(r"(\d+)/([1-9]\d*) ", text)
        dots.append(int(ratio[1]) / int(ratio[2]) / mm if ratio else 0.0)
    return dots[0], dots[1]


def _update_xmp(xmp: bytes, size: tuple[int, int], *, turned: bool) -> bytes:
    """Update the size in an XMP block, where it has it; and if `turned` the orientation."""
    height, width = size
    values = {
        **({b"tiff:Orientation": 1} if turned else {}),
        b"tiff:ImageLength|exif:PixelYDimension": height,
        b"tiff:ImageWidth|exif:PixelXDimension": width,
    }
    for names, value in values.items():  # written as an attribute, or as an element
        pattern = rb"\b(%b)(\s*=\s*[\"']|>\s*)\d+" % names
        xmp = re.sub(pattern, rb"\g<1>\g<2>%d" % value, xmp)
    return xmp


def _extract_iptc(block: bytes) -> bytes | None:
    """Return the IPTC records in `block`, taken out of the Photoshop resources of a JPEG."""
    if not block.startswith(_PHOTOSHOP):
        return block
    position = len(_PHOTOSHOP)
    while block[position : position + 4] == b"8BIM" and position + 7 <= len(block):
        (kind,) = struct.unpack_from(">H", block, position + 4)
        position += 6 + (block[position + 6] + 2) // 2 * 2  # a name, padded to an even length
        if position + 4 > len(block):
            return None
        (length,) = struct.unpack_from(">I", block, position)
        if kind == _IPTC_RESOURCE:
            return block[position + 4 : position + 4 + length] or None
        position += 4 + (length + 1) // 2 * 2
    return None


def _pack_iptc(records: bytes, suffix: str) -> bytes:
    """Pack IPTC records as libvips takes them for a file of `suffix`."""
    if suffix in (".tif", ".tiff"):
        return records.ljust(4 * len(records), b"\0")  # libvips 8.18 writes a quarter of its length
    padding = b"\0" * (len(records) % 2)
    header = struct.pack(">HHI", _IPTC_RESOURCE, 0, len(records))  # with an empty name
    return _PHOTOSHOP + b"8BIM" + header + records + padding
