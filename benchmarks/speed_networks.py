"""Every generator of single images, untrained, and the models that come with the program.

The network alone: a whole image of noise, one pass in inference mode, channels last, reduced
precisions by autocast, as the engine runs it. Convolutions take the same time on all values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter
from speed_rounds import Entry, compete, flop_of, timed
from speed_table import Row, Table
from torch import Tensor, nn

from sr.build import build_generator, find_receptive_radius
from sr.device import name_precision
from sr.models.describe import count_computing_weights
from sr.models.load import load_generator
from sr.networks.receptive_radius import MAX_RADIUS
from sr.options.generator import GeneratorOptions
from sr.tiling.runner import prepare_network, run_network

GENERATORS: dict[str, dict[str, object]] = {
    "SPAN": {"type": "SPAN"},
    "RLFN": {"type": "RLFN"},
    "Compact": {"type": "Compact"},
    "Compact-32x4": {"type": "Compact", "num_features": 32, "num_convs": 4},
    "EDSR": {"type": "EDSR"},
    "MSRResNet": {"type": "MSRResNet"},
    "SRResNet": {"type": "SRResNet"},
    "RRDBNet": {"type": "RRDBNet"},
    "DBPN": {"type": "DBPN"},
}
"""Options of each generator, by the name in the table and on the command line."""


@dataclass(frozen=True)
class Subject:
    """A network in eval mode on the CPU, and what of it does not depend on the machine."""

    name: str
    network: nn.Module
    scale: int
    num_channels: int
    radius: int  # LR pixels; MAX_RADIUS also where it is larger

    def cells(self, flop_per_pixel: float) -> Row:
        """The first columns."""
        known = f"{self.radius}" if self.radius < MAX_RADIUS else f">={self.radius}"
        return {
            "network": self.name,
            "scale": self.scale,
            "weights": count_computing_weights(self.network),
            "trained weights": sum(weight.numel() for weight in self.network.parameters()),
            "MFLOP/LR pixel": flop_per_pixel / 1e6,
            "radius": known,
        }


def networks_part(
    names: Sequence[str],
    scale: int,
    models: Sequence[Path],
    *,
    size: int,
    precisions: Sequence[torch.dtype],
    device: torch.device,
    num_rounds: int,
) -> Table:
    """names: of GENERATORS, at this scale. size: side of the square image, LR pixels."""
    subjects = [untrained(name, scale) for name in names] + [bundled(path) for path in models]
    entries: list[Entry] = []
    for subject in subjects:
        flop = flop_of(subject.network, subject.num_channels, size**2)
        cells = subject.cells(flop / size**2)
        lr = torch.rand(1, subject.num_channels, size, size).to(device)
        network = prepare_network(subject.network, device)
        entries += [
            Entry(
                {**cells, "precision": name_precision(precision)},
                timed(_pass(network, lr, precision), device),
                precision,
                flop=flop,
                sr_pixels=(subject.scale * size) ** 2,
            )
            for precision in precisions
        ]
    title = (
        f"The network alone, {size}x{size} LR pixels. weights: those that compute, SPAN's fused "
        "into one kernel each. radius: how far it sees, LR pixels. Ratios are to the first row."
    )
    return Table("networks", title, compete(entries, device, num_rounds))


def untrained(name: str, scale: int) -> Subject:
    """One of GENERATORS."""
    options: GeneratorOptions = TypeAdapter(GeneratorOptions).validate_python(GENERATORS[name])
    network = build_generator(options, scale).eval().requires_grad_(False)
    return Subject(f"{name} x{scale}", network, scale, 3, find_receptive_radius(options, scale))


def bundled(path: Path) -> Subject:
    """The network of a model file; of one for videos, on a window of frames."""
    model = load_generator(path)
    return Subject(
        path.name, model.network, model.scale, model.num_channels, model.receptive_radius
    )


def _pass(network: nn.Module, lr: Tensor, precision: torch.dtype) -> Callable[[], Tensor]:
    return lambda: run_network(network, lr, precision)
