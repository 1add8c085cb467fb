"""A model file of any origin -> a generator.

Looked at in this order: what train.py wrote; the published weights of networks that are here; the
weights of those that spandrel knows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, NonNegativeInt, ValidationError
from torch import Tensor, nn

from sr.build import build_generator, find_receptive_radius
from sr.errors import ModelFileError
from sr.io.model_file import ModelFile, is_model_file, read_model_file
from sr.io.weights_file import read_weights
from sr.models.clip_metadata import read_window
from sr.models.detect_published import RECOGNIZED, detect_published, make_published_clips
from sr.models.limit_building import limit_building
from sr.models.loaded_model import LoadedGenerator
from sr.models.ncnn_file import is_ncnn, read_ncnn
from sr.models.onnx_model import read_onnx
from sr.networks.basicsr_network import BasicSRNetwork, MissingBasicSRError
from sr.networks.packed_window import PackedWindow
from sr.networks.rbpn import RBPN
from sr.networks.receptive_radius import MAX_RADIUS
from sr.networks.rlfn import RLFN
from sr.networks.rrdb import RRDBNet
from sr.networks.span import add_branches
from sr.networks.spandrel_network import SpandrelGenerator
from sr.options.base import describe_faults
from sr.options.generator import GeneratorOptions

MAX_NAMES = 6  # of tensors, in a message
_FAULTS_OF_BUILDING = (MemoryError, OverflowError, RuntimeError, TypeError, ValueError)
"""What sizes that no network has make constructors raise."""


class _Header(BaseModel):
    """What of a model file's metadata makes the generator; the rest is for people."""

    generator: GeneratorOptions
    scale: Literal[1, 2, 3, 4, 8]
    receptive_radius: NonNegativeInt | None = None


def load_generator(path: Path) -> LoadedGenerator:
    """Return the generator of a model file. Raises ModelFileError for a file that is not one."""
    if path.suffix.lower() == ".onnx":
        return read_onnx(path)
    if is_ncnn(path):
        return read_ncnn(path)
    if is_model_file(path):
        return _load_model_file(path)
    state_dict = read_weights_of_others(path)
    published = detect_published(state_dict)
    if published is not None:
        return _load_published(path, *published, state_dict)
    # Imported here: it takes seconds, and our own files never come here.
    from sr.models.spandrel_models import list_architectures, load_with_spandrel

    try:
        loaded = load_with_spandrel(state_dict)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    if loaded is None:
        raise ModelFileError(_describe_unknown(path, state_dict, list_architectures()))
    return loaded


def preview_names(names: Iterable[str]) -> str:
    """Return the first names of tensors, for a message."""
    shown = list(names)
    return ", ".join(shown[:MAX_NAMES]) + (", ..." if len(shown) > MAX_NAMES else "")


def read_weights_of_others(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file of others, in the form that our networks take."""
    state_dict = read_weights(path)
    refuse_quantized(path, state_dict)
    return add_branches(state_dict)


def refuse_quantized(path: Path, state_dict: Mapping[str, Tensor]) -> None:
    """Refuse quantized weights: they lack their factors, and would be taken as they are."""
    for name, tensor in state_dict.items():
        counts = name.rpartition(".")[2] in ("num_batches_tracked", "relative_position_index")
        if not (tensor.is_floating_point() or counts) and name.endswith((".weight", ".bias")):
            raise ModelFileError(
                f"{path}: expected weights in floating point; {name} is {tensor.dtype}"
            )


def _load_model_file(path: Path) -> LoadedGenerator:
    file = read_model_file(path)
    try:
        header = _Header.model_validate(file.metadata)
        with limit_building(file.state_dict):
            network = build_generator(header.generator, header.scale)
        network.load_state_dict(file.state_dict)
        if header.receptive_radius is None:
            radius = find_receptive_radius(header.generator, header.scale)
        else:
            radius = min(header.receptive_radius, MAX_RADIUS)
        return _make_loaded(network, header.generator.type, "train.py", radius, file.metadata)
    except MissingBasicSRError as error:
        return _load_without_basicsr(path, file, error)
    except _FAULTS_OF_BUILDING as error:  # of pydantic, the network, and the weights
        fault = describe_faults(error) if isinstance(error, ValidationError) else error
        raise ModelFileError(
            f"{path}: its metadata and weights do not make a generator: {fault}"
        ) from None


def _load_without_basicsr(
    path: Path, file: ModelFile, error: MissingBasicSRError
) -> LoadedGenerator:
    """Load a network of BasicSR by spandrel, which knows some of them."""
    from sr.models.spandrel_models import load_with_spandrel

    loaded = load_with_spandrel(file.state_dict)
    if loaded is None:
        raise ModelFileError(f"{path}: {error}") from None
    return replace(loaded, metadata=file.metadata)


def _load_published(
    path: Path, options: GeneratorOptions, scale: int, state_dict: dict[str, Tensor]
) -> LoadedGenerator:
    try:
        with limit_building(state_dict):
            network = build_generator(options, scale)
        network.load_state_dict({name: x.float() for name, x in state_dict.items()})
    except _FAULTS_OF_BUILDING as error:
        raise ModelFileError(
            f"{path}: it looks like {options.type} x{scale}, but does not fit: {error}"
        ) from None
    metadata = {
        "generator": options.model_dump(mode="json"),
        "scale": scale,
        **make_published_clips(options),
    }
    radius = find_receptive_radius(options, scale)
    return _make_loaded(network, options.type, "published weights", radius, metadata)


def _make_loaded(
    network: nn.Module, architecture: str, origin: str, radius: int, metadata: dict[str, Any]
) -> LoadedGenerator:
    """Return a loaded network with what running it needs to know.

    Raises ValueError for metadata that do not fit the network.
    """
    network.eval().requires_grad_(False)
    loaded = LoadedGenerator(
        network, int(metadata["scale"]), radius, architecture, origin, metadata
    )
    if isinstance(network, RBPN):
        window, flow = read_window(metadata, network.num_frames)
        return replace(loaded, network=PackedWindow(network), window=window, flow=flow)
    if isinstance(network, RRDBNet):
        return replace(loaded, size_multiple=network.size_multiple)
    if isinstance(network, RLFN):
        return replace(loaded, tiling="discouraged")
    if isinstance(network, BasicSRNetwork):
        return replace(
            loaded,
            architecture=f"{network.arch} of BasicSR",
            size_multiple=network.size_multiple,
            tiling="discouraged",
        )
    if isinstance(network, SpandrelGenerator):
        return replace(
            loaded,
            architecture=" ".join([network.arch, *network.tags]),
            size_multiple=network.size_multiple,
            tiling=network.tiling,
            reduced_precisions=network.reduced_precisions,
        )
    return loaded


def _describe_unknown(path: Path, state_dict: dict[str, Tensor], community: list[str]) -> str:
    return (
        f"{path}: no known network has these {len(state_dict)} weights "
        f"({preview_names(state_dict)}); known are "
        f"files of train.py, published weights of {', '.join(RECOGNIZED)}, and what spandrel "
        f"recognizes: {', '.join(community)}"
    )
