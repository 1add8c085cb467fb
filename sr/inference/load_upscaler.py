"""A model file -> upscalers, one a device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sr.build import build_flow
from sr.device import DeviceError, resolve_precision
from sr.inference.events import Emit
from sr.inference.options import UsageError
from sr.models.backends import BACKENDS, use_backend
from sr.models.clip_metadata import parse_flow
from sr.models.load import load_generator
from sr.models.loaded_model import LoadedGenerator
from sr.tiling.auto_tile_size import SHARE, auto_tile_size
from sr.tiling.frame_window import FrameWindow
from sr.tiling.self_ensemble import SelfEnsemble
from sr.tiling.upscaler import Upscaler

FILLING_SIZE = 256  # LR pixels a side of a tile that keeps a GPU busy; not measured
MAX_DEFAULT_HALO = 32  # LR pixels; very deep networks hardly look farther than this


@dataclass(frozen=True)
class Running:
    """How a network is run over images."""

    precision: str = "auto"
    """As in `resolve_precision`."""
    tile_size: int | None = None
    """LR pixels, 0 for whole images; None for what the memory holds."""
    halo: int | None = None
    """LR pixels; None for the network's receptive radius, at most MAX_DEFAULT_HALO."""
    exact: bool = False
    """The receptive radius, however large."""
    backend: str = "auto"
    """As in `sr.models.backends.BACKENDS`; auto: torch, and onnxruntime for ONNX files."""
    compiled: bool = False
    """Through torch.compile."""
    tta: bool = False
    """The mean over eight flips and transposes."""
    flow: str = "auto"
    """What measures motion, for networks that see several frames: auto for what the model's file
    tells, else as in `parse_flow`."""


def load_upscalers(
    model: Path, emit: Emit, devices: Sequence[torch.device], running: Running | None = None
) -> list[Upscaler]:
    """The upscalers of a model file of any origin, one a device.

    Raises `ModelFileError` for a file that is no model and a backend that cannot run it,
    `DeviceError` for a precision that cannot be had, and `UsageError` for a flow that cannot.
    """
    generators = [load_generator(model) for _ in devices]
    return upscalers_of(generators, model.name, emit, devices, running)


def upscalers_of(
    generators: Sequence[LoadedGenerator],
    name: str,
    emit: Emit,
    devices: Sequence[torch.device],
    running: Running | None = None,
) -> list[Upscaler]:
    """The upscalers of generators of one model, one a device: the slow part of loading.

    name: of the model, in messages. Raises as `load_upscalers`.
    """
    running = running or Running()
    return [
        _upscaler_of(generator, name, emit, device, running, devices.count(device), told=number > 0)
        for number, (generator, device) in enumerate(zip(generators, devices, strict=True))
    ]


def _upscaler_of(
    generator: LoadedGenerator,
    name: str,
    emit: Emit,
    device: torch.device,
    running: Running,
    num_sharing: int,
    *,
    told: bool,
) -> Upscaler:
    """num_sharing: upscalers that share the device's memory. told: what there is to warn of."""
    window = _window_of(name, generator, running.flow, device)

    def warn(message: str) -> None:
        if not told:
            emit("warning", message=message)

    backend = running.backend
    if backend == "auto":
        backend = "onnxruntime" if generator.on_cpu_only else "torch"
    if backend in BACKENDS[1:] and device.type != "cpu":
        warn(f"{name} is run on the CPU, where {backend} is; not on {device}")
        device = torch.device("cpu")
    precision = running.precision
    if backend == "onnxruntime" and precision == "auto":
        precision = "fp32"
    dtype = _dtype_for(generator, device, precision)
    generator = use_backend(generator, backend, device=device, precision=dtype)
    network, multiple = generator.network, generator.size_multiple
    if running.tta:
        num_flows = 0 if window is None else len(window.frames.offsets)
        network = SelfEnsemble(network, multiple, num_flows)
    halo = _halo_of(generator, running, warn)
    tile_size = running.tile_size
    if tile_size is None and generator.tiling == "internal":
        tile_size = 0
    if tile_size is None:
        tile_size = auto_tile_size(
            network,
            scale=generator.scale,
            halo=halo,
            device=device,
            dtype=dtype,
            multiple=multiple,
            num_channels=generator.num_channels,
            num_patches=2,  # colors and alpha
            share=SHARE / num_sharing,
        )
    if tile_size and generator.tiling != "exact":
        warn(
            f"{generator.architecture} may look farther than a tile and its halo, so tiles may "
            "not match; -t 0 takes the whole image at once"
        )
    return Upscaler(
        network,
        scale=generator.scale,
        halo=halo,
        tile_size=tile_size,
        device=device,
        dtype=dtype,
        multiple=multiple,
        batch_size=batch_size_of(tile_size, device),
        compiled=running.compiled,
        window=window,
        on_warning=lambda message: emit("warning", message=message),
    )


def batch_size_of(tile_size: int, device: torch.device) -> int:
    """How many tiles go through the network together: small ones do not fill a GPU."""
    if device.type != "cuda" or tile_size == 0:
        return 1
    return max(FILLING_SIZE // tile_size, 1) ** 2


def _window_of(
    name: str, generator: LoadedGenerator, flow: str, device: torch.device
) -> FrameWindow | None:
    """flow: as in `Running`. Raises UsageError where it, or the model's own, cannot be had."""
    window = generator.window
    if window is None or generator.flow is None:
        if flow != "auto":
            raise UsageError(f"--flow {flow}: {name} looks at each frame alone; expected no flow")
        return None
    try:
        options = generator.flow if flow == "auto" else parse_flow(flow)
        return FrameWindow(window, build_flow(options, device))
    except ValueError as error:
        raise UsageError(
            f"--flow {flow}: {error}; another method: --flow dis, farneback, raft or a file"
        ) from None


def _dtype_for(generator: LoadedGenerator, device: torch.device, precision: str) -> torch.dtype:
    dtype = resolve_precision(precision, device)
    if dtype == torch.float32 or dtype in generator.reduced_precisions:
        return dtype
    if precision != "auto":
        raise DeviceError(f"precision {precision}: {generator.architecture} needs fp32")
    return torch.float32


def _halo_of(generator: LoadedGenerator, running: Running, warn: Callable[[str], None]) -> int:
    radius = generator.receptive_radius
    usual = radius if running.exact else min(radius, MAX_DEFAULT_HALO)
    if running.halo is None:
        return usual
    if running.halo < usual:
        warn(f"--halo {running.halo}: the network sees {radius} px far, so tiles may show seams")
    return running.halo
