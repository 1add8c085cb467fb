"""Options -> objects. The only file that knows both sides."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, NonNegativeInt, ValidationError
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from sr.data.degraded import find_degraded
from sr.data.paired import find_paired
from sr.data.sources import Source
from sr.io.model_file import ModelFileError, read_model_file
from sr.losses import pixel
from sr.losses.combined import CombinedLoss, Term, WeightedTerm
from sr.networks.compact import Compact
from sr.networks.receptive import measure_receptive_radius
from sr.networks.srresnet import SRResNet
from sr.options.datasets import DatasetOptions, HRFolders
from sr.options.generator import CompactOptions, GeneratorOptions, SRResNetOptions
from sr.options.losses import CharbonnierOptions, L1Options, LossesOptions, MSEOptions, PixelOptions
from sr.options.train import (
    AdamOptions,
    AdamWOptions,
    CosineOptions,
    MultiStepOptions,
    MuonOptions,
    OptimizerOptions,
    TrainOptions,
)
from sr.training import schedules
from sr.training.muon import Muon, split_parameters


class _Header(BaseModel):
    """What of a model file's metadata makes the generator; the rest is for people."""

    generator: GeneratorOptions
    scale: Literal[2, 3, 4, 8]
    receptive_radius: NonNegativeInt | None = None


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator from a model file, in eval mode on the CPU, and what the file says of it."""

    network: nn.Module
    scale: int
    receptive_radius: int  # LR pixels, measured; at most 32
    metadata: dict[str, Any]


def build_generator(options: GeneratorOptions, scale: int) -> nn.Module:
    """An untrained generator; its initialisation draws from torch's global generator."""
    match options:
        case SRResNetOptions():
            return SRResNet(scale, options.num_features, options.num_blocks)
        case CompactOptions():
            return Compact(scale, options.num_features, options.num_convs)


def load_generator(path: Path) -> LoadedGenerator:
    """The generator of a model file. Raises ModelFileError for a file that is not one."""
    file = read_model_file(path)
    try:
        header = _Header.model_validate(file.metadata)
        network = build_generator(header.generator, header.scale)
        network.load_state_dict(file.state_dict)
    except (ValidationError, RuntimeError) as error:
        raise ModelFileError(
            f"{path}: its metadata and weights do not make a generator: {error}"
        ) from None
    network.eval().requires_grad_(False)
    radius = header.receptive_radius
    if radius is None:
        radius = measure_receptive_radius(network)
    return LoadedGenerator(network, header.scale, radius, file.metadata)


def load_initial_weights(network: nn.Module, path: Path, scale: int) -> None:
    """Start a network from a model file's weights.

    Raises ModelFileError where the file is of another scale or network.
    """
    file = read_model_file(path)
    if file.metadata.get("scale") != scale:
        raise ModelFileError(
            f"{path}: expected a model of scale {scale}, got {file.metadata.get('scale')}"
        )
    try:
        network.load_state_dict(file.state_dict)
    except RuntimeError as error:
        raise ModelFileError(
            f"{path}: its generator {file.metadata.get('generator')} does not fit: {error}"
        ) from None


def build_loss(options: LossesOptions) -> CombinedLoss:
    """All terms of the generator's loss."""
    term = WeightedTerm(_pixel_term(options.pixel), options.pixel.weight)
    return CombinedLoss({options.pixel.type.lower(): term})


def _pixel_term(options: PixelOptions) -> Term:
    match options:
        case L1Options():
            return pixel.l1
        case MSEOptions():
            return pixel.mse
        case CharbonnierOptions():
            return partial(pixel.charbonnier, epsilon=options.epsilon)


def find_sources(options: DatasetOptions, scale: int) -> list[Source]:
    """The pictures of a data set, headers read. Raises DataError naming all faults."""
    if isinstance(options, HRFolders):
        return list(find_degraded(options.hr, scale, options.exclude, options.downscale))
    return list(find_paired(options.lr, options.hr, scale, options.exclude))


def build_optimizer(options: OptimizerOptions, network: nn.Module) -> Optimizer:
    """The optimizer of all parameters of a network."""
    match options:
        case AdamOptions():
            return Adam(network.parameters(), options.learning_rate, options.betas)
        case AdamWOptions():
            return AdamW(
                network.parameters(),
                options.learning_rate,
                options.betas,
                weight_decay=options.weight_decay,
            )
        case MuonOptions():
            inner, rest = split_parameters(network)
            return Muon(
                inner,
                rest,
                options.learning_rate,
                options.momentum,
                options.adamw_learning_rate,
                options.adamw_betas,
            )


def build_schedule(options: TrainOptions) -> Callable[[int], float]:
    """step, counted from 1 -> factor of the learning rate."""
    schedule = options.schedule
    match schedule:
        case CosineOptions():
            return partial(
                schedules.cosine,
                steps=options.steps,
                warmup_steps=schedule.warmup_steps,
                final_factor=schedule.final_factor,
            )
        case MultiStepOptions():
            return partial(
                schedules.multi_step,
                warmup_steps=schedule.warmup_steps,
                milestones=schedule.milestones,
                gamma=schedule.gamma,
            )
