"""TIFF: pages and reduced copies, samples without a meaning, camera raw, float, Lab."""

import io
import struct
import sys
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.images import Pixels, encode_image, encode_tiff, noise, write_to_bytes
from PIL import Image, ImageCms

from sr.io.image_formats import ImageError
from sr.io.image_reader import open_image, read_header


def encode_pages(*pages: tuple[Pixels, dict[str, Any]], **options: Any) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **options) as writer:
        for pixels, more in pages:
            writer.write(pixels, photometric="rgb", **more)
    return file.getvalue()


@pytest.fixture
def rgb() -> Pixels:
    return noise(24, 17, 3)


REDUCED = {"subfiletype": 1}


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
def test_reduced_copies_are_no_pages(rgb: Pixels, options: dict[str, Any]) -> None:
    for pages in (
        [(rgb, {}), (rgb[::2, ::2], REDUCED)],
        [(rgb[::2, ::2], REDUCED), (rgb, {})],
    ):
        content = encode_pages(*pages, **options)
        for frames in ("refuse", "each"):
            with open_image(content, frames=frames) as image:
                np.testing.assert_array_equal(image.read(), rgb)
                assert image.header.num_frames == 1


def test_pages_with_reduced_copies_between_them_are_all_pages(rgb: Pixels) -> None:
    small = rgb[::2, ::2]
    content = encode_pages((rgb, {}), (small, REDUCED), (255 - rgb, {}), (small, REDUCED))
    with open_image(content, frames="each") as image:
        assert image.header.num_frames == 2
        np.testing.assert_array_equal(image.read(frame=1), 255 - rgb)
        np.testing.assert_array_equal(image.read(frame=0), rgb)


def test_one_page_of_several_sizes_can_be_chosen(rgb: Pixels) -> None:
    content = encode_pages((rgb, {}), (rgb[:9], {}), (rgb[:, :5], {}))
    for page, expected in enumerate((rgb, rgb[:9], rgb[:, :5]), start=1):
        with open_image(content, page=page) as image:
            np.testing.assert_array_equal(image.read(), expected)
    with pytest.raises(ImageError, match=r"a page of 1 to 3 \(--page\), got 4"):
        read_header(content, page=4)
    with pytest.raises(ImageError, match="--page upscales one of them"):
        read_header(content, frames="each")
    with pytest.raises(ImageError, match=r"got 3 pages or frames\. --frames each .*--page one"):
        read_header(content)


def test_pages_of_one_size_behind_copies_of_another_kind_are_refused(rgb: Pixels) -> None:
    content = encode_pages((rgb, {}), (rgb[::2], REDUCED), (rgb[:9], {}))
    with pytest.raises(ImageError, match="expected frames or pages of one size, got 2"):
        read_header(content, frames="each")


