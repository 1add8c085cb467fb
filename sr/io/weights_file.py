"""Weights of any origin: files of PyTorch and safetensors -> tensors by name.

No code in a file is run: of a pickle, only tensors and plain containers are read.
"""

import pickle
import warnings
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sr.errors import ModelFileError
from sr.io.held_numbers import refuse_claims

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
MAX_MISFITS = 5  # in a message
MAX_WRAPPERS = 4  # one in the other
_WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model", "net")
"""Keys under which training programs put the weights; averaged ones first, as they are shipped."""
_PREFIXES = ("module.", "_orig_mod.", "netG.", "net_g.", "generator.")
"""What DataParallel, torch.compile and training programs put before every name."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a file, onto the CPU, without wrappers and common prefixes.

    Raises ModelFileError for a missing, broken or foreign file, and for a pickle that would run
    code.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    if path.suffix.lower() not in SUFFIXES:
        raise ModelFileError(
            f"{path}: expected a model file ({', '.join(SUFFIXES)}), got {path.suffix or path.name}"
        )
    try:
        read: Any = _read_safetensors(path) if _is_safetensors(path) else _read_pickle(path)
    except PermissionError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from None
    weights = _unwrap(read)
    tensors = {str(name): value for name, value in weights.items() if isinstance(value, Tensor)}
    if not tensors:
        keys = ", ".join(map(str, list(weights)[:8])) or "nothing"
        raise ModelFileError(f"{path}: expected tensors by name, as in a state dict, got {keys}")
    try:
        refuse_claims(tensors)
    except ValueError as error:
        raise ModelFileError(f"{path}: {error}") from None
    return _strip_prefixes(tensors)


def _is_safetensors(path: Path) -> bool:
    """Decide by name or content, since files are renamed: a length, then JSON."""
    with path.open("rb") as file:
        return path.suffix.lower() == ".safetensors" or file.read(9)[8:] == b"{"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path}: expected a safetensors file, got a broken one ({error})"
        ) from None


def _read_pickle(path: Path) -> object:
    _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of slow or sparse tensors, for programmers
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelFileError(
            f"{path}: expected weights only, got no pickle of PyTorch, one cut off, or one with "
            f"objects that could run code, which are never loaded ({_first_sentence(error)})"
        ) from None
    except Exception as error:  # noqa: BLE001, torch reports damaged files by many types
        raise ModelFileError(
            f"{path}: expected a file of PyTorch or safetensors, got one broken, cut off or "
            f"something else ({_first_sentence(error)})"
        ) from None


def _check_archive(path: Path) -> None:
    """Refuse programs, and archives whose parts are larger than the file, as torch's never are."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        # No archive, a damaged one, or (zipfile's NotImplementedError) one of a version or a
        # compression that zipfile cannot read. The reader of weights says what it is not.
        return
    if any("/code/" in part.filename for part in parts):
        raise ModelFileError(
            f"{path}: expected weights, got a TorchScript program, which would run code of its own"
        )
    unpacked, size = sum(part.file_size for part in parts), path.stat().st_size
    if unpacked > size:
        raise ModelFileError(
            f"{path}: expected a file of PyTorch, got an archive of {size:,} bytes that unpacks to "
            f"{unpacked:,}"
        )


def _first_sentence(error: Exception) -> str:
    return (str(error) or type(error).__name__).split("\n")[0].split(". ")[0]


def _unwrap(read: object) -> Mapping[str, Any]:
    """Return the innermost mapping that a training program wrapped its weights in."""
    if not isinstance(read, Mapping):
        return {}
    weights: Mapping[str, Any] = read
    for _ in range(MAX_WRAPPERS):
        # Searched first: a step or a loss next to the weights may be a tensor too.
        inner = (weights.get(key) for key in _WRAPPERS)
        wrapped = next((value for value in inner if isinstance(value, Mapping) and value), None)
        if wrapped is None:
            break
        weights = wrapped
    return weights


def _strip_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    while True:
        prefix = next((p for p in _PREFIXES if all(name.startswith(p) for name in tensors)), None)
        if prefix is None:
            return tensors
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def describe_misfits(
    read: Mapping[str, Tensor], needed: Mapping[str, Tensor], known: Collection[str]
) -> str:
    """Return the first tensors that are missing, unknown or of another shape; "" if none is.

    known: names of all tensors of the network, of which the needed ones are some.
    """
    faults = [f"{name} is missing" for name in needed if name not in read]
    for name, tensor in read.items():
        if name not in known:
            faults.append(f"{name} is not of this network")
        elif name in needed and tensor.shape != needed[name].shape:
            wanted = tuple(needed[name].shape)
            faults.append(f"{name} has shape {tuple(tensor.shape)}, expected {wanted}")
    return "; ".join(faults[:MAX_MISFITS]) + ("; ..." if len(faults) > MAX_MISFITS else "")
