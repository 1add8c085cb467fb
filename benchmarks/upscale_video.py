"""Measure frames per second of video upscaling end to end, of its stages and of Real-ESRGAN.

    python benchmarks/upscale_video.py -m MODEL [MODEL ...] --clip CLIP [--frames 40] [--rounds 3]
        [--preset medium]
    python benchmarks/upscale_video.py --memory [--frames 5000]

On the CPU, in interleaved rounds, of which the first warms up and is not counted:

- network: the upscaler alone, on the clip's frames as tensors.
- encoder: x264 alone, on the frames of the result.
- ours: everything from the source to the verified result, with audio (`sr.inference.run`).
- Real-ESRGAN's method, as in its inference_realesrgan_video.py: ffmpeg decodes into a pipe,
  RealESRGANer (fp32, tile 0) upscales frame by frame, and ffmpeg encodes from a pipe, sequentially.
  It needs BasicSR, `realesrgan` and `imageio-ffmpeg`, which contains the ffmpeg program; if one is
  missing, a line says so.

The encoder is libx264 at ffmpeg's default crf, 23, and preset. The share is ours relative to the
slower of network and encoder, which compete for the cores. Loading models is not included. The
other method has its own process.

--memory: a synthetic clip of this many frames through the pipeline without a network (pixels are
repeated, x2); the peak of anonymous memory, at ten points.
"""

import argparse
import importlib
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import av
import numpy as np
import psutil
import torch
from torch import Tensor, nn
from upscale_images import SCALE, LeftOutError, load_realesrganer

from sr.device import name_precision
from sr.inference.load_upscaler import load_upscalers
from sr.inference.options import InferOptions, OutputOptions, RuntimeOptions
from sr.inference.run import run
from sr.inference.video_options import VideoOptions
from sr.io.video.encode.encoder import Encoding, plan_encoding
from sr.io.video.encode.segment_writer import SegmentWriter, make_frame
from sr.io.video.frame import Frame, Planes, VideoInfo
from sr.io.video.pixels.yuv import Conversion, planes_to_tensors, tensors_to_planes
from sr.io.video.read.reader import open_video
from sr.io.video.time_range import Moment
from sr.memory import keep_freed_memory
from sr.tiling.upscaler import Upscaler

CPU = torch.device("cpu")
CRF = 23
Contestant = Callable[[], float]
"""Run once and return the seconds."""
Contest = tuple[Path, Path, int, dict[str, Any], Path]
"""Model, clip, number of frames, encoder, folder for results."""


