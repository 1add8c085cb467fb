"""Resampling in linear light, through libvips: float, alpha premultiplied.

Colors are taken as encoded by the sRGB curve, whatever their profile: the curves of the usual
profiles are near to it, and far from linear.
"""

import numpy as np
import pyvips

_LINEAR_BELOW = 0.04045  # of the encoded value; IEC 61966-2-1, as the other constants
_ENCODED_BELOW = 0.0031308
_SLOPE = 12.92
_OFFSET = 0.055
_GAMMA = 2.4
_LEAST_ALPHA = 1e-6


def resample_in_linear_light(
    image: pyvips.Image, size: tuple[int, int], *, max_value: float, alpha: bool, num_frames: int
) -> pyvips.Image:
    """Resize `image` by a cubic (Catmull-Rom) kernel, widened where it shrinks.

    image: C bands of values in [0, max_value], `num_frames` frames in a column; the last band
    is alpha if `alpha`. size: (height, width) in pixels of a frame of the result.
    Returns: C bands, float, in [0, 1].
    """
    light = _to_linear(image, max_value, alpha)
    height = light.height // num_frames
    frames = [
        _resize(light.crop(0, height * frame, light.width, height), size)
        for frame in range(num_frames)
    ]
    column = frames[0] if num_frames == 1 else pyvips.Image.arrayjoin(frames, across=1)
    return _to_srgb(column, alpha)


def _resize(image: pyvips.Image, size: tuple[int, int]) -> pyvips.Image:
    """Shrink and grow, each axis on its own, so that the edges of both images are the same."""
    height, width = size
    shrink_x, shrink_y = max(image.width / width, 1.0), max(image.height / height, 1.0)
    image = image.reduce(shrink_x, shrink_y, kernel="cubic")
    x, y = width / image.width, height / image.height
    if (x, y) == (1.0, 1.0):
        return image
    return image.affine(  # libvips' resize is some of a pixel off where it grows
        [x, 0, 0, y],
        interpolate=pyvips.Interpolate.new("bicubic"),
        idx=(1 - 1 / x) / 2,
        idy=(1 - 1 / y) / 2,
        oarea=[0, 0, width, height],
        extend="copy",
        premultiplied=True,
    )


def _to_linear(image: pyvips.Image, max_value: float, alpha: bool) -> pyvips.Image:
    """Values in [0, max_value] -> linear light in [0, 1], colors multiplied by alpha."""
    colors = image[: image.bands - 1] if alpha else image
    if image.format == "float":
        light = _curve_to_linear(colors / max_value)
    else:  # a table is far faster than a power for each pixel
        levels = np.arange(int(max_value) + 1, dtype=np.float32)[np.newaxis]  # (1, levels)
        table = _curve_to_linear(pyvips.Image.new_from_array(levels) / max_value)
        light = colors.maplut(table)
    if not alpha:
        return light
    opacity = image[image.bands - 1] / max_value
    return (light * opacity).bandjoin(opacity)


def _to_srgb(light: pyvips.Image, alpha: bool) -> pyvips.Image:
    """Undo `_to_linear`, clamped to [0, 1]."""
    if not alpha:
        return _curve_from_linear(light.clamp())
    opacity = light[light.bands - 1]
    seen = opacity > _LEAST_ALPHA
    colors = light[: light.bands - 1] / seen.ifthenelse(opacity, 1)
    encoded = _curve_from_linear(seen.ifthenelse(colors, 0).clamp())
    return encoded.bandjoin(opacity.clamp())


def _curve_to_linear(value: pyvips.Image) -> pyvips.Image:
    curve = ((value + _OFFSET) / (1 + _OFFSET)) ** _GAMMA
    return (value <= _LINEAR_BELOW).ifthenelse(value / _SLOPE, curve)


def _curve_from_linear(light: pyvips.Image) -> pyvips.Image:
    curve = light ** (1 / _GAMMA) * (1 + _OFFSET) - _OFFSET
    return (light <= _ENCODED_BELOW).ifthenelse(light * _SLOPE, curve)
