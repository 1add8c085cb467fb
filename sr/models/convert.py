"""A model file in one format -> the same model in another, or the mean of two models.

Blending is network interpolation, Wang et al. 2018, "ESRGAN" (arXiv 1809.00219), sec. 3.4: between
a model trained for fidelity and one trained on from it against a discriminator lie models with less
of the second one's grain. Of models that were not trained from one another the mean is good for
nothing.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sr.errors import ModelFileError
from sr.io.model_file import write_model_file
from sr.io.torch_file import write_torch_file
from sr.models.detect_published import detect_published, make_published_clips
from sr.models.load import load_generator
from sr.models.loaded_model import LoadedGenerator
from sr.models.ncnn_file import is_ncnn, write_ncnn
from sr.models.onnx_model import write_onnx
from sr.models.quantize import write_int8_onnx
from sr.networks.packed_window import PackedWindow

FORMATS = {
    ".safetensors": "weights with metadata, for infer.py and train.py",
    ".pth": "weights under `params_ema`, for programs that know the network",
    ".onnx": "a program with free batch, height and width, for ONNX runtimes",
    ".param": "a program, with its weights in a .bin next to it, for ncnn (Vulkan)",
}


def convert_model(
    source: Path,
    target: Path,
    *,
    half: bool = False,
    calibration: Path | None = None,
    blend: tuple[Path, float] | None = None,
) -> str:
    """Write `source` in the format that the suffix of `target` names. Returns what was written.

    half: weights in float16. calibration: a folder of images to quantize to 8-bit integers with
    (.onnx only). blend: a model of the same network to take the mean with, and its share. Raises
    ModelFileError for a file that is no model, a format that is not known and a
    network that cannot be had in it; nothing is written then.
    """
    suffix = target.suffix.lower()
    if suffix not in FORMATS:
        known = "; ".join(f"{suffix}: {meaning}" for suffix, meaning in FORMATS.items())
        raise ModelFileError(f"{target}: expected a name with one of these endings. {known}")
    if calibration is not None and (half or suffix != ".onnx"):
        raise ModelFileError(f"{target}: expected .onnx without --fp16 for 8-bit integers")
    if source.suffix.lower() == ".onnx" or is_ncnn(source):
        kind = "ncnn" if is_ncnn(source) else "ONNX"
        raise ModelFileError(f"{source}: an {kind} program, which cannot be converted further")
    generator = load_generator(source)
    if blend is not None:
        generator = blend_models(generator, *blend)
    if suffix in (".onnx", ".param"):
        return _write_program(target, generator, half, calibration)
    if "generator" not in generator.metadata:
        raise ModelFileError(
            f"{source}: {generator.architecture} ({generator.origin}) has no counterpart here; "
            "it can be converted to .onnx and .param only"
        )
    if suffix == ".pth":
        _write_pth(target, generator, half)
    else:
        _write_safetensors(target, generator, half)
    return f"{target}: {generator.architecture} x{generator.scale}"


def blend_models(first: LoadedGenerator, other: Path, share: float) -> LoadedGenerator:
    """Return (1 - share) * first + share * other, of each weight.

    share: in (0, 1). Raises ModelFileError where `other` is no model of the same network and scale.
    """
    if not 0 < share < 1:
        raise ModelFileError(f"{other}: expected a share of the blend between 0 and 1, got {share}")
    second = load_generator(other)
    theirs, ours = second.network.state_dict(), first.network.state_dict()
    shapes = {name: tensor.shape for name, tensor in ours.items()}
    if second.scale != first.scale or shapes != {n: t.shape for n, t in theirs.items()}:
        raise ModelFileError(
            f"{other}: expected another {first.architecture} x{first.scale} with weights of the "
            f"same names and sizes, got {second.architecture} x{second.scale}"
        )
    first.network.load_state_dict(
        {
            name: tensor.lerp(theirs[name], share) if tensor.is_floating_point() else tensor
            for name, tensor in ours.items()
        }
    )
    about = {"step": second.metadata.get("step"), "share": share}
    return replace(first, metadata={**first.metadata, "blended_with": about})


def _write_program(
    target: Path, generator: LoadedGenerator, half: bool, calibration: Path | None
) -> str:
    if generator.takes_clips:
        raise ModelFileError(
            f"{target}: {generator.architecture} takes several frames and their flow; "
            f"{target.suffix} files are for networks that take one image. Take .safetensors"
        )
    if calibration is not None:
        psnr, num_crops = write_int8_onnx(target, generator, calibration)
        return (
            f"{target}: {psnr:.1f} dB from the network in float32, calibrated on {num_crops} crops"
        )
    is_onnx = target.suffix.lower() == ".onnx"
    difference = (write_onnx if is_onnx else write_ncnn)(target, generator, half=half)
    runtime = "onnxruntime" if is_onnx else "ncnn"
    return f"{target}: {runtime}'s result differs from torch's by {difference:.1e} at most"


def _write_safetensors(target: Path, generator: LoadedGenerator, half: bool) -> None:
    metadata = {**generator.metadata, "receptive_radius": generator.receptive_radius}
    write_model_file(target, _get_weights(target, generator, half), metadata)


def _write_pth(target: Path, generator: LoadedGenerator, half: bool) -> None:
    weights = _get_weights(target, generator, half)
    metadata = generator.metadata
    theirs = {key: metadata[key] for key in ("generator", "clips") if key in metadata}
    found = detect_published(weights)
    ours: dict[str, Any] = {}
    if found is not None:
        options, _ = found
        ours = {"generator": options.model_dump(mode="json"), **make_published_clips(options)}
    # BasicSR's option files name the network; spandrel recognizes its own.
    if theirs["generator"]["type"] not in ("BasicSR", "Spandrel") and theirs != ours:
        raise ModelFileError(
            f"{target}: a .pth holds weights only, from which {theirs} cannot be detected; "
            "use .safetensors"
        )
    write_torch_file(target, {"params_ema": weights})


def _get_weights(target: Path, generator: LoadedGenerator, half: bool) -> dict[str, torch.Tensor]:
    """Return the weights. Raises ModelFileError where float16 has no room for a weight."""
    dtype = torch.float16 if half else torch.float32
    weights = {}
    network = generator.network
    if isinstance(network, PackedWindow):  # which is not in the names of the weights
        network = network.network
    for name, tensor in network.state_dict().items():
        weights[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
        if tensor.isfinite().all() and not weights[name].isfinite().all():
            raise ModelFileError(f"{target}: {name} has values too large for float16")
    return weights
