"""Perceptual loss: the distance of sr and hr in the feature maps of a VGG network.

Johnson, Alahi, Fei-Fei 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution"
(arXiv 1603.08155), eq. 2; Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using
a Generative Adversarial Network" (arXiv 1609.04802), eq. 5.

Published settings as options:
- SRGAN: VGG19, criterion MSE, layer relu5_4 (VGG54) or relu2_2 (VGG22). Its features are divided
  by 12.75, so the MSE by 12.75^2: weight 1 / 162.6 = 0.00615, in print 0.006.
- ESRGAN: VGG19, criterion L1, layer conv5_4, weight 1.
- Real-ESRGAN: VGG19, criterion L1, layers conv1_2: 0.1, conv2_2: 0.1, conv3_4: 1, conv4_4: 1,
  conv5_4: 1, weight 1.

Deviations: the mean runs over channels too, as in Johnson's eq. 2 and in all public code; Ledig's
eq. 5 divides by width and height only.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.errors import UserError
from sr.losses.imagenet_features import ImageNetFeatures

Criterion = Literal["L1", "MSE"]
Distance = Callable[[Tensor, Tensor], Tensor]

_CRITERIA: dict[str, Distance] = {"L1": functional.l1_loss, "MSE": functional.mse_loss}


def measure_distance(phi: Tensor, wanted: Tensor, criterion: Criterion) -> Tensor:
    """Return the mean absolute or squared difference of two feature maps, (B, C, h, w)."""
    return _CRITERIA[criterion](phi.float(), wanted.float())


class PerceptualLoss(nn.Module):
    """sum over layers of weight * criterion(phi(sr), phi(hr)), phi a layer's feature map.

    criterion: also any other distance of two maps, (B, C, h, w).
    """

    def __init__(
        self,
        features: ImageNetFeatures,
        layer_weights: Mapping[str, float],
        criterion: Criterion | Distance,
    ) -> None:
        super().__init__()
        if set(layer_weights) != set(features.layers):
            raise UserError(
                f"perceptual loss: expected a weight for each of the layers "
                f"{', '.join(features.layers)}, got weights for {', '.join(layer_weights)}"
            )
        self.features = features
        self.layer_weights = dict(layer_weights)
        self.distance = _CRITERIA[criterion] if isinstance(criterion, str) else criterion

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """sr, hr: (B, 3, H, W), RGB in [0, 1]. Returns a float32 scalar.

        The network runs in autocast's precision where the caller has one; distances in float32.
        """
        with torch.no_grad():
            wanted = self.features(hr)
        terms = [
            self.layer_weights[name] * self.distance(phi.float(), wanted[name].float())
            for name, phi in self.features(sr).items()
        ]
        return torch.stack(terms).sum()
