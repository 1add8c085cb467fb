"""Paths in object stores, looked up on an S3 server of this machine."""

import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.object_store import start_store

from sr.errors import UsageError
from sr.io.find_files import list_files
from sr.io.object_path import ObjectPath, StoreError, forget_listings, parse_place

pytestmark = pytest.mark.filterwarnings("default")  # of botocore and moto


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with start_store(monkeypatch) as opened:
        yield opened
    forget_listings()


def test_urls_stay_urls() -> None:
    path = parse_place(Path("s3://bucket/a folder/b.png"))
    assert str(path) == "s3://bucket/a folder/b.png"
    assert str(path.parent / "c.png") == "s3://bucket/a folder/c.png"
    assert str(path.with_name("d.png")) == "s3://bucket/a folder/d.png"
    assert str(copy.copy(path)) == str(path)
    assert type(parse_place(Path("s3/bucket"))) is type(Path())
    with pytest.raises(UsageError, match=r"gs://: expected gs://BUCKET/KEY"):
        parse_place(Path("gs://"))


def test_folders_are_listed_as_those_of_a_disk_are(store: Any) -> None:
    for key in ("in/10.png", "in/9.PNG", "in/.hidden.png", "in/notes.txt", "in/sub/a.png"):
        store.pipe_file(f"bucket/{key}", b"")
    store.pipe_file("bucket/in/.parts/b.png", b"")
    store.pipe_file("bucket/in/marker/", b"")
    folder = ObjectPath("s3://bucket/in")
    assert folder.is_dir()
    assert not folder.is_file()
    found = list_files(folder, False, {".png"})
    assert [path.name for path in found.files] == ["9.PNG", "10.png"]
    assert found.num_others == 2
    found = list_files(folder, True, {".png"})
    names = [str(path).removeprefix("s3://bucket/in/") for path in found.files]
    assert names == ["sub/a.png", "9.PNG", "10.png"]
    assert found.num_others == 2
    image = folder / "9.PNG"
    assert image.exists()
    assert image.is_file()
    assert not image.is_dir()
    assert not (folder / "none.png").exists()
    assert not ObjectPath("s3://bucket/out").is_dir()
    assert not ObjectPath("s3://bucket/out").exists()


def test_many_names_of_a_folder_are_looked_up_at_once(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ObjectPath("s3://bucket/out")
    assert not (folder / "a.png").exists()
    (folder / "a.png").upload(Path(__file__))
    assert not (folder / "a.png").exists()
    assert (folder / "a.png").is_there()
    forget_listings()
    assert (folder / "a.png").exists()


def test_what_a_store_refuses_is_said_with_the_url(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match=r"s3://bucket/none.png: cannot be read: .*not exist"):
        ObjectPath("s3://bucket/none.png").download(tmp_path / "none.png")
    with pytest.raises(StoreError, match=r"s3://none/out: cannot be written: .*bucket.*not exist"):
        ObjectPath("s3://none/out").check_writable()
    ObjectPath("s3://bucket/out").check_writable()
    assert store.find("bucket") == []
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    type(store).clear_instance_cache()
    with pytest.raises(StoreError, match=r"s3://bucket/in: cannot be listed: .*credentials"):
        ObjectPath("s3://bucket/in").is_dir()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UsageError, match=r"gs://b/in: needs the extra `gcs` \(gcsfs is missing\)"):
        ObjectPath("gs://b/in").is_dir()
