"""Clips of a few small frames, made with PyAV, and networks that change nothing."""

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import torch
import typer
from torch import Tensor, nn

from sr.cli import infer
from sr.inference.options import InferOptions, OutputOptions, VideoOptions
from sr.inference.run import run
from sr.inference.tasks import RunSummary
from sr.io.event_log import Event
from sr.io.video.frame import Frame
from sr.io.video.read.reader import open_video
from sr.tiling.upscaler import Upscaler

CPU = torch.device("cpu")
LOSSLESS = VideoOptions(codec="ffv1")


class Listener:
    """Keeps all events."""

    def __init__(self) -> None:
        self.events: list[tuple[Event, dict[str, Any]]] = []

    def __call__(self, event: Event, **fields: Any) -> None:
        self.events.append((event, fields))

    def fields(self, event: Event) -> list[dict[str, Any]]:
        """Return the fields of all events of a kind."""
        return [fields for name, fields in self.events if name == event]

    @property
    def warnings(self) -> list[str]:
        """All but those of colors that are guessed."""
        messages = [fields["message"] for fields in self.fields("warning")]
        return [message for message in messages if "unknown, taken as" not in message]


class CountingNetwork(nn.Module):
    """Repeats each pixel `scale` times, and counts how often it is called."""

    def __init__(
        self, scale: int = 1, *, fault_at: int | None = None, seconds: float = 0.0
    ) -> None:
        """fault_at: the call that fails, counted from 0. seconds: that each call takes."""
        super().__init__()
        self.scale = scale
        self.fault_at = fault_at
        self.seconds = seconds
        self.num_calls = 0

    def forward(self, lr: Tensor) -> Tensor:
        time.sleep(self.seconds)
        if self.num_calls == self.fault_at:
            raise MemoryError("no room")
        self.num_calls += 1
        return lr.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)


def make_upscaler(network: nn.Module, scale: int, **options: Any) -> Upscaler:
    """Make one that takes the whole image at once."""
    return Upscaler(
        network, scale=scale, halo=0, tile_size=0, device=CPU, dtype=torch.float32, **options
    )


def upscale(
    source: Path | Sequence[Path],
    output: Path,
    *,
    network: CountingNetwork | None = None,
    upscaler: Upscaler | None = None,
    video: VideoOptions = LOSSLESS,
    listener: Listener | None = None,
    reference: Path | None = None,
    **options: Any,
) -> RunSummary:
    """Run the whole program, by default with an identity network and an encoder without loss.

    options: of `OutputOptions`.
    """
    network = network or CountingNetwork()
    return run(
        InferOptions(
            [source] if isinstance(source, Path) else source,
            OutputOptions(output, **options),
            video=video,
            reference=reference,
        ),
        listener or Listener(),
        [upscaler or make_upscaler(network, network.scale)],
    )


def run_slowly(source: str, output: str, frames_per_segment: int) -> None:
    """Do as infer.py, and take 50 ms per frame: a program for tests that interrupt it."""
    # Shells have background programs ignore it, and those that these start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    video = VideoOptions(crf=20, preset="fast", frames_per_segment=frames_per_segment)
    log = Path(source).with_name("log.jsonl")
    options = InferOptions([Path(source)], OutputOptions(Path(output)), video=video, log=log)
    try:
        infer.upscale(options, [make_upscaler(CountingNetwork(seconds=0.05), 1)])
    except typer.Exit as end:
        sys.exit(end.exit_code)


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
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    sound: Tone | None = None,
    still: Sequence[int] = (),
    images: Sequence[npt.NDArray[np.uint8]] = (),
    tags: dict[str, int] | None = None,
    aspect: Fraction = Fraction(1),
    options: dict[str, str] | None = None,
) -> Path:
    """Write noise that drifts, without loss. size: (height, width). still: frames like the one
    before. images: (height, width, 3) each, in the place of noise. tags: attributes of the codec
    context.
    """
    if images:
        num_frames, size = len(images), images[0].shape[:2]
    random = np.random.default_rng(0)
    times = list(range(num_frames)) if pts is None else list(pts)
    options = {"qp": "0", "g": "5"} if options is None and codec == "libx264" else options or {}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=round(1 / time_base), options=options)
        height, width = size
        stream.height, stream.width, stream.pix_fmt = height, width, pix_fmt
        stream.time_base = stream.codec_context.time_base = time_base
        stream.codec_context.sample_aspect_ratio = aspect
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        tone = None if sound is None else container.add_stream("aac", rate=8000)
        if sound is not None:
            for packet in _encode_tone(tone, sound):
                container.mux(packet)
        frame = av.VideoFrame(width, height, pix_fmt)
        for number in range(num_frames):
            if images:
                frame = av.VideoFrame.from_ndarray(images[number]).reformat(format=pix_fmt)
            elif number not in still:
                frame = _make_noise(random, size, pix_fmt)
            frame.pts, frame.time_base = times[number], time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _make_noise(random: np.random.Generator, size: tuple[int, int], pix_fmt: str) -> av.VideoFrame:
    height, width = size
    frame = av.VideoFrame(width, height, pix_fmt)
    depth = max(part.bits for part in frame.format.components)
    for plane in frame.planes:
        dtype = np.dtype(np.uint8 if depth == 8 else np.uint16)
        memory: Any = plane
        rows = np.frombuffer(memory, dtype).reshape(-1, plane.line_size // dtype.itemsize)
        rows[:] = random.integers(0, 2**depth, rows.shape, dtype=dtype)
    return frame


def _encode_tone(stream: Any, sound: Tone) -> Iterator[Any]:
    rate = 8000
    stream.layout = "mono"
    wave = np.sin(np.arange(round(sound.seconds * rate)) * 2 * np.pi * 440 / rate)
    samples = (0.2 * wave).astype(np.float32)[None]
    for first in range(0, samples.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[:, first : first + 1024]), format="fltp", layout="mono"
        )
        frame.sample_rate = rate
        frame.pts = round(sound.start * rate) + first
        frame.time_base = Fraction(1, rate)
        yield from stream.encode(frame)
    yield from stream.encode(None)


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
