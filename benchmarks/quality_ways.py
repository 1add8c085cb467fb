"""Ways of enlarging pictures that are compared: models as infer.py runs them, and bicubic.

Each is a module (1, 3, h, w) -> (1, 3, scale*h, scale*w), RGB in [0, 1], float32 in CPU memory.
"""

import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from provenance import file_hash
from torch import Tensor, nn

from sr.data.imresize import imresize
from sr.inference.loading import Running, load_upscalers
from sr.inference.upscaler import Upscaler
from sr.io.image import image_to_tensor, tensor_to_rgb8
from sr.models.bundled import BUNDLED, resolve_model
from sr.models.load import load_generator
from sr.networks.span import Conv3XC

BICUBIC = "bicubic"


@dataclass(frozen=True)
class Way:
    """A name and what stands behind it. The last two are unknown of bicubic."""

    name: str
    scale: int
    network: str
    module: nn.Module
    num_parameters: int | None = None
    """Those that are computed with; None where torch cannot look into the network."""
    file_hash: str = ""
    """As in provenance.py."""


@dataclass(frozen=True)
class Seconds:
    """For a megapixel of the result, over the rounds."""

    median: float
    least: float


class Bicubic(nn.Module):
    """MATLAB's bicubic enlargement."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        """lr: rounded to 8 bits first, as `imresize` needs it."""
        return image_to_tensor(imresize(tensor_to_rgb8(lr), self.scale))


class Engine(nn.Module):
    """The engine of infer.py as a module."""

    def __init__(self, upscaler: Upscaler) -> None:
        super().__init__()
        self.upscaler = upscaler

    def forward(self, lr: Tensor) -> Tensor:
        """Not clamped."""
        return self.upscaler(lr)


def bundled_models() -> list[Path]:
    """Files of the bundled models that enlarge single pictures."""
    return [model.file for model in BUNDLED if not model.facts().only_videos]


def load_ways(models: Sequence[Path], device: torch.device, precision: str) -> list[Way]:
    """A way for each model, by the name of its file or the name of a bundled one.

    Raises ValueError for what is no model of single pictures.
    """
    files = [resolve_model(model) for model in models]
    names = [file.stem for file in files]
    if len(set(names)) < len(names):  # runs/a/best.safetensors and runs/b/best.safetensors
        names = [str(model) for model in models]
    return [_load(*each, device, precision) for each in zip(names, files, strict=True)]


def with_bicubic(ways: Iterable[Way]) -> dict[int, list[Way]]:
    """By scale, bicubic first."""
    by_scale: dict[int, list[Way]] = {}
    for way in sorted(ways, key=lambda way: way.scale):
        bicubic = Way(BICUBIC, way.scale, "", Bicubic(way.scale))
        by_scale.setdefault(way.scale, [bicubic]).append(way)
    return by_scale


def num_parameters(network: nn.Module) -> int | None:
    """What is computed with: of branches that fuse to one convolution, that one's.

    None for networks without any, such as sessions of onnxruntime.
    """
    count = sum(parameter.numel() for parameter in network.parameters())
    for layer in network.modules():
        if isinstance(layer, Conv3XC):
            count -= sum(parameter.numel() for parameter in layer.parameters())
            count += sum(tensor.numel() for tensor in layer.fused())
    return count or None


def timed(ways: Sequence[Way], side: int, rounds: int) -> list[Seconds]:
    """Each way on one picture of noise, one after the other in every round; the first warms up.

    side: pixels of the result, at most.
    """
    noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    taken: list[list[float]] = [[] for _ in ways]
    for number in range(rounds + 1):
        for way, seconds in zip(ways, taken, strict=True):
            lr = noise[..., : side // way.scale, : side // way.scale].contiguous()
            started = time.perf_counter()
            sr = way.module(lr)
            passed = time.perf_counter() - started
            if number:
                seconds.append(passed / (sr.shape[-2] * sr.shape[-1] / 1e6))
    return [Seconds(statistics.median(each), min(each)) for each in taken]


def _load(name: str, file: Path, device: torch.device, precision: str) -> Way:
    generator = load_generator(file)
    if generator.window is not None:
        raise ValueError(f"{name}: a model of clips; expected one of single pictures (vid4.py)")
    (upscaler,) = load_upscalers(file, _tell, [device], Running(precision=precision))
    return Way(
        name,
        generator.scale,
        generator.architecture,
        Engine(upscaler),
        num_parameters(generator.network),
        file_hash(file),
    )


def _tell(event: Any, **fields: Any) -> None:
    if event == "warning":
        sys.stderr.write(f"warning: {fields['message']}\n")
