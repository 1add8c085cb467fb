"""The first line of a run: what is trained on what."""

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator

from sr.data.cache import SourceCache
from sr.device import name_precision
from sr.models.load import preview_names
from sr.options.clips import ClipSource
from sr.options.generator import name_network
from sr.options.schema import Options
from sr.training.data_loader import describe_cache
from sr.training.state import TrainState


def describe_start(
    options: Options,
    cached: SourceCache[Any],
    state: TrainState,
    missing_keys: Sequence[str],
    accelerator: Accelerator,
    dtype: torch.dtype,
) -> str:
    """Return the line.

    missing_keys: what the files with initial weights did not have, as `make_state` returns it.
    """
    count = sum(parameter.numel() for parameter in state.generator.network.parameters())
    start = "from scratch"
    if state.step:
        start = f"from step {state.step}"
    else:
        gan = options.train.gan
        if options.train.initial_generator is not None:
            start = f"from {options.train.initial_generator}"
        if gan is not None and gan.initial_discriminator is not None:
            start += f", discriminator from {gan.initial_discriminator}"
        if missing_keys:
            names = preview_names(missing_keys)
            start += f" ({len(missing_keys)} tensors initialized randomly: {names})"
    kind = "clips" if isinstance(options.datasets.train.source, ClipSource) else "images"
    if options.losses.teacher is not None:
        start += f", taught by {options.losses.teacher.model},"
    where = f"{accelerator.device}, {name_precision(dtype)}"
    if accelerator.num_processes > 1:
        where += f", {accelerator.num_processes} processes"
    data = f"{len(cached)} {kind}{describe_cache(cached, kind)}"
    network = f"{name_network(options.generator)} x{options.scale}"
    return (
        f"{options.name}: {network}, {count:,} parameters, "
        f"{data}, {start} to {options.train.steps}, on {where}"
    )
