"""Networks become programs of ncnn that compute the same, and are kept."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sr.cli import convert
from sr.errors import ModelFileError
from sr.io.process_lock import hold_lock
from sr.models import ncnn_convert
from sr.models.backends import use_backend
from sr.models.convert import convert_model
from sr.models.load import load_generator
from sr.models.loaded_model import LoadedGenerator
from sr.models.ncnn_network import NcnnNetwork
from sr.networks.compact import Compact
from sr.networks.dbpn import DBPN
from sr.networks.edsr import EDSR
from sr.networks.receptive_radius import MAX_RADIUS, measure_receptive_radius
from sr.networks.rlfn import RLFN
from sr.networks.rrdb import RRDBNet
from sr.networks.span import SPAN
from sr.vulkan import MissingNcnnError

pytest.importorskip("ncnn")
pytest.importorskip("pnnx")

CPU = torch.device("cpu")
SIZES = ((1, 3, 7, 11), (2, 3, 25, 30))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sr" / "ncnn"


def make_generator(network: nn.Module, scale: int = 2, **facts: Any) -> LoadedGenerator:
    network.eval().requires_grad_(False)
    return LoadedGenerator(network, scale, 5, "Small", "test", **facts)


def make_compact() -> LoadedGenerator:
    torch.manual_seed(0)
    return make_generator(Compact(2, 4, 1))


def run_by_ncnn(
    generator: LoadedGenerator,
    device: torch.device = CPU,
    precision: torch.dtype = torch.float32,
) -> NcnnNetwork:
    network = use_backend(generator, "ncnn", device=device, precision=precision).network
    assert isinstance(network, NcnnNetwork)
    return network


def assert_equal_results(network: nn.Module, generator: LoadedGenerator) -> None:
    for size in SIZES:
        lr = torch.rand(size, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(network(lr), generator.network(lr), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_generator(Compact(4, 4, 1), 4),
        lambda: make_generator(SPAN(3, 4, 1), 3),
        lambda: make_generator(EDSR(2, 4, 1)),
        lambda: make_generator(DBPN(2, 4, 4, 2)),
        lambda: make_generator(RRDBNet(2, 4, 1, 2), size_multiple=2),
    ],
    ids=["Compact", "SPAN", "EDSR", "DBPN", "RRDBNet"],
)
def test_a_network_becomes_a_program_that_computes_the_same(
    make: Callable[[], LoadedGenerator],
) -> None:
    torch.manual_seed(0)
    generator = make()
    network = run_by_ncnn(generator)
    assert_equal_results(network, generator)
    graph = network.pair.graph
    assert graph is not None
    assert graph.scale == generator.scale
    assert graph.receptive_radius is not None
    assert graph.size_multiple == generator.size_multiple
    measured = measure_receptive_radius(generator.network)
    assert measured <= graph.receptive_radius
    assert measured == MAX_RADIUS or graph.receptive_radius <= measured + 4


def test_a_network_that_looks_at_the_whole_image_is_converted_too() -> None:
    torch.manual_seed(0)
    generator = make_generator(RLFN(2, 4, 1, num_esa_features=4), tiling="discouraged")
    network = run_by_ncnn(generator)
    assert_equal_results(network, generator)
    assert network.pair.graph is None  # of layers that are not known one by one
    assert network.choose_tile_size(halo=3, multiple=1, dtype=torch.float32, share=0.5) == 128


def test_a_network_runs_by_vulkan(vulkan: torch.device) -> None:
    generator = make_compact()
    assert_equal_results(run_by_ncnn(generator, vulkan), generator)


def test_a_network_runs_by_vulkan_in_half_precision(half_vulkan: torch.device) -> None:
    generator = make_compact()
    network = run_by_ncnn(generator, half_vulkan, torch.float16)
    lr = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.float16):
        sr = network(lr)
    error = (sr - generator.network(lr)).double()
    assert 1e-5 < error.abs().max() < 1e-2
    assert -10 * error.square().mean().log10() > 55  # dB


def test_all_but_the_network_is_kept(vulkan: torch.device) -> None:
    ours = make_generator(Compact(2, 4, 1), metadata={"licence": "CC0-1.0"})
    theirs = use_backend(ours, "ncnn", device=vulkan, precision=torch.float32)
    assert theirs.reduced_precisions == {torch.float16}
    assert (theirs.scale, theirs.receptive_radius, theirs.metadata) == (2, 5, ours.metadata)


def test_a_program_is_made_once_and_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = make_compact()
    run_by_ncnn(generator)
    (param,) = cache.glob("*.param")
    assert sorted(cache.iterdir()) == [param.with_suffix(".bin"), param]
    with monkeypatch.context() as context:
        context.setattr(subprocess, "run", None)
        assert_equal_results(run_by_ncnn(generator), generator)
    changed = make_compact()
    changed.network.state_dict()["body.0.bias"].add_(1)
    assert_equal_results(run_by_ncnn(changed), changed)
    assert len([*cache.glob("*.param")]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".param", ".bin"])
def test_a_damaged_program_is_made_again(suffix: str, cache: Path) -> None:
    generator = make_compact()
    run_by_ncnn(generator)
    (file,) = cache.glob(f"*{suffix}")
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    assert_equal_results(run_by_ncnn(generator), generator)
    assert len(file.read_bytes()) == len(whole)


@pytest.mark.slow
def test_a_program_that_computes_something_else_is_made_again(cache: Path) -> None:
    generator = make_compact()
    run_by_ncnn(generator)
    (weights,) = cache.glob("*.bin")
    weights.write_bytes(bytes(weights.stat().st_size))
    assert_equal_results(run_by_ncnn(generator), generator)


def test_two_that_ask_at_once_wait_for_one_conversion(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = make_compact()
    cache.mkdir(parents=True)
    param = ncnn_convert.locate_program(generator)
    waits = threading.Event()
    monkeypatch.setattr("time.sleep", lambda _: waits.set())
    found: list[NcnnNetwork] = []
    with hold_lock(param):
        thread = threading.Thread(target=lambda: found.append(run_by_ncnn(generator)))
        thread.start()
        assert waits.wait(60)
        assert not found
    thread.join()
    assert_equal_results(found[0], generator)
    assert len([*cache.glob("*.param")]) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="folders there are always writable")
def test_a_folder_that_cannot_be_written_to_costs_a_conversion_each_time(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.parent.write_text("a file, not a folder")
    generator = make_compact()
    assert_equal_results(run_by_ncnn(generator), generator)


def test_the_oldest_programs_go(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ncnn_convert, "NUM_KEPT", 2)
    cache.mkdir(parents=True)
    for number in range(2):
        for suffix in (".param", ".bin"):
            (cache / f"{number}{suffix}").write_text("")
            os.utime(cache / f"{number}{suffix}", (number, number))
    run_by_ncnn(make_compact())
    kept = sorted(path.name for path in cache.iterdir() if len(path.stem) == 1)
    assert kept == ["1.bin", "1.param"]


class ByBrightness(nn.Module):
    """Takes another branch for bright images than for dark ones."""

    def forward(self, lr: Tensor) -> Tensor:
        return lr * 2 if bool(lr.mean() > 0.55) else lr


class Products(nn.Module):
    """Has a step that ncnn does not know."""

    def forward(self, lr: Tensor) -> Tensor:
        return lr.cumprod(1)


@pytest.mark.parametrize(
    ("network", "fault"),
    [
        (ByBrightness(), r"its result differs by 0.99.* \(allowed: 0\.0001\)"),
        (Products(), r"ncnn cannot load it: "),
    ],
)
def test_what_ncnn_would_compute_otherwise_or_not_is_refused(
    network: nn.Module, fault: str, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelFileError, match=rf"^backend ncnn: Small: {fault}"):
        run_by_ncnn(make_generator(network, 1))
    assert capfd.readouterr() == ("", "")
    assert not [*cache.iterdir()]


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("import sys; sys.exit('first\\nlast line')", "cannot convert this network: last line"),
        ("", "cannot convert this network: exit code 0"),
        ("while True: pass", "pnnx took more than 0.5 s"),
    ],
)
def test_a_conversion_that_fails_says_why(
    code: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pnnx"
    program.write_text(f"#!{sys.executable} -S\n{code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(ncnn_convert, "_find_pnnx", lambda: str(program))
    if "took" in fault:
        monkeypatch.setattr(ncnn_convert, "MAX_SECONDS", 0.5)
    with pytest.raises(ModelFileError, match=rf"^backend ncnn: Small: (pnnx )?{fault}"):
        run_by_ncnn(make_compact())


@pytest.mark.parametrize("missing", ["ncnn", "pnnx"])
def test_a_missing_package_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingNcnnError, match=rf"\({missing} is missing\): pip install -e '"):
        run_by_ncnn(make_compact())


@pytest.mark.parametrize("half", [False, True])
def test_a_model_is_converted_to_files_that_run(half: bool, model: Path, tmp_path: Path) -> None:
    target = tmp_path / ("made.PARAM" if half else "made.param")
    assert "ncnn's result differs from torch's by" in convert_model(model, target, half=half)
    loaded = load_generator(target)
    lines = target.read_text().splitlines()
    assert lines[2].startswith("Input data 0 1 data") or lines[2].split()[-1] == "data"
    assert lines[-1].split()[4:][2] == "output"
    lr = torch.rand(1, 3, 20, 30)
    expected = load_generator(model).network(lr)
    torch.testing.assert_close(loaded.network(lr), expected, rtol=0, atol=2e-3 if half else 1e-5)


@pytest.mark.parametrize("name", ["made.param", "made.PARAM"])
def test_neither_file_is_replaced_without_being_told(
    name: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "made.bin").write_text("precious")
    with pytest.raises(SystemExit):
        convert.main([str(model), str(tmp_path / name)])
    assert "made.bin: exists; --overwrite replaces it" in capsys.readouterr().err
    assert (tmp_path / "made.bin").read_text() == "precious"
