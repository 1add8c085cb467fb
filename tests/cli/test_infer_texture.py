"""Chains, strength, mask, grain and enlargement without a model, from the command line."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.clips import assert_same_frames, make_clip, read_frames
from helpers.models import write_compact
from helpers.videos import CountingNetwork, Listener, make_upscaler
from PIL import Image

from sr.inference.named_files import ModelFiles
from sr.inference.options import InferOptions, OutputOptions
from sr.inference.run import run
from sr.inference.texture_options import TextureOptions
from sr.inference.video.resume import fingerprint, fingerprint_models
from sr.inference.video_options import VideoOptions
from sr.io.rgb8 import read_rgb8, write_rgb8

Call = Callable[..., Any]
Pixels = npt.NDArray[np.uint8]


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """A model of scale 1."""
    return write_compact(tmp_path / "clean.safetensors", 1, seed=3)


@pytest.fixture
def upscale(call: Call, images: Path, tmp_path: Path) -> Callable[..., Pixels]:
    """Upscales a.png, 25x20, with these flags, in fp32."""
    numbers = iter(range(100))

    def upscale(*flags: object, source: Path = images / "a.png") -> Pixels:
        output = tmp_path / f"{next(numbers)}.png"
        assert call("-i", source, "-o", output, "--precision", "fp32", *flags) == 0
        return read_rgb8(output)

    return upscale


def write_mask(path: Path, gray: Pixels) -> Path:
    write_rgb8(path, np.repeat(gray[..., None], 3, 2))
    return path


def assert_near(a: Pixels, b: Pixels, levels: float) -> None:
    assert np.abs(a.astype(int) - b).max() <= levels


def test_several_models_run_one_after_the_other(
    upscale: Callable[..., Pixels], clean: Path, model: Path, tmp_path: Path
) -> None:
    both = upscale("-m", clean, "-m", model)
    assert both.shape == (40, 50, 3)
    write_rgb8(tmp_path / "cleaned.png", upscale("-m", clean))
    apart = upscale("-m", model, source=tmp_path / "cleaned.png")
    assert_near(both, apart, 2)  # what is rounded between them
    assert np.array_equal(upscale("-m", clean, "-m", model, "-t", "8"), both)


def test_full_strength_changes_no_byte_and_none_is_plain_enlargement(
    upscale: Callable[..., Pixels], model: Path
) -> None:
    assert np.array_equal(upscale("-m", model, "--strength", "1"), upscale("-m", model))
    plain = upscale("--resample", "bicubic", "-s", "2")
    assert np.array_equal(upscale("-m", model, "--strength", "0"), plain)
    assert not np.array_equal(upscale("-m", model, "--strength", "0.5"), plain)


def test_nearest_repeats_pixels(upscale: Callable[..., Pixels], images: Path) -> None:
    lr = read_rgb8(images / "a.png")
    expected = lr.repeat(3, 0).repeat(3, 1)
    assert np.array_equal(upscale("--resample", "nearest", "-s", "3"), expected)


@pytest.mark.parametrize("tile", ["0", "7"])
def test_a_mask_chooses_between_model_and_plain_enlargement(
    upscale: Callable[..., Pixels], model: Path, tmp_path: Path, tile: str
) -> None:
    gray = np.zeros((40, 50), np.uint8)
    gray[:, 20:30], gray[:, 30:] = 128, 255
    mask = write_mask(tmp_path / "mask.png", gray)
    sr = upscale("-m", model)
    plain = upscale("--resample", "bicubic", "-s", "2")
    mixed = upscale("-m", model, "--mask", mask, "-t", tile)
    assert np.array_equal(mixed[:, :20], plain[:, :20])
    assert np.array_equal(mixed[:, 30:], sr[:, 30:])
    error = np.abs(mixed - (sr.astype(float) + plain) / 2)
    error[(np.minimum(sr, plain) == 0) | (np.maximum(sr, plain) == 255)] = 0  # mixed, then limited
    assert error[:, 20:30].max() < 2


def test_a_mask_is_black_where_it_is_transparent(
    upscale: Callable[..., Pixels], model: Path, tmp_path: Path
) -> None:
    rgba = np.full((20, 25, 4), 255, np.uint8)
    rgba[:, 10:, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "mask.png")
    mixed = upscale("-m", model, "--mask", tmp_path / "mask.png")
    assert np.array_equal(mixed[:, :18], upscale("-m", model)[:, :18])
    plain = upscale("--resample", "bicubic", "-s", "2")
    assert np.array_equal(mixed[:, 22:], plain[:, 22:])


def test_a_mask_fits_images_with_alpha(call: Call, model: Path, tmp_path: Path) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (20, 25, 4), dtype=np.uint8)
    rgba[:, :12, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "in.png")
    white = write_mask(tmp_path / "mask.png", np.full((4, 5), 255, np.uint8))
    for name, flags in {"whole": [], "masked": ["--mask", white]}.items():
        arguments = ["-i", tmp_path / "in.png", "-o", tmp_path / f"{name}.png", "-m", model]
        assert call(*arguments, "-t", "8", "--precision", "fp32", *flags) == 0
    whole, masked = (
        np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("whole", "masked")
    )
    assert whole.shape == (40, 50, 4)
    assert np.array_equal(whole, masked)


def test_grain_is_the_same_at_every_run_and_leaves_black_and_white(
    upscale: Callable[..., Pixels], model: Path, tmp_path: Path
) -> None:
    flat = np.full((60, 60, 3), 128, np.uint8)
    flat[:20], flat[40:] = 0, 255
    write_rgb8(tmp_path / "flat.png", flat)
    given = {"source": tmp_path / "flat.png"}
    grain = upscale("--resample", "nearest", "-s", "2", "--grain", "5", **given)
    again = upscale("--resample", "nearest", "-s", "2", "--grain", "5", "-t", "16", **given)
    assert np.array_equal(grain, again)
    assert grain[40:80].std() == pytest.approx(5, abs=0.5)
    assert np.ptp(grain[40:80], axis=2).max() <= 1  # of luma alone
    assert set(np.unique(grain[:40])) == {0}
    assert set(np.unique(grain[80:])) == {255}
    resized = upscale("--resample", "nearest", "-s", "2", "--grain", "0", **given)
    assert np.array_equal(resized, flat.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--strength", "1.5"], "--strength 1.5: expected a number from 0 to 1"),
        (["--strength-with", "span_x4"], "--strength-with: needs --strength below 1"),
        (["--strength", "0.5", "--strength-with", "compact_x2"], "expected a model of scale 4"),
        (["--grain", "-1"], "--grain -1: expected a number from 0 to 50"),
        (["--mask", "none.png"], "--mask: "),
        (["--resample", "nearest", "-s", "2.5"], "expected a whole factor"),
        (["--resample", "nearest", "-m", "span_x4"], "enlarges without a model"),
        (["--resample", "nearest", "--size", "9x9"], "expected -s, got --size"),
        (["--resample", "cubic"], "expected nearest or bicubic, got cubic"),
        (["-m", "auto", "-m", "span_x4"], "-m auto: expected no other model"),
    ],
)
def test_wrong_options_are_refused(
    call: Call, images: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert call("-i", images, "-o", images.parent / "out", *flags) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_mask_of_another_shape_fails_the_image(
    call: Call, images: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = write_mask(tmp_path / "mask.png", np.zeros((30, 30), np.uint8))
    assert call("-i", images, "-o", tmp_path / "out", "-m", model, "--mask", mask) == 4
    assert "expected the aspect ratio of 25x20 pixels, got 30x30" in capsys.readouterr().err


def test_videos_take_chain_strength_mask_and_grain(
    call: Call, clean: Path, model: Path, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "in.mp4", 3)  # 32x24
    mask = write_mask(tmp_path / "mask.png", np.full((24, 32), 200, np.uint8))
    given = ["-i", clip, "-m", clean, "-m", model, "--strength", "0.5", "--mask", mask]
    given += ["--grain", "6", "--codec", "ffv1", "--precision", "fp32"]
    first, second = tmp_path / "a.mkv", tmp_path / "b.mkv"
    assert call(*given, "-o", first) == 0
    assert call(*given, "-o", second, "-t", "8", "--preview", "1") == 0
    assert_same_frames(first, second)
    assert read_frames(first)[0].planes[0].shape == (48, 64)


def test_a_black_mask_makes_a_video_plain(call: Call, model: Path, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", 2, codec="ffv1")
    mask = write_mask(tmp_path / "mask.png", np.zeros((3, 4), np.uint8))
    given = ["-i", clip, "--codec", "ffv1", "--precision", "fp32"]
    assert call(*given, "-o", tmp_path / "a.mkv", "-m", model, "--mask", mask) == 0
    assert call(*given, "-o", tmp_path / "b.mkv", "--resample", "bicubic", "-s", "2") == 0
    assert_same_frames(tmp_path / "a.mkv", tmp_path / "b.mkv")


def test_each_frame_has_its_own_grain(call: Call, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", 4, still=range(1, 4), codec="ffv1")
    given = ["-i", clip, "--resample", "bicubic", "-s", "1", "--grain", "6", "--codec", "ffv1"]
    assert call(*given, "-o", tmp_path / "out.mkv") == 0
    first, *others = (frame.planes[0] for frame in read_frames(tmp_path / "out.mkv"))
    assert all((first != other).any() for other in others)


@pytest.mark.parametrize("is_other", [False, True])
def test_a_video_with_texture_resumes_to_the_very_file_or_not_at_all(
    tmp_path: Path, is_other: bool
) -> None:
    source = make_clip(tmp_path / "in.mp4", 12)
    mask = write_mask(tmp_path / "mask.png", np.full((24, 32), 200, np.uint8))
    video = VideoOptions(crf=20, preset="fast", frames_per_segment=4)
    texture = TextureOptions(grain=4, mask=mask)

    def upscale(output: Path, texture: TextureOptions, *, resume: bool = True, **fault: Any) -> int:
        path = OutputOptions(output, resume=resume)
        options = InferOptions([source], path, video=video, texture=texture)
        upscaler = make_upscaler(CountingNetwork(2, **fault), 2)
        return run(options, Listener(), [upscaler]).exit_code

    whole, output = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    assert upscale(output, texture, fault_at=9) == 4
    if is_other:
        assert upscale(output, replace(texture, grain=5)) == 4
        return
    assert upscale(output, texture) == 0
    assert upscale(whole, texture) == 0
    assert output.read_bytes() == whole.read_bytes()


def test_segments_depend_on_all_models_and_their_strength(clean: Path, model: Path) -> None:
    one, other = fingerprint(clean), fingerprint(model)
    assert fingerprint_models(ModelFiles((clean,))) == one  # as of older runs
    assert fingerprint_models(ModelFiles((clean, model))) == {**one, "then": [other]}
    half = fingerprint_models(ModelFiles((clean,), 0.5, model))
    assert half == {**one, "strength": 0.5, "strength_with": other}
    assert fingerprint_models(ModelFiles((), resample=(2, "nearest"))) == {
        "resample": "nearest",
        "scale": 2,
    }
