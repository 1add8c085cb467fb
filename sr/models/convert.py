"""A model file in one format -> the same model in another."""

from pathlib import Path

import torch

from sr.io.model_file import ModelFileError, write_model_file
from sr.io.whole_file import whole_file
from sr.models.load import load_generator
from sr.models.loaded import LoadedGenerator
from sr.models.onnx_file import write_onnx
from sr.models.published import recognise

FORMATS = {
    ".safetensors": "weights with metadata, for infer.py and train.py",
    ".pth": "weights under `params_ema`, for programs that know the network",
    ".onnx": "a program with free batch, height and width, for ONNX runtimes",
}


def convert(source: Path, target: Path, *, half: bool = False) -> str:
    """Write `source` in the format that the suffix of `target` names. Returns what was written.

    half: weights in float16. Raises ModelFileError for a file that is no model, a format that is
    not known and a network that cannot be had in it; nothing is written then.
    """
    suffix = target.suffix.lower()
    if suffix not in FORMATS:
        known = "; ".join(f"{suffix}: {meaning}" for suffix, meaning in FORMATS.items())
        raise ModelFileError(f"{target}: expected a name with one of these endings. {known}")
    if source.suffix.lower() == ".onnx":
        raise ModelFileError(f"{source}: an ONNX program, which cannot be converted further")
    generator = load_generator(source)
    if suffix == ".onnx":
        difference = write_onnx(target, generator, half=half)
        return f"{target}: onnxruntime's result differs from torch's by {difference:.1e} at most"
    if "generator" not in generator.metadata:
        raise ModelFileError(
            f"{source}: {generator.architecture} ({generator.origin}) has no counterpart here; "
            "it can be converted to .onnx only"
        )
    if suffix == ".pth":
        _write_pth(target, generator, half)
    else:
        _write_safetensors(target, generator, half)
    return f"{target}: {generator.architecture} x{generator.scale}"


def _write_safetensors(target: Path, generator: LoadedGenerator, half: bool) -> None:
    metadata = {**generator.metadata, "receptive_radius": generator.receptive_radius}
    write_model_file(target, _weights(target, generator, half), metadata)


def _write_pth(target: Path, generator: LoadedGenerator, half: bool) -> None:
    weights = _weights(target, generator, half)
    theirs = generator.metadata["generator"]
    found = recognise(weights)
    options = None if found is None else found.options.model_dump(mode="json")
    if theirs["type"] != "BasicSR" and theirs != options:  # BasicSR's option files tell the network
        raise ModelFileError(
            f"{target}: a .pth holds weights only, and from these nobody could tell that they are "
            f"of {theirs}; take .safetensors or .onnx"
        )
    with whole_file(target) as temporary:
        torch.save({"params_ema": weights}, temporary)


def _weights(target: Path, generator: LoadedGenerator, half: bool) -> dict[str, torch.Tensor]:
    """Raises ModelFileError where float16 has no room for a weight."""
    dtype = torch.float16 if half else torch.float32
    weights = {}
    for name, tensor in generator.network.state_dict().items():
        weights[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
        if tensor.isfinite().all() and not weights[name].isfinite().all():
            raise ModelFileError(f"{target}: {name} has values too large for float16")
    return weights
