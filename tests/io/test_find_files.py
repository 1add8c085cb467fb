from pathlib import Path

import pytest

from sr.io.find_files import find_images, list_files


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_gives_its_images_in_natural_order(tmp_path: Path) -> None:
    names = ["a2.png", "a10.JPG", "b.webp", "c.tiff"]
    touch(*(tmp_path / name for name in [*names, ".hidden.png", "notes.txt", "below/d.png"]))
    assert [path.name for path in find_images([tmp_path], recursive=False)] == names


def test_subfolders_are_searched_on_request(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "x" / "y" / "b.png", tmp_path / ".git" / "c.png")
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path) for path in find_images([tmp_path], recursive=True)]
    assert found == [Path("a.png"), Path("x/y/b.png")]


def test_named_files_are_taken_whatever_their_name_and_only_once(tmp_path: Path) -> None:
    odd, image = tmp_path / ".odd", tmp_path / "a.png"
    touch(odd, image)
    assert find_images([odd, image, odd, tmp_path], recursive=False) == [odd, image]


def test_missing_inputs_are_all_named(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    inputs = [tmp_path / "x", tmp_path / "a.png", tmp_path / "y"]
    with pytest.raises(FileNotFoundError, match=r"/x, .*/y"):
        find_images(inputs, recursive=False)


def test_files_that_are_no_images_are_counted(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("a.png", "b.avif", ".hidden.png", "notes.txt", "x/c.md")))
    found = list_files(tmp_path, False, {".png", ".avif"})
    assert [path.name for path in found.files] == ["a.png", "b.avif"]
    assert found.num_others == 2
    assert list_files(tmp_path, True, {".png"}).num_others == 4


def test_a_folder_named_like_a_image_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    assert list_files(tmp_path, False, {".png"}).files == []
