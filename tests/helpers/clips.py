"""Clips of a few small frames, made with PyAV, and what is read of videos."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from sr.io.video.frame import Frame, Layout, Planes
from sr.io.video.read.reader import open_video


@dataclass(frozen=True)
class Tone:
    """Sound of 440 Hz next to the frames."""

    seconds: float
    start: float = 0.0


def make_clip(
    path: Path,
    num_frames: int = 10,
    *,
    size: tuple[int, int] = (24, 32),
    pix_fmt: str = "yuv420p",
    codec: str = "libx264",
    rate: int | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    offset: int = 0,
    sound: Tone | None = None,
    still: Sequence[int] = (),
    images: Sequence[npt.NDArray[np.uint8]] = (),
    planes: Sequence[Planes] = (),
    context: dict[str, Any] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    display_matrix: Sequence[int] | None = None,
) -> Path:
    """Write noise that differs in each frame, at 25 frames per second, and without loss in H.264.

    size: (height, width). pts: of the frames, in `time_base`. offset: that is added to the times
    of the packets. still: frames like the one before. images: (height, width, 3) each, in the
    place of noise; planes: likewise, as in `pix_fmt`. context: attributes of the codec's context.
    options: of the encoder; {} has its own defaults.
    """
    if images or planes:
        given: Sequence[npt.NDArray[Any]] = images or [each[0] for each in planes]
        num_frames, size = len(given), given[0].shape[:2]
    rate = rate or (25 if time_base is None else round(1 / time_base))
    time_base = time_base or Fraction(1, rate)
    times = list(range(num_frames)) if pts is None else list(pts)
    if options is None:
        options = {"qp": "0", "g": "5"} if codec == "libx264" else {}
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.gop_size = 6
        stream.time_base = stream.codec_context.time_base = time_base
        for name, value in (context or {}).items():
            setattr(stream.codec_context, name, value)
        if display_matrix is not None:
            stream.set_display_matrix(display_matrix)
        if sound is not None:
            tone: Any = container.add_stream("aac", rate=8000, layout="mono")
            mux_tone(container, tone, round(8000 * sound.seconds), round(8000 * sound.start))
        packets: list[Any] = []
        if images:
            frames: Iterator[av.VideoFrame] = (
                av.VideoFrame.from_ndarray(i).reformat(format=pix_fmt) for i in images
            )
        elif planes:
            frames = (_fill_frame(each, pix_fmt) for each in planes)
        else:
            frames = _make_noise(num_frames, size, pix_fmt, still)
        for frame, time in zip(frames, times, strict=True):
            frame.pts, frame.time_base = time, time_base
            packets += stream.encode(frame)
        for packet in [*packets, *stream.encode(None)]:
            packet.pts += offset
            packet.dts += offset
            container.mux(packet)
    return path


def _make_noise(
    num_frames: int, size: tuple[int, int], pix_fmt: str, still: Sequence[int]
) -> Iterator[av.VideoFrame]:
    random = np.random.default_rng(0)
    height, width = size
    for number in range(num_frames):
        if number not in still:
            frame = av.VideoFrame(width, height, pix_fmt)
            depth = max(part.bits for part in frame.format.components)
            for plane in frame.planes:
                dtype = np.dtype(np.uint8 if depth == 8 else np.uint16)
                memory: Any = plane
                rows = np.frombuffer(memory, dtype).reshape(-1, plane.line_size // dtype.itemsize)
                rows[:] = random.integers(0, 2**depth, rows.shape, dtype=dtype)
        yield frame


def _fill_frame(planes: Planes, pix_fmt: str) -> av.VideoFrame:
    layout = Layout.parse(pix_fmt)
    assert layout is not None
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pix_fmt)
    if layout.kind == "rgb":
        red, green, blue = planes
        planes = (green, blue, red)  # FFmpeg's order
    for plane, samples in zip(frame.planes, planes, strict=True):
        padded = np.zeros((plane.height, plane.line_size // layout.dtype.itemsize), layout.dtype)
        padded[:, : samples.shape[1]] = samples
        plane.update(padded.tobytes())
    return frame


def mux_tone(container: Any, stream: Any, num_samples: int, offset: int) -> None:
    """Write 440 Hz from sample `offset` on, the same in all channels."""
    context = stream.codec_context
    layout, num_channels = context.layout.name, len(context.layout.channels)
    resampler = av.AudioResampler(
        context.format.name, layout, context.sample_rate, context.frame_size or 1024
    )
    times = np.arange(num_samples) / context.sample_rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([tone] * num_channels), "fltp", layout)
    frame.sample_rate = context.sample_rate
    frame.time_base = Fraction(1, context.sample_rate)
    frame.pts = 0
    pieces: list[Any] = [*resampler.resample(frame), *resampler.resample(None)]
    for piece in pieces:
        piece.pts += offset
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


def draw_planes(num_frames: int, size: tuple[int, int], pix_fmt: str) -> list[Planes]:
    """Return the planes of frames of noise. size: (height, width)."""
    random = np.random.default_rng(0)
    layout = Layout.parse(pix_fmt)
    assert layout is not None
    return [
        tuple(
            random.integers(0, 2**layout.depth, shape, layout.dtype)
            for shape in layout.shapes(*size)
        )
        for _ in range(num_frames)
    ]


def draw_scene(scene: int, step: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return (height, width, 3): a smooth scene, 0 dark or 1 bright, that moves each step."""
    noise = np.random.default_rng(scene).random((height + 60, width + 60, 3))
    smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 1.5)
    # 0 to 110, or 145 to 255.
    smooth = 110 * (smooth - smooth.min()) / np.ptp(smooth) + 145 * scene
    part = smooth[20 + step : 20 + step + height, 20 + 2 * step : 20 + 2 * step + width]
    return np.ascontiguousarray(part.round(), np.uint8)


def read_frames(path: Path, stream: int | None = None) -> list[Frame]:
    """Return all frames of a video."""
    with open_video(path, stream=stream) as reader:
        return list(reader.frames())


def read_times(path: Path) -> list[Fraction]:
    """Return when the frames show, in seconds."""
    with open_video(path) as reader:
        return [frame.pts * reader.info.time_base for frame in reader.frames()]


def assert_same_frames(path: Path, other: Path) -> None:
    """Both show the very same samples."""
    one, two = read_frames(path), read_frames(other)
    assert len(one) == len(two)
    for frame, twin in zip(one, two, strict=True):
        for plane, same in zip(frame.planes, twin.planes, strict=True):
            np.testing.assert_array_equal(plane, same, err_msg=f"frame {frame.number}")


def write_time_code(path: Path, num_frames: int) -> None:
    """Write a clip whose first frame has the time code 01:02:03:04."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        stream.metadata["timecode"] = "01:02:03:04"
        for _ in range(num_frames):
            container.mux(stream.encode(av.VideoFrame(32, 24, "yuv420p")))
        container.mux(stream.encode(None))
