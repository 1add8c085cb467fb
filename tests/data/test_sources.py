from pathlib import Path

import pytest

from sr.data.sources import LISTED_FAULTS, DataError, list_images, raise_faults


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_images_of_all_folders_and_subfolders_are_listed_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path / "a", "10.png", "9.jpg", "sub/1.webp", "note.txt")
    touch(tmp_path / "b", "1.tif")
    found = list_images([tmp_path / "b", tmp_path / "a"], ())
    assert sorted(names(found)) == ["1.tif", "1.webp", "10.png", "9.jpg"]
    assert names(found)[0] == "1.tif"  # folders keep their order
    assert names(found).index("9.jpg") < names(found).index("10.png")


def test_a_folder_given_twice_gives_its_images_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "sub/b.png")
    assert len(list_images([tmp_path, tmp_path / "sub", tmp_path], ())) == 2


def test_patterns_exclude_by_file_name(tmp_path: Path) -> None:
    touch(tmp_path, "cat_1.png", "cat_2.png", "dog_1.png", "sub/cat_3.png")
    assert names(list_images([tmp_path], ("cat_*",))) == ["dog_1.png"]
    assert names(list_images([tmp_path], ("???_1.png", "cat_3*"))) == ["cat_2.png"]


def test_all_missing_folders_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(DataError, match=r"no such folder of images: \S*/x, \S*/y$"):
        list_images([tmp_path / "x", tmp_path, tmp_path / "y"], ())


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(DataError, match=r"no such folder of images: \S*a\.png"):
        list_images([tmp_path / "a.png"], ())


def test_finding_no_image_is_refused_with_the_number_of_excluded_ones(tmp_path: Path) -> None:
    touch(tmp_path, "note.txt")
    with pytest.raises(DataError, match=r"no images found \(0 excluded by name\)"):
        list_images([tmp_path], ())
    touch(tmp_path, "a.png", "b.png")
    with pytest.raises(DataError, match=r"no images found \(2 excluded by name\)"):
        list_images([tmp_path], ("*",))


def test_no_fault_raises_nothing() -> None:
    raise_faults("images", [])


def test_faults_are_counted_and_listed_up_to_a_limit() -> None:
    with pytest.raises(DataError, match=r"^images: 1 fault\n  a\.png$"):
        raise_faults("images", ["a.png"])
    faults = [f"{number}.png" for number in range(LISTED_FAULTS + 3)]
    with pytest.raises(DataError) as caught:
        raise_faults("images", faults)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"images: {LISTED_FAULTS + 3} faults"
    assert lines[1:-1] == [f"  {fault}" for fault in faults[:LISTED_FAULTS]]
    assert lines[-1] == "  ... and 3 more"
