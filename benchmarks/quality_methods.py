"""Upscaling methods that are compared: models as infer.py runs them, and bicubic.

Each is a module (1, 3, h, w) -> (1, 3, scale*h, scale*w), RGB in [0, 1], float32 in CPU memory.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from provenance import file_hash
from speed_engine import print_warning
from speed_rounds import in_turn, timed
from torch import Tensor, nn

from sr.data.imresize import imresize
from sr.inference.load_upscaler import make_upscalers
from sr.inference.options import RuntimeOptions
from sr.io.rgb8 import image_to_tensor, tensor_to_rgb8
from sr.models.bundled import BUNDLED
from sr.models.describe import count_computing_weights
from sr.models.find_model import resolve_model
from sr.models.load import load_generator
from sr.tiling.upscaler import Upscaler

BICUBIC = "bicubic"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Method:
    """An upscaling method; bicubic has no weights and hash."""

    name: str
    scale: int
    network: str
    module: nn.Module
    num_weights: int | None = None
    """At inference; None if torch cannot inspect the network."""
    file_hash: str = ""
    """As in provenance.py."""


@dataclass(frozen=True)
class Seconds:
    """Per output megapixel, over the rounds."""

    median: float
    least: float


class Bicubic(nn.Module):
    """MATLAB's bicubic upscaling."""

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


def bundled_models(scale: int | None = None) -> list[Path]:
    """Files of the bundled models that enlarge single images. scale: None for all."""
    facts = {model.file: model.read_facts() for model in BUNDLED}
    return [
        file for file, each in facts.items() if not each.takes_clips and scale in (None, each.scale)
    ]


def load_methods(models: Sequence[Path], device: torch.device, precision: str) -> list[Method]:
    """Load a method for each model, named after its file or as the bundled one is; each file once.

    Raises ValueError for what is no model of single images.
    """
    given: dict[Path, Path] = {}
    for model in models:
        given.setdefault(resolve_model(model).resolve(), model)
    files = name_models([resolve_model(model) for model in given.values()])
    return [_load(name, file, device, precision) for name, file in files.items()]


def name_models(files: Sequence[Path]) -> dict[str, Path]:
    """Return files by stem, or by path if stems are equal: runs/a/best, runs/b/best."""
    names = [file.stem for file in files]
    if len(set(names)) < len(names):
        names = [str(file) for file in files]
    return dict(zip(names, files, strict=True))


def with_bicubic(methods: Iterable[Method]) -> dict[int, list[Method]]:
    """Return methods by scale, bicubic first."""
    by_scale: dict[int, list[Method]] = {}
    for method in sorted(methods, key=lambda method: method.scale):
        bicubic = Method(BICUBIC, method.scale, "", Bicubic(method.scale))
        by_scale.setdefault(method.scale, [bicubic]).append(method)
    return by_scale


def seconds_a_megapixel(methods: Sequence[Method], side: int, num_rounds: int) -> list[Seconds]:
    """Time each method on an image of noise; rounds as in speed_rounds.py.

    side: pixels of the result, at most.
    """
    noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    contestants, megapixels = [], []
    for method in methods:
        lr_side = side // method.scale
        lr = noise[..., :lr_side, :lr_side].contiguous()
        contestants.append(timed(partial(method.module, lr), CPU))
        megapixels.append((method.scale * lr_side) ** 2 / 1e6)
    taken = in_turn(contestants, num_rounds)
    return [
        Seconds(statistics.median(seconds) / each, min(seconds) / each)
        for seconds, each in zip(taken, megapixels, strict=True)
    ]


def _load(name: str, file: Path, device: torch.device, precision: str) -> Method:
    generator = load_generator(file)
    if generator.window is not None:
        raise ValueError(f"{name}: a model of clips; expected one of single images (vid4.py)")
    num_weights = count_computing_weights(generator.network) or None
    runtime = RuntimeOptions(precision=precision)
    (upscaler,) = make_upscalers([generator], [device], print_warning, runtime, name=file.name)
    return Method(
        name,
        generator.scale,
        generator.architecture,
        Engine(upscaler),
        num_weights,
        file_hash(file),
    )
