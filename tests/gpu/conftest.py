"""The device of tests that need a GPU; `SR_TEST_DEVICE=cpu` rehearses them on the CPU."""

import os
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def device() -> Iterator[torch.device]:
    """The first GPU, without memory that other tests have left."""
    if os.environ.get("SR_TEST_DEVICE") == "cpu":
        yield torch.device("cpu")
        return
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    torch.cuda.empty_cache()
    yield torch.device("cuda", 0)
    torch.cuda.empty_cache()


@pytest.fixture
def gpu(device: torch.device) -> torch.device:
    """The first GPU, for what a CPU cannot stand in for."""
    if device.type != "cuda":
        pytest.skip("needs a GPU")
    return device
