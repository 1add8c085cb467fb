"""The command line of training data."""

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers.images import write_block_images
from helpers.locks import hold_elsewhere

from sr.build_data import find_training_sources
from sr.cli.data import main
from sr.data.cache import SourceCache
from sr.data.crops import Crop
from sr.io.rgb8 import read_rgb8, write_rgb8
from sr.options.load import load_options
from sr.training.data_loader import load_crops


def call(*arguments: object) -> Any:
    """The exit code of a call with these arguments."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_block_images(tmp_path / "photos", 4)


def write_options(folder: Path, source: object, **train: object) -> Path:
    tree = {
        "name": "tiny",
        "scale": 2,
        "generator": {"type": "Compact"},
        "losses": {"pixel": {"type": "L1"}},
        "datasets": {
            "train": {"source": source, "crop_size": 16, "batch_size": 3, **train},
            "cache_folder": str(folder / "cache"),
        },
        "train": {
            "steps": 6,
            "optimizer": {"type": "AdamW", "learning_rate": 1e-3},
            "schedule": {"type": "cosine"},
        },
    }
    path = folder / "options.yml"
    path.write_text(yaml.safe_dump(tree))
    return path


def load_batches(options: Path) -> list[Crop]:
    loaded = load_options(options)
    sources = find_training_sources(loaded, torch.device("cpu"))
    crops = load_crops(loaded, SourceCache(sources, Path(), []), torch.device("cpu"), num_workers=0)
    return list(islice(crops, 10))


PHOTOS = {"type": "HRFolders", "hr": ["photos"], "downscale": [1.0, 0.5]}
SCALED = {"type": "HRFolders", "hr": ["photos"], "hr_scale": [0.5, 1.0]}
PAIRED = {"type": "PairedFolders", "hr": ["photos"], "lr": ["lr"]}
MIXED = {
    "type": "Mixed",
    "sources": [{"share": 1, "source": PHOTOS}, {"share": 1, "source": SCALED}],
}


@pytest.mark.parametrize(
    ("source", "train"),
    [
        (PHOTOS, {"detail_candidates": 2}),
        (SCALED, {"detail_candidates": 2}),
        (MIXED, {}),
        (PHOTOS, {"degradation": {"type": "Light"}}),
    ],
)
def test_training_gets_the_same_batches_with_and_without_preparation(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: object,
    train: dict[str, object],
) -> None:
    monkeypatch.chdir(tmp_path)
    options = write_options(tmp_path, source, **train)
    expected = load_batches(options)
    assert call("prepare", options) == 0
    assert "4 files prepared, 0 before" in capsys.readouterr().out

    def fail(path: Path, **_options: object) -> None:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr("sr.data.hr_only.read_rgb8", fail)
    for batch, other in zip(load_batches(options), expected, strict=True):
        assert batch["name"] == other["name"]
        assert torch.equal(batch["lr"], other["lr"])
        assert torch.equal(batch["hr"], other["hr"])


def test_folders_are_prepared_as_they_are(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    assert call("prepare", photos, "--cache-folder", cache, "--scale", 3) == 0
    assert call("prepare", photos, "--cache-folder", cache, "--scale", 3, "--verify") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{cache / 'images'}: 4 files prepared, 0 before",
        f"{cache / 'images'}: 0 files prepared, 4 before",
        "0 images were damaged and have been repeated",
    ]


def test_what_a_user_can_fix_is_one_error_with_exit_code_2(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    assert call("prepare", tmp_path / "no") == 2
    assert call("prepare", tmp_path / "no.yml") == 2
    (photos / "image_0.png").write_bytes(b"no image")
    assert call("prepare", photos, "--cache-folder", cache) == 2
    with hold_elsewhere(cache / "images"):
        assert call("prepare", photos, "--cache-folder", cache) == 2
    errors = capsys.readouterr().err
    assert "no such folder of images" in errors
    assert "no.yml" in errors
    assert "images that cannot be prepared: 1 fault" in errors
    assert "image_0.png" in errors
    assert "expected no other process" in errors


def test_pairs_are_prepared_from_both_folders(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr").mkdir()
    for path in photos.iterdir():
        write_rgb8(tmp_path / "lr" / path.name, read_rgb8(path)[::2, ::2])
    options = write_options(tmp_path, PAIRED)
    assert call("prepare", options) == 0
    assert "8 files prepared, 0 before" in capsys.readouterr().out
    found = find_training_sources(load_options(options), torch.device("cpu"))
    assert [source.num_bytes for source in found] == [0] * 4


def test_the_space_of_files_that_are_gone_is_reported(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("prepare", photos, "--cache-folder", tmp_path / "cache")
    assert call(*arguments) == 0
    assert "are of files that are gone" not in capsys.readouterr().out
    (photos / "image_0.png").unlink()
    assert call(*arguments) == 0
    assert "0.0 GiB are of files that are gone or have changed" in capsys.readouterr().out


def test_clips_cannot_be_prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = write_options(tmp_path, {"type": "FrameFolders", "hr": ["clips"]})
    assert call("prepare", options) == 2
    assert "got a source of clips, FrameFolders" in capsys.readouterr().err


def test_a_check_lists_what_training_can_leave_out(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "copy.png").write_bytes((photos / "image_1.png").read_bytes())
    (photos / "broken.png").write_bytes(b"no image")
    listed = tmp_path / "list.txt"
    assert call("check", photos, "--out", listed, "--min-side", 40) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "6 images, 48x40 to 48x40 (width x height)"
    for line in ("unreadable: 1", "small: 0", "duplicate: 1", "flat: 0"):
        assert line in lines
    assert lines[-2:] == ["4 images remain without these", f"saved {listed}"]
    source = {"type": "HRFolders", "hr": [str(photos)], "exclude_list": str(listed)}
    loaded = load_options(write_options(tmp_path, source))
    found = find_training_sources(loaded, torch.device("cpu"))
    kept = sorted(Path(image.name).stem for image in found)
    assert kept == ["copy", "image_0", "image_2", "image_3"]
    assert call("check", photos, "--out", tmp_path / "no" / "list.txt") == 2
    printed = capsys.readouterr()
    assert "cannot be written" in printed.err
    assert printed.out == ""  # before any image was read