def main() -> None:
    """Print a table for each model, or one of memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-m", "--model", type=Path, nargs="+", default=[], help="weights")
    parser.add_argument("--clip", type=Path, help="video")
    parser.add_argument("--frames", type=int, help="of the clip, from its start")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds")
    parser.add_argument("--preset", default="medium", help="of the encoders")
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if arguments.memory:
            keep_freed_memory()
            _memory(Path(name), arguments.frames or 5000)
            return
        if arguments.clip is None or not arguments.model:
            parser.error("expected --clip and --model, or --memory")
        for model in arguments.model:
            choice = {"crf": CRF, "preset": arguments.preset}
            contest = (model, arguments.clip, arguments.frames or 40, choice, Path(name))
            sys.stdout.write(_competed(contest, arguments.rounds))


def _competed(contest: Contest, num_rounds: int) -> str:
    """Return the table of a model. Theirs has its own process: retaining memory is global."""
    seconds: dict[str, list[float]] = {}
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        processes = {}
        for load in (_load_ours, _load_theirs):
            process = stack.enter_context(ProcessPoolExecutor(1, mp_context=context))
            try:
                names, about = process.submit(load, *contest).result()
            except LeftOutError as error:
                sys.stdout.write(f"Real-ESRGAN's method: left out: {error}\n")
                continue
            sys.stdout.write(about)
            processes.update(dict.fromkeys(names, process))
        for _ in range(num_rounds + 1):
            for name, process in processes.items():
                seconds.setdefault(name, []).append(process.submit(_measure, name).result())
    return _table(seconds, contest[2])


_loaded: dict[str, Contestant] = {}  # the contestants of this process


def _measure(name: str) -> float:
    return _loaded[name]()


def _load_ours(
    model: Path, clip: Path, num_frames: int, choice: dict[str, Any], folder: Path
) -> tuple[list[str], str]:
    """Return names of contestants, and a line about the clip."""
    keep_freed_memory()
    (upscaler,) = load_upscalers(model, lambda *_, **__: None, RuntimeOptions(devices=("cpu",)))
    info, frames = _frames(clip, num_frames)
    size = (upscaler.scale * info.height, upscaler.scale * info.width)
    encoding = plan_encoding(info, width=size[1], height=size[0], suffix=".mp4", **choice)
    conversion = Conversion(info.layout, info.color, info.siting)
    lr = [conversion.to_rgb(planes_to_tensors(frame.planes, CPU)) for frame in frames]
    back = Conversion(encoding.layout, encoding.color, encoding.siting)
    planes = [tensors_to_planes(back.from_rgb(upscaler(each)), encoding.layout) for each in lr]
    _loaded["network"] = lambda: _network(upscaler, lr)
    _loaded["encoder"] = lambda: _encoder(planes, encoding, info, folder / "part")
    _loaded["ours"] = lambda: _ours(upscaler, clip, len(frames), choice, folder / "ours.mp4")
    return list(_loaded), (
        f"\n{model.name}, {clip.name}, {len(frames)} frames of {info.width}x{info.height} to "
        f"{size[1]}x{size[0]}, {name_precision(upscaler.dtype)}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, preset {choice['preset']}\n"
    )


def _load_theirs(
    model: Path, clip: Path, num_frames: int, choice: dict[str, Any], folder: Path
) -> tuple[list[str], str]:
    theirs = _realesrgan(model, choice)
    _loaded["Real-ESRGAN's method"] = lambda: theirs(clip, num_frames, folder / "theirs.mp4")
    return list(_loaded), ""


def _frames(clip: Path, num_frames: int) -> tuple[VideoInfo, list[Frame]]:
    with open_video(clip) as reader:
        return reader.info, list(islice(reader.frames(), num_frames))


def _network(upscaler: Upscaler, lr: Sequence[Tensor]) -> float:
    started = time.perf_counter()
    for each in lr:
        upscaler(each)
    return time.perf_counter() - started


def _encoder(planes: Sequence[Planes], encoding: Encoding, info: VideoInfo, path: Path) -> float:
    started = time.perf_counter()
    with SegmentWriter(
        path,
        encoding,
        time_base=1 / info.rate,
        rate=info.rate,
        sample_aspect_ratio=info.sample_aspect_ratio,
    ) as part:
        for number, each in enumerate(planes):
            part.write(make_frame(each, encoding), number, 1)
    return time.perf_counter() - started


def _ours(
    upscaler: Upscaler, clip: Path, num_frames: int, choice: dict[str, Any], output: Path
) -> float:
    video = VideoOptions(**choice, end=Moment(frame=num_frames))
    options = InferOptions([clip], OutputOptions(output, overwrite=True), video=video)
    started = time.perf_counter()
    outcome = run(options, lambda *_, **__: None, [upscaler])
    seconds = time.perf_counter() - started
    if outcome.failures:
        raise RuntimeError("; ".join(outcome.failures.values()))
    return seconds


def _realesrgan(model: Path, choice: dict[str, Any]) -> Callable[[Path, int, Path], float]:
    upsampler = load_realesrganer(model, tile_size=0)
    try:
        program = importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except ImportError as error:
        raise LeftOutError(f"not installed: {error}") from None

    def upscale(clip: Path, num_frames: int, output: Path) -> float:
        info, _ = _frames(clip, 1)
        started = time.perf_counter()
        with _pipes(program, clip, info, SCALE, choice, output) as (decoder, encoder):
            for _ in range(num_frames):
                content = decoder.read(info.height * info.width * 3)
                lr = np.frombuffer(content, np.uint8).reshape(info.height, info.width, 3)
                sr, _ = upsampler.enhance(lr, outscale=SCALE)
                encoder.write(sr.astype(np.uint8).tobytes())
        return time.perf_counter() - started

    return upscale


@contextmanager
def _pipes(
    program: str, clip: Path, info: VideoInfo, scale: int, choice: dict[str, Any], output: Path
) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Where decoded frames come from, and where enlarged ones go; both BGR of 8 bits."""
    quiet = [program, "-loglevel", "error"]
    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24"]
    size = f"{scale * info.width}x{scale * info.height}"
    given = [*raw, "-s", size, "-framerate", str(info.rate), "-i", "pipe:"]
    made = ["-i", str(clip), "-map", "0:v", "-map", "1:a?", "-c:a", "copy", "-shortest"]
    made += ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", str(CRF)]
    made += ["-preset", str(choice["preset"]), "-y", str(output)]
    decoding = subprocess.Popen([*quiet, "-i", str(clip), *raw, "pipe:"], stdout=subprocess.PIPE)
    encoding = subprocess.Popen([*quiet, *given, *made], stdin=subprocess.PIPE)
    decoded, enlarged = cast("IO[bytes]", decoding.stdout), cast("IO[bytes]", encoding.stdin)
    yield decoded, enlarged
    decoded.close()
    enlarged.close()
    decoding.wait()
    encoding.wait()


