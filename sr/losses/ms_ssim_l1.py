"""MS-SSIM and L1 in one term.

Zhao, Gallo, Frosio, Kautz 2017, "Loss Functions for Image Restoration with Neural Networks" (arXiv
1511.08861), section III: Mix = alpha * (1 - MS-SSIM) + (1 - alpha) * G * |sr - hr|, alpha = 0.84.
Their MS-SSIM is of one size: Gaussians G of sigma 0.5, 1, 2, 4 and 8 px stand for five sizes, and
at each pixel it is the luminance under the widest times the contrasts under all of them, every
exponent 1. L1 is weighted by the widest Gaussian, too.

Deviations: the mean over all pixels, as in a fully convolutional network, instead of the center
pixels of patches; Gaussians end at 3 sigma, and borders are reflected, where the paper's patches
end. Each channel of RGB counts by itself, as in the paper.
"""

import torch
from torch import Tensor

from sr.errors import UserError
from sr.losses.full_precision import in_full_precision
from sr.losses.gaussian_blur import blur, find_radius

_SIGMAS = (0.5, 1.0, 2.0, 4.0, 8.0)  # pixels; sec. III
_C1, _C2 = 0.01**2, 0.03**2  # Wang et al. 2004, for values in [0, 1]


@in_full_precision
def ms_ssim_l1_loss(sr: Tensor, hr: Tensor, alpha: float) -> Tensor:
    """Return the term, a scalar. sr, hr: (B, 3, H, W), RGB in [0, 1].

    alpha: share of MS-SSIM, in [0, 1]. Raises UserError for images with a side below 25 px.
    """
    least = find_radius(_SIGMAS[-1]) + 1
    if min(sr.shape[-2:]) < least:
        raise UserError(
            f"MS-SSIM with L1: expected images of at least {least} x {least} px, got height "
            f"{sr.shape[-2]}, width {sr.shape[-1]}"
        )
    similarity = torch.ones_like(sr)
    channels = torch.cat([sr, hr, sr * sr, hr * hr, sr * hr, (sr - hr).abs()], dim=1)
    for sigma in _SIGMAS:
        x, y, xx, yy, xy, l1 = blur(channels, sigma).chunk(6, dim=1)  # (B, 3, H, W) each
        similarity = similarity * (2 * (xy - x * y) + _C2) / (xx - x * x + yy - y * y + _C2)
    luminance = (2 * x * y + _C1) / (x * x + y * y + _C1)  # of the widest
    return (alpha * (1 - luminance * similarity) + (1 - alpha) * l1).mean()
