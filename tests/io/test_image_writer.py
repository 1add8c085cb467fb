"""Results are written completely, without a pixel changed, and with what their source holds."""

import io
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import pyvips
from helpers.images import noise, read_bytes, write_to_bytes
from PIL import Image

from sr.io.canvas import allocate_canvas
from sr.io.image_formats import ImageError
from sr.io.image_reader import open_image
from sr.io.image_writer import write_image

ALL = slice(None)
SUFFIXES = [".png", ".jpg", ".webp", ".tif", ".avif"]


@pytest.mark.parametrize("num_bands", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
def test_png_and_tiff_return_every_pixel(
    tmp_path: Path, suffix: str, dtype: str, num_bands: int
) -> None:
    pixels = noise(23, 17, num_bands, dtype=dtype)
    path = tmp_path / f"\u00fc[0]{suffix}"
    write_image(path, pixels, suffix=suffix, like=None)
    with open_image(path) as image:
        got = image.read()
    np.testing.assert_array_equal(got, pixels)
    assert got.dtype == dtype
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("num_bands", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix", [".webp", ".avif"])
def test_lossless_webp_and_avif_return_every_pixel_of_8_bits(suffix: str, num_bands: int) -> None:
    pixels = noise(23, 17, num_bands)
    expected = pixels if num_bands > 2 else pixels[..., [0, 0, 0, 1][: num_bands + 2]]
    got = read_bytes(write_to_bytes(pixels, suffix, lossless=True))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("num_bands", [1, 4])
def test_avif_of_10_or_12_bits_returns_what_was_read(bits: int, num_bands: int) -> None:
    levels = noise(23, 17, num_bands, dtype="uint16") >> (16 - bits) << (16 - bits)
    kind = "grey16" if num_bands == 1 else "rgb16"
    image = pyvips.Image.new_from_array(levels).copy(interpretation=kind)
    content = image.write_to_buffer(".avif", lossless=True, bitdepth=bits)
    with open_image(content) as image:
        pixels = image.read()
        copy = write_to_bytes(pixels, ".avif", image, lossless=True)
    with open_image(copy) as image:
        assert image.bits == bits
        np.testing.assert_array_equal(image.read(), pixels)


@pytest.mark.parametrize("num_bands", [1, 3])
@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_lossy_formats_return_nearly_the_same_and_obey_quality(suffix: str, num_bands: int) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    smooth = np.stack([np.tile(ramp, (64, 1)), np.tile(ramp[:, None], (1, 64)), [ramp] * 64], -1)
    smooth = np.ascontiguousarray(smooth[..., :num_bands])
    fine, coarse = (write_to_bytes(smooth, suffix, quality=quality) for quality in (95, 20))
    assert len(coarse) < len(fine)
    got = read_bytes(fine)
    got = got / (255 if got.dtype == np.uint8 else 65535)
    assert np.abs(got - smooth / 65535).mean() < 0.01


def test_16_bits_become_8_by_rounding() -> None:
    levels = np.array([[[0], [128], [129], [257], [65535]]], np.uint16)
    assert read_bytes(write_to_bytes(levels, ".png", depth=8)).ravel().tolist() == [0, 0, 1, 1, 255]


def test_the_depth_is_that_of_the_source() -> None:
    values = np.array([[[0.0], [0.5], [1.0], [1.5], [-0.5]]], np.float32)
    with open_image(write_to_bytes(noise(4, 4, 1, dtype="uint16"), ".png")) as like:
        deep = read_bytes(write_to_bytes(values, ".png", like))
    assert deep.ravel().tolist() == [0, 32768, 65535, 65535, 0]
    assert read_bytes(write_to_bytes(values, ".png")).ravel().tolist() == [0, 128, 255, 255, 0]


def test_an_animation_keeps_its_frames_and_their_times() -> None:
    frames = [Image.fromarray(noise(24, 17, 3) ^ flip) for flip in (0, 255, 15)]
    file = io.BytesIO()
    frames[0].save(
        file,
        "WEBP",
        lossless=True,
        save_all=True,
        append_images=frames[1:],
        duration=[100, 40, 70],
        loop=3,
    )
    with open_image(file.getvalue(), frames="each") as like:
        column = np.concatenate([like.read(ALL, ALL, frame) for frame in range(3)])
        content = write_to_bytes(column, ".webp", like, num_frames=3, lossless=True)
        pages = write_to_bytes(column, ".tif", like, num_frames=3)
    with open_image(content, frames="each") as result:
        assert (result.header.num_frames, result.header.height) == (3, 24)
        assert (result.metadata.delays, result.metadata.loop) == ((100, 40, 70), 3)
        for number, frame in enumerate(frames):
            np.testing.assert_array_equal(result.read(ALL, ALL, number), np.asarray(frame))
    with open_image(pages, frames="each") as result:
        np.testing.assert_array_equal(result.read(ALL, ALL, 2), np.asarray(frames[2]))


def test_frames_are_resampled_each_by_itself() -> None:
    column = np.repeat(np.array([0, 255], np.uint8), 16)[:, None, None].repeat(16, 1).repeat(3, 2)
    content = write_to_bytes(column, ".tif", size=(8, 8), num_frames=2)
    with open_image(content, frames="each") as result:
        assert result.read(ALL, ALL, 0).max() == 0
        assert result.read(ALL, ALL, 1).min() == 255


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(self: pyvips.Image, target: pyvips.Target, suffix: str, **_: object) -> None:
        assert len(list(tmp_path.iterdir())) == 1  # the hidden file next to
        raise pyvips.Error("no space left")

    monkeypatch.setattr(pyvips.Image, "write_to_target", write_half)
    with pytest.raises(ImageError, match=r"a\.png: could not be written: no space left"):
        write_image(tmp_path / "a.png", noise(4, 4, 3), suffix=".png", like=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported() -> None:
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        pytest.raises(ImageError, match="/dev/full: could not be written: No space left"),
    ):
        write_image(full, noise(4, 4, 3), suffix=".png", like=None)


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.tif: could not be written: No such file"):
        write_image(tmp_path / "none" / "a.tif", noise(4, 4, 3), suffix=".tif", like=None)


def test_what_the_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=re.escape("a.jpg: expected no transparency")):
        write_image(tmp_path / "a.jpg", noise(4, 4, 4), suffix=".jpg", like=None)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")
@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_a_mapped_image_is_written_without_a_copy(tmp_path: Path, suffix: str) -> None:
    def anonymous_mib() -> int:
        status = Path("/proc/self/status").read_text()
        return int(re.findall(r"RssAnon:\s+(\d+)", status)[0]) // 1024

    shape = (4000, 5000, 3)  # 57 MiB
    canvas = allocate_canvas(shape, np.uint8, folder=tmp_path, max_in_memory=0)
    canvas[::7] = 200
    peaks, finished = [anonymous_mib()], threading.Event()

    def watch() -> None:
        while not finished.is_set():
            peaks.append(anonymous_mib())
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    write_image(tmp_path / f"a{suffix}", canvas, suffix=suffix, like=None)
    finished.set()
    watcher.join()
    assert max(peaks) - peaks[0] < 40
