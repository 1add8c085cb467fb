"""Fixtures for the whole suite."""

from pathlib import Path

import pytest
import torch

from sr.io.model_file import write_model_file
from sr.networks.compact import Compact


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data(repository: Path) -> Path:
    """Folder with benchmark pictures beside the checkout; tests skip where it is absent."""
    folder = repository.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the benchmark pictures in ../shared/data")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of an untrained Compact x2 with 4 features and 1 convolution."""
    torch.manual_seed(0)
    generator = {"type": "Compact", "num_features": 4, "num_convs": 1}
    path = tmp_path / "tiny.safetensors"
    metadata = {"generator": generator, "scale": 2, "receptive_radius": 3}
    write_model_file(path, Compact(2, num_features=4, num_convs=1).state_dict(), metadata)
    return path
