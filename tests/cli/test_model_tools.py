"""sr-info and sr-convert, from the command line."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sr.cli import convert, info
from sr.io.model_file import read_model_file
from sr.models.load import load_generator
from sr.networks.compact import Compact


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.pth"
    torch.save({"params": Compact(2, 4, 1).state_dict()}, path)
    return path


def test_info_describes_each_file_and_reports_what_is_none(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.pth").write_bytes(b"odd")
    done = CliRunner().invoke(info.app, [str(theirs), str(tmp_path / "odd.pth"), str(theirs)])
    assert done.exit_code == 2
    assert done.stdout.count("Compact (published weights)") == 2
    assert "odd.pth" in done.stderr
    assert "Traceback" not in done.output
    assert CliRunner().invoke(info.app, [str(theirs)]).exit_code == 0


def test_bundled_models_have_names_here_too(tmp_path: Path) -> None:
    done = CliRunner().invoke(info.app, ["compact_x4", "compat_x4"])
    assert done.exit_code == 2
    assert "compact_x4.safetensors" in done.stdout
    assert "compat_x4: no such model file, did you mean compact_x4" in done.stderr
    target = tmp_path / "new.pth"
    assert CliRunner().invoke(convert.app, ["compact_x4", str(target)]).exit_code == 0
    assert load_generator(target).architecture == "Compact"
    wrong = CliRunner().invoke(convert.app, ["compat_x4", str(tmp_path / "other.pth")])
    assert wrong.exit_code == 2
    assert "did you mean compact_x4" in wrong.stderr


def test_convert_writes_and_does_not_overwrite_unasked(theirs: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours.safetensors"
    done = CliRunner().invoke(convert.app, [str(theirs), str(ours)])
    assert done.exit_code == 0
    assert "Compact x2" in done.stdout
    assert read_model_file(ours).metadata["generator"]["num_convs"] == 1
    again = CliRunner().invoke(convert.app, [str(theirs), str(ours)])
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert CliRunner().invoke(convert.app, [str(theirs), str(ours), "--overwrite"]).exit_code == 0


@pytest.mark.parametrize("target", ["a.bin", "nowhere/a.pth"])
def test_convert_refuses_what_cannot_be_written(theirs: Path, target: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(convert.app, [str(theirs), str(tmp_path / target)])
    assert done.exit_code == 2
    assert "expected a" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs.pth"]


def test_a_folder_in_the_place_of_the_result_is_refused(theirs: Path, tmp_path: Path) -> None:
    target = tmp_path / "folder.pth"
    target.mkdir()
    done = CliRunner().invoke(convert.app, [str(theirs), str(target), "--overwrite"])
    assert done.exit_code == 2
    assert "folder.pth: cannot be written" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.pth", "theirs.pth"]


def test_control_characters_of_names_and_metadata_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "odd\x1b[31m.pth"
    for app in (info.app, convert.app):
        done = CliRunner().invoke(app, [str(path), *([] if app is info.app else ["out.pth"])])
        assert r"odd\x1b[31m.pth" in done.stderr
        assert "\x1b" not in done.output
    torch.save({"params": Compact(2, 4, 1).state_dict()}, path)
    done = CliRunner().invoke(info.app, [str(path)])
    assert done.exit_code == 0
    assert "\x1b" not in done.output
