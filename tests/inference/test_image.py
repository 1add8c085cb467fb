"""With a network that changes nothing, what goes into the whole way comes out of it."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
import torch
from helpers.images import encode_png, encode_tiff, list_png_chunks
from torch import Tensor, nn

from sr.inference.options import Alpha, InferOptions, OutputOptions
from sr.inference.run import run
from sr.inference.run_summary import RunSummary
from sr.inference.video_options import VideoOptions
from sr.io.image_reader import open_image
from sr.tiling.upscaler import Upscaler

DEFAULTS = VideoOptions()
INTERPRETATIONS = {(1, 8): "b-w", (1, 16): "grey16", (3, 8): "srgb", (3, 16): "rgb16"}


class Nearest(nn.Module):
    """Each pixel `scale` times a side; x1 is the identity."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        return lr.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)


def pixels_of(num_bands: int, depth: int, height: int = 21, width: int = 34) -> Any:
    """Random, of small values where the depth is 16, alpha with areas of 0 and of the whole."""
    dtype = np.uint8 if depth == 8 else np.uint16
    rng = np.random.default_rng(num_bands + depth)
    pixels = rng.integers(0, 256 if depth == 8 else 700, (height, width, num_bands), dtype)
    if num_bands in (2, 4):
        pixels[:, : width // 3, -1] = 0
        pixels[:, -width // 3 :, -1] = np.iinfo(dtype).max
    return pixels


def write(path: Path, pixels: Any) -> Path:
    height, width, num_bands = pixels.shape
    depth = 8 if pixels.dtype == np.uint8 else 16
    kind = "uchar" if depth == 8 else "ushort"
    image = pyvips.Image.new_from_memory(pixels.tobytes(), width, height, num_bands, kind)
    colors = num_bands - (num_bands in (2, 4))
    image.copy(interpretation=INTERPRETATIONS[colors, depth]).write_to_file(str(path))
    return path


def upscale(
    source: Path,
    output: Path,
    scale: int,
    tile_size: int = 16,
    video: VideoOptions = DEFAULTS,
    **more: Any,
) -> RunSummary:
    device = torch.device("cpu")
    upscaler = Upscaler(
        Nearest(scale), scale=scale, halo=2, tile_size=tile_size, device=device, dtype=torch.float32
    )
    options = InferOptions([source], OutputOptions(output, overwrite=True, **more), video=video)
    return run(options, lambda *_, **__: None, [upscaler])


def read(path: Path) -> Any:
    with open_image(path, frames="each") as image:
        frames = range(image.header.num_frames)
        return np.concatenate([image.read(slice(None), slice(None), each) for each in frames])


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("num_bands", [1, 2, 3, 4])
def test_every_kind_of_pixels_comes_out_as_it_went_in(
    num_bands: int, depth: int, suffix: str, scale: int, tmp_path: Path
) -> None:
    pixels = pixels_of(num_bands, depth)
    source = write(tmp_path / f"in{suffix}", pixels)
    output = tmp_path / f"out{suffix}"
    assert upscale(source, output, scale).exit_code == 0
    result, expected = read(output), pixels.repeat(scale, 0).repeat(scale, 1)
    assert result.dtype == expected.dtype
    if num_bands in (2, 4) and scale > 1:
        hidden = expected[..., -1] == 0  # their colors are interpolated, not the network's
        result[hidden], expected = expected[hidden], expected
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("num_bands", [3, 4])
@pytest.mark.parametrize("suffix", [".webp", ".avif"])
def test_lossless_formats_of_8_bits_too(num_bands: int, suffix: str, tmp_path: Path) -> None:
    pixels = pixels_of(num_bands, 8)
    if num_bands == 4:
        pixels[..., 3] |= 1  # WebP forgets colors that nobody sees
    source, output = write(tmp_path / "in.png", pixels), tmp_path / f"out{suffix}"
    assert upscale(source, output, 1, lossless=True).exit_code == 0
    np.testing.assert_array_equal(read(output), pixels)


@pytest.mark.parametrize("alpha", ["model", "bicubic"])
def test_no_fringe_appears_where_hidden_colors_are_bright(alpha: Alpha, tmp_path: Path) -> None:
    pixels = np.full((20, 20, 4), 255, np.uint8)
    pixels[..., 3] = 0  # white, and invisible
    pixels[5:15, 5:15] = (60, 0, 0, 255)  # a dark square on it
    source, output = write(tmp_path / "in.png", pixels), tmp_path / "out.png"

    class Blur(nn.Module):
        def forward(self, lr: Tensor) -> Tensor:
            return nn.functional.avg_pool2d(lr, 3, 1, 1, count_include_pad=False)

    device = torch.device("cpu")
    upscaler = Upscaler(Blur(), scale=1, halo=1, tile_size=8, device=device, dtype=torch.float32)
    options = InferOptions([source], OutputOptions(output, alpha=alpha))
    run(options, lambda *_, **__: None, [upscaler])
    result = read(output)
    visible = result[..., 3] > 0
    assert 100 <= visible.sum() <= 144
    if alpha == "model":
        assert (result[visible][:, :3] == (60, 0, 0)).all()


def test_alpha_is_left_out_on_request(tmp_path: Path) -> None:
    pixels = pixels_of(4, 8)
    source, output = write(tmp_path / "in.png", pixels), tmp_path / "out.png"
    assert upscale(source, output, 2, alpha="drop").exit_code == 0
    np.testing.assert_array_equal(read(output), pixels[..., :3].repeat(2, 0).repeat(2, 1))


def test_bicubic_alpha_has_no_seams_between_tiles(tmp_path: Path) -> None:
    pixels = pixels_of(4, 8)
    source = write(tmp_path / "in.png", pixels)
    results = []
    for tile_size in (0, 16):
        upscale(source, tmp_path / "out.png", 2, tile_size, alpha="bicubic")
        results.append(read(tmp_path / "out.png"))
    np.testing.assert_array_equal(*results)
    assert len(np.unique(results[0][..., 3])) > 3


def test_several_passes_give_what_one_of_a_larger_scale_would(tmp_path: Path) -> None:
    pixels = pixels_of(4, 16)
    source, output = write(tmp_path / "in.png", pixels), tmp_path / "out.png"
    assert upscale(source, output, 2, outscale=8).exit_code == 0
    result, expected = read(output), pixels.repeat(8, 0).repeat(8, 1)
    seen = expected[..., -1] > 0
    np.testing.assert_array_equal(result[seen], expected[seen])


@pytest.mark.parametrize("num_bands", [1, 2, 3, 4])
def test_exact_sizes_keep_a_constant_image(num_bands: int, tmp_path: Path) -> None:
    pixels = np.full((12, 15, num_bands), 41234, np.uint16)
    source, output = write(tmp_path / "in.png", pixels), tmp_path / "out.png"
    assert upscale(source, output, 2, size=(17, 50)).exit_code == 0
    result = read(output)
    assert result.shape == (17, 50, num_bands)
    assert np.abs(result.astype(int) - 41234).max() <= 2


def test_frames_are_enlarged_one_by_one(tmp_path: Path) -> None:
    frames = np.concatenate([pixels_of(3, 8, 20, 24), 255 - pixels_of(3, 8, 20, 24)])
    source = tmp_path / "in.webp"
    image = pyvips.Image.new_from_memory(frames.tobytes(), 24, 40, 3, "uchar")
    image = image.copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "page-height", 20)
    image.webpsave(str(source), lossless=True)
    output = tmp_path / "out.webp"
    assert upscale(source, output, 2).exit_code == 4  # unless asked for
    assert upscale(source, output, 2, frames="each", lossless=True).exit_code == 0
    np.testing.assert_array_equal(read(output)[..., :3], frames.repeat(2, 0).repeat(2, 1))


def test_float_tiff_goes_through_as_float(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((21, 34, 3)).astype(np.float32)
    (tmp_path / "in.tif").write_bytes(encode_tiff(pixels, photometric="rgb"))
    assert upscale(tmp_path / "in.tif", tmp_path / "out.tif", 2).exit_code == 0
    np.testing.assert_array_equal(read(tmp_path / "out.tif"), pixels.repeat(2, 0).repeat(2, 1))
    summary = upscale(tmp_path / "in.tif", tmp_path / "out.png", 1)
    assert summary.tasks[0].warnings == ["32 bits per channel become 16 in PNG"]
    np.testing.assert_allclose(read(tmp_path / "out.png") / 65535, pixels, atol=1e-5)


def test_one_page_is_upscaled_on_request(tmp_path: Path) -> None:
    first, second = pixels_of(3, 8), pixels_of(3, 8, 9, 11)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(first, photometric="rgb")
        writer.write(second, photometric="rgb")
    (tmp_path / "in.tif").write_bytes(file.getvalue())
    assert upscale(tmp_path / "in.tif", tmp_path / "out.png", 1).exit_code == 4
    assert upscale(tmp_path / "in.tif", tmp_path / "out.png", 1, page=2).exit_code == 0
    np.testing.assert_array_equal(read(tmp_path / "out.png"), second)


def test_a_cut_image_is_refused_or_upscaled_as_far_as_it_goes(tmp_path: Path) -> None:
    pixels = pixels_of(3, 8, 64, 64)
    content = write(tmp_path / "in.png", pixels).read_bytes()
    (tmp_path / "in.png").write_bytes(content[: len(content) // 2])
    assert upscale(tmp_path / "in.png", tmp_path / "out.png", 1).exit_code == 4
    damaged = VideoOptions(damaged="continue")
    summary = upscale(tmp_path / "in.png", tmp_path / "out.png", 1, video=damaged)
    assert summary.exit_code == 0
    assert "what cannot be decoded stays empty" in summary.tasks[0].warnings[0]
    result = read(tmp_path / "out.png")
    np.testing.assert_array_equal(result[:16], pixels[:16])
    assert not result[-20:].any()


def test_colors_without_a_profile_are_kept_or_warned_of(tmp_path: Path) -> None:
    pixels = pixels_of(3, 8)
    (tmp_path / "in.png").write_bytes(encode_png(pixels, cICP=bytes([9, 16, 0, 1])))
    summary = upscale(tmp_path / "in.png", tmp_path / "out.png", 2)
    assert summary.tasks[0].warnings == []
    assert list_png_chunks((tmp_path / "out.png").read_bytes())[b"cICP"] == bytes([9, 16, 0, 1])
    summary = upscale(tmp_path / "in.png", tmp_path / "out.jpg", 2)
    assert summary.tasks[0].warnings == ["color encoding is not carried to JPEG"]
