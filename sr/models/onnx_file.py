"""ONNX files: written from a generator and checked against it, and run through onnxruntime.

Needs the extra `onnx`. Opset 20; one input `lr` and one output `sr`, (N, 3, H, W), RGB in [0, 1],
float32 also where the weights inside are float16; batch, height and width are free.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sr.io.model_file import ModelFileError
from sr.models.loaded import LoadedGenerator

OPSET = 20
CHECKED_SIZE = (2, 3, 37, 26)  # another batch and size than those of the export
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2}  # of the [0, 1] range
DEFAULT_RADIUS = 32  # LR pixels, where a file does not tell


class OnnxNetwork(nn.Module):
    """A session of onnxruntime on the CPU behind the shapes of a network."""

    def __init__(self, path: Path, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self._session = _session(path)
        (self._input,) = self._session.get_inputs()

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (N, 3, H, W), RGB in [0, 1]. Returns (N, 3, scale*H, scale*W), not clamped."""
        dtype = np.float16 if "float16" in self._input.type else np.float32
        (sr,) = self._session.run(None, {self._input.name: lr.cpu().numpy().astype(dtype)})
        return torch.from_numpy(sr).to(lr.device, torch.float32)


class _Halved(nn.Module):
    """A network in float16 between float32 ends."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.network(lr.half())
        return sr.float()


def write_onnx(path: Path, generator: LoadedGenerator, *, half: bool) -> float:
    """Export a generator; the file appears only if onnxruntime computes what torch does.

    Returns the largest difference on a random picture, in units of the [0, 1] range. Raises
    ModelFileError where the network cannot be exported or the file computes something else.
    """
    _need_extra()
    import onnx

    network = generator.network
    lr = torch.rand(CHECKED_SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(lr)
    dtype = torch.float16 if half else torch.float32
    program = _exported(path, _Halved(network) if half else network)
    metadata = {**generator.metadata, "scale": generator.scale}
    metadata["receptive_radius"] = generator.receptive_radius
    onnx.helper.set_model_props(program, {"sr": json.dumps(metadata)})
    temporary = path.with_name(f".{path.name}.tmp.onnx")
    try:
        onnx.save(program, temporary)
        difference = float((OnnxNetwork(temporary, generator.scale)(lr) - expected).abs().max())
        if not difference <= TOLERANCE[dtype]:
            raise ModelFileError(
                f"{path}: onnxruntime's result differs from torch's by {difference:g} "
                f"(allowed: {TOLERANCE[dtype]:g}); nothing was written"
            )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def read_onnx(path: Path) -> LoadedGenerator:
    """The generator in an ONNX file. Raises ModelFileError for what is not one."""
    _need_extra()
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    session = _session(path)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shapes = [list(tensor.shape) for tensor in (*inputs, *outputs)]
    if len(shapes) != 2 or any(len(shape) != 4 or shape[1] != 3 for shape in shapes):
        raise ModelFileError(
            f"{path}: expected one input and one output (N, 3, H, W); got {shapes}"
        )
    if any(isinstance(side, int) for side in shapes[0][2:]):
        raise ModelFileError(
            f"{path}: expected free height and width; got the fixed size {shapes[0]}"
        )
    metadata = _metadata_of(session)
    return LoadedGenerator(
        OnnxNetwork(path, _scale_of(path, session)).eval(),
        _scale_of(path, session),
        int(metadata.get("receptive_radius", DEFAULT_RADIUS)),
        architecture=str(metadata.get("generator", {}).get("type", "unnamed")),
        origin="ONNX",
        metadata=metadata,
        reduced_precisions=frozenset(),  # the file has one of its own
    )


def _need_extra() -> None:
    try:
        import onnx  # noqa: F401, only looked for
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ModelFileError(
            f"ONNX files need the extra `onnx` ({error.name} is missing): pip install '.[onnx]'"
        ) from None


def _exported(path: Path, network: nn.Module) -> Any:
    """The ONNX model of a network, checked by onnx."""
    import onnx

    dim = torch.export.Dim
    free = {0: dim("batch"), 2: dim("height"), 3: dim("width")}
    try:
        program = torch.onnx.export(
            network.eval(),
            (torch.rand(1, 3, 24, 32),),
            input_names=["lr"],
            output_names=["sr"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=(free,),
            verbose=False,
        )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelFileError(f"{path}: this network cannot be exported: {reason}") from error
    assert program is not None
    onnx.checker.check_model(program.model_proto)
    return program.model_proto


def _session(path: Path) -> Any:
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf

    try:
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except (Fail, InvalidGraph, InvalidProtobuf) as error:
        raise ModelFileError(f"{path}: not an ONNX file that onnxruntime runs ({error})") from None


def _metadata_of(session: Any) -> dict[str, Any]:
    read = json.loads(session.get_modelmeta().custom_metadata_map.get("sr", "{}"))
    return read if isinstance(read, dict) else {}


def _scale_of(path: Path, session: Any) -> int:
    """Measured, since few files tell."""
    (given,) = session.get_inputs()
    dtype = np.float16 if "float16" in given.type else np.float32
    side = 32
    (sr,) = session.run(None, {given.name: np.full((1, 3, side, side), 0.5, dtype)})
    scale, rest = divmod(int(sr.shape[2]), side)
    if rest or scale < 1 or sr.shape[2:] != (scale * side,) * 2:
        raise ModelFileError(f"{path}: {side}x{side} pixels became {sr.shape[3]}x{sr.shape[2]}")
    return scale
