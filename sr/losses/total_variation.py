"""Total variation: how much neighboring pixels of sr differ. As a loss term it smooths.

Rudin, Osher, Fatemi 1992, "Nonlinear total variation based noise removal algorithms"; Aly and
Dubois 2005, "Image up-sampling using total-variation regularization with a new observation model",
which Ledig et al. 2017 (arXiv 1609.04802) cite for theirs.

Both functions are means over the differences in height plus means over those in width, so a weight
keeps its meaning at every crop and batch size.

iSeeBetter's published weight, 2e-8 (Chadha et al. 2020, arXiv 2006.11161), belongs to
    TV = 2 * (sum dh^2 / count_h + sum dw^2 / count_w) / B,
where the sums run over the batch but count_h = C * (H - 1) * W and count_w = C * H * (W - 1) count
the differences of one image. sum dh^2 / count_h is therefore B times the mean, and TV is
2 * squared(sr): 2e-8 there is 4e-8 here. The term is then about 1e-10 next to an MSE of about 1e-3
and has no effect.
"""

from torch import Tensor

from sr.errors import UserError


def measure_squared(sr: Tensor) -> Tensor:
    """Return mean dh^2 + mean dw^2. sr: (B, 3, H, W), RGB in [0, 1]; H, W at least 2."""
    dh, dw = _differences(sr)
    return dh.square().mean() + dw.square().mean()


def measure_absolute(sr: Tensor) -> Tensor:
    """Return mean |dh| + mean |dw|. sr: (B, 3, H, W), RGB in [0, 1]; H, W at least 2.

    The anisotropic form; Rudin et al. 1992 have sqrt(dh^2 + dw^2) at each pixel.
    """
    dh, dw = _differences(sr)
    return dh.abs().mean() + dw.abs().mean()


def _differences(sr: Tensor) -> tuple[Tensor, Tensor]:
    """Return dh and dw, (B, C, H - 1, W) and (B, C, H, W - 1)."""
    if min(sr.shape[-2:]) < 2:
        raise UserError(
            f"total variation: expected images of at least 2 x 2 px, got height "
            f"{sr.shape[-2]}, width {sr.shape[-1]}"
        )
    return sr.diff(dim=-2), sr.diff(dim=-1)
