"""Images and animations are read as videos are."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from helpers.images import encode_png, encode_tiff
from PIL import Image

from sr.io.video.frame import Color, Layout, VideoError
from sr.io.video.read.image_sequence import list_pattern_files, open_animation, open_image_sequence

Pixels = npt.NDArray[Any]


def noise(*shape: int, seed: int = 0, dtype: str = "uint8") -> Pixels:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def save(path: Path, pixels: Pixels) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def rgb_files(folder: Path, num: int = 3) -> tuple[list[Path], list[Pixels]]:
    pixels = [noise(12, 17, 3, seed=seed) for seed in range(num)]
    return [save(folder / f"{n:03}.png", content) for n, content in enumerate(pixels)], pixels


def test_images_are_frames_at_their_rate(tmp_path: Path) -> None:
    paths, contents = rgb_files(tmp_path)
    with open_image_sequence(paths, Fraction(24000, 1001)) as images:
        frames = list(images.frames())
        info = images.info
    assert [(frame.number, frame.pts, frame.duration) for frame in frames] == [
        (0, 0, 1),
        (1, 1, 1),
        (2, 2, 1),
    ]
    assert info.time_base == Fraction(1001, 24000)
    assert (info.rate, info.num_frames) == (Fraction(24000, 1001), 3)
    assert (info.width, info.height, info.layout) == (17, 12, Layout("rgb", 8))
    assert (info.color, info.notes) == (Color(0, 1, 13, True), ())
    assert images.damage == []
    for frame, content in zip(frames, contents, strict=True):
        np.testing.assert_array_equal(np.stack(frame.planes, axis=-1), content)
        assert all(plane.flags.c_contiguous for plane in frame.planes)


def test_gray_images_stay_gray_in_full_range(tmp_path: Path) -> None:
    content = noise(12, 17)
    with open_image_sequence([save(tmp_path / "a.png", content)], Fraction(25)) as images:
        (frame,) = images.frames()
        assert images.info.layout == Layout("gray", 8)
        assert images.info.color.full_range
    np.testing.assert_array_equal(frame.planes[0], content)


def test_the_deepest_image_gives_the_depth(tmp_path: Path) -> None:
    shallow = save(tmp_path / "a.png", noise(12, 17))
    deep = save(tmp_path / "b.png", noise(12, 17, dtype="uint16"))
    with open_image_sequence([shallow, deep], Fraction(25)) as images:
        first, second = images.frames()
        assert images.info.layout == Layout("gray", 16)
    np.testing.assert_array_equal(first.planes[0], noise(12, 17).astype(np.uint16) * 257)
    np.testing.assert_array_equal(second.planes[0], noise(12, 17, dtype="uint16"))


def test_a_image_that_differs_is_named(tmp_path: Path) -> None:
    paths, _ = rgb_files(tmp_path)
    wide = save(tmp_path / "wide.png", noise(12, 18, 3))
    gray = save(tmp_path / "gray.png", noise(12, 17))
    for other, got in [(wide, "18x12 RGB"), (gray, "17x12 gray")]:
        with (
            pytest.raises(
                VideoError,
                match=rf"{other.name}: expected 17x12 RGB, as 000\.png is, got {got}$",
            ),
            open_image_sequence([*paths, other], Fraction(25)),
        ):
            pass


def test_a_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    paths, _ = rgb_files(tmp_path)
    for broken in (tmp_path / "none.png", tmp_path / "text.png"):
        if broken.name == "text.png":
            broken.write_bytes(b"no image")
        with (
            pytest.raises(VideoError, match=broken.name),
            open_image_sequence([*paths, broken], Fraction(25)),
        ):
            pass
    with open_image_sequence(paths, Fraction(25)) as images:
        paths[1].write_bytes(paths[1].read_bytes()[:100])
        with pytest.raises(VideoError, match=r"001\.png"):
            list(images.frames())
    with (
        pytest.raises(VideoError, match="at least one image"),
        open_image_sequence([], Fraction(25)),
    ):
        pass


def test_transparency_is_put_over_black(tmp_path: Path) -> None:
    content = noise(12, 17, 4)
    with open_image_sequence([save(tmp_path / "a.png", content)], Fraction(25)) as images:
        (frame,) = images.frames()
        assert images.info.has_alpha
    expected = content[..., :3] * (content[..., 3:] / 255)
    np.testing.assert_allclose(np.stack(frame.planes, axis=-1), expected, atol=0.5)


def test_transparency_is_a_plane_on_request(tmp_path: Path) -> None:
    clear, opaque = noise(12, 17, 4), noise(12, 17, 3)
    paths = [save(tmp_path / "a.png", opaque), save(tmp_path / "b.png", clear)]
    with open_image_sequence(paths, Fraction(25), alpha=True) as images:
        assert images.info.layout == Layout("rgb", 8, alpha=True)
        first, second = images.frames()
    np.testing.assert_array_equal(np.stack(first.planes[:3], axis=-1), opaque)
    assert (first.planes[3] == 255).all()
    np.testing.assert_array_equal(np.stack(second.planes, axis=-1), clear)


def test_images_with_more_pixels_than_allowed_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", noise(12, 17, 3))
    with (
        pytest.raises(VideoError, match=r"a\.png: expected at most 100 pixels, got 17x12"),
        open_image_sequence([path], Fraction(25), max_pixels=100),
    ):
        pass


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_an_animation_has_its_own_times(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    flat = [np.full((12, 17, 3), level, np.uint8) for level in (0, 51, 102, 153, 255)]
    images = [Image.fromarray(content) for content in flat]
    delays = [50, 120, 0, 10, 500]  # ms
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=delays, lossless=True, loop=0
    )
    with open_animation(path) as animation:
        frames = list(animation.frames())
        info = animation.info
    assert [frame.pts for frame in frames] == [0, 50, 170, 270, 370]
    assert [frame.duration for frame in frames] == [50, 120, 100, 100, 500]
    assert (info.time_base, info.num_frames) == (Fraction(1, 1000), 5)
    assert info.rate == Fraction(5000, 870)
    assert info.layout.depth == 8
    for frame, content in zip(frames, flat, strict=True):
        for plane in frame.planes:
            np.testing.assert_array_equal(plane, content[..., 0])


def test_a_image_of_one_frame_is_an_animation_too(tmp_path: Path) -> None:
    with open_animation(save(tmp_path / "a.gif", noise(12, 17))) as animation:
        frames = list(animation.frames())
    assert [(frame.pts, frame.duration) for frame in frames] == [(0, 100)]


def test_what_is_no_animation_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    for content in (b"", b"GIF89a", b"no image"):
        path.write_bytes(content)
        with pytest.raises(VideoError, match=r"a\.gif: expected"), open_animation(path):
            pass
    with pytest.raises(VideoError, match="none"), open_animation(tmp_path / "none.gif"):
        pass


def test_an_animation_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    images = [Image.fromarray(noise(12, 17, 3, seed=seed)) for seed in range(4)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=50, lossless=True)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(VideoError, match=r"a\.webp"), open_animation(path) as animation:
        list(animation.frames())


def test_files_of_a_pattern_are_found_from_the_lowest_number(tmp_path: Path) -> None:
    for name in ["a8.png", "a9.png", "a10.png", "a11.png", "a011.png", "b12.png", "a12.jpg"]:
        (tmp_path / name).touch()
    assert [path.name for path in list_pattern_files(tmp_path / "a%d.png")] == [
        "a8.png",
        "a9.png",
        "a10.png",
        "a11.png",
    ]


def test_a_missing_image_of_a_pattern_is_named(tmp_path: Path) -> None:
    for number in (3, 4, 6, 9):
        (tmp_path / f"{number:05}.png").touch()
    with pytest.raises(VideoError, match=r"00005\.png: .* without a gap, up to number 9"):
        list_pattern_files(tmp_path / "%05d.png")


@pytest.mark.parametrize("pattern", ["%05d.jpg", "none/%05d.png", "a.png", "%d_%d.png"])
def test_a_pattern_without_files_is_named(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(VideoError, match=pattern.replace(".", r"\.")):
        list_pattern_files(tmp_path / pattern)


def test_colors_without_a_profile_are_those_of_the_video_or_noted(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(encode_png(noise(8, 9, 3), cICP=bytes([9, 16, 0, 1])))
    with open_image_sequence([path], Fraction(24)) as images:
        assert (images.info.color.primaries, images.info.color.transfer) == (9, 16)
        assert images.info.notes == ()
    path.write_bytes(encode_png(noise(8, 9, 3), gAMA=(100_000).to_bytes(4)))
    with open_image_sequence([path], Fraction(24)) as images:
        assert images.info.notes == ("color encoding (gAMA, cHRM) is not carried to videos",)
    Image.fromarray(noise(8, 9, 3)).save(path, icc_profile=bytes(pyvips.Image.profile_load("p3")))
    with open_image_sequence([path], Fraction(24)) as images:
        assert images.info.notes == ("color profile is not carried to videos",)


def test_float_images_are_frames_of_16_bits(tmp_path: Path) -> None:
    pixels = np.linspace(0, 1, 8 * 9 * 3, dtype=np.float32).reshape(8, 9, 3)
    (tmp_path / "1.tif").write_bytes(encode_tiff(pixels, photometric="rgb"))
    with open_image_sequence([tmp_path / "1.tif"], Fraction(24)) as images:
        assert images.info.layout == Layout("rgb", 16)
        (frame,) = images.frames()
    np.testing.assert_allclose(np.stack(frame.planes, axis=-1) / 65535, pixels, atol=1e-5)
