"""Images are read and written without a pixel changed, and what isn't handled is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
import torch
from helpers.images import encode_png

from sr.io.image_formats import ImageError
from sr.io.rgb8 import (
    image_to_tensor,
    read_kind,
    read_rgb8,
    read_size,
    tensor_to_rgb8,
    write_rgb8,
)

Image = npt.NDArray[np.uint8]


@pytest.fixture
def image() -> Image:
    return np.random.default_rng(0).integers(0, 256, (24, 17, 3), dtype=np.uint8)


def as_vips(array: npt.NDArray[np.generic], interpretation: str = "srgb") -> pyvips.Image:
    return pyvips.Image.new_from_array(array).copy(interpretation=interpretation)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".tiff"])
def test_lossless_formats_return_every_pixel(tmp_path: Path, image: Image, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_rgb8(path, image)
    np.testing.assert_array_equal(read_rgb8(path), image)
    assert read_size(path) == (24, 17)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_formats_return_nearly_the_same_image(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    smooth = np.stack([np.tile(ramp, (32, 1)), np.tile(ramp[:, None], (1, 32)), [ramp] * 32], -1)
    path = tmp_path / f"a{suffix}"
    write_rgb8(path, smooth)
    assert np.abs(read_rgb8(path).astype(int) - smooth).mean() < 3


def test_a_lower_quality_gives_a_smaller_file(tmp_path: Path, image: Image) -> None:
    write_rgb8(tmp_path / "high.jpg", image, quality=95)
    write_rgb8(tmp_path / "low.jpg", image, quality=30)
    assert (tmp_path / "low.jpg").stat().st_size < (tmp_path / "high.jpg").stat().st_size


def test_a_changed_file_is_read_again(tmp_path: Path, image: Image) -> None:
    write_rgb8(tmp_path / "a.png", image)
    read_rgb8(tmp_path / "a.png")
    write_rgb8(tmp_path / "a.png", 255 - image)
    np.testing.assert_array_equal(read_rgb8(tmp_path / "a.png"), 255 - image)


@pytest.mark.parametrize("name", ["a[1].png", "a b.png", "\u00fcber.png", "a.png[x=1].png"])
def test_any_file_name_is_taken_literally(tmp_path: Path, image: Image, name: str) -> None:
    write_rgb8(tmp_path / name, image)
    np.testing.assert_array_equal(read_rgb8(tmp_path / name), image)


def test_the_content_decides_the_format_not_the_suffix(tmp_path: Path, image: Image) -> None:
    write_rgb8(tmp_path / "a.png", image)
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_rgb8(tmp_path / "a.jpg"), image)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_exif_orientation_is_applied(tmp_path: Path, image: Image, suffix: str) -> None:
    turned = as_vips(image).copy()
    turned.set_type(pyvips.GValue.gint_type, "orientation", 6)  # the camera was held upright
    options = {"lossless": True} if suffix == ".webp" else {}
    turned.write_to_file(str(tmp_path / f"a{suffix}"), **options)
    read = read_rgb8(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read, np.rot90(image, -1))
    assert read_size(tmp_path / f"a{suffix}") == read.shape[:2]


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda p: as_vips(p.astype(np.uint16) * 257, "rgb16"), "16 bits"),
        (lambda p: as_vips(p[..., 0], "b-w"), "gray"),
        (lambda p: as_vips(np.dstack([p, p[..., :1]])), "alpha"),
        (lambda p: as_vips(p[..., :2], "b-w"), "alpha"),
    ],
    ids=["16 bit", "gray", "rgb and alpha", "gray and alpha"],
)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_other_pixel_kinds_are_refused(
    tmp_path: Path,
    image: Image,
    make: Callable[[Image], pyvips.Image],
    got: str,
    suffix: str,
) -> None:
    path = tmp_path / f"a{suffix}"
    make(image).write_to_file(str(path))
    with pytest.raises(ImageError, match=rf"a{suffix}: expected .*8-bit RGB.*got .*{got}"):
        read_rgb8(path)


def test_cmyk_is_refused(tmp_path: Path, image: Image) -> None:
    as_vips(np.dstack([image, image[..., :1]]), "cmyk").write_to_file(str(tmp_path / "a.jpg"))
    with pytest.raises(ImageError, match=r"got .*CMYK"):
        read_rgb8(tmp_path / "a.jpg")


def test_gray_is_repeated_in_three_channels_on_request(tmp_path: Path, image: Image) -> None:
    as_vips(image[..., 0], "b-w").write_to_file(str(tmp_path / "a.png"))
    read = read_rgb8(tmp_path / "a.png", convert=True)
    np.testing.assert_array_equal(read, np.stack([image[..., 0]] * 3, -1))
    assert read_kind(tmp_path / "a.png") == ((24, 17), ())


def test_more_bits_and_alpha_are_converted_on_request(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "a.png"
    deep = np.minimum(image.astype(np.uint32) * 257 + 128, 65535).astype(np.uint16)
    as_vips(deep, "rgb16").write_to_file(str(path))
    np.testing.assert_array_equal(read_rgb8(path, convert=True), image)
    assert read_kind(path).conversions == ("16 bits per channel become 8",)
    alpha = np.zeros((24, 17, 1), np.uint8)
    alpha[:5], alpha[5:9] = 255, 51  # a fifth
    as_vips(np.dstack([image, alpha])).write_to_file(str(path))
    read = read_rgb8(path, convert=True)
    np.testing.assert_array_equal(read[:5], image[:5])
    np.testing.assert_array_equal(read[5:9], (image[5:9] / 5 + 0.5).astype(np.uint8))
    assert not read[9:].any()
    assert read_kind(path).conversions == ("alpha channel (transparency) put over black",)


def test_float_and_cmyk_are_converted_on_request(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "a.tif"
    as_vips((image / 255).astype(np.float32), "scrgb").write_to_file(str(path))
    np.testing.assert_array_equal(read_rgb8(path, convert=True), image)
    white = as_vips(np.zeros((8, 8, 4), np.uint8), "cmyk")
    white.write_to_file(str(tmp_path / "a.jpg"))
    assert read_rgb8(tmp_path / "a.jpg", convert=True).min() > 250
    assert "CMYK" in read_kind(tmp_path / "a.jpg").conversions[0]


@pytest.mark.parametrize(
    ("chunks", "is_read"),
    [
        ({"gAMA": (45455).to_bytes(4)}, True),
        ({"gAMA": (51000).to_bytes(4)}, True),  # as FFmpeg writes frames of a video
        ({"cICP": bytes([1, 1, 0, 1])}, True),
        ({"gAMA": (100000).to_bytes(4)}, False),
        ({"cICP": bytes([9, 16, 0, 1])}, False),
        ({"cICP": bytes([12, 13, 0, 1])}, False),
    ],
)
def test_colors_far_from_srgb_are_refused_without_a_profile_too(
    tmp_path: Path, image: Image, chunks: dict[str, bytes], is_read: bool
) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(image, **chunks))
    if is_read:
        np.testing.assert_array_equal(read_rgb8(tmp_path / "a.png", convert=True), image)
        return
    with pytest.raises(ImageError, match=r"expected colors in sRGB, got others \(chunks cICP"):
        read_rgb8(tmp_path / "a.png", convert=True)


@pytest.mark.parametrize("suffix", [".tif", ".webp"])
def test_several_pages_are_refused(tmp_path: Path, image: Image, suffix: str) -> None:
    pages = as_vips(np.concatenate([image, 255 - image])).copy()
    pages.set_type(pyvips.GValue.gint_type, "page-height", image.shape[0])
    pages.write_to_file(str(tmp_path / f"a{suffix}"))
    with pytest.raises(ImageError, match="got 2 pages or frames"):
        read_rgb8(tmp_path / f"a{suffix}")


def test_an_animated_png_is_refused(tmp_path: Path, image: Image) -> None:
    write_rgb8(tmp_path / "a.png", image)
    content = (tmp_path / "a.png").read_bytes()
    header, rest = content[:33], content[33:]  # signature and IHDR; what follows
    animation = b"\0\0\0\x08acTL\0\0\0\x02\0\0\0\0" + b"\xf3\x8d\x93\x70"
    (tmp_path / "a.png").write_bytes(header + animation + rest)
    with pytest.raises(ImageError, match="expected"):
        read_rgb8(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_only_srgb_profiles_are_taken(tmp_path: Path, image: Image, suffix: str) -> None:
    as_vips(image).write_to_file(str(tmp_path / f"srgb{suffix}"), profile="srgb")
    assert read_rgb8(tmp_path / f"srgb{suffix}").shape == image.shape
    as_vips(image).write_to_file(str(tmp_path / f"p3{suffix}"), profile="p3")
    with pytest.raises(ImageError, match="expected colors in sRGB"):
        read_rgb8(tmp_path / f"p3{suffix}")


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_files_cut_short_are_refused(
    tmp_path: Path, image: Image, suffix: str, kept: float
) -> None:
    path = tmp_path / f"a{suffix}"
    write_rgb8(path, image)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ImageError, match=f"a{suffix}: expected .* got .*cut short"):
        read_rgb8(path)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "an empty file"),
        (b"only words\n", "another kind"),
        (b"2 2\n1 2\n3 4\n", "another kind"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "svg|another kind"),
    ],
    ids=["empty", "text", "numbers", "svg"],
)
def test_files_of_other_kinds_named_png_are_refused(
    tmp_path: Path, content: bytes, got: str
) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match=rf"a\.png: expected .* got .*({got})"):
        read_rgb8(tmp_path / "a.png")


def test_a_gif_is_refused(tmp_path: Path, image: Image) -> None:
    as_vips(image).write_to_file(str(tmp_path / "a.gif"))
    with pytest.raises(ImageError, match="gif"):
        read_rgb8(tmp_path / "a.gif")


def test_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="got a folder"):
        read_rgb8(tmp_path)
    with pytest.raises(ImageError, match=r"a\.png: could not be read: No such file"):
        read_size(tmp_path / "a.png")


def test_a_failed_write_leaves_no_file(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(self: pyvips.Image, target: pyvips.Target, suffix: str, **_: object) -> None:
        assert len(list(tmp_path.iterdir())) == 1  # the hidden file next to
        raise pyvips.Error("no space left")

    monkeypatch.setattr(pyvips.Image, "write_to_target", write_half)
    with pytest.raises(ImageError, match=r"a\.png: could not be written: no space left"):
        write_rgb8(tmp_path / "a.png", image)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_keeps_the_old_file(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    write_rgb8(tmp_path / "a.png", image)
    monkeypatch.setattr(pyvips.Image, "write_to_target", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_rgb8(tmp_path / "a.png", 255 - image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    np.testing.assert_array_equal(read_rgb8(tmp_path / "a.png"), image)


def test_unknown_suffixes_and_missing_folders_are_refused(tmp_path: Path, image: Image) -> None:
    with pytest.raises(ImageError, match=r"expected the suffix .*, got '\.bmp'"):
        write_rgb8(tmp_path / "a.bmp", image)
    with pytest.raises(ImageError, match="could not be written: No such file"):
        write_rgb8(tmp_path / "none" / "a.png", image)


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))]
)
def test_only_rgb8_arrays_are_written(tmp_path: Path, array: Image) -> None:
    with pytest.raises(ValueError, match="expected a uint8 array"):
        write_rgb8(tmp_path / "a.png", array)


def test_sizes_beyond_the_format_are_refused(tmp_path: Path) -> None:
    write_rgb8(tmp_path / "a.png", np.zeros((100_000, 1, 3), np.uint8))
    with pytest.raises(ImageError, match=r"at most 16383 .* got 16384x1"):
        write_rgb8(tmp_path / "a.webp", np.zeros((1, 16384, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_to_a_tensor_and_back_changes_nothing(image: Image) -> None:
    tensor = image_to_tensor(image)
    assert tensor.shape == (1, 3, 24, 17)
    assert tensor.dtype == torch.float32
    assert tensor.min() >= 0
    assert tensor.max() <= 1
    np.testing.assert_array_equal(tensor_to_rgb8(tensor), image)


def test_values_are_clamped_and_rounded_to_the_nearest_level() -> None:
    levels = torch.tensor([-1.0, 0.49, 0.5, 254.49, 254.5, 300.0])
    pixels = tensor_to_rgb8((levels / 255).expand(1, 3, 1, -1).contiguous())
    assert pixels[0, :, 0].tolist() == [0, 0, 1, 254, 255, 255]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ImageError, match="finite"):
        tensor_to_rgb8(torch.full((1, 3, 2, 2), value))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_large_rotated_photograph_is_turned_upright(tmp_path: Path, suffix: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    path = tmp_path / f"turned{suffix}"
    image = pyvips.Image.new_from_array(image).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image.write_to_file(str(path))
    assert read_size(path) == (1200, 900)
    turned = read_rgb8(path)
    assert turned.shape == (1200, 900, 3)
    if suffix != ".jpg":
        assert np.array_equal(turned, np.rot90(image, -1))


def test_what_leaves_the_device_is_rounded_already(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[torch.Tensor] = []

    def copy(x: torch.Tensor) -> torch.Tensor:
        copied.append(x)
        return x

    monkeypatch.setattr("sr.io.rgb8.copy_to_cpu", copy)
    assert tensor_to_rgb8(torch.rand(1, 3, 4, 5)).flags.c_contiguous
    assert [(x.dtype, tuple(x.shape)) for x in copied] == [(torch.uint8, (4, 5, 3))]
