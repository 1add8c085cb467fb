"""Feature maps of networks that were trained on ImageNet, to compare images by.

The networks are torchvision's:
- AlexNet: Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks"
  (arXiv 1404.5997), the single column of its sec. 2.
- VGG16, VGG19: Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale
  Image Recognition" (arXiv 1409.1556), table 1, columns D and E.

Deviations: only the convolutional part, cut after the last layer that is asked for; ReLUs are not
inplace, which would change the map before them. Frozen, and always in eval mode; only gradients
with respect to the image flow.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn

from sr.errors import UserError
from sr.io.torchvision_weights import download_weights, refuse_misfits
from sr.io.weights_file import read_weights

Architecture = Literal["AlexNet", "VGG16", "VGG19"]
FeatureWeights = Path | Literal["torchvision", "random"]

_MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels, RGB; as torchvision's weights were trained
_STD = (0.229, 0.224, 0.225)


class ImageNetFeatures(nn.Module):
    """Named feature maps of AlexNet, VGG16 or VGG19.

    layers: of `list_layers`; of VGG19, "conv5_4" is the fourth convolution of the fifth block
        before, and "relu5_4" after its ReLU.
    weights: a local safetensors or pth file with torchvision's key names; "torchvision" for
        its ImageNet weights, downloaded once into torch's cache; "random" for tests, drawn from
        torch's global generator.
    """

    mean: Tensor  # (1, 3, 1, 1)
    std: Tensor

    def __init__(
        self, architecture: Architecture, layers: Sequence[str], weights: FeatureWeights
    ) -> None:
        super().__init__()
        named = _name_layers(architecture)
        names = [name for name, _ in named]
        _check_layers(architecture, layers, names)
        self.layers = tuple(layers)
        end = 1 + max(names.index(name) for name in layers)
        self._names = names[:end]
        self.features = nn.Sequential(*(layer for _, layer in named[:end]))
        self.min_size = _min_size(self.features)  # pixels
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        if weights == "random":
            _initialize(self.features)
        else:
            known = nn.Sequential(*(layer for _, layer in named)).state_dict(prefix="features.")
            self._load(architecture, weights, known)
        self.requires_grad_(False)
        self.eval()

    def hold_as(self, dtype: torch.dtype, layout: torch.memory_format) -> Self:
        """Hold the convolutions' weights as the images come that autocast gives them.

        Frozen weights are converted in each pass else: autocast keeps trained ones only. The
        normalization of the image stays as it is.
        """
        self.features.to(dtype).to(memory_format=layout)
        return self

    def _load(
        self, architecture: Architecture, weights: Path | str, known: dict[str, Tensor]
    ) -> None:
        if isinstance(weights, Path):
            read = read_weights(weights)
        else:
            read, _ = download_weights(f"{architecture}_Weights.IMAGENET1K_V1", architecture)
        read = {name: tensor for name, tensor in read.items() if name.startswith("features.")}
        needed = self.state_dict()
        refuse_misfits(read, needed, known, f"{architecture}: {weights}")
        self.load_state_dict({name: read[name].float() for name in needed}, assign=True)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """x: (B, 3, H, W), RGB in [0, 1]; H, W at least `min_size`.

        Returns the map of each layer, (B, C, h, w), in the order of the layers; h and w are those
        of the image divided by the strides before it.
        """
        if min(x.shape[-2:]) < self.min_size:
            raise UserError(
                f"features {', '.join(self.layers)}: expected images of at least "
                f"{self.min_size} x {self.min_size} px, got height {x.shape[-2]}, "
                f"width {x.shape[-1]}"
            )
        x = (x - self.mean) / self.std
        maps: dict[str, Tensor] = {}
        for name, layer in zip(self._names, self.features, strict=True):
            x = layer(x)
            if name in self.layers:
                maps[name] = x
        return maps

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, a fixed measure does not train
        """Stay in eval mode."""
        return super().train(False)


def list_layers(architecture: Architecture) -> tuple[str, ...]:
    """Return the names of all layers that can be asked for."""
    return tuple(name for name, _ in _name_layers(architecture) if name)


def _name_layers(architecture: Architecture) -> list[tuple[str, nn.Module]]:
    """Name the layers from the image on: conv1, relu1 and so on of AlexNet; of VGG conv1_1,
    relu1_1, conv1_2: the block, and the place in it. Poolings are unnamed ("").

    Untrained, and without memory (meta device).
    """
    # Imported here: it takes seconds, and programs that only upscale never come here.
    from torchvision import models

    with torch.device("meta"):  # no time and no random numbers for weights that are replaced
        stack = getattr(models, architecture.lower())(weights=None).features
    named: list[tuple[str, nn.Module]] = []
    block, place, count = 1, 0, 0
    for layer in stack:
        if isinstance(layer, nn.MaxPool2d):
            block, place = block + 1, 0
            named.append(("", layer))
            continue
        if isinstance(layer, nn.Conv2d):
            place, count, kind = place + 1, count + 1, "conv"
        else:
            layer.inplace, kind = False, "relu"
        number = str(count) if architecture == "AlexNet" else f"{block}_{place}"
        named.append((kind + number, layer))
    return named


def _check_layers(architecture: Architecture, layers: Sequence[str], names: Sequence[str]) -> None:
    if not layers:
        raise UserError(f"{architecture} features: expected at least one layer, got none")
    known = [name for name in names if name]
    for name in layers:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
            raise UserError(f"{architecture} has no layer {name!r}; {hint}")


def _min_size(stack: nn.Sequential) -> int:
    """Return the side of the smallest image that leaves one value in the last map."""
    size = 1
    for layer in reversed(stack):
        if isinstance(layer, nn.Conv2d):
            size = (size - 1) * layer.stride[0] + layer.kernel_size[0] - 2 * int(layer.padding[0])
        elif isinstance(layer, nn.MaxPool2d):
            assert isinstance(layer.stride, int)
            assert isinstance(layer.kernel_size, int)
            size = (size - 1) * layer.stride + layer.kernel_size
    return size


def _initialize(stack: nn.Sequential) -> None:
    """Draw weights as He et al. 2015: the maps keep their size through the depth."""
    stack.to_empty(device="cpu")
    for layer in stack:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
