"""Color without detail: L1 of Oklab coordinates after averaging.

Oklab: Ottosson 2020, "A perceptual color space for image processing"
(https://bottosson.github.io/posts/oklab): linear light -> cones -> cube root -> lightness and two
axes of color, in which equal distances look about equal. sRGB's curve: IEC 61966-2-1.

Both images are first averaged over squares of `pool_size` pixels, in linear light: the term shall
hold colors, where structural and adversarial terms let them drift, and leave detail to the others.

Deviations from Oklab: below (6/29)^3 the cube root goes on as its tangent, as in CIELAB (CIE 15),
so that black has a finite slope and overshoots below it have one, too. Grays still have no color.
"""

import torch
from torch import Tensor
from torch.nn import functional

from sr.errors import UserError
from sr.losses.full_precision import in_full_precision

_CONES = (  # linear sRGB -> cones; Ottosson 2020
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_AXES = (  # their cube roots -> L, a, b
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_KNEE = (6 / 29) ** 3
_CURVE_START = 0.04045  # of sRGB; below it is straight


@in_full_precision
def color_loss(sr: Tensor, hr: Tensor, pool_size: int) -> Tensor:
    """Return the mean of |difference| over L, a and b, a scalar.

    sr, hr: (B, 3, H, W), RGB in [0, 1]; rows and columns that fill no square do not count. Raises
    UserError for images smaller than a square.
    """
    if min(sr.shape[-2:]) < pool_size:
        raise UserError(
            f"color loss: expected images of at least {pool_size} x {pool_size} px, got height "
            f"{sr.shape[-2]}, width {sr.shape[-1]}"
        )
    pooled = (functional.avg_pool2d(_linearize(image), pool_size) for image in (sr, hr))
    ours, theirs = map(convert_to_oklab, pooled)
    return functional.l1_loss(ours, theirs)


def convert_to_oklab(linear: Tensor) -> Tensor:
    """Return L, a, b of linear RGB; both (B, 3, H, W), white is (1, 0, 0) but for rounding."""
    cones = _mix(linear, _CONES)
    roots = cones.clamp_min(_KNEE) ** (1 / 3)
    slope = 1 / (3 * _KNEE ** (2 / 3))
    roots = torch.where(cones > _KNEE, roots, _KNEE ** (1 / 3) + slope * (cones - _KNEE))
    return _mix(roots, _AXES)


def _linearize(rgb: Tensor) -> Tensor:
    """Undo sRGB's curve; overshoots below 0 stay on its straight part."""
    curve = ((rgb.clamp_min(_CURVE_START) + 0.055) / 1.055) ** 2.4
    return torch.where(rgb > _CURVE_START, curve, rgb / 12.92)


def _mix(image: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    rows = torch.tensor(matrix, dtype=image.dtype, device=image.device)
    return torch.einsum("ij,bjhw->bihw", rows, image)
