"""Temporal consistency of consecutive results.

After Lai et al. 2018, "Learning Blind Video Temporal Consistency", arXiv 1808.00449, equations 4
and 5: what differs between a frame and the next one warped to it flickers,

    L = mean(M |e_t - W(e_t+1)|),  M = exp(-50 |hr_t - W(hr_t+1)|^2),

where W is the warp by the flow from t to t+1, and M fades where the flow is wrong or something is
hidden. Deviations: e is the error sr - hr instead of sr, so that what changes in the original too
(light, and what warping blurs) is not punished; pixels that leave the crop do not count.
"""

import torch
from torch import Tensor

from sr.motion.warp import warp

_ALPHA = 50.0  # Lai et al. 2018, below equation 4; for values in [0, 1]


def temporal_loss(sr: Tensor, hr: Tensor, motion: Tensor) -> Tensor:
    """Return L, of pairs of consecutive frames that stand side by side in the batch.

    sr, hr: (2P, 3, H, W), RGB in [0, 1]; frames 2p and 2p + 1 are a pair. motion: (P, 2, H, W),
    the flow from the first to the second in pixels, across and down. Raises ValueError where the
    batch does not consist of such pairs.
    """
    if len(sr) != 2 * len(motion):
        raise ValueError(
            f"temporal loss: expected pairs of frames and a flow each, got {len(sr)} frames and "
            f"{len(motion)} flows"
        )
    error = sr - hr
    moved, inside = warp(torch.cat([error[1::2], hr[1::2]], dim=1), motion)
    error_moved, hr_moved = moved[:, :3], moved[:, 3:]
    squares = (hr[::2] - hr_moved).square().sum(1, keepdim=True)  # (P, 1, H, W)
    weights = torch.exp(-_ALPHA * squares) * inside[:, None]
    differences = (error[::2] - error_moved).abs().mean(1, keepdim=True)
    loss: Tensor = (weights * differences).mean()
    return loss
