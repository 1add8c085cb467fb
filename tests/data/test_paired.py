from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from sr.data.paired import find_paired_images
from sr.data.sources import DataError
from sr.io.rgb8 import write_rgb8


def write(path: Path, height: int, width: int) -> npt.NDArray[np.uint8]:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    write_rgb8(path, image)
    return image


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """lr, hr."""
    lr, hr = tmp_path / "lr", tmp_path / "hr"
    lr.mkdir()
    hr.mkdir()
    return lr, hr


def faults_of(folders: tuple[Path, Path], scale: int = 4) -> list[str]:
    lr, hr = folders
    with pytest.raises(DataError) as caught:
        find_paired_images([lr], [hr], scale, ())
    return [line.strip() for line in str(caught.value).splitlines()]


def partners(folders: tuple[Path, Path], scale: int = 4) -> list[tuple[str, str]]:
    lr, hr = folders
    return [
        (pair.lr_path.name, pair.hr_path.name) for pair in find_paired_images([lr], [hr], scale, ())
    ]


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_images_are_matched_by_name_with_or_without_the_scale(
    folders: tuple[Path, Path], scale: int
) -> None:
    lr, hr = folders
    for name, lr_name in [("a", "a"), ("b", f"bx{scale}"), ("c", f"c_x{scale}")]:
        write(lr / f"{lr_name}.png", 3, 5)
        write(hr / f"{name}.png", 3 * scale, 5 * scale)
    assert partners(folders, scale) == [
        ("a.png", "a.png"),
        (f"bx{scale}.png", "b.png"),
        (f"c_x{scale}.png", "c.png"),
    ]


def test_pairs_come_in_the_natural_order_of_the_hr_names(folders: tuple[Path, Path]) -> None:
    lr, hr = folders
    for name in ("10", "9", "1"):
        write(lr / f"{name}x4.png", 2, 2)
        write(hr / f"{name}.png", 8, 8)
    assert [hr_name for _, hr_name in partners(folders)] == ["1.png", "9.png", "10.png"]


def test_file_types_and_subfolders_may_differ(folders: tuple[Path, Path]) -> None:
    lr, hr = folders
    write(lr / "deep" / "a.png", 4, 4)
    write(hr / "a.tif", 16, 16)
    assert partners(folders) == [("a.png", "a.tif")]


def test_a_name_that_ends_like_a_scale_by_itself_matches_its_equal(
    folders: tuple[Path, Path],
) -> None:
    lr, hr = folders
    for name in ("a", "ax4", "climax4"):
        write(lr / f"{name}.png", 2, 2)
        write(hr / f"{name}.png", 8, 8)
    assert partners(folders) == [(f"{name}.png",) * 2 for name in ("a", "ax4", "climax4")]


def test_the_mark_of_another_scale_belongs_to_the_name(folders: tuple[Path, Path]) -> None:
    lr, hr = folders
    write(lr / "ax2.png", 2, 2)
    write(hr / "a.png", 8, 8)
    assert len(faults_of(folders)) == 3


def test_the_files_are_loaded_as_they_are(folders: tuple[Path, Path]) -> None:
    lr, hr = folders
    lr_image = write(lr / "ax4.png", 5, 6)
    hr_image = write(hr / "a.png", 20, 24)
    (pair,) = find_paired_images([lr], [hr], 4, ())
    loaded_lr, loaded_hr = pair.load()
    np.testing.assert_array_equal(loaded_lr, lr_image)
    np.testing.assert_array_equal(loaded_hr, hr_image)
    assert pair.name == str(hr / "a.png")
    assert pair.hr_size == (20, 24)


def test_a_rest_of_hr_below_the_scale_is_cut_off(folders: tuple[Path, Path]) -> None:
    lr, hr = folders
    write(lr / "a.png", 5, 6)
    hr_image = write(hr / "a.png", 23, 25)
    (pair,) = find_paired_images([lr], [hr], 4, ())
    assert pair.hr_size == (20, 24)
    np.testing.assert_array_equal(pair.load()[1], hr_image[:20, :24])


