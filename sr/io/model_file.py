"""Model files: safetensors with metadata, so that a file says what it is.

The metadata is one JSON object under the key `sr` of the safetensors header:
format, generator (its options), scale, clips (of one that sees several frames), step, ema,
receptive_radius (LR pixels), training_data, licence, options (of the whole run).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sr.errors import ModelFileError
from sr.io.atomic_write import atomic_write
from sr.io.held_numbers import refuse_claims

FORMAT = "sr-model-1"
MAX_DEPTH = 50  # of metadata; what reads and writes it later is recursive


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds."""

    state_dict: dict[str, Tensor]
    metadata: dict[str, Any]


def write_model_file(
    path: Path, state_dict: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write weights and metadata; the file appears completely or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    header = json.dumps({"format": FORMAT, **metadata})
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={"sr": header}))


def read_model_file(path: Path) -> ModelFile:
    """Read a file written by `write_model_file`, onto the CPU.

    Raises ModelFileError for a missing or broken file and for one of another origin.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = (file.metadata() or {}).get("sr")
            state_dict = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path}: expected a safetensors file written by train.py, got something else ({error})"
        ) from None
    if header is None:
        raise ModelFileError(
            f"{path}: expected the metadata that train.py writes, which says what the network is,"
            " got a safetensors file without"
        )
    try:
        refuse_claims(state_dict)
        metadata = parse_metadata(header)
    except ValueError as error:
        raise ModelFileError(f"{path}: {error}") from None
    if metadata.get("format") != FORMAT:
        raise ModelFileError(f"{path}: expected format {FORMAT}, got {metadata.get('format')!r}")
    return ModelFile(state_dict, metadata)


def parse_metadata(text: str) -> dict[str, Any]:
    """Return what a model file says of itself. Raises ValueError for anything but a JSON object."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers with thousands of digits
        raise ValueError(f"expected metadata in JSON, got something else ({error})") from None
    if not isinstance(read, dict):
        raise ValueError(f"expected metadata with keys, got {type(read).__name__}")
    level: list[Any] = [read]
    for _ in range(MAX_DEPTH):
        lists = (each.values() if isinstance(each, dict) else each for each in level)
        level = [child for each in lists for child in each if isinstance(child, dict | list)]
    if level:
        raise ValueError(f"expected metadata of at most {MAX_DEPTH} levels, got more")
    return read


def is_model_file(path: Path) -> bool:
    """Return whether a file says of itself that `write_model_file` wrote it."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return "sr" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False
