"""A model file -> upscalers, one per device."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sr.build import build_flow
from sr.device import (
    DeviceError,
    choose_shared_device,
    choose_tensor_device,
    find_vulkan_gpu,
    resolve_device,
    resolve_precision,
)
from sr.errors import ModelFileError, UsageError
from sr.inference.choose_tiles import TileMemory, choose_halo, choose_tiles
from sr.inference.events import Emit
from sr.inference.load_models import load_models
from sr.inference.named_files import ModelFiles
from sr.inference.options import RuntimeOptions
from sr.losses.lpips import LPIPS
from sr.models.backends import BACKENDS, holds_ncnn_program, use_backend
from sr.models.clip_metadata import parse_flow
from sr.models.loaded_model import LoadedGenerator
from sr.tiling.self_ensemble import SelfEnsemble
from sr.tiling.upscaler import Upscaler

if TYPE_CHECKING:
    from sr.motion.methods import FlowMethod


def load_upscalers(
    models: ModelFiles | Path,
    emit: Emit,
    runtime: RuntimeOptions | None = None,
    *,
    flow: str = "auto",
) -> list[Upscaler]:
    """Load model files of any origin for each device.

    flow: as `VideoOptions.flow`. Raises ModelFileError for a file that is no model and a backend
    that cannot run it, DeviceError for a device or precision that cannot be had, and UsageError for
    a flow that cannot.
    """
    runtime = runtime or RuntimeOptions()
    devices = [resolve_device(name) for name in runtime.devices]
    files = ModelFiles((models,)) if isinstance(models, Path) else models
    generators = [load_models(files) for _ in devices]
    return make_upscalers(generators, devices, emit, runtime, name=files.name, flow=flow)


def load_lpips(weights: str | None, device: torch.device) -> LPIPS | None:
    """Load LPIPS with weights as `InferOptions.lpips` names them, else raise UsageError."""
    if weights is None:
        return None
    try:
        lpips = LPIPS("AlexNet", "torchvision" if weights == "torchvision" else Path(weights))
        return lpips.to(choose_shared_device(device))
    except ModelFileError as error:
        raise UsageError(f"--lpips: {error}") from None


def make_upscalers(
    generators: Sequence[LoadedGenerator],
    devices: Sequence[torch.device],
    emit: Emit,
    runtime: RuntimeOptions,
    *,
    name: str,
    flow: str = "auto",
) -> list[Upscaler]:
    """Make the upscalers of one model's generators, one per device: the slow part of loading.

    name: of the model, in messages. Raises as `load_upscalers`.
    """

    def warn(message: str) -> None:
        emit("warning", message=message)

    def keep_quiet(_: str) -> None:
        """The first device's warnings hold for all."""

    return [
        _make_upscaler(
            generator,
            device,
            runtime,
            flow=_build_flow(name, generator, flow, device),
            name=name,
            num_sharing=devices.count(device),
            warn_once=keep_quiet if number else warn,
            on_warning=warn,
        )
        for number, (generator, device) in enumerate(zip(generators, devices, strict=True))
    ]


def _make_upscaler(
    generator: LoadedGenerator,
    device: torch.device,
    runtime: RuntimeOptions,
    *,
    flow: "FlowMethod | None",
    name: str,
    num_sharing: int,
    warn_once: Callable[[str], None],
    on_warning: Callable[[str], None],
) -> Upscaler:
    """Make the upscaler of one device. num_sharing: upscalers that share the device's memory."""
    backend, device = _choose_backend(generator, device, runtime, name, warn_once)
    takes_fp32 = backend == "onnxruntime" or (backend == "ncnn" and device.type == "cpu")
    precision = "fp32" if runtime.precision == "auto" and takes_fp32 else runtime.precision
    dtype = choose_precision(generator, device, precision)
    try:
        generator = use_backend(generator, backend, device=device, precision=dtype)
    except ModelFileError as error:
        if device == choose_tensor_device(device) or precision != "auto" or dtype == torch.float32:
            raise
        dtype = torch.float32
        generator = use_backend(generator, backend, device=device, precision=dtype)
        warn_once(f"{error}; taken in fp32")
    network, multiple = generator.network, generator.size_multiple
    if runtime.tta:
        num_flows = 0 if generator.window is None else len(generator.window.offsets)
        network = SelfEnsemble(network, multiple, num_flows)
    halo = choose_halo(generator, runtime, warn_once)
    memory = TileMemory(halo, device, dtype, num_sharing)
    tile_size, batch_size = choose_tiles(generator, network, memory, runtime.tile_size)
    if tile_size and generator.tiling != "exact":
        warn_once(
            f"{generator.architecture} may look farther than a tile and its halo, so tiles may "
            "not match; -t 0 takes the whole image at once"
        )
    return Upscaler(
        network,
        scale=generator.scale,
        halo=halo,
        tile_size=tile_size,
        device=choose_tensor_device(device),
        network_device=device,
        dtype=dtype,
        multiple=multiple,
        batch_size=batch_size,
        compiled=runtime.compile,
        window=generator.window,
        flow=flow,
        on_warning=on_warning,
    )


def _choose_backend(
    generator: LoadedGenerator,
    device: torch.device,
    runtime: RuntimeOptions,
    name: str,
    warn: Callable[[str], None],
) -> tuple[str, torch.device]:
    """Return which back end runs the network, and where."""
    backend, is_program = runtime.backend, holds_ncnn_program(generator)
    if backend == "auto" and (is_program or device.type == "vulkan"):
        backend = "ncnn"
    if backend == "auto" and device.type == "xpu":
        backend = "openvino"
    if backend == "auto":
        backend = "onnxruntime" if generator.on_cpu_only else "torch"
    if backend == "ncnn":
        if runtime.compile:
            raise UsageError("--compile: expected backend torch, got ncnn")
        if runtime.devices == ("auto",):
            device = find_vulkan_gpu() or torch.device("cpu")
        if device.type == "cpu" and not is_program:
            warn("backend ncnn is slower than torch on the CPU; it is made for --device vulkan")
    elif backend in BACKENDS[1:] and choose_tensor_device(device).type != "cpu":
        warn(f"{name} is run on the CPU, where {backend} is; not on {device}")
        device = torch.device("cpu")
    return backend, device


def _build_flow(
    name: str, generator: LoadedGenerator, flow: str, device: torch.device
) -> "FlowMethod | None":
    """Build what measures the flow. Raises UsageError where that cannot be had."""
    if generator.flow is None:
        if flow != "auto":
            raise UsageError(
                f"--flow {flow}: expected no flow for {name}, which looks at each frame alone"
            )
        return None
    try:
        return build_flow(generator.flow if flow == "auto" else parse_flow(flow), device)
    except ValueError as error:
        raise UsageError(
            f"--flow {flow}: {error}; another method: --flow dis, farneback, raft or a file"
        ) from None


def choose_precision(
    generator: LoadedGenerator, device: torch.device, precision: str
) -> torch.dtype:
    """Return the type for the name of a precision; of `auto`, one that the network can take."""
    dtype = resolve_precision(precision, device, prefer_fp16=True)  # of which the runner takes care
    if precision == "auto" and dtype not in generator.reduced_precisions:
        dtype = resolve_precision(precision, device)
    if dtype == torch.float32 or dtype in generator.reduced_precisions:
        return dtype
    if precision != "auto":
        raise DeviceError(f"precision: expected fp32 for {generator.architecture}, got {precision}")
    return torch.float32