@pytest.mark.parametrize("size", [(24, 24), (20, 28), (19, 24), (20, 23), (24, 20)])
def test_a_wrong_size_is_reported_with_both_files(
    folders: tuple[Path, Path], size: tuple[int, int]
) -> None:
    lr, hr = folders
    write(lr / "ax4.png", 5, 6)
    write(hr / "a.png", *size)
    assert faults_of(folders)[1:] == [
        f"{hr}/a.png: expected 4 x 6x5 of {lr}/ax4.png, got {size[1]}x{size[0]} (width x height)"
    ]


def test_files_without_a_partner_are_all_named_with_the_counts(folders: tuple[Path, Path]) -> None:
    lr, hr = folders
    for name in ("a", "b", "c"):
        write(lr / f"{name}.png", 2, 2)
    for name in ("a", "d"):
        write(hr / f"{name}.png", 8, 8)
    assert faults_of(folders) == [
        "3 LR and 2 HR images do not match: 3 faults",
        f"{lr}/b.png: no HR partner",
        f"{lr}/c.png: no HR partner",
        f"{hr}/d.png: no LR partner",
    ]


def test_names_that_occur_twice_are_named(folders: tuple[Path, Path]) -> None:
    lr, hr = folders
    write(lr / "a.png", 2, 2)
    write(lr / "ax4.png", 2, 2)
    write(hr / "a.png", 8, 8)
    write(hr / "sub" / "a.png", 8, 8)
    title, *faults = faults_of(folders)
    assert title == "2 LR and 2 HR images do not match: 2 faults"
    assert any("LR name already taken by" in fault for fault in faults)
    assert any("HR name already taken by" in fault for fault in faults)
    assert all("a.png" in fault for fault in faults)


def test_faults_of_all_kinds_are_reported_together(folders: tuple[Path, Path]) -> None:
    lr, hr = folders
    write(lr / "a.png", 2, 2)
    write(hr / "a.png", 9, 99)
    write(lr / "b.png", 2, 2)
    (lr / "c.png").write_text("not an image")
    write(hr / "c.png", 8, 8)
    text = "\n".join(faults_of(folders))
    assert "3 faults" in text
    for fault in ("a.png: expected", "b.png: no HR partner", "c.png: expected an image"):
        assert fault in text


def test_published_x4_pairs_are_found(shared_data: Path) -> None:
    folder = shared_data / "benchmarks" / "Set5"
    pairs = find_paired_images([folder / "LR_x4"], [folder / "HR"], 4, ())
    assert len(pairs) == 5
    for pair in pairs:
        lr, hr = pair.load()
        assert hr.shape == (4 * lr.shape[0], 4 * lr.shape[1], 3)


def test_conversions_of_both_sides_are_one_warning(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    lr, hr = folders
    for folder, side in ((lr, 4), (hr, 8)):
        Image.new("RGBA", (side, side)).save(folder / "a.png")
    (pair,) = find_paired_images([lr], [hr], 2, ())
    assert len(caplog.messages) == 1
    assert "2 of 2 images are converted" in caplog.messages[0]
    assert [array.shape for array in pair.load()] == [(4, 4, 3), (8, 8, 3)]


@pytest.mark.parametrize("listed", ["hr/b.png", "lr/b.png"])
def test_a_pair_is_left_out_by_either_of_its_files(tmp_path: Path, listed: str) -> None:
    for folder, side in (("lr", 8), ("hr", 32)):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            write_rgb8(tmp_path / folder / f"{name}.png", np.zeros((side, side, 3), np.uint8))
    file = tmp_path / "list.txt"
    file.write_text(f"# why\n\n{tmp_path / listed}\n", encoding="utf-8")
    folders = [tmp_path / "lr"], [tmp_path / "hr"]
    pairs = find_paired_images(*folders, 4, (), exclude_list=file)
    assert [pair.hr_path.name for pair in pairs] == ["a.png"]
