"""The benchmark of speed runs through, at tiny sizes, and its tables hold what they promise."""

import csv
import importlib
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from sr.models.describe import count_computing_weights

CPU = torch.device("cpu")
NAMES = (
    "speed",
    "speed_engine",
    "speed_networks",
    "speed_rounds",
    "speed_table",
    "speed_tiles",
    "speed_video",
)


class InPlace:
    """In the place of a pool of processes."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Nothing to start."""

    def __enter__(self) -> "InPlace":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


@pytest.fixture
def scripts(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The modules by name, set so that nothing takes long or stays behind."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    before = set(sys.modules)
    modules: dict[str, Any] = {name: importlib.import_module(name) for name in NAMES}
    monkeypatch.setattr(modules["speed"], "keep_freed_memory", lambda: True)
    monkeypatch.setattr(modules["speed_tiles"], "keep_freed_memory", lambda: True)
    monkeypatch.setattr(modules["speed_tiles"], "ProcessPoolExecutor", InPlace)
    monkeypatch.setattr(modules["speed_rounds"], "LEAST_SECONDS", 1e-9)
    monkeypatch.setattr(modules["speed_rounds"], "PEAK_SHAPES", {"cpu": ((64, 32),)})
    monkeypatch.setattr(modules["speed_engine"], "BACKENDS", ("torch",))
    yield modules
    for name in set(sys.modules) - before:
        if name.startswith(("speed", "provenance")):
            del sys.modules[name]


def run(scripts: dict[str, Any], output: Path, *arguments: str) -> list[dict[str, str]]:
    """The rows that the program writes."""
    usual = ("--device", "cpu", "--rounds", "1", "--size", "16", "-o", str(output))
    scripts["speed"].main([*arguments, *usual])
    with Path(f"{output}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_all_parts_have_their_rows(
    scripts: dict[str, Any], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run(
        scripts,
        tmp_path / "out",
        *("all", "--networks", "Compact-32x4", "-m", str(model), "--precision", "fp32"),
        *("--no-compile", "--tiles", "8", "32", "--frames", "16x8"),
    )
    printed = capsys.readouterr().out
    assert printed.count("\n## ") + 1 == len(scripts["speed"].PARTS)
    assert "commit" in (tmp_path / "out.md").read_text(encoding="utf-8")
    by_part = {
        part: [row for row in rows if row["part"] == part] for part in scripts["speed"].PARTS
    }
    assert [row["network"] for row in by_part["networks"]] == ["Compact-32x4 x4", model.name]
    assert by_part["networks"][0]["weights"] == "51920"
    assert [row["way"] for row in by_part["precisions"]] == ["fp32", "bf16", "fp16"]
    assert by_part["precisions"][2]["note"].endswith("got fp16")  # none on a CPU
    assert by_part["backends"][0]["way"] == "torch fp32"
    tiles = [row["way"] for row in by_part["tiles"]]
    assert tiles[0].startswith("plain")
    assert "ours: fp32, tiles of 8" in tiles
    assert "ours: fp32, tiles of 32" not in tiles  # larger than the image
    assert [row["way"] for row in by_part["video"]] == ["network", "ours"]
    for row in rows:
        if row["part"] != "peak" and not row["note"]:
            assert 0 < float(row["of peak"]) < 2
            assert float(row["ms"]) >= float(row["least ms"]) > 0


def test_unknown_parts_and_frames_are_refused(
    scripts: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["speeed"], ["video", "--frames", "16"], ["all", "--networks", "SPAM"]):
        with pytest.raises(SystemExit):
            run(scripts, tmp_path / "out", *arguments)
        assert arguments[-1] in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--rounds", "--threads", "--size", "--tiles"])
@pytest.mark.parametrize("value", ["0", "-1", "one"])
def test_numbers_below_one_are_refused(
    scripts: dict[str, Any], capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    with pytest.raises(SystemExit):
        scripts["speed"].main(["peak", option, value])
    assert f"{option}: expected" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["-m", "--networks", "--tiles"])
def test_options_want_a_value(
    scripts: dict[str, Any], capsys: pytest.CaptureFixture[str], option: str
) -> None:
    with pytest.raises(SystemExit):
        scripts["speed"].main(["peak", option])
    assert "expected at least one argument" in capsys.readouterr().err


def test_what_tensorrt_does_not_compile_has_a_row_that_says_why(
    scripts: dict[str, Any], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = scripts["speed_video"]

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such\n  operator")

    monkeypatch.setitem(sys.modules, "torch_tensorrt", SimpleNamespace(compile=refuse))
    monkeypatch.setattr(
        video, "_ours", lambda model, _: video._torch_tensorrt(model, torch.rand(1))
    )
    *_, row = video._entries(model, 16, 8, CPU)
    assert row == scripts["speed_rounds"].LeftOut(
        {**row.cells, "way": "ours"}, "torch_tensorrt.compile: no such operator"
    )


def test_numbers_of_a_row_follow_from_its_seconds(scripts: dict[str, Any]) -> None:
    rounds = scripts["speed_rounds"]
    seconds = iter([9.0, 2.0, 4.0, 3.0])  # the first warms up
    entry = rounds.Entry({"way": "it"}, lambda: next(seconds), torch.float32, 6e9, 3e6)
    (row,) = rounds.compete([entry], CPU, 3)
    assert (row["ms"], row["least ms"], row["ratio"]) == (3000, 2000, 1)
    assert (row["GFLOP/s"], row["output MP/s"]) == (2, 1)


def test_weights_that_fuse_are_counted_once(scripts: dict[str, Any]) -> None:
    network = scripts["speed_networks"].untrained("SPAN", 4).network
    assert count_computing_weights(network) == 426_288
    assert count_computing_weights(nn.Conv2d(3, 3, 3)) == 84