def _table(seconds: Mapping[str, list[float]], num_frames: int) -> str:
    """Format a row per contestant as Markdown."""
    fps = {name: [num_frames / each for each in taken[1:]] for name, taken in seconds.items()}
    middle = {name: statistics.median(each) for name, each in fps.items()}
    lines = ["| | fps, median (most) | ours / this |", "|---|---|---|"]
    lines += [
        f"| {name} | {middle[name]:.2f} ({max(each):.2f}) | {middle['ours'] / middle[name]:.2f} |"
        for name, each in fps.items()
    ]
    shares = [
        ours / min(network, encoder)
        for ours, network, encoder in zip(fps["ours"], fps["network"], fps["encoder"], strict=True)
    ]
    rounds = ", ".join(f"{share:.2f}" for share in shares)
    share = (
        f"share of the slower of network and encoder: {statistics.median(shares):.2f} ({rounds})"
    )
    return "\n".join([*lines, share]) + "\n"


def _memory(folder: Path, num_frames: int) -> None:
    """Print the peak of anonymous memory while a long clip is upscaled."""
    clip = folder / "long.mp4"
    _make_clip(clip, num_frames)
    network = nn.Upsample(scale_factor=2, mode="nearest")
    upscaler = Upscaler(network, scale=2, halo=0, tile_size=0, device=CPU, dtype=torch.float32)
    process, peak = psutil.Process(), 0.0
    before = _anonymous(process)
    sys.stdout.write(
        f"\n{num_frames} frames of 320x180 to 640x360; MiB above the {before:.0f} at the start\n"
        "| frames | peak anonymous memory, MiB |\n|---|---|\n"
    )

    def emit(event: str, **fields: Any) -> None:
        nonlocal peak
        if event == "progress" and "frame" in fields:
            if fields["frame"] % 10 == 0:
                peak = max(peak, _anonymous(process) - before)
            if fields["frame"] % (num_frames // 10) == 0:
                sys.stdout.write(f"| {fields['frame']} | {peak:.0f} |\n")

    output, video = OutputOptions(folder / "large.mp4"), VideoOptions(preset="veryfast")
    started = time.perf_counter()
    outcome = run(InferOptions([clip], output, video=video), emit, [upscaler])
    seconds = time.perf_counter() - started
    sys.stdout.write(f"{seconds:.0f} s, exit code {outcome.exit_code}\n")


def _anonymous(process: psutil.Process) -> float:
    """MiB that are of no file."""
    info = process.memory_info()
    return float(info.rss - info.shared) / 2**20


def _make_clip(path: Path, num_frames: int) -> None:
    """A pattern that moves, with a tone."""
    rows, columns = np.mgrid[0:180, 0:320]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        sound = container.add_stream("aac", rate=48000)
        for number in range(num_frames):
            wave = np.sin((columns + 3 * number) / 9) * np.cos((rows - number) / 7)
            luma = (128 + 100 * wave).astype(np.uint8)
            gray = np.full((90, 320), 128, np.uint8)
            frame = av.VideoFrame.from_ndarray(np.concatenate([luma, gray]), format="yuv420p")
            frame.pts = number
            frame.time_base = Fraction(1, 25)
            container.mux(stream.encode(frame))
            tone = 0.1 * np.sin(np.arange(1920 * number, 1920 * (number + 1)) * 0.05)
            samples = np.stack([tone, tone]).astype(np.float32)
            audio = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            audio.sample_rate, audio.pts = 48000, 1920 * number
            container.mux(sound.encode(audio))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))


if __name__ == "__main__":
    main()
