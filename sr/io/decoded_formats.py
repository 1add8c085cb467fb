"""Formats that libvips does not read here, decoded as a whole.

| format | by |
|---|---|
| PNM (PBM, PGM, PPM), JPEG 2000 | OpenCV |
| TGA, DDS, animated PNG and AVIF | Pillow |
| OpenEXR | FFmpeg, in PyAV |
| camera raw | LibRaw, in rawpy, of the extra `raw` |
| JPEG XL | imagecodecs, of the extra `formats` |
| HEIC | pi-heif, of the extra `formats`, or pillow-heif |
"""

import io
import struct
from collections.abc import Callable

import numpy as np

from sr.io.coded_sizes import read_jpeg2000_size, read_jpegxl_size, read_pnm_size
from sr.io.decode_animation import decode_animated_avif, decode_apng
from sr.io.decode_exr import decode_exr
from sr.io.decode_raw import decode_raw
from sr.io.decoded_image import CodedFile, DecodedImage, Pixels, drop_opaque, import_extra
from sr.io.image_formats import EXPECTED, ImageError

_FAULTS = (
    *(EOFError, LookupError, OSError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(struct.error, OverflowError),
)
"""What the decoders raise at damaged files."""


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


def _decode_pnm(file: CodedFile) -> DecodedImage:
    size = read_pnm_size(file.content)
    file.choose_frames(size.height, size.width, 1)
    return DecodedImage(_decode_with_opencv(file.content, size.max_value))


def _decode_jpeg2000(file: CodedFile) -> DecodedImage:
    from PIL import Image

    size = read_jpeg2000_size(file.content)
    file.choose_frames(size.height, size.width, 1)
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
        file.choose_frames(opened.height, opened.width, 1)
        if opened.mode not in ("L", "LA", "RGB", "RGBA"):
            is_clear = "transparency" in opened.info or opened.mode == "PA"
            mode = "L" if opened.mode == "1" else "RGBA" if is_clear else "RGB"
            pixels = np.asarray(opened.convert(mode))
        else:
            pixels = np.asarray(opened)
        is_dds = opened.format == "DDS"  # of which Pillow reads all kinds with alpha
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return DecodedImage(drop_opaque(pixels) if is_dds else pixels)


def _decode_jpegxl(file: CodedFile) -> DecodedImage:
    height, width = read_jpegxl_size(file.content)
    file.choose_frames(height, width, 1)
    imagecodecs = import_extra(file.name, "JPEG XL", "imagecodecs")
    pixels = imagecodecs.jpegxl_decode(file.content)
    if pixels.ndim > 3 or (pixels.ndim == 3 and pixels.shape[2] > 4):
        raise ValueError("an animation, or channels other than colors and transparency")
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    notes = ["color profile and metadata of JPEG XL are not read"]
    return DecodedImage(pixels.reshape(*pixels.shape[:2], -1), notes=notes)


def _decode_heic(file: CodedFile) -> DecodedImage:
    heif = import_extra(file.name, "HEIC", "pi_heif", "pillow_heif")
    opened = heif.open_heif(io.BytesIO(file.content), convert_hdr_to_8bit=False)
    file.choose_frames(opened.size[1], opened.size[0], 1)
    pixels = np.array(opened)  # a copy: an array of its memory would not keep it
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.dtype == np.uint16:
        pixels = pixels | (pixels >> opened.info["bit_depth"])  # shifted left; white is 65535
    exif = opened.info.get("exif") or None
    if exif is not None and not exif.startswith(b"Exif"):
        exif = b"Exif\0\0" + exif
    return DecodedImage(
        pixels, profile=opened.info.get("icc_profile"), exif=exif, xmp=opened.info.get("xmp")
    )


_DECODERS: dict[str, Callable[[CodedFile], DecodedImage]] = {
    "pnm": _decode_pnm,
    "jpeg2000": _decode_jpeg2000,
    "tga": _decode_with_pillow,
    "dds": _decode_with_pillow,
    "apng": decode_apng,
    "avis": decode_animated_avif,
    "jpegxl": _decode_jpegxl,
    "heic": _decode_heic,
    "exr": decode_exr,
    "raw": decode_raw,
}
NAMES = {
    "pnm": "a PNM",
    "jpeg2000": "a JPEG 2000",
    "tga": "a TGA",
    "dds": "a DDS",
    "apng": "an animated PNG",
    "avis": "an animated AVIF",
    "jpegxl": "a JPEG XL",
    "heic": "a HEIC",
    "exr": "an OpenEXR",
    "raw": "camera raw",
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
