"""Feature maps of the VGG networks, to compare pictures by.

Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
(arXiv 1409.1556), table 1, columns D (VGG16) and E (VGG19). The keys of the state dict
(`features.N.weight`) are torchvision's, so its files load.

Deviations: only the convolutional part, cut after the last layer that is asked for. Frozen, and
always in eval mode; only gradients with respect to the picture flow.
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

Architecture = Literal["VGG16", "VGG19"]
FeatureWeights = Path | Literal["torchvision", "random"]

_NUM_CONVS: dict[Architecture, tuple[int, ...]] = {  # a block; table 1
    "VGG16": (2, 2, 3, 3, 3),
    "VGG19": (2, 2, 4, 4, 4),
}
_NUM_FEATURES = (64, 128, 256, 512, 512)  # a block; table 1
_MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels, RGB; as torchvision's weights were trained
_STD = (0.229, 0.224, 0.225)

_UNREADABLE = (OSError, EOFError, RuntimeError, pickle.UnpicklingError, SafetensorError)

logger = logging.getLogger(__name__)


class FeatureWeightsError(ValueError):
    """Weights that cannot be had or do not fit; the message says what was tried."""


class VGGFeatures(nn.Module):
    """Named feature maps of VGG16 or VGG19.

    layers: of `layer_names`; "conv5_4" is the fourth convolution of the fifth block before, and
        "relu5_4" after its ReLU.
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
        places = _places(architecture, layers)
        self.layers = tuple(layers)
        self._names = {place: name for name, place in places.items()}
        with torch.device("meta"):  # no time and no random numbers for weights that are replaced
            stack = _stack(architecture)
        self.features = stack[: max(self._names) + 1]
        num_pools = sum(isinstance(layer, nn.MaxPool2d) for layer in self.features)
        self.min_size = 2**num_pools  # pixels
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

        Returns the map of each layer, (B, C, H / 2**k, W / 2**k) with k poolings before it.
        """
        if min(x.shape[-2:]) < self.min_size:
            raise ValueError(
                f"VGG features {', '.join(self.layers)}: expected pictures of at least "
                f"{self.min_size} x {self.min_size} px; came height {x.shape[-2]}, "
                f"width {x.shape[-1]}"
            )
        x = (x - self.mean) / self.std
        maps: dict[str, Tensor] = {}
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in self._names:
                maps[self._names[place]] = x
        return maps

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, a fixed measure does not train
        """Stay in eval mode."""
        return super().train(False)


def layer_names(architecture: Architecture) -> tuple[str, ...]:
    """All layers that can be asked for, from the picture on; needs no network."""
    return tuple(
        f"{kind}{block}_{index}"
        for block, count in enumerate(_NUM_CONVS[architecture], start=1)
        for index in range(1, count + 1)
        for kind in ("conv", "relu")
    )


def _places(architecture: Architecture, layers: Sequence[str]) -> dict[str, int]:
    """Layer name -> its place in the stack, in torchvision's numbering."""
    if not layers:
        raise ValueError(f"{architecture} features: expected at least one layer, came none")
    known = layer_names(architecture)
    places = {}
    for name in layers:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
            raise ValueError(f"{architecture} has no layer {name!r}; {hint}")
        pools_before = int(name[4]) - 1
        places[name] = known.index(name) + pools_before
    return places


def _stack(architecture: Architecture) -> nn.Sequential:
    layers: list[nn.Module] = []
    width = 3
    for count, num_features in zip(_NUM_CONVS[architecture], _NUM_FEATURES, strict=True):
        for _ in range(count):
            layers.append(nn.Conv2d(width, num_features, 3, padding=1))
            layers.append(nn.ReLU())  # not inplace, which would change the map before it
            width = num_features
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


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
        raise FeatureWeightsError(f"{path}: no such file of VGG weights")
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
    from torchvision.models import VGG16_Weights, VGG19_Weights

    source = VGG16_Weights if architecture == "VGG16" else VGG19_Weights
    weights = source.IMAGENET1K_V1
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
    features: VGGFeatures, architecture: Architecture, read: dict[str, Tensor], origin: object
) -> dict[str, Tensor]:
    """Of the tensors read, those of `features`, as float32."""
    expected = features.state_dict()
    convs = layer_names(architecture)[::2]
    every = {f"features.{place}" for place in _places(architecture, convs).values()}
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
