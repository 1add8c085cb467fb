from pathlib import Path

import pytest

from sr.errors import UsageError
from sr.web.folders import AllowedFolders, FolderError


@pytest.fixture
def folders(tmp_path: Path) -> AllowedFolders:
    for name in ("one", "two", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "secret" / "key.png").write_bytes(b"x")
    return AllowedFolders([tmp_path / "one", tmp_path / "two"])


def test_paths_within_the_folders_are_resolved(folders: AllowedFolders, tmp_path: Path) -> None:
    assert folders.resolve(str(tmp_path / "two" / "a.png")) == tmp_path / "two" / "a.png"
    assert folders.resolve("a/../b.png") == tmp_path / "one" / "b.png"
    assert folders.resolve(f' "{tmp_path / "one"}" ') == tmp_path / "one"
    assert folders.resolve("frames/%05d.png") == tmp_path / "one" / "frames" / "%05d.png"


@pytest.mark.parametrize(
    "text",
    [
        "../secret/key.png",
        "/etc/passwd",
        "a/../../secret",
        "~/x",
        "~root/x",
        "",
        "a\0b",
        "http://127.0.0.1:8000/a.png",
        "file:///etc/passwd",
        "concat:/etc/passwd|/etc/hosts",
        "data:image/png;base64,AAAA",
    ],
)
def test_paths_out_of_the_folders_and_addresses_are_refused(
    folders: AllowedFolders, text: str
) -> None:
    with pytest.raises(FolderError):
        folders.resolve(text)


@pytest.mark.parametrize("text", ["-", "subfile,,start,0,end,9,,:/etc/passwd", "x" * 5000])
def test_names_that_mean_something_elsewhere_are_those_of_files(
    folders: AllowedFolders, text: str
) -> None:
    assert folders.resolve(text).is_relative_to(folders.folders[0])


def test_links_that_lead_out_are_refused(folders: AllowedFolders, tmp_path: Path) -> None:
    (tmp_path / "one" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(FolderError):
        folders.resolve("link/key.png")
    with pytest.raises(FolderError):
        folders.refuse_links_out(tmp_path / "one", recursive=False)
    (tmp_path / "two" / "deep").mkdir()
    (tmp_path / "two" / "deep" / "key.png").symlink_to(tmp_path / "secret" / "key.png")
    folders.refuse_links_out(tmp_path / "two", recursive=False)
    with pytest.raises(FolderError):
        folders.refuse_links_out(tmp_path / "two", recursive=True)


def test_links_in_linked_folders_are_refused_too(folders: AllowedFolders, tmp_path: Path) -> None:
    (tmp_path / "one" / "other").symlink_to(tmp_path / "two")
    (tmp_path / "two" / "back").symlink_to(tmp_path / "one")  # a circle ends
    folders.refuse_links_out(tmp_path / "one", recursive=True)
    (tmp_path / "two" / "key.png").symlink_to(tmp_path / "secret" / "key.png")
    with pytest.raises(FolderError):
        folders.refuse_links_out(tmp_path / "one", recursive=True)


def test_links_within_are_followed(folders: AllowedFolders, tmp_path: Path) -> None:
    (tmp_path / "one" / "other").symlink_to(tmp_path / "two")
    assert folders.resolve("other/a.png") == tmp_path / "two" / "a.png"


def test_entries_are_listed_folders_first(folders: AllowedFolders, tmp_path: Path) -> None:
    for name in ("b.png", ".hidden", "a.png"):
        (tmp_path / "one" / name).write_bytes(b"")
    (tmp_path / "one" / "z").mkdir()
    found = folders.list_entries(str(tmp_path / "one"))
    assert [path.name for path in found] == ["z", "a.png", "b.png"]
    with pytest.raises(FolderError):
        folders.list_entries(str(tmp_path / "secret"))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--folder"):
        AllowedFolders([tmp_path / "none"])
