"""The single steps of degradations, as pure functions.

Images are (H, W, 3) float32, RGB in [0, 1], C-contiguous; none is written to. Noise comes from
the random generator alone: the same state gives the same image. Definitions follow Real-ESRGAN
(Wang et al. 2021, arXiv 2107.10833, sec. 3.1).

Deviation: JPEG comes from libjpeg through OpenCV, with chroma at half resolution, whereas the
authors imitate it in tensors on the GPU; WebP is not in the paper.
"""

from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from sr.data.kernels import Kernel

FloatImage = npt.NDArray[np.float32]
Codec = Literal["jpeg", "webp"]
Filter = Literal["area", "bilinear", "bicubic"]

_LEVELS = 255
_FILTERS = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
_CODECS = {
    "jpeg": (".jpg", cv2.IMWRITE_JPEG_QUALITY),
    "webp": (".webp", cv2.IMWRITE_WEBP_QUALITY),
}


def to_float(image: npt.NDArray[np.uint8]) -> FloatImage:
    """Convert (H, W, 3) uint8 to float32 in [0, 1]."""
    return np.divide(image, _LEVELS, dtype=np.float32)


def to_uint8(image: FloatImage) -> npt.NDArray[np.uint8]:
    """Clip to [0, 1] and round to 8 bits, halves up."""
    return (np.clip(image, 0, 1) * _LEVELS + np.float32(0.5)).astype(np.uint8)


def blur(image: FloatImage, kernel: Kernel) -> FloatImage:
    """Convolve with a kernel, borders mirrored, clipped to [0, 1] (sinc kernels overshoot)."""
    # filter2D correlates; the kernels are symmetric about their center.
    blurred = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return _clip(blurred)


def resize(image: FloatImage, size: tuple[int, int], kind: Filter) -> FloatImage:
    """Resize to (H, W) with the borders of both images in the same place.

    area averages, bilinear and bicubic sample without antialiasing, as the paper's code does.
    """
    if image.shape[:2] == size:
        return image
    resized = cv2.resize(image, (size[1], size[0]), interpolation=_FILTERS[kind])
    return _clip(resized)


def add_gaussian_noise(
    image: FloatImage, sigma: float, gray: bool, rng: np.random.Generator
) -> FloatImage:
    """Add normal noise and clip to [0, 1].

    sigma: standard deviation in 8-bit levels. gray: the same noise in all channels.
    """
    shape = (*image.shape[:2], 1 if gray else 3)
    noise = rng.standard_normal(shape, dtype=np.float32)
    return _clip(image + noise * np.float32(sigma / _LEVELS))


def add_poisson_noise(
    image: FloatImage, scale: float, gray: bool, rng: np.random.Generator
) -> FloatImage:
    """Add `scale` times the error of counting one photon per level, and clip to [0, 1].

    At scale 1 a value of v levels has noise of standard deviation sqrt(v) levels. gray: the noise
    is that of the luma (BT.601), the same in all channels.

    Deviation: the paper's code counts 2^n photons for white, 2^n >= the image's number of
    distinct levels, so that a crop with few levels gets more noise; here it is 255 for every crop.
    """
    levels = np.clip(image, 0, 1) * _LEVELS
    if gray:
        levels = (levels @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    noise = (rng.poisson(levels) - levels) * (scale / _LEVELS)
    return _clip(image + noise)


def compress(image: FloatImage, codec: Codec, quality: int) -> FloatImage:
    """Encode to JPEG or WebP in memory and decode; rounds to 8 bits. quality: 1 to 100."""
    suffix, flag = _CODECS[codec]
    bgr = cv2.cvtColor(to_uint8(image), cv2.COLOR_RGB2BGR)
    encoded, data = cv2.imencode(suffix, bgr, [flag, quality])
    assert encoded
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return to_float(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False))


def _clip(image: npt.NDArray[Any]) -> FloatImage:
    clipped: FloatImage = np.clip(image, 0, 1).astype(np.float32, copy=False)
    return clipped
