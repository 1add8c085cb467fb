"""Which model infer.py takes, what is said of the bundled ones, and what is checked before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from sr.inference import run
from sr.inference.named_files import find_models
from sr.inference.options import InferOptions, OutputOptions
from sr.models.bundled import BUNDLED, DEFAULT, SMALL_DEFAULT, SMALL_FACTOR, choose_default_model

Call = Callable[..., Any]

NAMES = [bundled.name for bundled in BUNDLED]


def find(model: str | None = None, **sizes: Any) -> Path:
    """The file that these options name."""
    files = find_models(InferOptions([], OutputOptions(Path("out"), **sizes), model=model))
    (file,) = files.chain
    return file


def test_a_model_is_found_by_its_name_or_the_scale() -> None:
    assert find().stem == find("span_x4").stem == "span_x4"
    assert find(outscale=2).stem == find(outscale=0.5).stem == "span_x2"
    assert find(outscale=2.1).stem == find(long_side=30).stem == "span_x4"
    assert find("span_x4", outscale=2).stem == "span_x4"
    assert find("compact_x4.safetensors", outscale=2).stem == "compact_x4"
    assert find(str(choose_default_model())) == find() == choose_default_model()


def test_the_help_names_the_default_models() -> None:
    (flag,) = get_args(get_type_hints(InferOptions, include_extras=True)["model"])[1:]
    assert flag.default == f"{DEFAULT}; {SMALL_DEFAULT} if -s is at most {SMALL_FACTOR:g}"


def test_a_file_goes_before_a_bundled_model_and_a_folder_does_not(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("compact_x4").mkdir()  # such as the folder for its results
    model.rename("span_x4.safetensors")
    assert find("compact_x4").is_absolute()
    assert find("span_x4.safetensors") == Path("span_x4.safetensors")
    assert find("span_x4").is_absolute()


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        (["-i", "none.png"], 4, "none.png"),
        (["-o", "o.png"], 2, "expected a folder for 2 inputs"),
        (["-o", "done"], 2, "a_x2.png already exists"),
        (["--reference", "none"], 2, "--reference none: expected a folder"),
    ],
)
def test_wrong_inputs_are_reported_before_the_network_is_made_ready(
    call: Call,
    images: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(images.parent)
    monkeypatch.setattr(run, "make_upscalers", lambda *_, **__: pytest.fail("made ready"))
    Path("done").mkdir()
    Path("done/a_x2.png").touch()
    given = ["-m", model.name, *wrong]
    given += ["-i", "in"] * ("-i" not in wrong) + ["-o", "out"] * ("-o" not in wrong)
    assert call(*given) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_bundled_models_are_listed_without_inputs(
    call: Call, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
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


def test_a_listed_file_that_is_not_there_is_reported(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr.models.bundled.WEIGHTS", tmp_path)
    assert call("--list-models") == 0
    assert capsys.readouterr().out.count("missing") == len(NAMES)
    assert call("-i", tmp_path, "-o", tmp_path / "out") == 2
    assert "span_x4.safetensors: no such model file" in capsys.readouterr().err
