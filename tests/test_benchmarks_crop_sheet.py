from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from sr.data.imresize import imresize
from sr.io.rgb8 import read_rgb8, write_rgb8

ROWS = ("windows", "person, JPEG 30")


@pytest.fixture
def crop_sheet(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The folder's scripts import each other by name, as when one of them is run."""
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    import crop_sheet

    return crop_sheet


@pytest.fixture
def folder(crop_sheet: ModuleType, tmp_path: Path) -> Path:
    """A smooth image for each row."""
    rng = np.random.default_rng(0)
    for name in ROWS:
        crop = crop_sheet.CROPS[name]
        file = tmp_path / "sets" / crop.image
        file.parent.mkdir(parents=True, exist_ok=True)
        width, height = (side + crop_sheet.SIDE + 8 for side in (crop.left, crop.top))
        coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 1), np.uint8).repeat(3, 2)
        write_rgb8(file, imresize(coarse, 8)[: height // 8 * 8, : width // 8 * 8])
    return tmp_path / "sets"


def test_a_row_has_bicubic_each_model_and_the_original(
    crop_sheet: ModuleType, folder: Path, model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "sheet.png"
    crop_sheet.main([str(folder), str(output), "-m", str(model), "--zoom", "1", "--rows", *ROWS])
    side, gap, title = crop_sheet.SIDE, crop_sheet.GAP, crop_sheet.TITLE_HEIGHT
    sheet = read_rgb8(output)
    assert sheet.shape == (len(ROWS) * (side + title) + title, 3 * side + 2 * gap, 3)
    top = 2 * title
    shown = [sheet[top : top + side, left : left + side] for left in (0, 2 * (side + gap))]
    crop = crop_sheet.CROPS[ROWS[0]]
    hr = read_rgb8(folder / crop.image)
    lr = imresize(hr, 0.5)
    for image, whole in zip(shown, (imresize(lr, 2), hr), strict=True):
        np.testing.assert_array_equal(image, crop.cut(whole))
    assert sheet[:title].min() < 100  # titles are written


def test_a_row_of_jpeg_begins_from_a_compressed_image(crop_sheet: ModuleType, folder: Path) -> None:
    crop = crop_sheet.CROPS[ROWS[1]]
    lr, hr = crop_sheet.load_pair(crop, folder, 4)
    plain = imresize(hr, 0.25)
    assert lr.shape == plain.shape
    difference = np.abs(lr.astype(int) - plain).mean()
    assert 0.5 < difference < 20
    finer, _ = crop_sheet.load_pair(replace(crop, quality=95), folder, 4)
    assert np.abs(finer.astype(int) - plain).mean() < difference


def test_models_of_two_scales_and_missing_images_are_refused(
    crop_sheet: ModuleType, folder: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        crop_sheet.main([str(folder), "out.png", "-m", str(model), "span_x4"])
    assert "expected models of one scale, got 2, 4" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        crop_sheet.main([str(folder), "out.png", "-m", str(model), "--rows", "eye"])
    assert "img_009.png" in capsys.readouterr().err


def test_enlarged_pixels_are_repeated(crop_sheet: ModuleType) -> None:
    image = np.zeros((crop_sheet.SIDE, crop_sheet.SIDE, 3), np.uint8)
    image[0, 0] = (255, 0, 0)
    sheet: Image.Image = crop_sheet.arrange({"a": [image]}, ["b"], 3)
    top = 2 * crop_sheet.TITLE_HEIGHT
    assert sheet.getpixel((2, top + 2)) == (255, 0, 0)
    assert sheet.getpixel((3, top)) == (0, 0, 0)
