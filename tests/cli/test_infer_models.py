"""Which model infer.py takes, what is told of the bundled ones, and what is checked before."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sr.cli import infer
from sr.cli.infer import main
from sr.inference.scheduler import Outcome
from sr.inference.video.resume import identity_of
from sr.io.model_file import ModelFileError
from sr.io.rgb8 import write_rgb8
from sr.models.bundled import BUNDLED, choose_default_model
from sr.models.loaded_model import LoadedGenerator

NAMES = [bundled.name for bundled in BUNDLED]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b"):
        write_rgb8(folder / f"{name}.png", np.zeros((20, 25, 3), np.uint8))
    return folder


def call(*arguments: object) -> Any:
    """The exit code of a call with these arguments."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The model files that calls load; they end there."""
    asked: list[Path] = []

    def load(path: Path) -> LoadedGenerator:
        asked.append(path)
        raise ModelFileError("enough")

    monkeypatch.setattr(infer, "load_generator", load)
    return asked


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], "span_x4"),
        (["-s", "2"], "compact_x2"),
        (["-s", "0.5"], "compact_x2"),
        (["-s", "2.1"], "span_x4"),
        (["--long-side", "30"], "span_x4"),
        (["-s", "2", "-m", "span_x4"], "span_x4"),
        (["-m", "compact_x2"], "compact_x2"),
        (["-m", "compact_x4.safetensors", "-s", "2", "--reference", "in"], "compact_x4"),
        (["-s", "2", "--reference", "in"], "compact_x2"),
    ],
)
def test_a_model_is_found_by_its_name_or_the_enlargement(
    images: Path,
    asked_for: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    name: str,
) -> None:
    monkeypatch.chdir(images.parent)
    assert call("-i", "in", "-o", "out", *arguments) == 2
    weights = Path(infer.__file__).parents[1] / "weights"
    assert asked_for == [weights / f"{name}.safetensors"]


def test_a_file_goes_before_a_bundled_model_and_a_folder_does_not(
    images: Path, model: Path, asked_for: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images.parent)
    Path("compact_x4").mkdir()  # such as the folder for its results
    model.rename("span_x4.safetensors")
    for name in ("compact_x4", "span_x4.safetensors", "span_x4"):
        assert call("-i", "in", "-o", "out", "-m", name) == 2
    names = [path.name for path in asked_for]
    assert names == ["compact_x4.safetensors", "span_x4.safetensors", "span_x4.safetensors"]
    assert [path.is_absolute() for path in asked_for] == [True, False, True]


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        (["-i", "none.png"], 4, "none.png"),
        (["-o", "o.png"], 2, "expected a folder for 2 inputs"),
        (["-o", "done"], 2, "a_x2.png already exists"),
        (["--reference", "none"], 2, "--reference none: expected a folder"),
    ],
)
def test_wrong_inputs_are_told_before_the_network_is_made_ready(
    images: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(images.parent)
    monkeypatch.setattr(infer, "upscalers_of", lambda *_, **__: pytest.fail("made ready"))
    Path("done").mkdir()
    Path("done/a_x2.png").touch()
    given = ["-m", model.name, *wrong]
    given += ["-i", "in"] * ("-i" not in wrong) + ["-o", "out"] * ("-o" not in wrong)
    assert call(*given) == code
    assert message in capsys.readouterr().err


def test_results_are_of_the_file_that_a_name_stands_for(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By it --resume tells whether the parts of a video are of this model."""
    found = []

    def noted(*_: Any, making: Any, model: str, **__: Any) -> Any:
        found.append((model, making.video.model["sha256"]))
        return Outcome()

    monkeypatch.setattr(infer, "run", noted)
    window = SimpleNamespace(window=None)  # of an upscaler
    monkeypatch.setattr(infer, "upscalers_of", lambda *_, **__: [window])
    for more in ([], ["-m", "span_x4"], ["-m", choose_default_model()], ["-m", "compact_x4"]):
        assert call("-i", images, "-o", tmp_path / "out", *more) == 0
    assert found[:3] == [("span_x4.safetensors", identity_of(choose_default_model())["sha256"])] * 3
    assert found[3] != found[0]


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_bundled_models_are_listed_without_inputs(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert call("--list-models") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    lines = shown.out.splitlines()
    assert all(len(line) <= int(columns) for line in lines[:-1])  # the last one is a path
    listed = [line.split()[0] for line in lines if line.split() and line.split()[0] in NAMES]
    assert listed == NAMES
    facts = BUNDLED[0].read_facts()
    row = next(line for line in lines if line.startswith(NAMES[0]))
    assert row.split()[1] == f"x{facts.scale}"
    assert row.endswith(f"{facts.num_bytes / 1e6:.1f}")
    assert f"{facts.num_weights:,}" in shown.out
    assert "(default)" in shown.out
    assert "(default up to -s 2)" in shown.out
    for word in BUNDLED[0].purpose.split():
        assert word in shown.out


def test_a_listed_file_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr.models.bundled.WEIGHTS", tmp_path)
    assert call("--list-models") == 0
    assert capsys.readouterr().out.count("missing") == len(NAMES)
    assert call("-i", tmp_path, "-o", tmp_path / "out") == 2
    assert "span_x4.safetensors: no such model file" in capsys.readouterr().err