@pytest.mark.parametrize(
    ("bands", "extra", "kept"),
    [
        (4, [0], [0, 1, 2]),
        (5, [0, 0], [0, 1, 2]),
        (5, [2, 0], [0, 1, 2, 3]),
        (5, [0, 2], [0, 1, 2, 4]),
        (4, [2], [0, 1, 2, 3]),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_samples_without_a_meaning_are_left_out(
    bands: int, extra: list[int], kept: list[int], dtype: str
) -> None:
    pixels = noise(8, 9, bands, dtype=dtype)
    with open_image(encode_tiff(pixels, photometric="rgb", extrasamples=extra)) as image:
        np.testing.assert_array_equal(image.read(), pixels[..., kept])
        num_dropped = bands - len(kept)
        assert [note[:12] for note in image.header.notes] == (
            [f"{num_dropped} channel(s)"] if num_dropped else []
        )


def test_a_second_sample_of_gray_without_a_meaning_is_left_out() -> None:
    pixels = noise(8, 9, 2)
    with open_image(encode_tiff(pixels, photometric="minisblack", extrasamples=[0])) as image:
        np.testing.assert_array_equal(image.read(), pixels[..., :1])


@pytest.mark.parametrize(
    "content",
    [
        encode_pages((noise(8, 12, 3), {"extratags": [(50706, 1, 4, (1, 4, 0, 0), True)]})),
        encode_tiff(noise(8, 12), photometric="cfa"),
        encode_pages((noise(8, 12, 3), {**REDUCED, "subifds": 1}), (noise(16, 24, 3), {})),
        b"II*\0\x10\0\0\0CR\x02\0" + encode_tiff(noise(8, 12))[12:],
        b"FUJIFILMCCD-RAW 0201",
        b"IIU\0\x18\0\0\0 of Panasonic",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    ],
    ids=["dng", "cfa", "preview", "cr2", "raf", "rw2", "cr3"],
)
def test_camera_raw_is_refused_by_name_without_what_develops_it(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)  # as if it were not installed
    with pytest.raises(ImageError, match=r"got camera raw; develop it first.*the extra `raw`"):
        read_header(content)


def test_a_pyramid_in_sub_directories_is_no_camera_raw(rgb: Pixels) -> None:
    content = encode_pages((rgb, {"subifds": 1}), (rgb[::2, ::2], REDUCED))
    with open_image(content) as image:
        np.testing.assert_array_equal(image.read(), rgb)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_float_is_read_and_written_as_float(bands: int, dtype: str) -> None:
    pixels = np.random.default_rng(0).random((8, 9, bands)).astype(dtype)
    colors = "minisblack" if bands <= 2 else "rgb"
    extra = {"extrasamples": [2]} if bands in (2, 4) else {}
    content = encode_tiff(pixels if bands > 1 else pixels[..., 0], photometric=colors, **extra)
    with open_image(content) as image:
        assert (image.header.depth, image.header.notes) == (32, ())
        read = image.read()
        result = write_to_bytes(read, ".tif", image)
        png = write_to_bytes(read, ".png", image)
    np.testing.assert_array_equal(read, pixels.astype(np.float32))
    written = tifffile.imread(io.BytesIO(result))
    assert written.dtype == np.float32
    np.testing.assert_array_equal(written.reshape(read.shape), read)
    with open_image(png) as image:
        assert image.header.depth == 16
        np.testing.assert_allclose(image.read() / 65535, read, atol=1e-5)


def test_float_out_of_range_and_nan_are_limited_and_reported() -> None:
    pixels = np.full((8, 9, 3), 0.5, np.float32)
    pixels[0, 0], pixels[1, 1], pixels[2, 2, 0] = -0.25, 3.5, np.nan
    with open_image(encode_tiff(pixels, photometric="rgb")) as image:
        read = image.read()
        assert image.header.notes == (
            "values that are no numbers (NaN) become 0",
            "values from -0.25 to 3.5 are limited to 0 to 1",
        )
    assert (read[0, 0] == 0).all()
    assert (read[1, 1] == 1).all()
    assert (read[2, 2, 0], read[2, 2, 1]) == (0, 0.5)
    pixels[2, 2, 0] = np.inf
    with open_image(encode_tiff(pixels, photometric="rgb")) as image:
        assert image.read()[2, 2, 0] == 1


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_float_above_1_is_compressed_or_refused_where_that_is_asked_for(bands: int) -> None:
    ramp = np.linspace(0, 8, 64, dtype=np.float32).reshape(8, 8, 1) * np.ones(bands, np.float32)
    extra: dict[str, Any] = {}
    if bands >= 3:
        ramp[..., 1] *= 0.5
    if bands == 4:
        ramp[..., 3], extra = 0.5, {"extrasamples": [2]}
    ramp[7, 7, 0] = np.inf
    content = encode_tiff(
        ramp.squeeze(), photometric="rgb" if bands >= 3 else "minisblack", **extra
    )
    with pytest.raises(ImageError, match="expected values up to 1, got up to inf"):
        open_image(content, above_white="refuse").__enter__()
    with open_image(content, above_white="curve") as image:
        read = image.read()
        assert image.header.notes == ("values above 1, up to inf, are compressed by a curve",)
    dark = ramp[..., 0] <= 0.8
    np.testing.assert_allclose(read[dark], ramp[dark], atol=1e-6)
    bright = read[..., 0].ravel()
    assert (np.diff(bright) > 0).all()
    assert bright[-1] == 1
    if bands == 4:
        assert (read[..., 3] == 0.5).all()


def encode_lab(*pages: Pixels) -> bytes:
    """L, and signed a and b, of 8 bits."""
    first, *others = (
        Image.frombytes("LAB", (each.shape[1], each.shape[0]), each.tobytes()) for each in pages
    )
    return encode_image(first, "TIFF", save_all=True, append_images=others)


def make_srgb_and_lab() -> tuple[Pixels, Pixels]:
    srgb = np.repeat(np.repeat(noise(3, 4, 3) // 2 + 64, 4, 0), 4, 1)
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Image.fromarray(srgb), *profiles, outputMode="LAB")
    assert lab is not None
    return srgb, np.asarray(lab)


def test_lab_of_8_bits_becomes_srgb() -> None:
    srgb, lab = make_srgb_and_lab()
    with open_image(encode_lab(lab)) as image:
        assert (image.header.depth, image.header.num_bands) == (8, 3)
        assert image.header.notes == ("Lab converted to sRGB",)
        assert np.abs(image.read().astype(int) - srgb).max() <= 6  # of 8-bit Lab
    icc = encode_tiff(lab ^ np.array([0, 128, 128], np.uint8), photometric="icclab")
    with open_image(icc) as image:
        assert np.abs(image.read().astype(int) - srgb).max() <= 6


def test_all_pages_of_lab_of_8_bits_are_read() -> None:
    _, lab = make_srgb_and_lab()
    content = encode_lab(lab, lab[::-1])
    with open_image(content, frames="each") as image:
        assert image.header.num_frames == 2
        np.testing.assert_array_equal(image.read(frame=1), image.read(frame=0)[::-1])
    with open_image(content, page=2) as image, open_image(encode_lab(lab[::-1])) as expected:
        np.testing.assert_array_equal(image.read(), expected.read())
    with pytest.raises(ImageError, match="frames or pages of one size, got 2"):
        read_header(encode_lab(lab, lab[:5]), frames="each")
    with pytest.raises(ImageError, match="expected at most 200 pixels, got 16x12 in 2 frames"):
        read_header(content, frames="each", max_pixels=200)


def test_damaged_and_other_pages_next_to_lab_of_8_bits_are_refused(rgb: Pixels) -> None:
    lab = Image.frombytes("LAB", (17, 24), rgb.tobytes())
    mixed = encode_image(lab, "TIFF", save_all=True, append_images=[Image.fromarray(rgb)])
    with pytest.raises(ImageError, match="pages of Lab, got one of RGB"):
        read_header(mixed, page=2)
    content = bytearray(encode_lab(rgb, rgb))
    second = tifffile.TiffFile(io.BytesIO(content)).pages[1]
    assert isinstance(second, tifffile.TiffPage)
    content[second.tags["ImageWidth"].offset] ^= 0xFF  # another tag
    with pytest.raises(ImageError, match="8-bit Lab that is damaged"):
        read_header(bytes(content), page=2)


def test_more_lab_of_8_bits_than_pillow_decodes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8)
    with pytest.raises(ImageError, match="expected 8-bit Lab of fewer pixels"):
        read_header(encode_lab(noise(6, 4, 3)))


def test_lab_of_16_bits_becomes_srgb() -> None:
    srgb, lab = make_srgb_and_lab()
    lightness = lab[..., :1].astype(np.uint16) * 257
    signed = (lab[..., 1:].view(np.int8).astype(np.int16) * 256).view(np.uint16)
    content = encode_tiff(np.dstack([lightness, signed]), photometric="cielab")
    with open_image(content) as image:
        assert image.header.depth == 16
        assert np.abs(image.read() / 257 - srgb).max() <= 6


def test_damaged_directories_are_no_errors_of_their_own(rgb: Pixels) -> None:
    content = bytearray(encode_tiff(rgb, photometric="rgb"))
    (start,) = struct.unpack_from("<I", content, 4)
    for place in range(4, start + 60, 3):
        broken = bytearray(content)
        broken[place] ^= 0xFF
        try:
            with open_image(bytes(broken)) as image:
                image.read()
        except ImageError:
            pass
