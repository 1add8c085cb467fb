"""LPIPS: a distance of feature maps, weighted by what people see.

Zhang, Isola, Efros, Shechtman, Wang 2018, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric" (arXiv 1801.03924), eq. 1, the variant `lin` of version 0.1 on AlexNet, by
custom the measure, and on VGG16, by custom the loss.

The learned weights of the channels are the authors', from the files that torchmetrics brings along;
the result equals torchmetrics'. They belong to the weights that torchvision has for the networks:
with others, which have other channels, the result is a distance of its own, not to be compared
with published LPIPS. The networks are ours, because the authors' normalization of an image in
[-1, 1], shift (-0.030, -0.088, -0.188) and scale (0.458, 0.448, 0.450), is ImageNet's of [0, 1].
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from sr.losses.imagenet_features import FeatureWeights, ImageNetFeatures

Network = Literal["AlexNet", "VGG16"]

_LAYERS: dict[Network, tuple[str, ...]] = {  # sec. 3.2
    "AlexNet": ("relu1", "relu2", "relu3", "relu4", "relu5"),
    "VGG16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
}
_FILES: dict[Network, str] = {"AlexNet": "alex.pth", "VGG16": "vgg.pth"}  # torchmetrics'
_EPSILON = 1e-8  # keeps the gradient finite where all channels are 0; torchmetrics'


class LPIPS(nn.Module):
    """sum over layers of mean over h, w of sum over c of w_c * (y_c(sr) - y_c(hr))^2.

    y is a layer's feature map with each pixel's channels scaled to length 1. weights: of the
    network, as in ImageNetFeatures. Frozen and always in eval mode.
    """

    def __init__(self, network: Network, weights: FeatureWeights) -> None:
        super().__init__()
        self.features = ImageNetFeatures(network, _LAYERS[network], weights)
        channel_weights = _read_channel_weights(_FILES[network])
        for layer, channels in zip(self.features.layers, channel_weights, strict=True):
            self.register_buffer(f"weights_{layer}", channels, persistent=False)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """sr, hr: (B, 3, H, W), RGB in [0, 1]; H, W at least 16 with VGG16, 31 with
        AlexNet.

        Returns a float32 scalar, the mean over the batch. The network runs in autocast's
        precision where the caller has one; distances in float32.
        """
        with torch.no_grad():
            wanted = self.features(hr)
        total = torch.zeros((), device=sr.device)
        for layer, phi in self.features(sr).items():
            squares = (_unit(phi) - _unit(wanted[layer])).square()  # (B, C, h, w)
            weights = self.get_buffer(f"weights_{layer}")  # (1, C, 1, 1)
            total = total + (weights * squares).sum(dim=1).mean()
        return total


def _unit(phi: Tensor) -> Tensor:
    """Return each pixel's channels scaled to length 1."""
    phi = phi.float()
    return phi / (phi.square().sum(dim=1, keepdim=True) + _EPSILON).sqrt()


def _read_channel_weights(file: str) -> list[Tensor]:
    """Return those of each layer in turn, (1, C, 1, 1), none negative."""
    # Found, not imported: importing torchmetrics takes seconds.
    spec = find_spec("torchmetrics")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "functional" / "image" / "lpips_models" / file
    read = torch.load(path, map_location="cpu", weights_only=True)
    return [read[f"lin{index}.model.1.weight"] for index in range(5)]
