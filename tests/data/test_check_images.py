from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from helpers.images import draw_texture

from sr.data.check_images import Limits, Survey, check_images, format_exclude_list
from sr.data.sources import DataError, list_images, read_exclude_list
from sr.io.rgb8 import write_rgb8

Image = npt.NDArray[np.uint8]


def make_sharp(seed: int) -> Image:
    """Hard-edged blocks of 16 px, 256x256."""
    levels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3))
    return levels.repeat(16, axis=0).repeat(16, axis=1).astype(np.uint8)


def check(folder: Path, **images: Image) -> Survey:
    for name, image in images.items():
        write_rgb8(folder / f"{name}.png", image)
    return check_images(list_images([folder], ()), Limits())


def kinds(survey: Survey) -> dict[str, str]:
    return {finding.path.stem: finding.kind for finding in survey.findings}


def test_good_images_are_not_found(tmp_path: Path) -> None:
    survey = check(tmp_path, a=make_sharp(0), b=make_sharp(1), c=make_sharp(2))
    assert survey.findings == ()
    assert survey.num_images == 3
    assert survey.sizes == ((256, 256),) * 3


def test_each_kind_is_found(tmp_path: Path) -> None:
    (tmp_path / "unreadable.png").write_bytes(b"no image")
    texture = np.repeat(255 * draw_texture(256, 256)[..., None], 3, axis=2)
    blurred = np.asarray(cv2.GaussianBlur(texture, (0, 0), 2.5)).astype(np.uint8)
    with_detail = np.full((640, 640, 3), 90, np.uint8)
    with_detail[:64, :64] = make_sharp(5)[:64, :64]
    survey = check(
        tmp_path,
        sharp=make_sharp(0),
        same=make_sharp(0),
        small=make_sharp(1)[:90],
        blurred=blurred,
        flat=with_detail,
    )
    assert {(finding.path.stem, finding.kind) for finding in survey.findings} == {
        ("unreadable", "unreadable"),
        ("sharp", "duplicate"),  # of two equal ones the first is kept
        ("small", "small"),
        ("blurred", "blurred"),
        ("flat", "blurred"),
        ("flat", "flat"),
    }


def test_a_large_image_is_kept_and_its_smaller_and_recompressed_copies_are_found(
    tmp_path: Path,
) -> None:
    image = make_sharp(0)
    half = np.asarray(cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA), np.uint8)
    write_rgb8(tmp_path / "a_copy.jpg", image, quality=80)
    survey = check(tmp_path, half=half, whole=image, other=make_sharp(1))
    assert sorted(kinds(survey).values()) == ["near duplicate"] * 2
    assert "half" in kinds(survey)
    assert "other" not in kinds(survey)


def test_a_list_names_each_image_once_and_is_read_back(tmp_path: Path) -> None:
    tiny = np.full((20, 20, 3), 7, np.uint8)  # small, flat and blurred
    survey = check(tmp_path, tiny=tiny, good=make_sharp(0))
    assert len(survey.findings) == 3
    file = tmp_path / "list.txt"
    file.write_text(format_exclude_list(survey), encoding="utf-8")
    assert read_exclude_list(file) == {(tmp_path / "tiny.png").resolve()}
    assert [path.name for path in list_images([tmp_path], (), file)] == ["good.png"]


def test_a_list_of_all_images_is_named(tmp_path: Path) -> None:
    write_rgb8(tmp_path / "a.png", make_sharp(0))
    file = tmp_path / "list.txt"
    file.write_text(f"{tmp_path / 'a.png'}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"\(1 excluded by name or .*list\.txt\)"):
        list_images([tmp_path], (), file)


def test_a_list_that_is_missing_is_an_error(tmp_path: Path) -> None:
    write_rgb8(tmp_path / "a.png", make_sharp(0))
    with pytest.raises(DataError, match=r"no\.txt: expected a list of image files"):
        list_images([tmp_path], (), tmp_path / "no.txt")
