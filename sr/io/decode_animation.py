"""Animations of PNG, all frames at once, through Pillow."""

import io

import numpy as np

from sr.io.decoded_image import CodedFile, DecodedImage, drop_opaque


def decode_apng(file: CodedFile) -> DecodedImage:
    """Decode all frames of an animated PNG. Raises ImageError and what Pillow does."""
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
    return DecodedImage(
        drop_opaque(pixels),
        num_frames,
        profile=profile,
        delays=tuple(delays),
        loop=loop,
        notes=notes,
    )
