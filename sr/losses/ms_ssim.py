"""MS-SSIM as a loss.

Wang, Simoncelli, Bovik 2003, "Multi-scale structural similarity for image quality assessment",
eq. 7; trained with by Snell et al. 2017, "Learning to generate images with perceptual similarity
metrics" (arXiv 1511.06409).

The SSIM of each scale is torchmetrics'. Deviations:
- The coarsest scale's mean also counts windows over the reflected border; torchmetrics'.
- A crop too small for five scales gets fewer, the exponents scaled to the sum 1. The loop over
  scales is ours, because torchmetrics' own refuses crops of 88 to 98 px with four scales.
- Each scale's mean contrast term is held above `_FLOOR`: it can be negative, and a power of it
  has no gradient then. torchmetrics sets it to 0, which makes the whole product 0 and takes the
  gradient of the other scales away too.
"""

import torch
from torch import Tensor
from torch.nn import functional

from sr.errors import UserError

_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest scale first; Wang 2003, sec. 3.2
_WINDOW_SIZE = 11  # pixels; sec. 3.1, torchmetrics' default with sigma 1.5
_FLOOR = 1e-4


def ms_ssim_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Return 1 - MS-SSIM, the mean over the batch.

    sr, hr: (B, 3, H, W), RGB in [0, 1]; H, W at least 11. The coarsest of N scales has sides
    divided by 2**(N - 1), rounded down, and holds at least one window: 5 scales from 176 px, 4
    from 88, 3 from 44, 2 from 22. Returns a float32 scalar in [0, 1].
    """
    # Imported here: it takes seconds, and programs that only upscale never come here.
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    exponents = _EXPONENTS[: _num_scales(sr)]
    similarity = torch.ones((), device=sr.device)
    # Autocast off: a variance here is the small difference of two large means. The layout,
    # because torch would hand channels_last ones to cuDNN, and that may take TF32.
    with torch.autocast(sr.device.type, enabled=False):
        x, y = sr.float().contiguous(), hr.float().contiguous()
        for scale, exponent in enumerate(exponents, start=1):
            whole, contrast = ssim(
                x, y, reduction="none", data_range=1.0, return_contrast_sensitivity=True
            )  # (B,) each
            factor = whole if scale == len(exponents) else contrast
            similarity = similarity * factor.clamp_min(_FLOOR) ** (exponent / sum(exponents))
            x, y = functional.avg_pool2d(x, 2), functional.avg_pool2d(y, 2)
    return 1 - similarity.mean()


def _num_scales(sr: Tensor) -> int:
    side = min(sr.shape[-2:])
    if side < _WINDOW_SIZE:
        raise UserError(
            f"MS-SSIM: expected images of at least {_WINDOW_SIZE} x {_WINDOW_SIZE} px, "
            f"got height {sr.shape[-2]}, width {sr.shape[-1]}"
        )
    return min(len(_EXPONENTS), (side // _WINDOW_SIZE).bit_length())
