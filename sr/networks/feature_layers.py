"""The convolutional layers of AlexNet, VGG16 and VGG19, named, in torchvision's order.

- AlexNet: Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks"
  (arXiv 1404.5997), the single column of its sec. 2; torchvision's widths.
- VGG16, VGG19: Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale
  Image Recognition" (arXiv 1409.1556), table 1, columns D and E.

Deviations: ReLUs are not inplace, which would change the map before them.
"""

from typing import Literal

import torch
from torch import nn

Architecture = Literal["AlexNet", "VGG16", "VGG19"]
NamedLayer = tuple[str, nn.Module]

_VGG_CONVS = {"VGG16": (2, 2, 3, 3, 3), "VGG19": (2, 2, 4, 4, 4)}  # a block; table 1
_VGG_FEATURES = (64, 128, 256, 512, 512)  # a block; table 1


def named_layers(architecture: Architecture) -> list[NamedLayer]:
    """From the image on, poolings unnamed (""). Untrained, and without memory (meta device)."""
    with torch.device("meta"):  # no time and no random numbers for weights that are replaced
        if architecture == "AlexNet":
            return _alexnet()
        return _vgg(_VGG_CONVS[architecture])


def list_layers(architecture: Architecture) -> tuple[str, ...]:
    """All layers that can be asked for."""
    return tuple(name for name, _ in named_layers(architecture) if name)


def _alexnet() -> list[NamedLayer]:
    """conv1, relu1 to conv5, relu5."""
    return [
        ("conv1", nn.Conv2d(3, 64, 11, stride=4, padding=2)),
        ("relu1", nn.ReLU()),
        ("", nn.MaxPool2d(3, 2)),
        ("conv2", nn.Conv2d(64, 192, 5, padding=2)),
        ("relu2", nn.ReLU()),
        ("", nn.MaxPool2d(3, 2)),
        ("conv3", nn.Conv2d(192, 384, 3, padding=1)),
        ("relu3", nn.ReLU()),
        ("conv4", nn.Conv2d(384, 256, 3, padding=1)),
        ("relu4", nn.ReLU()),
        ("conv5", nn.Conv2d(256, 256, 3, padding=1)),
        ("relu5", nn.ReLU()),
        ("", nn.MaxPool2d(3, 2)),
    ]


def _vgg(num_convs: tuple[int, ...]) -> list[NamedLayer]:
    """conv1_1, relu1_1, conv1_2 and so on: the block, and the place in it."""
    layers: list[NamedLayer] = []
    width = 3
    for block, (count, num_features) in enumerate(
        zip(num_convs, _VGG_FEATURES, strict=True), start=1
    ):
        for place in range(1, count + 1):
            layers.append((f"conv{block}_{place}", nn.Conv2d(width, num_features, 3, padding=1)))
            layers.append((f"relu{block}_{place}", nn.ReLU()))
            width = num_features
        layers.append(("", nn.MaxPool2d(2)))
    return layers
