"""Linear light of OpenEXR -> values encoded as sRGB's, which networks know."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sr.io.image_formats import ImageError
from sr.io.read_policy import AboveWhite

KNEE = 0.8  # from where on the curve of values above 1 bends


def encode_linear(
    linear: npt.NDArray[np.float32], name: str, above_white: AboveWhite
) -> tuple[npt.NDArray[Any], list[str]]:
    """Encode linear light, and say what was changed; raises ImageError for values above 1.

    linear: (H, W, C), C as in `Header`; colors multiplied by alpha, as OpenEXR has them.
    Returns (H, W, C), float32 in [0, 1], not multiplied.
    """
    num_colors = linear.shape[2] - (linear.shape[2] in (2, 4))
    colors, alpha = linear[..., :num_colors], np.clip(linear[..., num_colors:], 0, 1)
    notes = ["linear light is encoded as sRGB's"]
    if not np.isfinite(linear).all():
        notes.append("values that are no numbers become 0")
        colors, alpha = (np.nan_to_num(each, posinf=0, neginf=0) for each in (colors, alpha))
    if alpha.size:
        colors = np.divide(colors, alpha, out=np.zeros_like(colors), where=alpha > 0)
    least, most = float(colors.min()), float(colors.max())
    if least < 0:
        notes.append(f"negative values, down to {least:.4g}, become 0")
        colors = np.maximum(colors, 0)
    if most > 1:
        if above_white == "refuse":
            raise ImageError(
                f"{name}: expected linear light up to 1, got up to {most:.4g}. --above-white curve"
                " compresses what is bright, --above-white clip cuts it off"
            )
        done = "cut off" if above_white == "clip" else "compressed by a curve"
        notes.append(f"values above 1, up to {most:.4g}, are {done}")
        colors = np.minimum(colors, 1) if above_white == "clip" else _compress(colors)
    encoded = np.where(
        colors <= 0.0031308, 12.92 * colors, 1.055 * np.maximum(colors, 1e-9) ** (1 / 2.4) - 0.055
    )  # IEC 61966-2-1
    return np.concatenate([encoded, alpha], axis=2).astype(np.float32), notes


def bend_bright(peak: Any) -> Any:
    """Return the curve's value, below 1, of one from the knee on; of numpy's arrays or libvips'."""
    return 1 - (1 - KNEE) ** 2 / (peak + 1 - 2 * KNEE)


def _compress(colors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Bend the brightest channel from the knee on toward 1, smoothly; the hue stays."""
    peak = colors.max(axis=2, keepdims=True)
    bright = np.maximum(peak, KNEE)
    share = np.where(peak > KNEE, bend_bright(bright) / bright, 1)
    compressed: npt.NDArray[np.float32] = colors * share
    return compressed
