"""Unsharp masking of hr, as Real-ESRGAN sharpens its training images.

Wang et al. 2021, "Real-ESRGAN" (arXiv 2107.10833), sec. 3.4 and the authors' `USMSharp`.

Deviations: the result is rounded to 8 bits; beyond a crop lie the image's own pixels, where the
authors mirror the crop.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sr.data.sources import Image


@dataclass(frozen=True)
class Sharpening:
    """See the options of the same names."""

    kernel_size: int
    amount: float
    threshold: float  # 8-bit levels
    only_targets: bool  # the discriminator gets hr as it is

    @property
    def reach(self) -> int:
        """HR pixels around a crop that can change it: those of both blurs."""
        return 2 * (self.kernel_size // 2)


def sharpen(image: Image, sharpening: Sharpening) -> Image:
    """Add `amount` of what a Gaussian blur removes, where that is more than the threshold.

    The places are a mask, blurred in the same way, by which the sharpened image is blended in.
    image: (H, W, 3) uint8. Returns the same.
    """
    size = sharpening.kernel_size
    kernel = cv2.getGaussianKernel(size, 0.15 * size + 0.35, cv2.CV_32F)  # OpenCV's rule
    values = image.astype(np.float32)
    residual = values - _blur(values, kernel)
    mask = (np.abs(residual) > sharpening.threshold).astype(np.float32)
    sharp = np.clip(values + np.float32(sharpening.amount) * residual, 0, 255)
    mask = _blur(mask, kernel)
    sharpened: Image = np.add(mask * sharp + (1 - mask) * values, 0.5).astype(np.uint8)
    return sharpened


def _blur(values: npt.NDArray[Any], kernel: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return cv2.sepFilter2D(values, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
