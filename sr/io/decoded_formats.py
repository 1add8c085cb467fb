"""Formats that libvips does not read here, decoded as a whole.

| format | by |
|---|---|
| PNM (PBM, PGM, PPM), JPEG 2000 | OpenCV |
| TGA, DDS, animated PNG | Pillow |
| OpenEXR | FFmpeg, in PyAV |
| JPEG XL | imagecodecs, of the extra `formats` |
| HEIC | pi-heif, of the extra `formats`, or pillow-heif |
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyvips

from sr.io.coded_sizes import (
    read_exr_size,
    read_jpeg2000_size,
    read_jpegxl_size,
    read_pnm_size,
)
from sr.io.image_formats import EXPECTED, ImageError
from sr.io.light_curve import encode_linear
from sr.io.read_policy import AboveWhite

Pixels = npt.NDArray[Any]
CheckSize = Callable[[int, int, int], None]
"""Raises ImageError for (height, width, frames) that are too many."""


class CodedFile(NamedTuple):
    """A file to decode. name: for messages. above_white: of OpenEXR."""

    content: bytes
    name: str
    check_size: CheckSize
    above_white: AboveWhite


_EXTRA = "pip install 'sr[formats]'"
_FAULTS = (
    *(EOFError, LookupError, OSError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(struct.error, OverflowError),
)
"""What the decoders raise at damaged files."""
_INTERPRETATIONS = {
    "uint8": ("uchar", "b-w", "srgb"),
    "uint16": ("ushort", "grey16", "rgb16"),
    "float32": ("float", "b-w", "scrgb"),
}


@dataclass(frozen=True)
class DecodedImage:
    """pixels: (frames*H, W, C), uint8, uint16 or float32; of these C as in `Header`."""

    pixels: Pixels
    num_frames: int = 1
    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    delays: tuple[int, ...] = ()
    loop: int = 0
    notes: list[str] = field(default_factory=list)


def decode_image(kind: str, file: CodedFile) -> DecodedImage:
    """Decode a file of one of the kinds of `NAMES`. Raises ImageError."""
    import av  # not needed for other formats
    import cv2
    from PIL import Image

    try:
        return _DECODERS[kind](file)
    except ImageError:
        raise
    except (Image.DecompressionBombError, av.FFmpegError, cv2.error, *_FAULTS) as error:
        text = " ".join(str(error).split())[:200]
        raise ImageError(
            f"{file.name}: {EXPECTED}, got {NAMES[kind]} that is damaged, cut short or unusual"
            f" ({text})"
        ) from error


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


def _decode_pnm(file: CodedFile) -> DecodedImage:
    size = read_pnm_size(file.content)
    file.check_size(size.height, size.width, 1)
    return DecodedImage(_decode_with_opencv(file.content, size.max_value))


def _decode_jpeg2000(file: CodedFile) -> DecodedImage:
    from PIL import Image

    size = read_jpeg2000_size(file.content)
    file.check_size(size.height, size.width, 1)
    with Image.open(io.BytesIO(file.content)) as opened:  # nothing is decoded
        profile = opened.info.get("icc_profile")
    return DecodedImage(_decode_with_opencv(file.content, size.max_value), profile=profile)


def _decode_with_opencv(content: bytes, max_value: int) -> Pixels:
    """Return (H, W, C) of 8 or 16 bits, white at their end."""
    import cv2

    level = cv2.utils.logging.setLogLevel(0)  # it would write of damage to the terminal
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        raise ValueError("not decodable")
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]] if pixels.shape[2] >= 3 else slice(None)]
    white = 255 if pixels.dtype == np.uint8 else 65535
    if max_value in (white, 1):
        return pixels
    return ((pixels.astype(np.uint32) * white + max_value // 2) // max_value).astype(pixels.dtype)


def _decode_with_pillow(file: CodedFile) -> DecodedImage:
    from PIL import Image

    with Image.open(io.BytesIO(file.content), formats=("TGA", "DDS")) as opened:
        file.check_size(opened.height, opened.width, 1)
        if opened.mode not in ("L", "LA", "RGB", "RGBA"):
            is_clear = "transparency" in opened.info or opened.mode == "PA"
            mode = "L" if opened.mode == "1" else "RGBA" if is_clear else "RGB"
            pixels = np.asarray(opened.convert(mode))
        else:
            pixels = np.asarray(opened)
    return DecodedImage(pixels.reshape(*pixels.shape[:2], -1))


def _decode_apng(file: CodedFile) -> DecodedImage:
    from PIL import Image

    frames, delays = [], []
    with Image.open(io.BytesIO(file.content), formats=("PNG",)) as opened:
        num_frames = getattr(opened, "n_frames", 1)
        file.check_size(opened.height, opened.width, num_frames)
        notes = [] if file.content[24] <= 8 else ["16 bits per channel of an animated PNG become 8"]
        for number in range(num_frames):
            opened.seek(number)
            delays.append(round(opened.info.get("duration", 100)))
            frames.append(np.asarray(opened.convert("RGBA")))
        pixels = np.concatenate(frames)
        profile, loop = opened.info.get("icc_profile"), opened.info.get("loop", 0)
    if (pixels[..., 3] == 255).all():
        pixels = pixels[..., :3]
    return DecodedImage(
        pixels, num_frames, profile=profile, delays=tuple(delays), loop=loop, notes=notes
    )


def _decode_jpegxl(file: CodedFile) -> DecodedImage:
    height, width = read_jpegxl_size(file.content)
    file.check_size(height, width, 1)
    imagecodecs = _import_extra(file.name, "JPEG XL", "imagecodecs")
    pixels = imagecodecs.jpegxl_decode(file.content)
    if pixels.ndim > 3 or (pixels.ndim == 3 and pixels.shape[2] > 4):
        raise ValueError("an animation, or channels other than colors and transparency")
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    notes = ["color profile and metadata of JPEG XL are not read"]
    return DecodedImage(pixels.reshape(*pixels.shape[:2], -1), notes=notes)


def _decode_heic(file: CodedFile) -> DecodedImage:
    heif = _import_extra(file.name, "HEIC", "pi_heif", "pillow_heif")
    opened = heif.open_heif(io.BytesIO(file.content), convert_hdr_to_8bit=False)
    file.check_size(opened.size[1], opened.size[0], 1)
    pixels = np.asarray(opened)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.dtype == np.uint16:
        pixels = pixels | (pixels >> opened.info["bit_depth"])  # shifted left; white is 65535
    exif = opened.info.get("exif") or None
    if exif is not None and not exif.startswith(b"Exif"):
        exif = b"Exif\0\0" + exif
    return DecodedImage(
        pixels, profile=opened.info.get("icc_profile"), exif=exif, xmp=opened.info.get("xmp")
    )


def _decode_exr(file: CodedFile) -> DecodedImage:
    """Decode linear float, and encode it as sRGB is."""
    import av

    height, width = read_exr_size(file.content)
    file.check_size(height, width, 1)
    context = av.CodecContext.create("exr", "r")
    assert isinstance(context, av.VideoCodecContext)
    frames = [*context.decode(av.Packet(file.content)), *context.decode(None)]
    frame = frames[0]
    num_planes = len(frame.planes)
    if not frame.format.name.endswith("f32le"):
        frame = frame.reformat(
            format={1: "grayf32le", 3: "gbrpf32le"}.get(num_planes, "gbrapf32le")
        )
    planes = []
    for plane in frame.planes:
        memory: Any = plane
        rows = np.frombuffer(memory, np.float32).reshape(-1, plane.line_size // 4)
        planes.append(rows[: frame.height, : frame.width])
    if num_planes >= 3:
        green, blue, red, *alpha = planes
        planes = [red, green, blue, *alpha]
    pixels, notes = encode_linear(np.dstack(planes), file.name, file.above_white)
    return DecodedImage(pixels, notes=notes)


def _import_extra(name: str, format_name: str, *modules: str) -> Any:
    for module in modules:
        try:
            return import_module(module)
        except ImportError:
            continue
    package = modules[0].replace("_", "-")
    raise ImageError(
        f"{name}: expected the extra `formats` ({_EXTRA}; of it {package}) for {format_name}, got"
        " none installed"
    )


_DECODERS: dict[str, Callable[[CodedFile], DecodedImage]] = {
    "pnm": _decode_pnm,
    "jpeg2000": _decode_jpeg2000,
    "tga": _decode_with_pillow,
    "dds": _decode_with_pillow,
    "apng": _decode_apng,
    "jpegxl": _decode_jpegxl,
    "heic": _decode_heic,
    "exr": _decode_exr,
}
NAMES = {
    "pnm": "a PNM",
    "jpeg2000": "a JPEG 2000",
    "tga": "a TGA",
    "dds": "a DDS",
    "apng": "an animated PNG",
    "jpegxl": "a JPEG XL",
    "heic": "a HEIC",
    "exr": "an OpenEXR",
}
"""Of all kinds that are decoded here."""


_STARTS = {
    b"DDS ": "dds",
    b"\x76\x2f\x31\x01": "exr",
    b"\xff\x0a": "jpegxl",
    b"\0\0\0\x0cJXL \r\n\x87\n": "jpegxl",
    b"\0\0\0\x0cjP  \r\n\x87\n": "jpeg2000",
    b"\xff\x4f\xff\x51": "jpeg2000",
}
_TGA_TYPES = b"\1\2\3\x09\x0a\x0b"


def detect_kind(head: bytes, name: str) -> str | None:
    """Return the kind by the first twelve bytes, of TGA, which has no mark there, by the name."""
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "pnm"
    for start, kind in _STARTS.items():
        if head.startswith(start):
            return kind
    if name.lower().endswith(".tga") and head[1:2] in b"\0\1" and head[2:3] in _TGA_TYPES:
        return "tga"
    return None
