"""A model file in one format -> the same model in another."""

import os
from pathlib import Path

import torch

from sr.io.model_file import ModelFileError, write_model_file
from sr.models.load import load_generator
from sr.models.loaded import LoadedGenerator
from sr.models.onnx_file import write_onnx

FORMATS = {
    ".safetensors": "weights with metadata, for infer.py and train.py",
    ".pth": "weights under `params_ema`, for BasicSR, spandrel, chaiNNer and ncnn's converters",
    ".onnx": "a program with free batch, height and width, for ONNX runtimes",
}


def convert(source: Path, target: Path, *, half: bool = False) -> str:
    """Write `source` in the format that the suffix of `target` names. Returns what was written.

    half: weights in float16. Raises ModelFileError for a file that is no model, a format that is
    not known and a network that cannot be had in it; nothing is written then.
    """
    if target.suffix not in FORMATS:
        known = "; ".join(f"{suffix}: {meaning}" for suffix, meaning in FORMATS.items())
        raise ModelFileError(f"{target}: expected a name with one of these endings. {known}")
    generator = load_generator(source)
    if target.suffix == ".onnx" != source.suffix.lower():
        difference = write_onnx(target, generator, half=half)
        return f"{target}: onnxruntime's result differs from torch's by {difference:.1e} at most"
    if source.suffix.lower() == ".onnx":
        raise ModelFileError(f"{source}: a program; weights cannot be taken out of it again")
    if "generator" not in generator.metadata:
        raise ModelFileError(
            f"{source}: {generator.architecture} ({generator.origin}) has no counterpart here; "
            "it can be converted to .onnx only"
        )
    if target.suffix == ".pth":
        _write_pth(target, generator, half)
    else:
        _write_safetensors(target, generator, half)
    return f"{target}: {generator.architecture} x{generator.scale}"


def _write_safetensors(target: Path, generator: LoadedGenerator, half: bool) -> None:
    metadata = {**generator.metadata, "receptive_radius": generator.receptive_radius}
    write_model_file(target, _weights(generator, half), metadata)


def _write_pth(target: Path, generator: LoadedGenerator, half: bool) -> None:
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        torch.save({"params_ema": _weights(generator, half)}, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _weights(generator: LoadedGenerator, half: bool) -> dict[str, torch.Tensor]:
    dtype = torch.float16 if half else torch.float32
    return {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in generator.network.state_dict().items()
    }
