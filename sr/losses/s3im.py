"""S3IM: SSIM of windows whose pixels are drawn from the whole batch.

Xie et al. 2023, "S3IM: Stochastic Structural SIMilarity and Its Unreasonable Effectiveness for
Neural Fields" (arXiv 2308.07032): the pixels of a batch are permuted at random into a virtual
image, its SSIM (Wang et al. 2004) is computed with a kernel of K x K pixels and stride K, and
S3IM is the mean over M permutations; the loss is 1 - S3IM, with K = 4 and M = 10.

Deviations: all M orders are random, where the paper's code leaves the first as it is: its pixels
come from random rays, those of crops are neighbors. The pixels of a window count alike: distances
from its center, by which the code's Gaussian weights them, have no meaning between random pixels.
Any number of pixels will do; those that fill no window are left out. The draw follows from
the seed and the step alone: a resumed run repeats it, and the processes of a run draw alike,
each from its own batch.
"""

import torch
from torch import Tensor

from sr.losses.draws import make_draw
from sr.losses.full_precision import in_full_precision

_C1, _C2 = 0.01**2, 0.03**2  # Wang et al. 2004, for values in [0, 1]


class S3IM:
    """1 - S3IM. repeats: M; window_size: K."""

    def __init__(self, repeats: int, window_size: int, seed: int) -> None:
        self.repeats = repeats
        self.window_size = window_size
        self.seed = seed

    def __call__(self, sr: Tensor, hr: Tensor, step: int) -> Tensor:
        """sr, hr: (B, 3, H, W), RGB in [0, 1]. step: selects the draw. Returns a scalar."""
        size, count = self.window_size**2, sr.numel() // sr.shape[1]
        draw, used = make_draw(self.seed, step), count // size * size
        orders = [torch.randperm(count, generator=draw)[:used] for _ in range(self.repeats)]
        return compare_windows(sr, hr, torch.cat(orders).view(-1, size))


@in_full_precision
def compare_windows(sr: Tensor, hr: Tensor, windows: Tensor) -> Tensor:
    """Return 1 - the mean SSIM of windows, a scalar.

    sr, hr: (B, C, H, W). windows: (n, K*K), the numbers of each one's pixels in the batch.
    """
    windows = windows.to(sr.device)
    x, y = (image.movedim(1, -1).flatten(0, 2)[windows] for image in (sr, hr))  # (n, K*K, C)
    mean_x, mean_y = x.mean(1), y.mean(1)
    x, y = x - mean_x[:, None], y - mean_y[:, None]
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    variances = x.square().mean(1) + y.square().mean(1)
    structure = (2 * (x * y).mean(1) + _C2) / (variances + _C2)
    return 1 - (luminance * structure).mean()
