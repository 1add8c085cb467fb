"""The walk for beginners: from images to a sheet, in one script."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sr.data.sources import list_images
from sr.io.rgb8 import read_rgb8, read_size, write_rgb8
from sr.options.image_sources import HRFolders
from sr.options.load import load_options

FEW = (
    "datasets.train.batch_size=2",
    "datasets.train.num_workers=0",
    "generator.num_features=4",
    "generator.num_convs=1",
)
needs_sh = pytest.mark.skipif(sys.platform == "win32", reason="needs sh")


def walk(
    repository: Path, *arguments: object, **variables: object
) -> subprocess.CompletedProcess[str]:
    """Run the script as make does, which sets PYTHON to the one that makes .venv."""
    ours = ("STEPS", "HELD_OUT", "RESULTS", "RUNS", "SR_PYTHON")
    others = {name: value for name, value in os.environ.items() if name not in ours}
    others |= {"PYTHON": "no-such-python", "LC_ALL": "C"}  # C: of the order of files
    return subprocess.run(
        ["sh", "examples/train_your_first_model.sh", *map(str, arguments)],
        cwd=repository,
        env=others | {name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def in_words(tmp_path: Path) -> Path:
    """In the place of Python: prints its arguments, one a line, and runs nothing."""
    path = tmp_path / "in_words"
    path.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.slow
@needs_sh
def test_the_first_model_is_trained_upscales_and_is_shown(repository: Path, tmp_path: Path) -> None:
    folder, results = tmp_path / "Anna's", tmp_path / "Anna's results"
    folder.mkdir()
    shutil.copy(repository / "datasets/samples/casa-mila.png", folder / "casa [1]'s.PNG")
    shutil.copy(repository / "datasets/samples/canyon-wren.png", folder / "wren.png")
    done = walk(
        repository,
        folder,
        *FEW,
        SR_PYTHON=sys.executable,
        STEPS=6,
        RESULTS=results,
        RUNS=tmp_path / "Anna's runs",
    )
    assert done.returncode == 0, done.stderr
    assert [line[3] for line in done.stdout.splitlines() if line.startswith("== ")] == list("1234")
    assert "held_out: PSNR of bicubic 28.64 dB, of your model " in done.stdout
    assert "finished, saved" in done.stderr
    assert read_size(results / "lr" / "held_out.png") == (75, 100)
    assert read_size(results / "sr" / "held_out_x2.png") == (150, 200)
    assert read_size(results / "sheet.png") == (450, 3 * 600 + 2 * 8)


@needs_sh
@pytest.mark.parametrize(
    "name", ["A.PNG", "a'b''c.Jpg", "a*b?.TIF", "a[z].webp", "#].WEBP", "#.jpeg"]
)
def test_the_first_image_of_a_folder_is_held_out_whatever_its_name(
    repository: Path, tmp_path: Path, in_words: Path, name: str
) -> None:
    folder = tmp_path / "Anna's: [1] #2"
    folder.mkdir()
    (folder / "!a folder.png").mkdir()
    others = {"ayybc.TIF", "az.webp", "zebra.png"}  # two that patterns would leave out
    for file in ("!notes.txt", name, *others):
        (folder / file).touch()
    done = walk(repository, folder, SR_PYTHON=in_words, RUNS="# 'runs'", HELD_OUT="")
    assert done.returncode == 0, done.stderr
    assert f"but not on {name}, which" in done.stdout

    overrides = [word for word in done.stdout.splitlines() if "=" in word and word[0] != "="]
    options = load_options(repository / "examples/first_model.yml", overrides)
    source = options.datasets.train.source
    assert isinstance(source, HRFolders)
    assert source.hr == (folder,)
    found = {path.name for path in list_images(source.hr, source.exclude)}
    assert found == others
    assert options.log.folder == Path("# 'runs'")


@needs_sh
def test_of_the_samples_the_house_is_held_out(repository: Path, in_words: Path) -> None:
    done = walk(repository, SR_PYTHON=in_words)
    assert done.returncode == 0, done.stderr
    assert "on datasets/samples, but not on casa-mila.png, which" in done.stdout
    assert "train.steps=300" in done.stdout.splitlines()


@needs_sh
def test_a_folder_without_images_is_named(repository: Path, tmp_path: Path, in_words: Path) -> None:
    done = walk(repository, tmp_path, SR_PYTHON=in_words)
    assert (done.returncode, done.stderr) == (2, f"no images in {tmp_path}\n")


def hold_out(
    repository: Path, monkeypatch: pytest.MonkeyPatch, image: Path, folder: Path, *options: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["hold_out.py", str(image), str(folder), *options])
    runpy.run_path(str(repository / "examples/hold_out.py"), run_name="__main__")


def test_the_middle_of_a_image_is_held_out(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (31, 60, 3), np.uint8)
    write_rgb8(tmp_path / "a.png", pixels)
    hold_out(repository, monkeypatch, tmp_path / "a.png", tmp_path, "--scale", "3", "--side", "40")
    assert capsys.readouterr().out == "39,30\n"
    np.testing.assert_array_equal(read_rgb8(tmp_path / "hr/held_out.png"), pixels[:30, 10:49])
    assert read_size(tmp_path / "lr/held_out.png") == (10, 13)


def test_holding_out_touches_no_other_images(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [tmp_path / kind / "holiday.png" for kind in ("hr", "lr")]
    for path in others:
        path.parent.mkdir()
        path.write_bytes(b"mine")
    for name in ("casa-mila.png", "canyon-wren.png"):
        hold_out(repository, monkeypatch, repository / "datasets/samples" / name, tmp_path)
    assert [path.read_bytes() for path in others] == [b"mine", b"mine"]
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*")}
    assert files == {
        f"{kind}/{name}.png" for kind in ("hr", "lr") for name in ("held_out", "holiday")
    }


def test_a_missing_image_is_named_without_a_traceback(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        hold_out(repository, monkeypatch, tmp_path / "mistyped.png", tmp_path)
    assert stopped.value.code == 2
    assert f"error: {tmp_path / 'mistyped.png'}: could not be read: " in capsys.readouterr().err
    assert not (tmp_path / "hr").exists()
