"""Transparent videos: kept where the result has a place for it, else said to be lost."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import torch
from helpers.clips import make_clip, read_frames
from helpers.videos import CountingNetwork, Listener, upscale
from PIL import Image
from torch import Tensor

from sr.inference.options import Alpha
from sr.inference.video.alpha import upscale_transparent
from sr.inference.video_options import VideoOptions
from sr.io.image_reader import open_image
from sr.io.video.read.reader import open_video

WIDTH, HEIGHT = 32, 24
RGBA = npt.NDArray[np.uint8]


def draw_disc(number: int) -> RGBA:
    """Return a soft white disc over nothing, (HEIGHT, WIDTH, 4); what nobody sees is magenta."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    alpha = np.clip((9 - np.hypot(rows - 12, columns - 12 - number)) / 4, 0, 1)
    image = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    image[..., 3] = (alpha * 255).round()
    image[alpha == 0, :3] = (255, 0, 255)
    return image


def write_discs(path: Path, codec: str, pix_fmt: str, **options: str) -> Path:
    """Write three frames that differ."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        if codec == "libvpx-vp9":
            stream.metadata["alpha_mode"] = "1"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(draw_disc(number), "rgba").reformat(format=pix_fmt)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


SOURCES = [
    pytest.param("in.mov", "qtrle", "argb", {}, 0, id="qtrle"),
    pytest.param("in.mov", "png", "rgba", {}, 0, id="png"),
    pytest.param("in.mkv", "ffv1", "bgra", {}, 0, id="ffv1"),
    pytest.param("in.mkv", "ffv1", "gbrap12le", {}, 1, id="ffv1-12"),
    pytest.param("in.mov", "prores_ks", "yuva444p10le", {"profile": "4444"}, 3, id="prores"),
    pytest.param("in.webm", "libvpx-vp9", "yuva420p", {"lossless": "1"}, 3, id="vp9"),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "options", "tolerance"), SOURCES)
def test_images_have_the_transparency_of_a_video(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, options: dict[str, str], tolerance: int
) -> None:
    source, listener = write_discs(tmp_path / name, codec, pix_fmt, **options), Listener()
    assert upscale(source, tmp_path / "%d.png", listener=listener).exit_code == 0
    assert not [note for note in listener.warnings if "transparency is" in note]
    for number in range(3):
        with open_image(tmp_path / f"{number}.png") as image:
            pixels = image.read().astype(np.float64) / (257 if image.header.depth == 16 else 1)
        expected = draw_disc(number).astype(np.float64)
        np.testing.assert_allclose(pixels[..., 3], expected[..., 3], atol=tolerance + 0.5)
        seen = expected[..., 3] > 0
        limit = 255 if codec == "libvpx-vp9" else tolerance + 0.5  # 4:2:0 mixes in magenta
        np.testing.assert_allclose(pixels[seen, :3], expected[seen, :3], atol=limit)


@pytest.mark.parametrize("pix_fmt", ["bgra", "gbrap10le", "yuva420p", "yuva444p16le"])
def test_ffv1_keeps_every_sample_of_frames_with_alpha(tmp_path: Path, pix_fmt: str) -> None:
    source = write_discs(tmp_path / "in.mkv", "ffv1", pix_fmt)
    output, listener = tmp_path / "out.mkv", Listener()
    assert upscale(source, output, listener=listener).exit_code == 0
    assert listener.warnings == []
    for before, after in zip(read_alpha_frames(source), read_alpha_frames(output), strict=True):
        np.testing.assert_array_equal(before[-1], after[-1])
        if pix_fmt == "yuva420p":
            continue  # chroma of clear and opaque pixels is mixed already
        for plane, other in zip(before, after, strict=True):
            np.testing.assert_allclose(plane.astype(int), other.astype(int), atol=1)


def read_alpha_frames(path: Path) -> list[tuple[npt.NDArray[Any], ...]]:
    with open_video(path, alpha=True) as reader:
        assert reader.info.layout.alpha
        return [frame.planes for frame in reader.frames()]


@pytest.mark.parametrize("temporal_filter", [False, True])
def test_prores_4444_has_the_alpha_of_an_enlarged_video(
    tmp_path: Path, temporal_filter: bool
) -> None:
    source = write_discs(tmp_path / "in.mov", "qtrle", "argb")
    output = tmp_path / "out.mkv"
    options = VideoOptions(codec="prores", temporal_filter=temporal_filter)
    summary = upscale(source, output, network=CountingNetwork(2), video=options)
    assert summary.exit_code == 0
    with open_video(output, alpha=True) as reader:
        white = 2**reader.info.layout.depth - 1
    for number, planes in enumerate(read_alpha_frames(output)):
        alpha = np.kron(draw_disc(number)[..., 3], np.ones((2, 2)))
        np.testing.assert_allclose(planes[3] / white * 255, alpha, atol=2)


@pytest.mark.parametrize(
    ("output", "options", "words"),
    [
        ("out.mp4", {}, "libx264 has no place for it in .mp4; --codec vp9, ffv1 or prores"),
        ("out.webm", {"codec": "libsvtav1"}, "libsvtav1 has no place for it in .webm"),
        ("out.mp4", {"codec": "vp9"}, "libvpx-vp9 has no place for it in .mp4"),
        ("%d.jpg", {}, ".jpg holds none, .png does"),
        ("out.mkv", {"codec": "ffv1", "pix_fmt": "yuv420p"}, "ffv1 has no place for it"),
    ],
)
def test_transparency_that_is_lost_is_said_once_before_the_work(
    tmp_path: Path, output: str, options: dict[str, Any], words: str
) -> None:
    source, listener = write_discs(tmp_path / "in.mov", "qtrle", "argb"), Listener()
    summary = upscale(source, tmp_path / output, video=VideoOptions(**options), listener=listener)
    assert summary.exit_code == 0
    (warning,) = [note for note in listener.warnings if "transparency is" in note]
    assert f"transparency is left out: {words}" in warning
    kinds = [
        event
        for event, fields in listener.events
        if "transparency is" in str(fields) or event == "progress"
    ]
    assert kinds[0] == "warning"


@pytest.mark.parametrize("name", ["out.webm", "out.mkv"])
def test_vp9_keeps_transparency_and_times(tmp_path: Path, name: str) -> None:
    source = write_discs(tmp_path / "in.mov", "qtrle", "argb")
    output, listener = tmp_path / name, Listener()
    video = VideoOptions(codec="vp9", encoder_options={"lossless": "1"}, frames_per_segment=2)
    assert upscale(source, output, video=video, listener=listener).exit_code == 0
    assert not [note for note in listener.warnings if "transparency is" in note]
    for number, planes in enumerate(read_alpha_frames(output)):
        np.testing.assert_allclose(planes[3], draw_disc(number)[..., 3], atol=1)
    with open_video(output) as reader:
        assert reader.info.has_alpha
        frames = list(reader.frames())
    seconds = [float(frame.pts * reader.info.time_base) for frame in frames]
    assert seconds == pytest.approx([0, 0.04, 0.08])


def test_prores_4444_becomes_webm_of_vp9_with_what_is_lost_said(tmp_path: Path) -> None:
    source = write_discs(tmp_path / "in.mov", "prores_ks", "yuva444p10le", profile="4444")
    output, listener = tmp_path / "out.webm", Listener()
    assert upscale(source, output, video=VideoOptions(), listener=listener).exit_code == 0
    notes = " ".join(listener.warnings)
    assert "12 bits per sample become 8" in notes
    assert "chroma 4:4:4 becomes 4:2:0" in notes
    for number, planes in enumerate(read_alpha_frames(output)):
        np.testing.assert_allclose(planes[3], draw_disc(number)[..., 3], atol=16)


def test_vp9_with_transparency_is_upscaled_as_it_is_read(tmp_path: Path) -> None:
    source = write_discs(tmp_path / "in.webm", "libvpx-vp9", "yuva420p", lossless="1")
    output = tmp_path / "out.webm"
    assert upscale(source, output, network=CountingNetwork(2), video=VideoOptions()).exit_code == 0
    for number, planes in enumerate(read_alpha_frames(output)):
        alpha = np.kron(draw_disc(number)[..., 3], np.ones((2, 2)))
        assert np.abs(planes[3] - alpha).mean() < 6


def test_alpha_can_be_dropped(tmp_path: Path) -> None:
    source, listener = write_discs(tmp_path / "in.mkv", "ffv1", "bgra"), Listener()
    assert upscale(source, tmp_path / "out.mkv", listener=listener, alpha="drop").exit_code == 0
    assert listener.warnings == []
    with open_video(tmp_path / "out.mkv") as reader:
        assert not reader.info.has_alpha
    assert len(read_frames(tmp_path / "out.mkv")) == 3


@pytest.mark.parametrize("output", ["out.mkv", "%d.png"])
def test_transparent_images_become_transparent_frames(tmp_path: Path, output: str) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(draw_disc(number)).save(folder / f"{number}.png")
    listener = Listener()
    assert upscale(folder / "%d.png", tmp_path / output, listener=listener).exit_code == 0
    assert listener.warnings == []
    if output == "out.mkv":
        for number, planes in enumerate(read_alpha_frames(tmp_path / output)):
            np.testing.assert_array_equal(np.stack(planes, -1), draw_disc(number))


def test_images_over_black_are_said(tmp_path: Path) -> None:
    folder, listener = tmp_path / "frames", Listener()
    folder.mkdir()
    Image.fromarray(draw_disc(0)).save(folder / "0.png")
    upscale(folder / "%d.png", tmp_path / "o.mp4", video=VideoOptions(), listener=listener)
    assert any("transparency is put over black: libx264" in note for note in listener.warnings)


def test_an_opaque_palette_is_not_transparent(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mkv", 2, codec="ffv1", pix_fmt="gray")
    with open_video(path) as reader:
        assert not reader.info.has_alpha


def _double(x: Tensor) -> Tensor:
    assert x.shape[1] == 3
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


@pytest.mark.parametrize("mode", ["model", "bicubic"])
def test_colors_that_nobody_sees_do_not_show_at_the_edges(mode: Alpha) -> None:
    lr = torch.ones(1, 4, 4, 8)
    lr[:, 3, :, 4:] = 0  # the right half is clear
    sr = upscale_transparent(lr, mode, _double)
    assert sr.shape == (1, 4, 8, 16)
    assert sr[:, :3].sub(1).abs().max() < 1e-6
    assert sr[0, 3, :, :6].min() > 0.9
    assert sr[0, 3, :, 10:].max() < 0.1


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_frames_equally_transparent_everywhere_need_one_run(alpha: float) -> None:
    lr = torch.rand(2, 4, 4, 8)
    lr[:, 3] = alpha
    calls = []

    def upscale_and_count(x: Tensor) -> Tensor:
        calls.append(len(x))
        return x

    sr = upscale_transparent(lr, "model", upscale_and_count)
    assert calls == [2]
    torch.testing.assert_close(sr, lr)
