"""Measure the engine on one image in memory, in each precision and with each back end.

The image is smoothed noise, so that PSNR between two results is meaningful. Unsupported variants
have a row with the reason.
"""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from speed_rounds import Entry, LeftOut, compete, flop_of, synchronize, timed
from speed_table import Table
from torch import Tensor
from torch.nn.functional import interpolate

from sr.device import DeviceError, name_precision, resolve_precision
from sr.errors import ModelFileError, UsageError
from sr.inference.load_upscaler import load_upscalers
from sr.inference.options import RuntimeOptions
from sr.models.backends import BACKENDS
from sr.models.load import load_generator
from sr.tiling.runner import CompileError
from sr.tiling.upscaler import Upscaler

CPU = torch.device("cpu")
REASONS = (CompileError, DeviceError, ModelFileError, UsageError)
SMOOTHING = 4  # LR pixels from one value of noise to the next


def precisions_part(
    models: Sequence[Path], *, size: int, device: torch.device, num_rounds: int
) -> Table:
    """fp32, bf16, fp16. size: side of the square image, LR pixels."""
    ways = {name: RuntimeOptions(precision=name) for name in ("fp32", "bf16", "fp16")}
    title = f"The engine over {size}x{size} LR pixels in memory. PSNR: to the model's first row."
    entries = _entries(models, ways, size, device)
    return Table("precisions", title, compete(entries, device, num_rounds))


def backends_part(
    models: Sequence[Path], *, size: int, compiled: bool, device: torch.device, num_rounds: int
) -> Table:
    """torch, torch.compile (if `compiled`), onnxruntime, OpenVINO: in fp32, and in the device's
    fastest type.
    """
    ways = {}
    for precision in dict.fromkeys(("fp32", fastest(device))):
        ways[f"torch {precision}"] = RuntimeOptions(precision=precision)
        if compiled:
            ways[f"torch {precision}, compiled"] = RuntimeOptions(precision=precision, compile=True)
        for backend in BACKENDS[1:]:
            if precision == "fp32" or (backend == "openvino" and device == CPU):
                ways[f"{backend} {precision}"] = RuntimeOptions(
                    precision=precision, backend=backend
                )
    title = (
        f"The engine over {size}x{size} LR pixels in memory. start: loading, compiling and the "
        "first image. PSNR: to the model's first row."
    )
    entries = _entries(models, ways, size, device)
    return Table("backends", title, compete(entries, device, num_rounds))


def fastest(device: torch.device) -> str:
    """Return the default precision of the engine."""
    return name_precision(resolve_precision("auto", device, prefer_fp16=True))


def smooth_noise(num_channels: int, height: int, width: int) -> Tensor:
    """(1, num_channels, height, width), in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = (-(-side // SMOOTHING) for side in (height, width))
    noise = torch.rand(1, num_channels, rows, columns, generator=generator)
    return interpolate(noise, (height, width), mode="bicubic", align_corners=False).clamp_(0, 1)


def print_warning(event: str, **fields: Any) -> None:
    """Print warnings of the engine, which may explain wrong numbers."""
    if event == "warning":
        sys.stderr.write(f"warning: {fields.get('message')}\n")


def _entries(
    models: Sequence[Path], ways: dict[str, RuntimeOptions], size: int, device: torch.device
) -> list[Entry | LeftOut]:
    entries: list[Entry | LeftOut] = []
    for model in models:
        generator = load_generator(model)
        lr = smooth_noise(generator.num_channels, size, size)
        flop = flop_of(generator.network, generator.num_channels, size**2)
        expected: Tensor | None = None
        for name, runtime in ways.items():
            cells: dict[str, Any] = {"model": model.name, "way": name}
            started = time.perf_counter()
            try:
                runtime = replace(runtime, devices=(str(device),))
                (upscaler,) = load_upscalers(model, print_warning, runtime)
                sr = upscaler.upscale_whole(lr, CPU)
            except REASONS as error:
                entries.append(LeftOut(cells, str(error)))
                continue
            synchronize(device)
            cells["start s"] = time.perf_counter() - started
            cells["PSNR, dB"] = None if expected is None else _psnr(sr, expected)
            expected = sr if expected is None else expected
            cells["runs on"] = str(upscaler.device)
            entries.append(
                Entry(
                    cells,
                    timed(_image(upscaler, lr), upscaler.device),
                    upscaler.dtype,
                    flop=flop,
                    sr_pixels=sr.shape[2] * sr.shape[3],
                    group=model.name,
                )
            )
    return entries


def _image(upscaler: Upscaler, lr: Tensor) -> Callable[[], Tensor]:
    return lambda: upscaler.upscale_whole(lr, CPU)


def _psnr(sr: Tensor, expected: Tensor) -> float:
    """Infinite if equal."""
    error = float((sr - expected).double().square().mean())
    return -10 * math.log10(error) if error else math.inf
