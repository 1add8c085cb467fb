"""LMDB data sets of BasicSR, in a stand-in for the package lmdb, and in it where it is there."""

import sys
import types
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.images import encode_png

from sr.cli.data import main
from sr.data.import_lmdb import import_lmdb
from sr.data.sources import DataError

IMAGES = {
    name: encode_png(np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8))
    for seed, name in enumerate(["0001_s001", "000/00000012", "b.c"])
}


class StandIn(types.ModuleType):
    """The little of lmdb that is used, over a dictionary."""

    Error = OSError

    def __init__(self, values: dict[str, bytes]) -> None:
        super().__init__("lmdb")
        self.values = values

    @contextmanager
    def open(self, _path: str, **_options: object) -> Any:
        yield self

    @contextmanager
    def begin(self) -> Any:
        yield self

    def get(self, key: bytes) -> bytes | None:
        if not self.values:
            raise self.Error("MDB_CORRUPTED")
        return self.values.get(key.decode())


def write_set(folder: Path, values: dict[str, bytes]) -> Path:
    folder.mkdir()
    (folder / "data.mdb").touch()
    lines = "".join(f"{name}.png (9,7,3) 1\n" for name in values)
    (folder / "meta_info.txt").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(sys.modules, "lmdb", StandIn(IMAGES))
    return write_set(tmp_path / "set.lmdb", IMAGES)


def read(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_images_are_written_as_they_are_and_once(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    assert import_lmdb(source, folder) == (3, 0)
    assert read(folder) == {f"{name}.png": value for name, value in IMAGES.items()}
    (folder / "b.c.png").unlink()
    assert import_lmdb(source, folder) == (1, 2)


def test_images_of_the_real_package_are_written_as_they_are(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    source = tmp_path / "set.lmdb"
    with lmdb.open(str(source), map_size=2**20) as environment, environment.begin(write=True) as to:
        for name, value in IMAGES.items():
            to.put(name.encode(), value)
    lines = "".join(f"{name}.png (9,7,3) 1\n" for name in IMAGES)
    (source / "meta_info.txt").write_text(lines, encoding="utf-8")
    assert import_lmdb(source, tmp_path / "images") == (3, 0)
    assert read(tmp_path / "images") == {f"{name}.png": value for name, value in IMAGES.items()}
    (source / "data.mdb").write_bytes(b"no database")
    with pytest.raises(DataError, match="cannot be read"):
        import_lmdb(source, tmp_path / "images")


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a\\x"])
def test_a_name_that_leads_out_of_the_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    values = {name: next(iter(IMAGES.values()))}
    monkeypatch.setitem(sys.modules, "lmdb", StandIn(values))
    source = write_set(tmp_path / "set.lmdb", values)
    (tmp_path / "images").mkdir()
    abandoned = tmp_path / ".0123456789abcdef.unfinished.png"  # would be removed within the folder
    abandoned.touch()
    with pytest.raises(DataError, match="expected names within a folder"):
        import_lmdb(source, tmp_path / "images")
    assert abandoned.exists()


@pytest.mark.parametrize("fault", ["folder", "line", "text", "missing", "page", "content", "file"])
def test_anything_else_is_refused_by_name(source: Path, tmp_path: Path, fault: str) -> None:
    folder, meta = tmp_path / "images", source / "meta_info.txt"
    if fault == "folder":
        meta.unlink()
        expected = "data.mdb and meta_info.txt"
    elif fault == "line":
        meta.write_text("0001_s001.png\n")
        expected = "meta_info.txt, line 1: expected"
    elif fault == "text":
        meta.write_bytes(b"caf\xe9.png (9,7,3) 1\n")  # no UTF-8
        expected = "expected an image 'caf\ufffd'"
    elif fault == "page":
        sys.modules["lmdb"].values = {}  # type: ignore[attr-defined]
        expected = "cannot be read: MDB_CORRUPTED"
    elif fault == "missing":
        meta.write_text("other.png (9,7,3) 1\n")
        expected = "expected an image 'other'"
    elif fault == "content":
        sys.modules["lmdb"].values = dict.fromkeys(IMAGES, b"no image")  # type: ignore[attr-defined]
        expected = "expected PNG or JPEG"
    else:
        folder.mkdir()
        (folder / "0001_s001.png").write_bytes(b"other")
        expected = "got another file"
    with pytest.raises(DataError, match=expected):
        import_lmdb(source, folder)


def test_the_command_reports_what_it_wrote_and_what_is_missing(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ["import-lmdb", str(source), str(tmp_path / "images")]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    assert "3 images written, 0 there before" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "lmdb", None)  # as if it were not installed
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "expected the package lmdb (of the extra `basicsr`)" in capsys.readouterr().err
