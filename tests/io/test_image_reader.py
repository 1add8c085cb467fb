"""Every usual kind of image is read as it is, upright; the others are refused by name."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from helpers.images import Pixels, encode_image, encode_tiff, noise
from PIL import Image, ImageCms

from sr.io.image_formats import ImageError
from sr.io.image_reader import Header, open_image, read_header

ALL = slice(None)


@pytest.fixture
def rgb() -> Pixels:
    return noise(24, 17, 3)


def read(source: Path | bytes, **options: Any) -> tuple[Header, Pixels]:
    with open_image(source, **options) as image:
        return image.header, image.read()


def test_a_region_is_the_same_part_of_the_whole(rgb: Pixels) -> None:
    with open_image(encode_image(Image.fromarray(rgb), "PNG")) as image:
        assert image.header == Header(24, 17, 1, 3, 8)
        for rows, columns in [
            (slice(20, 24), slice(3, 9)),
            (slice(0, 5), slice(0, 17)),
            (slice(7, 8), slice(16, 17)),
        ]:
            region = image.read(rows, columns)
            np.testing.assert_array_equal(region, rgb[rows, columns])
            assert region.flags.c_contiguous
        assert image.read(slice(4, 4), ALL).shape == (0, 17, 3)


def test_regions_are_read_by_several_threads_at_once() -> None:
    pixels = noise(300, 200, 3)
    exif = Image.Exif()
    exif[0x0112] = 3
    content = encode_image(Image.fromarray(pixels), "PNG", exif=exif)
    parts = [(slice(top, top + 37), slice(top % 90, 150)) for top in range(0, 260, 7)]
    with open_image(content) as image, ThreadPoolExecutor(4) as pool:
        regions = list(pool.map(lambda part: image.read(*part), parts))
    for part, region in zip(parts, regions, strict=True):
        np.testing.assert_array_equal(region, pixels[::-1, ::-1][part])


def test_a_wide_region_is_put_together_from_strips() -> None:
    pixels = noise(24, 100_000, 3)  # 7 MB, of which 4 are fetched at once
    np.testing.assert_array_equal(read(encode_image(Image.fromarray(pixels), "PNG"))[1], pixels)


@pytest.mark.parametrize(
    ("image", "kind", "pixels"),
    [
        (lambda a: Image.fromarray(a[..., 0]), "PNG", lambda a: a[..., :1]),
        (lambda a: Image.fromarray(a[..., 0] > 127), "PNG", lambda a: (a[..., :1] > 127) * 255),
        (lambda a: Image.fromarray(a[..., 0] > 127), "TIFF", lambda a: (a[..., :1] > 127) * 255),
        (lambda a: Image.fromarray(a // 128 * 255).quantize(8), "PNG", lambda a: a // 128 * 255),
        (lambda a: Image.fromarray(a // 128 * 255).quantize(8), "TIFF", lambda a: a // 128 * 255),
        (lambda a: Image.fromarray(a // 128 * 255).quantize(8), "GIF", lambda a: a // 128 * 255),
        (lambda a: Image.fromarray(a), "BMP", lambda a: a),
        (lambda a: Image.fromarray(a[..., 0]), "BMP", lambda a: a[..., :1]),
        (lambda a: Image.fromarray(a // 128 * 255).quantize(8), "BMP", lambda a: a // 128 * 255),
    ],
    ids=[
        *("gray", "1 bit", "1 bit tiff", "palette", "palette tiff", "gif"),
        *("bmp", "gray bmp", "palette bmp"),
    ],
)
def test_pixels_of_few_bits_are_expanded(
    rgb: Pixels,
    image: Callable[[Pixels], Image.Image],
    kind: str,
    pixels: Callable[[Pixels], Pixels],
) -> None:
    header, got = read(encode_image(image(rgb), kind))
    np.testing.assert_array_equal(got, pixels(rgb))
    assert (header.depth, header.notes) == (8, ())


def test_a_transparent_color_becomes_alpha(rgb: Pixels) -> None:
    rgb[3, 4] = (1, 2, 3)
    header, pixels = read(encode_image(Image.fromarray(rgb), "PNG", transparency=(1, 2, 3)))
    assert header.num_bands == 4
    assert pixels[3, 4, 3] == 0


@pytest.mark.parametrize("options", [{"byteorder": ">"}, {"bigtiff": True}, {"tile": (16, 16)}])
def test_a_dark_16_bit_tiff_keeps_its_values(options: dict[str, Any]) -> None:
    dark = noise(24, 17, 3, dtype="uint16") % 200
    header, pixels = read(encode_tiff(dark, photometric="rgb", **options))
    np.testing.assert_array_equal(pixels, dark)
    assert (header.depth, pixels.dtype) == (16, np.dtype(np.uint16))


def test_white_of_12_bits_is_white_of_16(tmp_path: Path) -> None:
    levels = np.array([[[0] * 3, [1 << 4] * 3, [4095 << 4] * 3]], np.uint16)
    image = pyvips.Image.new_from_array(levels, interpretation="rgb16")
    with open_image(image.write_to_buffer(".avif", lossless=True, bitdepth=12)) as image:
        assert image.bits == 12
        assert image.read()[0, :, 0].tolist() == [0, 16, 65535]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_every_orientation_is_applied(orientation: int, kind: str) -> None:
    quadrants = np.array([[0, 80], [160, 240]], np.uint8).repeat(16, 0).repeat(24, 1)
    turned = [
        *(quadrants, quadrants[:, ::-1], quadrants[::-1, ::-1], quadrants[::-1]),
        *(quadrants.T, np.rot90(quadrants, -1), np.rot90(quadrants.T, 2), np.rot90(quadrants)),
    ][orientation - 1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(quadrants).convert("RGB")
    header, pixels = read(encode_image(image, kind, exif=exif))
    assert (header.height, header.width) == turned.shape
    assert np.abs(pixels[..., 0].astype(int) - turned).mean() < 5


def test_cmyk_is_converted_and_noted() -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    header, pixels = read(encode_image(image, "JPEG"))
    assert header.notes == ("CMYK converted to sRGB, as it has no profile, of a usual kind",)
    red, green, blue = pixels[4, 4].tolist()
    assert red > 200
    assert max(green, blue) < 80


def test_cmyk_of_16_bits_stays_16_bits() -> None:
    header, pixels = read(encode_tiff(np.zeros((8, 8, 4), np.uint16), photometric="separated"))
    assert (header.depth, header.num_bands) == (16, 3)
    assert pixels.min() > 65000  # no ink is white


def test_a_fitting_profile_is_kept_and_not_applied(rgb: Pixels) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with open_image(encode_image(Image.fromarray(rgb), "PNG", icc_profile=profile)) as image:
        assert image.metadata.profile == profile
        np.testing.assert_array_equal(image.read(), rgb)
    gray = encode_image(Image.fromarray(rgb[..., 0]), "TIFF", icc_profile=profile)
    with open_image(gray) as image:
        assert image.metadata.profile is None
        assert image.header.notes == (
            "color profile left out: damaged, or for another kind of pixels",
        )


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "GIF"])
def test_frames_are_given_each_or_refused(kind: str) -> None:
    pages = [Image.fromarray((noise(24, 17, 3) // 128 * 255) ^ flip) for flip in (0, 255, 0)]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode_image(
        pages[0], kind, save_all=True, append_images=pages[1:], duration=[100, 40, 70], **options
    )
    with pytest.raises(ImageError, match=r"standard input: expected .* got 3 pages or frames"):
        read_header(content)
    with open_image(content, frames="each") as image:
        header = image.header
        assert (header.height, header.width, header.num_frames) == (24, 17, 3)
        for number in (2, 0, 1):
            pixels = image.read(ALL, slice(2, 9), number)[..., :3]
            np.testing.assert_array_equal(pixels, np.asarray(pages[number])[:, 2:9])
    if kind != "TIFF":
        assert image.metadata.delays == (100, 40, 70)


@pytest.mark.parametrize("name", ["a[1].png", "a b.png", "\u00fcber.png", "a.png[x=1].png"])
def test_any_name_is_taken_and_a_changed_file_read_again(
    tmp_path: Path, rgb: Pixels, name: str
) -> None:
    path = tmp_path / name
    for pixels in (rgb, 255 - rgb):
        path.write_bytes(encode_image(Image.fromarray(pixels), "PNG"))
        np.testing.assert_array_equal(read(path)[1], pixels)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_closed_image_holds_no_file(tmp_path: Path, rgb: Pixels) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a.jpg").write_bytes(encode_image(Image.fromarray(rgb), "JPEG", exif=exif))
    before = len(os.listdir("/proc/self/fd"))
    read(tmp_path / "a.jpg")
    assert len(os.listdir("/proc/self/fd")) == before
