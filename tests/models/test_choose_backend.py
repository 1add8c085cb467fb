"""The fastest back end: measured once for each network, and the usual one where nothing gains."""

import importlib.util
import json
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.models import choose_backend as module
from sr.models.choose_backend import choose_backend, measure_backends
from sr.models.loaded_model import LoadedGenerator
from sr.networks.compact import Compact

FP32 = torch.float32


class Measured:
    """Stands for the measuring, and counts it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
        self.sentences: list[str] = []
        self.seconds = seconds
        self.count = 0
        monkeypatch.setattr(module, "measure_backends", self._measure)
        monkeypatch.setattr(module, "_list_installed", lambda: ["openvino", "onnxruntime"])
        monkeypatch.setattr(module, "version", lambda name: f"1 of {name}")

    def _measure(
        self, _generator: LoadedGenerator, _precision: torch.dtype, names: list[str]
    ) -> dict[str, float]:
        assert names[0] == "torch"
        self.count += 1
        return self.seconds

    def choose(self, generator: LoadedGenerator, precision: torch.dtype = FP32) -> str:
        return choose_backend(generator, precision, self.sentences.append)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "sr" / "backends.json"


def make_generator(seed: int = 0) -> LoadedGenerator:
    torch.manual_seed(seed)
    network = Compact(2, num_features=4, num_convs=1).eval().requires_grad_(False)
    return LoadedGenerator(network, 2, 3, "Compact", "test")


def test_the_fastest_is_measured_once_for_each_network_and_precision(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Measured(monkeypatch, torch=0.4, openvino=0.3, onnxruntime=0.2)
    assert [measured.choose(make_generator()) for _ in range(2)] == ["onnxruntime"] * 2
    assert measured.count == 1
    (sentence,) = measured.sentences
    assert "torch 400 ms, openvino 300 ms, onnxruntime 200 ms" in sentence
    measured.choose(make_generator(seed=1))
    measured.choose(make_generator(), torch.bfloat16)
    assert measured.count == 3
    assert len(json.loads(cache.read_text())) == 3


def test_another_version_or_number_of_threads_is_measured_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Measured(monkeypatch, torch=0.4, openvino=0.3)
    measured.choose(make_generator())
    monkeypatch.setattr(module, "version", lambda name: f"2 of {name}")
    measured.choose(make_generator())
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    measured.choose(make_generator())
    assert measured.count == 3
    assert "77 threads" in cache.read_text()


def test_an_engine_in_a_package_of_another_name_is_known_by_that_one(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_version(name: str) -> str:
        if name == "onnxruntime":
            raise PackageNotFoundError(name)
        return "5"

    packages = {"onnxruntime": ["onnxruntime-gpu"]}
    measured = Measured(monkeypatch, torch=0.4, onnxruntime=0.2)
    monkeypatch.setattr(module, "version", find_version)
    monkeypatch.setattr(module, "packages_distributions", lambda: packages)
    assert measured.choose(make_generator()) == "onnxruntime"
    assert "onnxruntime onnxruntime-gpu 5" in cache.read_text()


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"torch": 0.4, "openvino": 0.385}, "torch"),  # gains less than 5 %
        ({"torch": 0.4, "openvino": 0.375}, "openvino"),
        ({"openvino": 0.4}, "openvino"),  # the usual one could not be measured
        ({}, "torch"),
    ],
)
def test_torch_is_kept_where_little_is_gained(
    seconds: dict[str, float], chosen: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Measured(monkeypatch, **seconds).choose(make_generator()) == chosen
    assert cache.exists()


@pytest.mark.parametrize("damaged", ["", "[]", '{"a": 1}', '{"a": {"torch": "x"}}', "\udcff"])
def test_a_damaged_file_is_written_anew(
    damaged: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.mkdir()
    cache.write_bytes(damaged.encode(errors="surrogateescape"))
    measured = Measured(monkeypatch, torch=0.4, openvino=0.3)
    assert [measured.choose(make_generator()) for _ in range(2)] == ["openvino"] * 2
    assert measured.count == 1


def test_a_cache_that_cannot_be_written_costs_a_measurement_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    measured = Measured(monkeypatch, torch=0.4, openvino=0.3)
    assert [measured.choose(make_generator()) for _ in range(2)] == ["openvino"] * 2
    assert measured.count == 2


def test_nothing_is_measured_where_there_is_no_other(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Measured(monkeypatch, torch=0.4, openvino=0.3)
    monkeypatch.setattr(module, "_list_installed", list)
    assert measured.choose(make_generator()) == "torch"
    assert measured.count == 0
    assert not cache.exists()


def test_what_runs_the_network_is_measured_and_what_cannot_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("needs the extra openvino")
    monkeypatch.setattr(module, "SIDE", 16)
    seconds = measure_backends(make_generator(), FP32, ["torch", "openvino", "no such"])
    assert set(seconds) == {"torch", "openvino"}
    assert all(0 < each < 60 for each in seconds.values())


def test_a_network_that_takes_multiples_is_measured_on_one() -> None:
    class Folding(nn.Module):
        """Takes sides of multiples of 24."""

        def forward(self, lr: Tensor) -> Tensor:
            folded = functional.pixel_unshuffle(lr, 24)
            return functional.interpolate(functional.pixel_shuffle(folded, 24), scale_factor=2)

    generator = replace(make_generator(), network=Folding(), size_multiple=24)
    assert set(measure_backends(generator, FP32, ["torch"])) == {"torch"}
