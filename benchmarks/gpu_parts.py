"""Parts of gpu.py that no other script has: video from file to file, launches, two processes.

    python benchmarks/gpu_parts.py --device cuda|cpu PART

Prints a table row by row; "cpu" stands for tiny sizes. Nothing of it has been run on a GPU yet.
"""

import argparse
import importlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from datetime import timedelta
from fractions import Fraction
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import torch
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from sr.models.find_model import resolve_model
from sr.models.load import load_generator
from sr.networks.compact import Compact
from sr.tiling.runner import Network, prepare_network, use_precision

ROOT = Path(__file__).resolve().parents[1]
CLIP = ROOT / "datasets" / "samples" / "otters.mp4"
VIDEOS: Sequence[tuple[int, int, str, str]] = (
    # width, height, model, codec
    (960, 540, "compact_x4", "libx264"),
    (1280, 720, "span_x4", "libx264"),
    (1920, 1080, "compact_x2", "libx264"),
    (960, 540, "compact_x4", "nvenc"),
)
NUM_FRAMES = 48
NUM_STEPS = 10  # of training by several processes
NUM_CALLS = 20  # that are timed, after 3


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("part", choices=("video", "launches", "ddp"))
    arguments = parser.parse_args()
    parts = {"video": time_videos, "launches": time_launches, "ddp": compare_processes}
    parts[arguments.part](torch.device(arguments.device))


def time_videos(device: torch.device) -> None:
    """Upscale clips by infer.py, each in a program of its own."""
    print_row("source", "model", "encoder", "result", "frames", "s", "frames/s", "note")
    print_row(*["---"] * 8)
    videos, num_frames = VIDEOS, NUM_FRAMES
    if device.type == "cpu":
        videos, num_frames = ((32, 24, "compact_tiny_x4", "libx264"),), 3
    with tempfile.TemporaryDirectory() as name:
        for width, height, model, codec in videos:
            folder = Path(name)
            source, result = folder / f"{width}x{height}.mp4", folder / "sr.mp4"
            if not source.exists():
                write_clip(source, width, height, num_frames)
            command = ["infer.py", "-i", str(source), "-o", str(result), "-m", model]
            command += ["--codec", codec, "--device", device.type, "--overwrite"]
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
            )
            seconds = time.perf_counter() - started
            note = "" if done.returncode == 0 else " ".join(done.stderr.split())[-200:]
            rate = f"{num_frames / seconds:.2f}, with the start"
            size = "-" if note else _find_size(result)
            print_row(source.stem, model, codec, size, num_frames, f"{seconds:.2f}", rate, note)
            sys.stdout.write(done.stdout[-2000:] if not note else "")


def write_clip(path: Path, width: int, height: int, num_frames: int) -> None:
    """Write frames of the sample clip, enlarged, over and over."""
    with av.open(str(CLIP)) as source:
        frames = [
            frame.reformat(width, height, "yuv420p")
            for frame in islice(source.decode(video=0), num_frames)
        ]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, frame in enumerate(islice(cycle(frames), num_frames)):
            frame.pts = number
            frame.time_base = Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _find_size(path: Path) -> str:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return f"{stream.width}x{stream.height}"


def time_launches(device: torch.device) -> None:
    """Time a network over a whole frame, started in different ways."""
    print_row("model", "frame", "precision", "way", "first s", "ms", "frames/s", "max difference")
    print_row(*["---"] * 8)
    real = device.type == "cuda"
    sizes = ((320, 180), (1280, 720)) if real else ((32, 24),)
    for dtype in (torch.float16, torch.bfloat16, torch.float32) if real else (torch.float32,):
        for name in ("span_x4", "compact_x4") if real else ("compact_tiny_x4",):
            for width, height in sizes:
                network = prepare_network(load_generator(resolve_model(name)).network, device)
                lr = torch.rand(1, 3, height, width, device=device)
                lr = lr.contiguous(memory_format=torch.channels_last)
                with use_precision(device, dtype):
                    for cells in _time_ways(network, lr, dtype):
                        print_row(name, f"{width}x{height}", str(dtype)[6:], *cells)


