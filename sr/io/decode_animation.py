"""Animations of PNG and AVIF, through Pillow: 8 bits per channel."""

import io
from typing import BinaryIO

import numpy as np

from sr.io.decoded_image import CodedFile, DecodedImage, drop_opaque

_PNG_DEPTH = 24  # where a PNG has its bits per channel


def decode_apng(file: CodedFile) -> DecodedImage:
    """Decode frames of an animated PNG. Raises ImageError and what Pillow does."""
    is_deep = file.content[_PNG_DEPTH] > 8
    return _decode(file, "PNG", "16 bits per channel of an animated PNG become 8" * is_deep)


def decode_animated_avif(file: CodedFile) -> DecodedImage:
    """Decode frames of an animated AVIF. Raises ImageError and what Pillow does."""
    return _decode(file, "AVIF", "")


def count_frames(file: BinaryIO, kind: str) -> int:
    """Return the frames of an animation of a kind as Pillow calls it. Raises what Pillow does."""
    from PIL import Image

    with Image.open(file, formats=(kind,)) as opened:
        return int(getattr(opened, "n_frames", 1))


def _decode(file: CodedFile, kind: str, note: str) -> DecodedImage:
    from PIL import Image

    frames, delays = [], []
    with Image.open(io.BytesIO(file.content), formats=(kind,)) as opened:
        num_frames = getattr(opened, "n_frames", 1)
        chosen = file.choose_frames(opened.height, opened.width, num_frames)
        exif = opened.info.get("exif")
        for number in chosen:
            opened.seek(number)
            frames.append(np.asarray(opened.convert("RGBA")))
            delays.append(round(opened.info.get("duration", 100)))
        info = opened.info
    if exif and not exif.startswith(b"Exif"):
        exif = b"Exif\0\0" + exif
    return DecodedImage(
        drop_opaque(np.concatenate(frames)),
        len(chosen),
        profile=info.get("icc_profile"),
        exif=exif,
        xmp=info.get("xmp"),
        delays=tuple(delays),
        loop=info.get("loop", 0),
        notes=[note] if note else [],
    )
