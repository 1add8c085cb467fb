"""Folders with all kinds of bad files, killed runs, full disks, pipes and several devices."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr.io.image_reader import read_header
from sr.io.rgb8 import read_rgb8, write_rgb8

Call = Callable[..., Any]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Eight images of 25x20 pixels in a folder."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        write_rgb8(folder / f"{number}.png", rng.integers(0, 256, (20, 25, 3), dtype=np.uint8))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_kind_of_bad_file_is_named_and_the_good_are_done(
    call: Call, images: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph = images / "photo.jpg"
    write_rgb8(photograph, np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = photograph.read_bytes()
    (images / "short.jpg").write_bytes(content[: len(content) // 2])
    (images / "zero.png").touch()
    (images / "text.png").write_text("only words")
    (images / "folder.png").mkdir()
    (images / "\u00fcml\u00e4ut und [q=1].png").write_bytes((images / "0.png").read_bytes())
    (images / ".hidden.png").write_bytes((images / "0.png").read_bytes())
    (images / "notes.txt").touch()
    assert call("-i", images, "-o", tmp_path / "out", "-m", model) == 3
    shown = capsys.readouterr().err
    assert "(2 other files ignored)" in shown
    assert "10 done, 3 failed in " in shown
    for name, what in (
        ("short.jpg", "damaged or cut short"),
        ("zero.png", "got an empty file"),
        ("text.png", "got a file of another kind"),
    ):
        (line,) = [line for line in shown.splitlines() if line.startswith(f"  {images / name}:")]
        assert what in line
    done = names(tmp_path / "out")
    assert "\u00fcml\u00e4ut und [q=1]_x2.png" in done
    assert len(done) == 10


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(
    call: Call, images: Path, model: Path, tmp_path: Path
) -> None:
    expected = tmp_path / "expected"
    assert call("-i", images, "-o", expected, "-m", model) == 0
    output = tmp_path / "out"
    script = (
        "import sys, time\n"
        "from sr.cli.infer import main\n"
        "from sr.inference import image\n"
        "write = image.write_image\n"
        "def slowly(*given, **options):\n"
        "    write(*given, **options)\n"
        "    time.sleep(0.2)\n"
        "image.write_image = slowly\n"
        "main(sys.argv[1:])\n"
    )
    arguments = ["-i", images, "-o", output, "-m", model]
    process = subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)])
    deadline = time.monotonic() + 120
    while not list(output.glob("[!.]*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = sorted(path.name for path in output.glob("[!.]*"))
    assert 0 < len(left) < 8
    for name in left:  # whole, or not there
        np.testing.assert_array_equal(read_rgb8(output / name), read_rgb8(expected / name))
    times = {name: (output / name).stat().st_mtime_ns for name in left}
    assert call(*arguments, "--skip-existing") == 0
    assert sorted(path.name for path in output.glob("[!.]*")) == names(expected)
    for name in names(expected):
        np.testing.assert_array_equal(read_rgb8(output / name), read_rgb8(expected / name))
    assert {name: (output / name).stat().st_mtime_ns for name in left} == times


@pytest.mark.slow
def test_a_disk_that_takes_no_more_fails_images_and_leaves_nothing(
    repository: Path, images: Path, model: Path, tmp_path: Path
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("needs bash, to limit the size of files")
    output = tmp_path / "out"
    arguments = [repository / "infer.py", "-i", images, "-o", output, "-m", model]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 1; exec "$0" "$@"', sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert done.stderr.count("could not be written") == 8
    assert "Traceback" not in done.stderr
    assert names(output) == []


@pytest.mark.slow
def test_images_go_through_pipes_of_the_script_in_any_folder(
    call: Call, repository: Path, images: Path, model: Path, tmp_path: Path
) -> None:
    assert call("-i", images / "0.png", "-o", tmp_path / "expected.png", "-m", model) == 0
    done = subprocess.run(
        [sys.executable, repository / "infer.py", "-i", "-", "-o", "-", "-m", model.name],
        cwd=tmp_path,
        input=(images / "0.png").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    (tmp_path / "piped.png").write_bytes(done.stdout)
    expected = read_rgb8(tmp_path / "expected.png")
    np.testing.assert_array_equal(read_rgb8(tmp_path / "piped.png"), expected)


@pytest.mark.parametrize("num_images", [1, 8])
def test_two_devices_give_what_one_does(
    call: Call, num_images: int, images: Path, model: Path, tmp_path: Path
) -> None:
    inputs = [images / f"{number}.png" for number in range(num_images)]
    common = ["-i", *inputs, "-m", model, "-t", "8", "--precision", "fp32"]
    for device in ("cpu", "cpu,cpu"):
        assert call(*common, "-o", tmp_path / device, "--device", device) == 0
    for name in names(tmp_path / "cpu"):
        one, two = (read_rgb8(tmp_path / device / name) for device in ("cpu", "cpu,cpu"))
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (["-s", "3"], (60, 75)),
        (["-s", "0.5"], (10, 12)),
        (["--size", "31x17"], (17, 31)),
        (["--long-side", "200"], (160, 200)),
    ],
)
def test_results_have_the_size_that_is_asked_for(
    call: Call,
    size: list[str],
    expected: tuple[int, int],
    images: Path,
    model: Path,
    tmp_path: Path,
) -> None:
    output = tmp_path / "out.tif"
    assert call("-i", images / "0.png", "-o", output, "-m", model, *size) == 0
    header = read_header(output)
    assert (header.height, header.width) == expected


def test_the_largest_difference_of_tiles_is_reported(
    call: Call, images: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["-i", images / "0.png", "-m", model, "-t", "8", "--verify-tiles"]
    assert call(*common, "-o", tmp_path / "a.png") == 0
    assert shown_difference(capsys) < 1e-6  # convolutions may round by the size of their input
    assert call(*common, "-o", tmp_path / "b.png", "--halo", "0") == 0
    shown = capsys.readouterr().err
    assert "tiles may show seams" in shown


def shown_difference(capsys: pytest.CaptureFixture[str]) -> float:
    found = re.search(r"tiles differ by at most (\S+)", capsys.readouterr().err)
    assert found is not None
    return float(found[1])