def _time_ways(network: nn.Module, lr: Tensor, dtype: torch.dtype) -> Iterator[list[object]]:
    """Yield a row for each way. Those that take long to start are tried in fp16 only."""
    expected = network(lr).float()
    real = lr.device.type == "cuda"
    ways: dict[str, Callable[[], Network]] = {
        "eager": lambda: network,
        "weights cast before": lambda: _cast_weights(network, dtype),
    }
    if real:
        ways["channels first"] = lambda: _take_contiguous(network)
        ways["CUDA graph"] = lambda: _capture_graph(network, lr)
    if not real:
        ways["torch.compile"] = lambda: torch.compile(network, backend="eager")
    elif dtype == torch.float16 and lr.shape[3] > 1000:
        ways["torch.compile, dynamic"] = lambda: torch.compile(network, dynamic=True)
        reduced = partial(torch.compile, network, mode="reduce-overhead")
        ways["torch.compile, reduce-overhead"] = reduced
        ways["TensorRT"] = lambda: _compile_tensorrt(network, lr)
    for way, make in ways.items():
        try:
            started = time.perf_counter()
            run = make()
            sr = run(lr).float()
            _synchronize(lr.device)
            first = time.perf_counter() - started
            difference = float((sr - expected).abs().max())
            seconds = _time_calls(partial(run, lr), lr.device)
        except Exception as error:  # noqa: BLE001  # of a way that fails; the others are tried
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            yield [way, "-", "-", "-", reason[:200]]
            continue
        rate = f"{1 / seconds:.1f}"
        yield [way, f"{first:.2f}", f"{1000 * seconds:.2f}", rate, f"{difference:.1e}"]


def _take_contiguous(network: nn.Module) -> Network:
    run: Network = deepcopy(network).to(memory_format=torch.contiguous_format)
    return lambda lr: run(lr.contiguous())


def _cast_weights(network: nn.Module, dtype: torch.dtype) -> Network:
    """Return a copy of whose weights autocast has none to cast."""
    cast = deepcopy(network)
    for layer in cast.modules():
        if isinstance(layer, nn.Conv2d):
            layer.to(dtype)
    return cast


def _capture_graph(network: nn.Module, lr: Tensor) -> Network:
    given, stream = lr.clone(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            network(given)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Casts that autocast has cached would be of memory outside of the graph.
    torch.clear_autocast_cache()
    with torch.cuda.graph(graph):
        sr: Tensor = network(given)

    def run(lr: Tensor) -> Tensor:
        given.copy_(lr)
        graph.replay()
        return sr

    return run


def _compile_tensorrt(network: nn.Module, lr: Tensor) -> Network:
    torch_tensorrt: Any = importlib.import_module("torch_tensorrt")
    half = deepcopy(network).half()
    program: Network = torch_tensorrt.compile(half, ir="dynamo", inputs=[lr.half()])
    return lambda lr: program(lr.half())


def _time_calls(run: Callable[[], object], device: torch.device) -> float:
    """Return the median seconds of a call."""
    taken = []
    for _ in range(3 + (NUM_CALLS if device.type == "cuda" else 1)):
        _synchronize(device)
        started = time.perf_counter()
        run()
        _synchronize(device)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[3:])


def compare_processes(device: torch.device) -> None:
    """Train the same steps by one process, and by two that share the device through gloo."""
    print_row("processes", "ms per step", "max difference of weights")
    print_row("---", "---", "---")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = []
        for count in (1, 2):
            results = folder / f"{count}.pt"
            given = (count, folder / f"store{count}", results, device)
            spawn(_train_process, given, count)
            seconds, trained = torch.load(results)
            weights.append(trained)
            difference = max(
                float((one - two).abs().max()) for one, two in zip(weights[0], trained, strict=True)
            )
            print_row(count, f"{1000 * seconds:.1f}", f"{difference:.1e}")
            if difference > 1e-3:
                raise SystemExit("the weights differ")


def _train_process(rank: int, count: int, store: Path, results: Path, device: torch.device) -> None:
    if device.type == "cpu":
        torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=store.as_uri(),
        rank=rank,
        world_size=count,
        timeout=timedelta(seconds=20),
    )
    torch.manual_seed(0)
    real = device.type == "cuda"
    width, size, batch = (64, 32, 16) if real else (4, 8, 2)
    network = DistributedDataParallel(Compact(4, width, 16 if real else 1).to(device))
    optimizer = torch.optim.SGD(network.parameters(), 1e-3)
    taken = []
    for step in range(NUM_STEPS):
        generator = torch.Generator().manual_seed(step)
        lr = torch.rand(batch, 3, size, size, generator=generator)[rank::count].to(device)
        hr = torch.rand(batch, 3, 4 * size, 4 * size, generator=generator)[rank::count].to(device)
        _synchronize(device)
        started = time.perf_counter()
        optimizer.zero_grad()
        (network(lr) - hr).abs().mean().backward()
        optimizer.step()
        _synchronize(device)
        taken.append(time.perf_counter() - started)
    if rank == 0:
        weights = [weight.detach().cpu() for weight in network.parameters()]
        torch.save((statistics.median(taken), weights), results)
    distributed.barrier()
    distributed.destroy_process_group()


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def print_row(*cells: object) -> None:
    """Print one row of a Markdown table, at once."""
    sys.stdout.write("| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
