"""Videos through a GPU are those through the CPU; NVIDIA's encoders encode them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.clips import draw_planes, make_clip, read_frames
from helpers.videos import LOSSLESS, Listener

from sr.inference.options import InferOptions, OutputOptions, RuntimeOptions
from sr.inference.run import run
from sr.inference.video_options import VideoOptions
from sr.io.video.encode.codecs import CODECS, EncoderError
from sr.io.video.encode.encoder import plan_encoding
from sr.io.video.read.reader import open_video

# Warnings that nobody has seen yet are no reason to fail.
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]


def upscale(
    source: Path,
    output: Path,
    model: Path,
    device: str,
    video: VideoOptions = LOSSLESS,
    **runtime: object,
) -> None:
    options = RuntimeOptions(devices=(device,), **runtime)  # type: ignore[arg-type]
    summary = run(
        InferOptions(
            [source], OutputOptions(output), video=video, model=str(model), runtime=options
        ),
        Listener(),
    )
    assert [task.error for task in summary.tasks] == [None]


def assert_alike(results: list[Path], num_levels: int) -> None:
    one, two = map(read_frames, results)
    assert len(one) == len(two) > 0
    for frame, twin in zip(one, two, strict=True):
        for plane, same in zip(frame.planes, twin.planes, strict=True):
            assert np.abs(plane.astype(int) - same.astype(int)).max() <= num_levels


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le", "gray", "yuva420p", "gbrp10le"])
@pytest.mark.parametrize("tile_size", [0, 16])
def test_all_kinds_of_frames(
    device: torch.device, model: Path, tmp_path: Path, pix_fmt: str, tile_size: int
) -> None:
    clip = make_clip(tmp_path / "lr.mkv", 9, pix_fmt=pix_fmt, codec="ffv1", still=[3, 4])
    results = [tmp_path / "device.mkv", tmp_path / "cpu.mkv"]
    for name, output in zip((str(device), "cpu"), results, strict=True):
        upscale(clip, output, model, name, precision="fp32", tile_size=tile_size)
    assert_alike(results, num_levels=1)


def test_a_size_that_is_not_a_multiple(device: torch.device, model: Path, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "lr.mkv", 5)
    results = [tmp_path / "device.mkv", tmp_path / "cpu.mkv"]
    for name, output in zip((str(device), "cpu"), results, strict=True):
        options = RuntimeOptions(devices=(name,), precision="fp32")
        size = OutputOptions(output, size=(50, 40))
        summary = run(
            InferOptions([clip], size, video=LOSSLESS, model=str(model), runtime=options),
            Listener(),
        )
        assert [task.error for task in summary.tasks] == [None]
    assert_alike(results, num_levels=1)


def test_windows_of_frames(device: torch.device, clip_model: Path, tmp_path: Path) -> None:
    planes = draw_planes(6, (48, 64), "yuv420p")
    clip = make_clip(tmp_path / "lr.mkv", planes=planes, codec="ffv1")
    results = [tmp_path / "device.mkv", tmp_path / "cpu.mkv"]
    for name, output in zip((str(device), "cpu"), results, strict=True):
        upscale(clip, output, clip_model, name, precision="fp32")
    assert_alike(results, num_levels=2)


@pytest.mark.parametrize("codec", [codec for codec in CODECS if CODECS[codec].on_gpu])
def test_nvenc(gpu: torch.device, model: Path, tmp_path: Path, codec: str) -> None:
    clip = make_clip(tmp_path / "lr.mkv", 30, size=(144, 192))
    with open_video(clip) as reader:
        info = reader.info
    try:
        plan_encoding(info, width=384, height=288, suffix=".mkv", codec=codec)
    except EncoderError as error:
        pytest.skip(str(error))
    video = VideoOptions(codec=codec, frames_per_segment=10)
    upscale(clip, tmp_path / "sr.mkv", model, str(gpu), video)
    assert len(read_frames(tmp_path / "sr.mkv")) == 30
    with open_video(tmp_path / "sr.mkv") as reader:
        assert (reader.info.width, reader.info.height) == (384, 288)
