"""What an image file holds next to its pixels, as libvips gives and takes it.

Orientation is no part of it: it is applied to the pixels while reading, so a result is upright.
"""

import re
import struct
from dataclasses import dataclass
from typing import Any

import pyvips

_DEFAULT_DPI = 72  # what libvips tells of a PNG or JPEG without a resolution
_MM_PER_INCH = 25.4
_PHOTOSHOP = b"Photoshop 3.0\0"  # how the JPEG segment begins that holds IPTC
_IPTC_RESOURCE = 0x0404


@dataclass(frozen=True)
class Metadata:
    """Metadata of an image.

    exif: the raw block, as it was; a result gets it brought up to date.
    resolution: (horizontal, vertical) pixels per mm of the upright image; None if not told.
    delays: ms that each frame of an animation is shown. loop: times it is played, 0 forever.
    """

    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    resolution: tuple[float, float] | None = None
    delays: tuple[int, ...] = ()
    loop: int = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of what is there, in the words of `sr.io.image_formats.METADATA_KINDS`."""
        held = {
            "color profile": self.profile,
            "EXIF": self.exif,
            "XMP": self.xmp,
            "IPTC": self.iptc,
            "resolution": self.resolution,
            "frame delays": self.delays,
        }
        return tuple(kind for kind, value in held.items() if value)


def read_metadata(image: pyvips.Image) -> Metadata:
    """The metadata of an image as libvips loaded it, before it is turned upright."""
    xmp, delays = _field(image, "xmp-data"), _field(image, "delay")
    iptc = _field(image, "iptc-data")
    return Metadata(
        profile=_field(image, "icc-profile-data") or None,
        exif=_field(image, "exif-data") or None,
        xmp=xmp or None,
        iptc=_iptc_records(iptc) if iptc else None,
        resolution=_resolution(image),
        delays=tuple(delays or ()),
        loop=_field(image, "loop") or 0,
    )


def attach_metadata(
    image: pyvips.Image, metadata: Metadata, kinds: set[str], size: tuple[int, int], suffix: str
) -> pyvips.Image:
    """A copy of `image` with those `kinds` of metadata, for a file of `suffix`.

    size: (height, width) in pixels of a frame, which the XMP block is told; libvips tells EXIF.
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
        _set_blob(image, "xmp-data", _upright_xmp(metadata.xmp, size))
    if "IPTC" in kinds and metadata.iptc:
        _set_blob(image, "iptc-data", _iptc_block(metadata.iptc, suffix))
    if "frame delays" in kinds:
        image.set_type(pyvips.GValue.array_int_type, "delay", list(metadata.delays))
        image.set_type(pyvips.GValue.gint_type, "loop", metadata.loop)
    return image


def profile_fits(profile: bytes, num_bands: int) -> bool:
    """Whether an ICC profile is for gray (1 or 2 bands) or for RGB (3 or 4) as the pixels are."""
    space, signature = profile[16:20], profile[36:40]  # ICC.1, 7.2
    return signature == b"acsp" and space == (b"GRAY" if num_bands <= 2 else b"RGB ")


def _field(image: pyvips.Image, name: str) -> Any:
    return image.get(name) if image.get_typeof(name) else None


def _set_blob(image: pyvips.Image, name: str, content: bytes | None) -> None:
    image.set_type(pyvips.GValue.blob_type, name, content)


def _resolution(image: pyvips.Image) -> tuple[float, float] | None:
    x, y = image.xres, image.yres
    if (x, y) == (1.0, 1.0):  # not told; libvips leaves EXIF aside for WebP, AVIF and PNG
        x, y = _exif_resolution(image)
    if x <= 0 or y <= 0 or max(abs(dots * _MM_PER_INCH - _DEFAULT_DPI) for dots in (x, y)) < 0.1:
        return None
    sideways = (_field(image, "orientation") or 1) >= 5
    return (y, x) if sideways else (x, y)


def _exif_resolution(image: pyvips.Image) -> tuple[float, float]:
    """(horizontal, vertical) pixels per mm as EXIF tells them, 0 where it does not."""
    unit = _field(image, "exif-ifd0-ResolutionUnit") or "2"
    mm = 10.0 if unit.startswith("3") else _MM_PER_INCH  # 3 is per cm, 2 per inch
    dots = []
    for axis in "XY":
        text = _field(image, f"exif-ifd0-{axis}Resolution") or ""
        ratio = re.match(r"(\d+)/([1-9]\d*) ", text)
        dots.append(int(ratio[1]) / int(ratio[2]) / mm if ratio else 0.0)
    return dots[0], dots[1]


def _upright_xmp(xmp: bytes, size: tuple[int, int]) -> bytes:
    """Tell an XMP block, where it tells them itself, the new size and that it is upright."""
    height, width = size
    values = {
        b"tiff:Orientation": 1,
        b"tiff:ImageLength|exif:PixelYDimension": height,
        b"tiff:ImageWidth|exif:PixelXDimension": width,
    }
    for names, value in values.items():  # written as an attribute, or as an element
        pattern = rb"\b(%b)(\s*=\s*[\"']|>\s*)\d+" % names
        xmp = re.sub(pattern, rb"\g<1>\g<2>%d" % value, xmp)
    return xmp


def _iptc_records(block: bytes) -> bytes | None:
    """The IPTC records in `block`, out of the Photoshop resources they are in in a JPEG."""
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


def _iptc_block(records: bytes, suffix: str) -> bytes:
    """IPTC records as libvips takes them for a file of `suffix`."""
    if suffix in (".tif", ".tiff"):
        return records.ljust(4 * len(records), b"\0")  # libvips 8.18 writes a quarter of its length
    padding = b"\0" * (len(records) % 2)
    header = struct.pack(">HHI", _IPTC_RESOURCE, 0, len(records))  # with an empty name
    return _PHOTOSHOP + b"8BIM" + header + records + padding
