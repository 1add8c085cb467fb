"""Files of formats that are not written by the program, nor by Pillow or OpenCV."""

import io
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import tifffile

Pixels = npt.NDArray[Any]
Linear = npt.NDArray[np.uint16]
_XYZ_TO_SRGB = (
    *(3.2404542, -1.5371385, -0.4985314),
    *(-0.9692660, 1.8760108, 0.0415560),
    *(0.0556434, -0.2040259, 1.0572252),
)  # so that the camera's colors are those of sRGB


def encode_dng(linear: Linear, orientation: int = 1, bayer: bool = False) -> bytes:
    """Encode a DNG of a camera that sees sRGB. linear: (H, W, 3)."""
    matrix = [part for each in _XYZ_TO_SRGB for part in (round(each * 10_000), 10_000)]
    tags = [
        (274, "H", 1, orientation, True),
        (271, "s", 0, "Test", True),
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Test camera", True),
        (50721, "2i", 9, tuple(matrix), True),  # ColorMatrix1
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
    ]
    more: Mapping[str, Any] = {"photometric": "linear_raw", "planarconfig": "contig"}
    if bayer:
        tags += [(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True)]
        sensor = linear[..., 1].copy()
        sensor[::2, ::2], sensor[1::2, 1::2] = linear[::2, ::2, 0], linear[1::2, 1::2, 2]
        linear, more = sensor, {"photometric": "cfa"}
    file = io.BytesIO()
    tifffile.imwrite(file, linear, extratags=tags, metadata=None, **more)
    return file.getvalue()


def encode_exr(pixels: Pixels, compression: str = "none") -> bytes:
    """pixels: (H, W, 1, 3 or 4), float32."""
    pix_fmt = {1: "grayf32le", 3: "gbrpf32le", 4: "gbrapf32le"}[pixels.shape[2]]
    context: Any = av.CodecContext.create("exr", "w")
    context.height, context.width = pixels.shape[:2]
    context.options = {"compression": compression}
    context.pix_fmt, context.time_base = pix_fmt, Fraction(1, 25)
    frame = av.VideoFrame(context.width, context.height, pix_fmt)
    order = [1, 2, 0, 3] if pixels.shape[2] >= 3 else [0]
    for plane, band in zip(frame.planes, order, strict=False):
        rows = np.zeros((plane.height, plane.line_size // 4), np.float32)
        rows[:, : plane.width] = pixels[..., band]
        plane.update(rows.tobytes())
    frame.pts = 0
    return b"".join(bytes(each) for each in [*context.encode(frame), *context.encode(None)])
