"""DISTS: structure and texture in the features of VGG16.

Ding, Ma, Wang, Simoncelli 2020, "Image Quality Assessment: Unifying Structure and Texture
Similarity" (arXiv 2004.07728): of the image and of five layers of VGG16, whose poolings are
Gaussian-like averages of squares, each channel's mean over the image (texture) and covariance of sr
and hr (structure) are compared,

    D = 1 - sum of alpha * (2 mx my + c) / (mx^2 + my^2 + c)
          + beta * (2 cov + c) / (vx + vy + c),

c = 1e-6, alpha and beta learned, of sum 1. Another sample of the same texture is near.

alpha and beta are the authors', from the file that torchmetrics brings along; the result equals
torchmetrics'. They belong to ImageNet's weights of the network: with others the result is a
distance of its own, not to be compared with published ones.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.losses.full_precision import in_full_precision, widen
from sr.losses.imagenet_features import FeatureWeights, ImageNetFeatures

_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
_CHANNELS = (3, 64, 128, 256, 512, 512)  # of the image, and of each layer
_C = 1e-6
_HANNING = (0.25, 0.5, 0.25)  # 0.5, 1, 0.5 over their sum


class DISTS(nn.Module):
    """D, the mean over the batch. weights: of VGG16, as in ImageNetFeatures. Frozen."""

    alpha: Tensor  # (1475,)
    beta: Tensor

    def __init__(self, weights: FeatureWeights) -> None:
        super().__init__()
        self.features = ImageNetFeatures("VGG16", _LAYERS, weights)
        for index, layer in enumerate(self.features.features):
            if isinstance(layer, nn.MaxPool2d):
                self.features.features[index] = L2Pool()
        for name, values in zip(("alpha", "beta"), _read_weights(), strict=True):
            self.register_buffer(name, values, persistent=False)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """sr, hr: (B, 3, H, W), RGB in [0, 1]; H, W at least 16. Returns a float32 scalar.

        The network runs in autocast's precision where the caller has one; statistics in float32.
        """
        with torch.no_grad():
            wanted = [hr.detach(), *self.features(hr).values()]
        maps = [sr, *self.features(sr).values()]
        parts = [part.split(_CHANNELS) for part in (self.alpha, self.beta)]
        terms = [compare_statistics(*each) for each in zip(maps, wanted, *parts, strict=True)]
        return 1 - torch.stack(terms).sum()


class L2Pool(nn.Module):
    """Halve a map: sqrt(g * x^2), g a 3x3 Hanning window; Henaff and Simoncelli 2016."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W). Returns (B, C, ceil(H / 2), ceil(W / 2))."""
        with torch.autocast(x.device.type, enabled=False):  # squares overflow in fp16
            squares = widen(x).square()
            taps = torch.tensor(_HANNING, dtype=squares.dtype, device=x.device)
            kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 3, 3)
            pooled = functional.conv2d(squares, kernel, stride=2, padding=1, groups=x.shape[1])
            return (pooled + 1e-12).sqrt()


@in_full_precision
def compare_statistics(phi: Tensor, wanted: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Return the sum over channels of both similarities, weighted, the mean over the batch.

    phi, wanted: (B, C, H, W); alpha, beta: (C,).
    """
    mean_x, mean_y = phi.mean((2, 3)), wanted.mean((2, 3))  # (B, C)
    texture = (2 * mean_x * mean_y + _C) / (mean_x**2 + mean_y**2 + _C)
    x, y = phi - mean_x[..., None, None], wanted - mean_y[..., None, None]
    variances = x.square().mean((2, 3)) + y.square().mean((2, 3))
    structure = (2 * (x * y).mean((2, 3)) + _C) / (variances + _C)
    return (alpha * texture + beta * structure).sum(1).mean()


def _read_weights() -> tuple[Tensor, Tensor]:
    """Return alpha and beta, divided by the sum of both."""
    # Found, not imported: importing torchmetrics takes seconds.
    spec = find_spec("torchmetrics")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "functional" / "image" / "dists_models" / "weights.pt"
    read = torch.load(path, map_location="cpu", weights_only=True)
    alpha, beta = (cast("Tensor", read[name]).detach().flatten() for name in ("alpha", "beta"))
    total = alpha.sum() + beta.sum()
    return alpha / total, beta / total
