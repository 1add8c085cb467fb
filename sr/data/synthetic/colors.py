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


def draw_color(rng: np.random.Generator) -> Color:
    """Draw a color; a third of them are gray, black or white."""
    if rng.random() < 0.35:
        gray = float(rng.choice([0, 255, rng.uniform(0, 255)], p=[0.35, 0.35, 0.3]))
        return np.full(3, gray, np.float32)
    return rng.uniform(0, 255, 3).astype(np.float32)


def draw_contrasting_color(background: Color, rng: np.random.Generator) -> Color:
    """Draw a color whose luma differs visibly from the background's."""
    luma = float(background @ _LUMA)
    for _ in range(8):
        color = draw_color(rng)
        if abs(float(color @ _LUMA) - luma) >= _CONTRAST:
            return color
    return np.full(3, 0 if luma > 127 else 255, np.float32)


def draw_background(size: int, rng: np.random.Generator) -> Values:
    """Draw a flat color, a gradient, or colored noise with the spectrum of photos, without contrast
    at high frequencies. Returns (size, size, 3).
    """
    color = draw_color(rng)
    kind = rng.choice(["flat", "gradient", "noise"], p=[0.45, 0.3, 0.25])
    if kind == "flat":
        return np.broadcast_to(color, (size, size, 3)).astype(np.float32)
    if kind == "gradient":
        return draw_gradient(size, color, draw_color(rng), rng)
    return _draw_noise(size, color, rng)


def draw_gradient(size: int, first: Color, last: Color, rng: np.random.Generator) -> Values:
    """Draw a linear gradient in a random direction, (size, size, 3)."""
    angle = rng.uniform(0, 2 * np.pi)
    places = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    ramp = np.cos(angle) * places[None, :] + np.sin(angle) * places[:, None]
    ramp = (ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-6)
    return blend(np.broadcast_to(first, (size, size, 3)), last, ramp)


def blend(below: Any, above: Any, coverage: Any) -> Values:
    """Blend images or colors by a coverage of `above`, (H, W), 0 to 1."""
    blended = np.empty((*coverage.shape, 3), np.float32)
    for channel in range(3):  # far faster than broadcasting along three values
        lower = below[..., channel]
        blended[..., channel] = lower + (above[..., channel] - lower) * coverage
    return blended


def to_rgb8(image: Values) -> NDArray[np.uint8]:
    """Clip and round to (H, W, 3) uint8."""
    return np.asarray(np.clip(image, 0, 255) + np.float32(0.5), np.uint8)


def estimate_mean_color(image: Values) -> Color:
    """Return the mean color, (3,), of a sparse sample of the pixels."""
    return np.asarray(image[::16, ::16].mean(axis=(0, 1)), np.float32)


def _draw_noise(size: int, color: Color, rng: np.random.Generator) -> Values:
    """Draw octaves of noise, each with half the amplitude of the coarser one."""
    noise = np.zeros((size, size, 3), np.float32)
    amplitude = rng.uniform(20, 70)
    for cells in (3, 6, 12, 24, 48):
        octave = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        octave = 0.7 * octave[..., :1] + 0.3 * octave  # mostly the same in all channels
        noise += amplitude * cv2.resize(octave, (size, size), interpolation=cv2.INTER_CUBIC)
        amplitude *= 0.5
    return np.asarray(color + noise, np.float32)
