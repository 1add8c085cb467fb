"""A generator run by torch, onnxruntime, OpenVINO or ncnn; all give the same image."""

from dataclasses import replace

import torch
from torch import nn

from sr.device import DeviceError, name_device, name_precision
from sr.errors import ModelFileError
from sr.models.composite import use_parts
from sr.models.loaded_model import LoadedGenerator, measure_difference
from sr.models.ncnn_convert import choose_padding, load_converted
from sr.models.ncnn_file import read_pair
from sr.models.ncnn_network import NcnnNetwork, NcnnPair, Pad
from sr.models.onnx_model import OnnxNetwork, export_onnx, require_onnx
from sr.models.openvino_network import (
    OpenVinoDeviceNetwork,
    OpenVinoNetwork,
    holds_type,
    read_program,
    trace_network,
)
from sr.networks.composite import Resampler
from sr.openvino_devices import list_openvino_devices
from sr.vulkan import import_ncnn

BACKENDS = ("torch", "onnxruntime", "openvino", "ncnn")
_ONLY_BACKENDS = {"vulkan": "ncnn", "xpu": "openvino"}  # of devices where torch has no tensors
# Of the [0, 1] range.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 5e-2}
# For files with float16 or 8-bit integers inside, which each runtime rounds elsewhere.
FLOAT16_TOLERANCE = 2e-2
INT8_TOLERANCE = 0.1  # seen: 0.015; of a program that swaps colors: 0.3, of a factor of 0.9: 0.18


