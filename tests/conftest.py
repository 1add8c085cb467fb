"""Fixtures for the whole suite."""

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor

from sr.io.model_file import write_model_file
from sr.networks.compact import Compact
from sr.networks.rbpn import RBPN
from sr.vulkan import list_vulkan_devices


def pytest_configure() -> None:
    """One thread a process: the networks are tiny, and there is a process for each core."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of programs that tests start
    torch.set_num_threads(1)
    # Even where the environment says otherwise: to compile all tests again in each process, and
    # all of sr in each program that a test starts, takes half a minute of a run.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    gc.disable()


def pytest_collection_finish() -> None:
    """What is imported stays: to look through it for garbage again and again takes seconds."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data(repository: Path) -> Path:
    """Folder with benchmark images next to the checkout; tests skip where it is absent."""
    folder = repository.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the benchmark images in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def vulkan() -> torch.device:
    """A Vulkan device, Mesa's llvmpipe on most machines without a GPU; tests skip without one."""
    pytest.importorskip("ncnn")
    devices = list_vulkan_devices()
    if not devices:
        pytest.skip("needs a Vulkan device")
    return torch.device("vulkan", devices[0].index)


@pytest.fixture(scope="session")
def half_vulkan(vulkan: torch.device) -> torch.device:
    """A Vulkan device that has float16."""
    if not list_vulkan_devices()[vulkan.index].has_fp16:
        pytest.skip("needs a Vulkan device with float16")
    return vulkan


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """All that is allocated as pinned memory; ordinary memory, since there may be no GPU."""
    allocated: list[Tensor] = []

    def allocate(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        allocated.append(torch.empty(tuple(shape), dtype=dtype))
        return allocated[-1]

    monkeypatch.setattr("sr.memory.allocate_pinned", allocate)
    return allocated


@pytest.fixture
def no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch.hub's folder, which is empty; what is not there cannot be downloaded."""

    def fail(*_args: object, **_kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    return tmp_path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of an untrained Compact x2 with 4 features and 1 convolution."""
    torch.manual_seed(0)
    generator = {"type": "Compact", "num_features": 4, "num_convs": 1}
    path = tmp_path / "tiny.safetensors"
    metadata = {"generator": generator, "scale": 2, "receptive_radius": 3}
    write_model_file(path, Compact(2, num_features=4, num_convs=1).state_dict(), metadata)
    return path


@pytest.fixture
def clip_model(tmp_path: Path) -> Path:
    """A file of an untrained RBPN x2 of 3 frames."""
    options = {"num_shallow_features": 4, "num_features": 4, "num_stages": 1, "num_res_blocks": 1}
    generator = {"type": "RBPN", "num_frames": 3, **options}
    clips = {"offsets": [-1, 1], "edge": "reference", "alignment": "none", "flow": {"type": "DIS"}}
    path = tmp_path / "rbpn.safetensors"
    metadata = {"generator": generator, "scale": 2, "receptive_radius": 13, "clips": clips}
    write_model_file(path, RBPN(2, 4, 4, 1, 1, 3).state_dict(), metadata)
    return path
