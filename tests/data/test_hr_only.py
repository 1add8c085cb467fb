from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from helpers.images import encode_tiff
from PIL import Image

from sr.data.hr_only import HRImage, cut_bicubic_lr, find_hr_images
from sr.data.imresize import imresize
from sr.data.sources import DataError
from sr.io.rgb8 import write_rgb8


def noise(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(path: Path, height: int, width: int) -> npt.NDArray[np.uint8]:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = noise(height, width)
    write_rgb8(path, image)
    return image


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lr_is_matlabs_bicubic_of_hr_cut_to_a_multiple_of_the_scale(
    tmp_path: Path, scale: int
) -> None:
    image = write(tmp_path / "a.png", 37, 46)
    (source,) = find_hr_images([tmp_path], scale, (), (1.0,))
    lr, hr = source.load()
    height, width = 37 - 37 % scale, 46 - 46 % scale
    np.testing.assert_array_equal(hr, image[:height, :width])
    np.testing.assert_array_equal(lr, imresize(hr, Fraction(1, scale)))
    assert lr.shape == (height // scale, width // scale, 3)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(5, 4), (7, 11), (13, 9)])  # LR pixels
def test_a_part_of_lr_made_from_its_surroundings_is_that_of_the_whole(
    scale: int, size: tuple[int, int]
) -> None:
    height, width = size
    hr = noise(scale * height, scale * width)
    lr = imresize(hr, Fraction(1, scale))
    for side in (1, 3, 4):
        for top, left in product(range(height - side + 1), range(width - side + 1)):
            part = cut_bicubic_lr(hr, (top, left), side, scale)
            np.testing.assert_array_equal(part, lr[top : top + side, left : left + side])


@pytest.mark.parametrize("downscale", [1.0, 0.5, 1 / 3, 0.7, 0.25, 0.123])
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_hr_size_is_the_shape_that_load_gives(tmp_path: Path, scale: int, downscale: float) -> None:
    write(tmp_path / "a.png", 101, 90)
    write(tmp_path / "b.png", 97, 128)
    for source in find_hr_images([tmp_path], scale, (), (downscale,)):
        lr, hr = source.load()
        assert hr.shape == (*source.hr_size, 3)
        assert hr.shape == (scale * lr.shape[0], scale * lr.shape[1], 3)


def test_every_image_comes_at_every_downscale(tmp_path: Path) -> None:
    image = write(tmp_path / "a.png", 40, 48)
    write(tmp_path / "sub" / "b.png", 21, 16)
    sources = find_hr_images([tmp_path], 4, (), (1.0, 0.5))
    assert sorted((source.path.stem, source.hr_size) for source in sources) == [
        ("a", (20, 24)),
        ("a", (40, 48)),
        ("b", (8, 8)),  # 11 x 8, cut
        ("b", (20, 16)),
    ]
    half = next(source for source in sources if source.hr_size == (20, 24))
    np.testing.assert_array_equal(half.load()[1], imresize(image, Fraction(1, 2)))


def test_the_size_of_a_image_turned_by_exif_is_that_of_the_upright_one(tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")
    image = pyvips.Image.new_from_array(noise(24, 40)).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image.write_to_file(str(tmp_path / "a.jpg"))
    (source,) = find_hr_images([tmp_path], 4, (), (1.0,))
    assert source.hr_size == (40, 24)
    assert source.load()[1].shape == (40, 24, 3)


def test_a_gray_image_gets_three_equal_channels(tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")
    gray = noise(16, 16)[..., :1]
    image = pyvips.Image.new_from_array(gray).copy(interpretation="b-w")
    image.write_to_file(str(tmp_path / "a.png"))
    (source,) = find_hr_images([tmp_path], 2, (), (1.0,))
    lr, hr = source.load()
    np.testing.assert_array_equal(hr, gray.repeat(3, axis=2))
    assert lr.shape == (8, 8, 3)


def test_excluded_images_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a.png", 16, 16)
    write(tmp_path / "b.png", 16, 16)
    (source,) = find_hr_images([tmp_path], 4, ("a*",), (1.0,))
    assert source.path == tmp_path / "b.png"


def test_all_unreadable_images_are_named_at_once(tmp_path: Path) -> None:
    write(tmp_path / "good.png", 16, 16)
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(DataError, match="2 faults") as caught:
        find_hr_images([tmp_path], 4, (), (1.0,))
    assert "text.png" in str(caught.value)
    assert "empty.jpg" in str(caught.value)
    assert "good.png" not in str(caught.value)


@pytest.mark.parametrize("downscale", [0.4, 0.0001])
def test_a_image_smaller_than_one_lr_pixel_is_named(tmp_path: Path, downscale: float) -> None:
    write(tmp_path / "large.png", 16, 16)
    write(tmp_path / "small.png", 30, 7)
    with pytest.raises(DataError, match=r"small\.png: 7x30 \(width x height\) is too small"):
        find_hr_images([tmp_path], 4, ("large*",), (1.0, downscale))


def test_the_image_is_known_by_its_path_and_size() -> None:
    path = Path("x") / "cat.png"
    assert HRImage(path, 4, 1.0, (8, 8)).name == str(path)
    assert HRImage(path, 4, 0.5, (8, 8)).name == f"{path} at 0.5 of its size"


def test_images_of_other_kinds_are_converted_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = write(tmp_path / "a.png", 8, 8)
    for name in ("b", "c"):
        Image.fromarray(np.dstack([image, np.full((8, 8), 255)]).astype(np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    deep = np.repeat(image[..., :1], 3, axis=2).astype(np.uint16) * 257
    (tmp_path / "d.tif").write_bytes(encode_tiff(deep, photometric="rgb"))
    Image.fromarray(np.zeros((8, 8, 4), np.uint8), "CMYK").save(tmp_path / "e.jpg")
    sources = find_hr_images([tmp_path], 2, (), (1.0, 0.5))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    message = caplog.messages[0]
    assert "4 of 5 images are converted to 8-bit RGB" in message
    assert "alpha channel (transparency) put over black (2)" in message
    assert "16 bits per channel become 8 (1)" in message
    assert "CMYK converted to sRGB" in message
    assert "The first is" in message
    found = {Path(source.name).name: source.load()[1] for source in sources[::2]}
    np.testing.assert_array_equal(found["b.png"], image)
    np.testing.assert_array_equal(found["d.tif"], deep // 257)
    assert found["e.jpg"].min() > 250
