"""Colors and backgrounds of synthetic images, and how layers are blended.

Images are (H, W, 3) float32, RGB in 8-bit levels, 0 to 255, until `to_rgb8`.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Color = NDArray[np.float32]  # (3,), 8-bit levels

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_CONTRAST = 90  # least difference in luma of things to be seen, in levels


def random_color(rng: np.random.Generator) -> Color:
    """A third of them gray, black and white included."""
    if rng.random() < 0.35:
        gray = float(rng.choice([0, 255, rng.uniform(0, 255)], p=[0.35, 0.35, 0.3]))
        return np.full(3, gray, np.float32)
    return rng.uniform(0, 255, 3).astype(np.float32)


def contrasting_color(background: Color, rng: np.random.Generator) -> Color:
    """Return a color whose luma differs from that of the background."""
    luma = float(background @ _LUMA)
    for _ in range(8):
        color = random_color(rng)
        if abs(float(color @ _LUMA) - luma) >= _CONTRAST:
            return color
    return np.full(3, 0 if luma > 127 else 255, np.float32)


def random_background(size: int, rng: np.random.Generator) -> Values:
    """Flat, a gradient, or colored noise with the spectrum of photographs, without contrast at
    high frequencies. Returns (size, size, 3).
    """
    color = random_color(rng)
    kind = rng.choice(["flat", "gradient", "noise"], p=[0.45, 0.3, 0.25])
    if kind == "flat":
        return np.broadcast_to(color, (size, size, 3)).astype(np.float32)
    if kind == "gradient":
        return gradient(size, color, random_color(rng), rng)
    return _photo_noise(size, color, rng)


def gradient(size: int, first: Color, last: Color, rng: np.random.Generator) -> Values:
    """A linear gradient in a random direction, (size, size, 3)."""
    angle = rng.uniform(0, 2 * np.pi)
    places = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    ramp = np.cos(angle) * places[None, :] + np.sin(angle) * places[:, None]
    ramp = (ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-6)
    return blend(np.broadcast_to(first, (size, size, 3)), last, ramp)


def blend(below: Any, above: Any, coverage: Any) -> Values:
    """below, above: images or colors. coverage: (H, W), 0 to 1."""
    blended = np.empty((*coverage.shape, 3), np.float32)
    for channel in range(3):  # far faster than broadcasting along three values
        lower = below[..., channel]
        blended[..., channel] = lower + (above[..., channel] - lower) * coverage
    return blended


def to_rgb8(image: Values) -> NDArray[np.uint8]:
    """Clipped and rounded, (H, W, 3) uint8."""
    return np.asarray(np.clip(image, 0, 255) + np.float32(0.5), np.uint8)


def mean_color(image: Values) -> Color:
    """(3,), of a sparse sample of the pixels."""
    return np.asarray(image[::16, ::16].mean(axis=(0, 1)), np.float32)


def _photo_noise(size: int, color: Color, rng: np.random.Generator) -> Values:
    """Octaves of noise, each with half the amplitude of the one that is twice as coarse."""
    noise = np.zeros((size, size, 3), np.float32)
    amplitude = rng.uniform(20, 70)
    for cells in (3, 6, 12, 24, 48):
        octave = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        octave = 0.7 * octave[..., :1] + 0.3 * octave  # mostly the same in all channels
        noise += amplitude * cv2.resize(octave, (size, size), interpolation=cv2.INTER_CUBIC)
        amplitude *= 0.5
    return np.asarray(color + noise, np.float32)
