"""The command line of conversion: option files of BasicSR, and models as before."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sr.cli.convert import main
from sr.io.model_file import read_model_file, write_model_file
from sr.networks.compact import Compact
from sr.options.load import load_options

THEIRS = """
name: theirs
model_type: SRModel
scale: 2
datasets:
  train:
    type: PairedImageDataset
    dataroot_gt: hr
    dataroot_lq: lr
    gt_size: 64
    batch_size_per_gpu: 4
    num_worker_per_gpu: 2
    use_hflip: true
    use_rot: true
network_g: {type: EDSR, upscale: 2}
train:
  total_iter: 100
  optim_g: {type: Adam, lr: !!float 1e-4}
  scheduler: {type: MultiStepLR, milestones: [50]}
  pixel_opt: {type: L1Loss}
dist_params: {port: 29500}
"""


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.yml"
    path.write_text(THEIRS, encoding="utf-8")
    return path


def call(*arguments: object) -> Any:
    """The exit code of a call with these arguments."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["ours.yml", "ours.yaml"])
def test_an_option_file_is_translated_and_the_rest_listed(
    theirs: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = theirs.with_name(name)
    assert call(theirs, ours) == 0
    assert load_options(ours).generator.type == "EDSR"
    shown = capsys.readouterr()
    assert f"{ours}: not taken over" in shown.out
    assert "  dist_params.port: 29500 -- " in shown.out
    assert not shown.err
    assert names(theirs.parent) == [name, "theirs.yml"]


def test_a_file_of_which_all_is_taken_over(
    theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs.write_text(THEIRS.partition("dist_params")[0], encoding="utf-8")
    assert call(theirs, theirs.with_name("ours.yml")) == 0
    assert capsys.readouterr().out.endswith("ours.yml: all taken over\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (THEIRS.replace("EDSR", "5"), "network_g.type: expected a text, got 5"),
        ("a: [1", "not valid YAML"),
        ("name: ours\ngenerator: {type: EDSR}\n", "expected a training file of BasicSR"),
        ("\udcff", "cannot be read as a text file"),
    ],
)
def test_what_cannot_be_translated_leaves_nothing_and_2(
    theirs: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs.write_bytes(text.encode(errors="surrogateescape"))
    assert call(theirs, theirs.with_name("ours.yml")) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"error: {theirs}: ")
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert names(theirs.parent) == ["theirs.yml"]


def test_a_missing_file_and_an_unwritable_place_are_named(
    theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = theirs.with_name("missing.yml")
    assert call(missing, theirs.with_name("ours.yml")) == 2
    assert f"{missing}: no such option file" in capsys.readouterr().err
    folder = theirs.with_name("folder.yml")
    folder.mkdir()
    assert call(theirs, folder, "--overwrite") == 2
    assert f"{folder}: cannot be written" in capsys.readouterr().err
    assert names(theirs.parent) == ["folder.yml", "theirs.yml"]


def test_an_existing_file_is_kept_without_overwrite(
    theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = theirs.with_name("ours.yml")
    ours.write_text("mine", encoding="utf-8")
    assert call(theirs, ours) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert ours.read_text(encoding="utf-8") == "mine"
    assert call(theirs, ours, "--overwrite") == 0
    assert load_options(ours).name == "theirs"


def test_options_and_models_do_not_mix(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(theirs, theirs.with_name("ours.pth")) == 2
    assert "both ending in .yml or .yaml" in capsys.readouterr().err
    assert call(theirs, theirs.with_name("ours.yml"), "--fp16") == 2
    assert "--fp16 is for model files" in capsys.readouterr().err
    assert names(theirs.parent) == ["theirs.yml"]


def test_models_are_converted_as_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "tiny.safetensors", tmp_path / "half.safetensors"
    network = Compact(2, num_features=4, num_convs=1)
    generator = {"type": "Compact", "num_features": 4, "num_convs": 1}
    write_model_file(
        source,
        network.state_dict(),
        {"generator": generator, "scale": 2, "receptive_radius": 3},
    )
    assert call(source, target, "--fp16") == 0
    assert "Compact x2" in capsys.readouterr().out
    assert {tensor.dtype for tensor in read_model_file(target).state_dict.values()} == {
        torch.float16
    }
    assert call(source, tmp_path / "tiny.what") == 2
    assert "expected a name with one of these endings" in capsys.readouterr().err
