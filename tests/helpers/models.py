"""Files of small untrained models."""

from pathlib import Path

import torch

from sr.io.model_file import write_model_file
from sr.networks.compact import Compact


def write_compact(path: Path, scale: int, *, num_convs: int = 1, seed: int = 0) -> Path:
    """Write a Compact of 4 features, whose receptive radius is `num_convs` + 2."""
    torch.manual_seed(seed)
    generator = {"type": "Compact", "num_features": 4, "num_convs": num_convs}
    metadata = {"generator": generator, "scale": scale, "receptive_radius": num_convs + 2}
    network = Compact(scale, num_features=4, num_convs=num_convs)
    write_model_file(path, network.state_dict(), metadata)
    return path
