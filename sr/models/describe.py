"""What a model file holds, in words and numbers."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sr.models.composite import chain_generators, is_radius_known
from sr.models.find_model import find_source
from sr.models.load import load_generator
from sr.models.loaded_model import LoadedGenerator
from sr.models.ncnn_network import NcnnNetwork
from sr.models.remote_file import RemoteFile
from sr.networks.fuse_layers import fuse_layers

PROBED_SIDE = 64  # LR pixels


def describe_model(path: Path) -> dict[str, str]:
    """Return label -> what is known, for people.

    Raises ModelFileError for a file that is no model.
    """
    return {"file": str(path), **_describe_generator(load_generator(path), find_source(path))}


def describe_chain(paths: Sequence[Path]) -> dict[str, str]:
    """Return label -> what is known of models that run one after the other.

    Raises ModelFileError for a file that is no model, and models that make no chain.
    """
    chain = chain_generators([load_generator(path) for path in paths])
    return {"chain": ", then ".join(path.name for path in paths), **_describe_generator(chain)}


def _describe_generator(
    generator: LoadedGenerator, source: RemoteFile | None = None
) -> dict[str, str]:
    metadata = generator.metadata
    unstated = "" if generator.parts else "not stated"  # parts have their own
    license_name = metadata.get("licence") or (source.license if source else "")
    facts = {
        "network": f"{generator.architecture} ({generator.origin})",
        "options": _join_options(metadata.get("generator")),
        "frames": _describe_frames(generator),
        "scale": str(generator.scale),
        "parameters": _count_parameters(generator.network),
        "receptive radius": _describe_radius(generator),
        "cost": _describe_work(generator),
        "precisions": _list_precisions(generator),
        "quantized": _describe_integers(metadata.get("int8")),
        "tiles": generator.tiling,
        "step": _describe_step(metadata.get("step"), metadata.get("ema")),
        "training data": str(metadata.get("training_data") or unstated),
        "license": str(license_name or unstated),
        "author": source.author if source else "",
        "downloaded from": source.urls[0] if source else "",
        "teacher": _describe_teacher(metadata.get("teacher")),
    }
    return {label: text for label, text in facts.items() if text}


def measure_mflop_per_pixel(
    network: nn.Module, side: int = PROBED_SIDE, num_channels: int = 3
) -> float:
    """Count floating-point operations, two per multiply-add, in millions per LR pixel.

    As torch counts them over an image of side x side pixels: convolutions and matrix products.
    """
    fused = fuse_layers(network)
    lr = torch.rand(1, num_channels, side, side)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        fused(lr)
    return float(counter.get_total_flops()) / side**2 / 1e6


def count_computing_weights(network: nn.Module) -> int:
    """Count the weights that take part in a pass: of branches that fuse, the one convolution's.

    0 for a program in onnxruntime, which torch cannot look into.
    """
    return sum(parameter.numel() for parameter in fuse_layers(network).parameters())


def _describe_integers(about: object) -> str:
    """Empty for networks that compute in floating point."""
    if not isinstance(about, dict):
        return ""
    return f"8-bit integers, {about.get('psnr_to_fp32')} dB from the network in float32"


def _describe_frames(generator: LoadedGenerator) -> str:
    """Empty for networks that see one image."""
    window, flow = generator.window, generator.flow
    if window is None or flow is None:
        return ""
    offsets = ", ".join(f"{offset:+d}" for offset in window.offsets)
    return (
        f"{1 + len(window.offsets)}: the reference, {offsets}; beyond ends and cuts: "
        f"{window.edge}; alignment: {window.alignment}; flow: {flow.type}"
    )


def _describe_radius(generator: LoadedGenerator) -> str:
    more = "" if is_radius_known(generator) else " or more, or not known"
    return f"{generator.receptive_radius} LR pixels{more}"


def _count_parameters(network: nn.Module) -> str:
    """Empty for a program in onnxruntime, which torch cannot look into."""
    count = sum(parameter.numel() for parameter in network.parameters())
    if isinstance(network, NcnnNetwork) and network.pair.graph is not None:
        count = network.pair.graph.num_weights
    return f"{count:,}" if count else ""


def _describe_work(generator: LoadedGenerator) -> str:
    if next(generator.network.parameters(), None) is None:
        return ""
    work = measure_mflop_per_pixel(generator.network, num_channels=generator.num_channels)
    return f"{work:.3g} MFLOP per LR pixel"


def _list_precisions(generator: LoadedGenerator) -> str:
    reduced = sorted(str(dtype).removeprefix("torch.") for dtype in generator.reduced_precisions)
    return ", ".join(["float32", *reduced])


def _join_options(options: object) -> str:
    if not isinstance(options, dict):
        return ""
    return ", ".join(f"{name} {value}" for name, value in options.items() if name != "type")


def _describe_teacher(teacher: object) -> str:
    """Empty for models that learned from originals alone."""
    if not isinstance(teacher, dict):
        return ""
    return (
        f"{teacher.get('file')}, {teacher.get('architecture')}; license: "
        f"{teacher.get('licence') or 'not stated'}; sha256: {teacher.get('sha256')}"
    )


def _describe_step(step: object, ema: object) -> str:
    if step is None:
        return ""
    return f"{step}{', averaged weights' if ema else ''}"
