import os
import tempfile
from pathlib import Path

import pytest

from sr.web.settings import Settings
from sr.web.work_folders import hold_server_folders, make_view_path, make_work_folder


@pytest.fixture(autouse=True)
def _temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_what_a_killed_server_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    for name in ("sr-web-left", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / "state" / "work.txt").write_text(str(tmp_path / name))
        with hold_server_folders(tmp_path / "state") as work:
            (work / "upload").write_bytes(b"x")
        assert not work.exists()
    assert not (tmp_path / "sr-web-left").exists()
    assert (tmp_path / "other").exists()  # which is no folder of a server


def test_copies_of_files_of_one_name_are_distinct_and_bounded(
    settings: Settings, tmp_path: Path
) -> None:
    files = [tmp_path / name / "clip.png" for name in ("one", "two")]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(b"")
    first, second = (make_view_path(settings, file, ".webp") for file in files)
    assert first != second
    assert make_view_path(settings, files[0], ".webp") == first
    os.utime(files[0], (1, 1))
    assert make_view_path(settings, files[0], ".webp") != first
    for number in range(300):
        (first.parent / f"{number}.webp").write_bytes(b"")
        os.utime(first.parent / f"{number}.webp", (number, number))
    make_view_path(settings, files[0], ".webp")
    left = {file.name for file in first.parent.iterdir()}
    assert len(left) == 200
    assert "299.webp" in left


def test_folders_of_yesterday_are_removed(settings: Settings) -> None:
    old, new = make_work_folder(settings), make_work_folder(settings)
    os.utime(old, (1, 1))
    make_work_folder(settings)
    assert not old.exists()
    assert new.exists()