def use_backend(
    generator: LoadedGenerator, backend: str, *, device: torch.device, precision: torch.dtype
) -> LoadedGenerator:
    """Return the generator run by `backend`, one of `BACKENDS`; all but the network is kept.

    Of what is put together of several, each is run by it. What has no weights stays as it is.

    The others than torch run on the CPU, ncnn also on Vulkan devices, openvino on those of its own
    (`xpu`), and their result is compared with the network's on two images first: at most 1e-4 of
    the [0, 1] range apart in fp32, 5e-2 in OpenVINO's bf16 (seen: 1.6e-2, torch's own bf16: 2e-2),
    in fp16 by ncnn (seen: 1e-2) and by OpenVINO (never seen). Raises
    DeviceError for a backend, device or precision that cannot be had, ModelFileError for a network
    that the backend cannot run, or not rightly.
    """
    if backend not in BACKENDS:
        raise DeviceError(f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    only = _ONLY_BACKENDS.get(device.type, backend)
    if backend != only:
        raise DeviceError(
            f"backend {backend}: expected another device, got {name_device(device)}, where only"
            f" {only} runs"
        )
    if generator.parts:
        return use_parts(
            generator, lambda part: use_backend(part, backend, device=device, precision=precision)
        )
    if isinstance(generator.network, Resampler):
        return generator
    return _use_backend(generator, backend, device, precision)


def _use_backend(
    generator: LoadedGenerator, backend: str, device: torch.device, precision: torch.dtype
) -> LoadedGenerator:
    if isinstance(generator.network, NcnnNetwork) and backend != "ncnn":
        raise ModelFileError(
            f"backend {backend}: a .param file holds a program that only ncnn runs"
        )
    if backend == "torch":
        if isinstance(generator.network, OnnxNetwork):
            raise ModelFileError(
                "backend torch: an ONNX file holds a program that torch cannot run; take "
                "onnxruntime or openvino"
            )
        return generator
    if generator.takes_clips:
        raise ModelFileError(
            f"backend {backend}: {generator.architecture} takes several frames and their flow, "
            "which only torch runs here"
        )
    if backend == "ncnn":
        return _use_ncnn(generator, device, precision)
    if device.type not in ("cpu", "xpu"):
        raise DeviceError(
            f"backend {backend}: runs on the CPU only, got device {name_device(device)}"
        )
    if backend == "onnxruntime":
        return _use_onnxruntime(generator, precision)
    return _use_openvino(generator, device, precision)


def holds_ncnn_program(generator: LoadedGenerator) -> bool:
    """Return whether it is a program that only ncnn runs, or one of its parts is."""
    if generator.parts:
        return any(map(holds_ncnn_program, generator.parts))
    return isinstance(generator.network, NcnnNetwork)


def _use_onnxruntime(generator: LoadedGenerator, precision: torch.dtype) -> LoadedGenerator:
    if precision != torch.float32:
        raise DeviceError(
            f"backend onnxruntime: expected precision fp32, got {name_precision(precision)}"
        )
    if isinstance(generator.network, OnnxNetwork):
        return generator
    require_onnx()
    name = f"backend onnxruntime: {generator.architecture}"
    program = export_onnx(generator.network, name).SerializeToString()
    network = OnnxNetwork(program, name).eval()
    _check(network, generator, name, TOLERANCE[precision])
    return replace(generator, network=network, reduced_precisions=frozenset(), on_cpu_only=True)


def _use_openvino(
    generator: LoadedGenerator, device: torch.device, precision: torch.dtype
) -> LoadedGenerator:
    source = generator.network
    usual = torch.bfloat16 if device.type == "cpu" else torch.float16
    reduced = generator.reduced_precisions & {usual}
    if precision != torch.float32 and precision not in reduced:
        needed = f"fp32, which {generator.architecture} needs"
        allowed = f"fp32 or {name_precision(usual)}" if reduced else needed
        raise DeviceError(
            f"backend openvino: expected precision {allowed}, got {name_precision(precision)}"
        )
    name = f"backend openvino: {generator.architecture}"
    tolerance = TOLERANCE[precision]
    if isinstance(source, OnnxNetwork):
        program = read_program(source.program, name)
        if holds_type(program, "f16"):
            tolerance = max(tolerance, FLOAT16_TOLERANCE)
        if holds_type(program, "i8"):
            tolerance = INT8_TOLERANCE
    else:
        program = trace_network(source, name)
    network: nn.Module
    if device.type == "cpu":
        network = OpenVinoNetwork(program, name, precision)
    else:
        network = OpenVinoDeviceNetwork(program, name, list_openvino_devices()[device.index].name)
    # Of these, the one on the CPU has its precision by itself.
    autocast = torch.float32 if device.type == "cpu" else precision
    _check(network.eval(), generator, name, tolerance, autocast)
    return replace(generator, network=network, reduced_precisions=reduced, on_cpu_only=True)


def _use_ncnn(
    generator: LoadedGenerator, device: torch.device, precision: torch.dtype
) -> LoadedGenerator:
    if device.type not in ("cpu", "vulkan"):
        raise DeviceError(f"backend ncnn: runs on vulkan or cpu, got device {name_device(device)}")
    reduced = generator.reduced_precisions & {torch.float16} if device.type == "vulkan" else set()
    if precision != torch.float32 and precision not in reduced:
        allowed = "fp32 or fp16" if reduced else "fp32"
        raise DeviceError(
            f"backend ncnn: expected precision {allowed} on {device}, got "
            f"{name_precision(precision)}"
        )
    import_ncnn()
    source = generator.network
    name = f"backend ncnn: {generator.architecture}"
    number = device.index if device.type == "vulkan" else None
    if isinstance(source, OnnxNetwork):
        raise ModelFileError(
            f"{name}: an ONNX file holds a program that ncnn cannot run; take the file that it was"
            " made from"
        )
    if isinstance(source, NcnnNetwork) and number is None:
        return generator

    def load(pair: NcnnPair, pad: Pad | None) -> NcnnNetwork:
        network = NcnnNetwork(pair, name, device=number, pad=pad).eval()
        _check(network, generator, name, TOLERANCE[precision], precision)
        return network

    if isinstance(source, NcnnNetwork):
        network = load(source.pair, source.pad)
    else:
        pad = choose_padding(generator)
        network = load_converted(
            generator, name, lambda param: load(read_pair(param, converted_from=name), pad)
        )
    return replace(generator, network=network, reduced_precisions=frozenset(reduced))


def _check(
    network: nn.Module,
    generator: LoadedGenerator,
    name: str,
    tolerance: float,
    precision: torch.dtype = torch.float32,
) -> None:
    """Raise ModelFileError where the network computes something else than the generator's."""
    difference = measure_difference(network, generator.network, name, precision)
    if not difference <= tolerance:  # also where it is not a number
        raise ModelFileError(
            f"{name}: its result differs by {difference:g} from torch's (allowed: {tolerance:g}); "
            "take another backend"
        )
