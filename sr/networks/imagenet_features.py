"""Feature maps of networks that were trained on ImageNet, to compare images by.

The keys of the state dict (`features.N.weight`) are torchvision's, so its files load.

Deviations: only the convolutional part, cut after the last layer that is asked for. Frozen, and
always in eval mode; only gradients with respect to the image flow.
"""

import difflib
import logging
import pickle
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Literal, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sr.errors import UserError
from sr.networks.feature_layers import Architecture, list_layers, named_layers

FeatureWeights = Path | Literal["torchvision", "random"]

_MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels, RGB; as torchvision's weights were trained
_STD = (0.229, 0.224, 0.225)

_UNREADABLE = (OSError, EOFError, RuntimeError, pickle.UnpicklingError, SafetensorError)

logger = logging.getLogger(__name__)


class FeatureWeightsError(UserError):
    """Weights that cannot be had or do not fit; the message says what was tried."""


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
        wanted = _checked(architecture, layers)
        self.layers = tuple(layers)
        named = named_layers(architecture)
        end = 1 + max(place for place, (name, _) in enumerate(named) if name in wanted)
        self._names = [name if name in wanted else "" for name, _ in named[:end]]
        self.features = nn.Sequential(*(layer for _, layer in named[:end]))
        self.min_size = _min_size(self.features)  # pixels
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        if weights == "random":
            _initialise(self.features)
        else:
            read = _download(architecture) if weights == "torchvision" else _read(weights)
            self.load_state_dict(_fitting(self, architecture, read, weights), assign=True)
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """x: (B, 3, H, W), RGB in [0, 1]; H, W at least `min_size`.

        Returns the map of each layer, (B, C, h, w), in the order of the layers; h and w are those
        of the image divided by the strides before it.
        """
        if min(x.shape[-2:]) < self.min_size:
            raise ValueError(
                f"features {', '.join(self.layers)}: expected images of at least "
                f"{self.min_size} x {self.min_size} px, got height {x.shape[-2]}, "
                f"width {x.shape[-1]}"
            )
        x = (x - self.mean) / self.std
        maps: dict[str, Tensor] = {}
        for name, layer in zip(self._names, self.features, strict=True):
            x = layer(x)
            if name:
                maps[name] = x
        return maps

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, a fixed measure does not train
        """Stay in eval mode."""
        return super().train(False)


def _checked(architecture: Architecture, layers: Sequence[str]) -> set[str]:
    if not layers:
        raise ValueError(f"{architecture} features: expected at least one layer, got none")
    known = list_layers(architecture)
    for name in layers:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
            raise ValueError(f"{architecture} has no layer {name!r}; {hint}")
    return set(layers)


def _min_size(stack: nn.Sequential) -> int:
    """Side of the smallest image that leaves one value in the last map."""
    size = 1
    for layer in reversed(stack):
        if isinstance(layer, nn.Conv2d):
            size = (size - 1) * layer.stride[0] + layer.kernel_size[0] - 2 * int(layer.padding[0])
        elif isinstance(layer, nn.MaxPool2d):
            assert isinstance(layer.stride, int)
            assert isinstance(layer.kernel_size, int)
            size = (size - 1) * layer.stride + layer.kernel_size
    return size


def _initialise(stack: nn.Sequential) -> None:
    """He et al. 2015: the maps keep their size through the depth."""
    stack.to_empty(device="cpu")
    for layer in stack:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FeatureWeightsError(f"{path}: no such file of weights")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise FeatureWeightsError(
            f"{path}: expected a safetensors file (.safetensors) or a state dict saved by torch, "
            f"got something else ({error})"
        ) from None
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in weights.items()
    ):
        raise FeatureWeightsError(
            f"{path}: expected a state dict, that is tensors by name; got {type(weights).__name__}"
        )
    return weights


def _download(architecture: Architecture) -> dict[str, Tensor]:
    """torchvision's ImageNet weights, from torch's cache or the network."""
    # Imported here: it takes seconds, and programs that only upscale never come here.
    from torchvision.models import get_weight

    weights = get_weight(f"{architecture}_Weights.IMAGENET1K_V1")
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    logger.info("%s: ImageNet weights from %s or %s", architecture, cache, weights.url)
    try:
        read: dict[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, map_location="cpu", weights_only=True
        )
    except (*_UNREADABLE, HTTPException) as error:
        raise FeatureWeightsError(
            f"{architecture}: no ImageNet weights in {cache}, and none from {weights.url} "
            f"({error}); `weights: PATH` takes a local safetensors or pth file"
        ) from error
    return read


def _fitting(
    features: ImageNetFeatures, architecture: Architecture, read: dict[str, Tensor], origin: object
) -> dict[str, Tensor]:
    """Of the tensors read, those of `features`, as float32."""
    expected = features.state_dict()
    named = enumerate(named_layers(architecture))
    every = {f"features.{place}" for place, (_, layer) in named if isinstance(layer, nn.Conv2d)}
    faults = [f"{name} is missing" for name in expected if name not in read]
    for name, tensor in read.items():
        if name in expected and tensor.shape != expected[name].shape:
            wanted = tuple(expected[name].shape)
            faults.append(f"{name} has shape {tuple(tensor.shape)}, expected {wanted}")
        elif name.startswith("features.") and name.rpartition(".")[0] not in every:
            faults.append(f"{name} is not of {architecture}")
    if faults:
        raise FeatureWeightsError(
            f"{origin}: expected torchvision's {architecture} weights with the keys "
            f"{', '.join(expected)}; {'; '.join(faults)}"
        )
    return {name: read[name].float() for name in expected}
