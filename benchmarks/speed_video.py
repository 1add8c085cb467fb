"""Measure frames per second of models: network only, and from decoded frame to encoder input.

- network: the whole frame is on the device as float32 RGB, and the result stays there.
- ours: from 8-bit 4:2:0 planes in main memory to such planes, with the engine's tiles and
  precision; sequentially, while a video's pipeline overlaps these steps. Its ratio is relative to
  the network only.
- on CUDA, with the same conversions: plain torch (NCHW, the whole frame, fp32 with torch's default
  of TF32 in convolutions; and half precision), and TensorRT in half precision through
  torch_tensorrt and onnxruntime, if they are installed.

Multi-frame models get precomputed neighbors and flows; only the frame itself is converted. The code
for CUDA was written without a device and has not been run.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speed_engine import fastest, print_warning, smooth_noise
from speed_rounds import Entry, LeftOut, compete, flop_of, timed
from speed_table import Row, Table
from torch import Tensor

from sr.device import resolve_precision
from sr.errors import ModelFileError
from sr.inference.load_upscaler import load_upscalers
from sr.inference.options import RuntimeOptions
from sr.io.video.frame import Color, Layout, Planes
from sr.io.video.pixels.yuv import Conversion, planes_to_tensors, tensors_to_planes
from sr.models.load import load_generator
from sr.models.loaded_model import LoadedGenerator
from sr.models.onnx_model import export_onnx, require_onnx
from sr.tiling.runner import prepare_network, run_network

REAL_TIME = 25  # frames per second
LAYOUT = Layout("yuv", 8, (1, 1))
CONVERSION = Conversion(LAYOUT, Color(1, 1, 1, full_range=False), "left")
TENSORRT = "TensorrtExecutionProvider"

Enlarge = Callable[[Tensor], Tensor]
"""A frame on the device, (1, C, h, w), RGB first -> (1, 3, scale*h, scale*w), likewise."""


class NotRunnableError(Exception):
    """A variant cannot run here; the message says why."""


def video_part(
    models: Sequence[Path],
    *,
    frames: Sequence[tuple[int, int]],
    device: torch.device,
    num_rounds: int,
) -> Table:
    """frames: width and height of decoded ones."""
    entries: list[Entry | LeftOut] = []
    for model in models:
        for width, height in frames:
            entries += _entries(model, width, height, device)
    rows = compete(entries, device, num_rounds)
    for row in rows:
        _add_rate(row)
    title = (
        "network: network only. ours, and others: from 4:2:0 planes to 4:2:0 "
        f"planes, without decoder and encoder. of real time: of {REAL_TIME} frames per second. "
        "Ratios are to the network alone."
    )
    return Table("video", title, rows)


def _entries(
    model: Path, width: int, height: int, device: torch.device
) -> Iterator[Entry | LeftOut]:
    generator = load_generator(model)
    flop = flop_of(generator.network, generator.num_channels, width * height)
    scale = generator.scale
    sizes = f"{width}x{height} to {scale * width}x{scale * height}"
    lr = smooth_noise(generator.num_channels, height, width)
    planes = tensors_to_planes(CONVERSION.from_rgb(lr[:, :3]), LAYOUT)
    others = lr[:, 3:].to(device)  # neighbors and flows, or nothing
    ours = resolve_precision(fastest(device), device)
    ways: dict[str, tuple[torch.dtype, Callable[[], Callable[[], object]]]] = {
        "network": (ours, lambda: _alone(generator, lr.to(device), ours)),
        "ours": (ours, lambda: _through(_ours(model, device), planes, others, device)),
    }
    if device.type == "cuda":
        for name, (precision, make) in _others_on_cuda(model, lr, device).items():
            ways[name] = (precision, _making(make, planes, others, device))
    for name, (precision, load) in ways.items():
        cells = {"model": model.name, "frame": sizes, "way": name}
        try:
            run = load()
        except (NotRunnableError, ModelFileError) as error:
            yield LeftOut(cells, str(error))
            continue
        yield Entry(
            cells,
            timed(run, device),
            precision,
            flop=flop,
            sr_pixels=scale**2 * width * height,
            group=f"{model} {sizes}",
        )


def _making(
    make: Callable[[], Enlarge], planes: Planes, others: Tensor, device: torch.device
) -> Callable[[], Callable[[], object]]:
    return lambda: _through(make(), planes, others, device)


def _alone(generator: LoadedGenerator, lr: Tensor, precision: torch.dtype) -> Callable[[], Tensor]:
    network = prepare_network(generator.network, lr.device)
    return lambda: run_network(network, lr, precision)


def _ours(model: Path, device: torch.device) -> Enlarge:
    (upscaler,) = load_upscalers(model, print_warning, RuntimeOptions(devices=(str(device),)))
    return lambda lr: upscaler.upscale_whole(lr, device)


def _through(
    enlarge: Enlarge, planes: Planes, others: Tensor, device: torch.device
) -> Callable[[], Planes]:
    """Return a function that does all steps. others: further inputs of the network."""

    def run() -> Planes:
        with torch.inference_mode():
            lr = CONVERSION.to_rgb(planes_to_tensors(planes, device))
            sr = enlarge(torch.cat((lr, others), dim=1) if others.shape[1] else lr)
            return tensors_to_planes(CONVERSION.from_rgb(sr.float()), LAYOUT)

    return run


def _add_rate(row: Row) -> None:
    if "ms" in row:
        row["fps"] = 1000 / row["ms"]
        row["of real time"] = row["fps"] / REAL_TIME


def _others_on_cuda(
    model: Path, lr: Tensor, device: torch.device
) -> dict[str, tuple[torch.dtype, Callable[[], Enlarge]]]:
    """Return precision and loader per variant. Not run yet."""
    half, full = torch.float16, torch.float32
    return {
        "plain torch, fp32": (full, lambda: _plain(model, device, full)),
        "plain torch, half": (half, lambda: _plain(model, device, half)),
        "torch_tensorrt, half": (half, lambda: _torch_tensorrt(model, lr.to(device, half))),
        "onnxruntime TensorRT, half": (half, lambda: _onnxruntime_tensorrt(model, device)),
    }


def _plain(model: Path, device: torch.device, precision: torch.dtype) -> Enlarge:
    network = load_generator(model).network.to(device, precision)
    return lambda lr: network(lr.to(precision))


def _torch_tensorrt(model: Path, lr: Tensor) -> Enlarge:
    try:
        torch_tensorrt = importlib.import_module("torch_tensorrt")
    except ImportError as error:
        raise NotRunnableError(f"not installed: {error}") from None
    network = load_generator(model).network.to(lr.device, lr.dtype)
    try:
        program = torch_tensorrt.compile(network, ir="dynamo", inputs=[lr])
    except RuntimeError as error:
        reason = " ".join(str(error).split())  # one line of a table
        raise NotRunnableError(f"torch_tensorrt.compile: {reason}") from None

    def enlarge(frame: Tensor) -> Tensor:
        sr: Tensor = program(frame.to(lr.dtype))
        return sr

    return enlarge


def _onnxruntime_tensorrt(model: Path, device: torch.device) -> Enlarge:
    require_onnx()
    onnxruntime: Any = importlib.import_module("onnxruntime")
    if TENSORRT not in onnxruntime.get_available_providers():
        raise NotRunnableError("not installed: this onnxruntime has no TensorRT")
    generator = load_generator(model)
    if generator.window is not None:
        raise NotRunnableError("only torch runs multi-frame networks here")
    program = export_onnx(generator.network, model.name).SerializeToString()
    providers = [(TENSORRT, {"trt_fp16_enable": True, "device_id": device.index or 0})]
    session = onnxruntime.InferenceSession(program, providers=providers)

    def enlarge(frame: Tensor) -> Tensor:
        (sr,) = session.run(None, {"lr": frame.cpu().numpy()})
        return torch.from_numpy(np.asarray(sr)).to(device)

    return enlarge
