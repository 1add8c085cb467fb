"""ONNX programs: exported from a network, run through onnxruntime as if they were one, and files
of them, written from a generator and checked against it.

Needs the extra `onnx`. Opset 20; one input `lr` and one output `sr`, (N, 3, H, W), RGB in [0, 1],
float32, also where the weights inside are float16; batch, height and width are free. Programs of
others may take float16.
"""

import copy
import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError
from torch import Tensor, nn

from sr.errors import ModelFileError
from sr.io.atomic_write import atomic_write
from sr.io.model_file import parse_metadata
from sr.models.loaded_model import LoadedGenerator, Tiling, measure_difference
from sr.models.quiet import silence_output
from sr.networks.fuse_layers import fuse_layers
from sr.networks.receptive_radius import MAX_RADIUS
from sr.options.base import describe_faults

OPSET = 20
PROBED_SIDE = 32  # LR pixels
MAX_MULTIPLE = 1024  # LR pixels; images are padded to it
NO_MESSAGES = 4  # severity; failures are raised anyway
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2}  # of the [0, 1] range
_TYPES: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}


class OnnxRunError(ModelFileError):
    """A program that onnxruntime cannot run on an image."""


class OnnxNetwork(nn.Module):
    """A program behind the shapes of a network; onnxruntime runs it on the CPU.

    program: a file, or the bytes of one. name: what messages call it.
    """

    def __init__(self, program: Path | bytes, name: str) -> None:
        super().__init__()
        self.program = program
        self._name = name
        self._session = _open_session(program, name)
        self._input, self._type = _check_input(name, self._session)
        self.scale = _measure_scale(name, self)

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (N, 3, H, W), RGB in [0, 1]. Returns (N, 3, scale*H, scale*W), not clamped."""
        image = lr.detach().cpu().numpy().astype(self._type)
        try:
            (sr,) = self._session.run(None, {self._input: image})
        except _runtime_errors() as error:
            if "Failed to allocate memory" in str(error):
                raise MemoryError(f"{self._name}: onnxruntime: {error}") from None
            raise OnnxRunError(
                f"{self._name}: onnxruntime cannot run it on {tuple(lr.shape)}: {error}"
            ) from None
        return torch.from_numpy(sr).to(lr.device, torch.float32)

    def read_program(self) -> bytes:
        """Return the bytes of the program."""
        return self.program.read_bytes() if isinstance(self.program, Path) else self.program

    def read_metadata(self) -> str:
        """Return what the program says of itself under the key `sr`; JSON, if it is ours."""
        return str(self._session.get_modelmeta().custom_metadata_map.get("sr", "{}"))


class _Header(BaseModel):
    """What a file of ours says under the key `sr`; others say nothing."""

    generator: dict[str, Any] = {}
    receptive_radius: NonNegativeInt | None = None
    size_multiple: Annotated[int, Field(ge=1, le=MAX_MULTIPLE)] = 1
    tiling: Tiling = "exact"


class _Halved(nn.Module):
    """A network in float16 between float32 ends."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).half()

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.network(lr.half())
        return sr.float()


def require_onnx() -> None:
    """Raise ModelFileError where the extra `onnx` is not installed."""
    try:
        import onnx  # noqa: F401, only looked for
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ModelFileError(
            f"ONNX needs the extra `onnx` ({error.name} is missing): pip install -e '.[onnx]'"
        ) from None


def export_onnx(network: nn.Module, name: str) -> Any:
    """Return the ONNX model of a network, checked by onnx.

    Raises ModelFileError where there is none.
    """
    import onnx

    dim = torch.export.Dim
    free = {0: dim("batch"), 2: dim("height"), 3: dim("width")}
    try:
        with silence_output():
            program = torch.onnx.export(
                fuse_layers(network.eval()),
                (torch.rand(2, 3, 24, 32),),  # of 2, since torch takes a batch of 1 for fixed
                input_names=["lr"],
                output_names=["sr"],
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=(free,),
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        raise ModelFileError(
            f"{name}: this network cannot be exported: {_first_cause(error)}"
        ) from None
    assert program is not None
    onnx.checker.check_model(program.model_proto)
    return program.model_proto


def write_onnx(path: Path, generator: LoadedGenerator, *, half: bool) -> float:
    """Export a generator; the file appears only if onnxruntime computes what torch does.

    Returns the largest difference on two images, in units of the [0, 1] range. Raises
    ModelFileError where the network cannot be exported or the file computes something else.
    """
    require_onnx()
    network = generator.network
    dtype = torch.float16 if half else torch.float32
    program = export_onnx(_Halved(fuse_layers(network)) if half else network, str(path))
    try:
        exported = OnnxNetwork(program.SerializeToString(), str(path))
        difference = measure_difference(exported, network, str(path))
    except OnnxRunError as error:
        raise ModelFileError(
            f"{path}: expected a program for images of any size, got one that onnxruntime runs on "
            "some only: the export fixes sizes inside of this network, as those of windows of "
            "attention. Nothing was written; infer.py runs the network as it is"
        ) from error
    if not difference <= TOLERANCE[dtype]:
        raise ModelFileError(
            f"{path}: onnxruntime's result differs from torch's by {difference:g} "
            f"(allowed: {TOLERANCE[dtype]:g}); nothing was written"
        )
    save_onnx(path, program, generator)
    return difference


def save_onnx(path: Path, program: Any, generator: LoadedGenerator, **more: object) -> None:
    """Save an ONNX model of a generator, with what the generator says of itself, and `more`."""
    import onnx

    metadata = {
        **generator.metadata,
        "scale": generator.scale,
        "receptive_radius": generator.receptive_radius,
        "size_multiple": generator.size_multiple,
        "tiling": generator.tiling,
        **more,
    }
    onnx.helper.set_model_props(program, {"sr": json.dumps(metadata)})
    with atomic_write(path) as temporary:
        onnx.save(program, temporary)


def read_onnx(path: Path) -> LoadedGenerator:
    """Return the generator in an ONNX file. Raises ModelFileError for what is not one."""
    require_onnx()
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    network = OnnxNetwork(path, str(path)).eval()
    metadata, header = _parse_metadata(path, network)
    radius = header.receptive_radius
    return LoadedGenerator(
        network,
        network.scale,
        MAX_RADIUS if radius is None else min(radius, MAX_RADIUS),
        architecture=str(header.generator.get("type", "unnamed")),
        origin="ONNX",
        metadata=metadata,
        reduced_precisions=frozenset(),  # the file has one of its own
        size_multiple=header.size_multiple,
        tiling=header.tiling,
        on_cpu_only=True,
    )


def _parse_metadata(path: Path, network: OnnxNetwork) -> tuple[dict[str, Any], _Header]:
    """Return all that the file says, and what of it is used."""
    try:
        read = parse_metadata(network.read_metadata())
        return read, _Header.model_validate(read)
    except ValueError as error:  # of Unicode, JSON, and pydantic
        fault = describe_faults(error) if isinstance(error, ValidationError) else error
        raise ModelFileError(f"{path}: its metadata cannot be read: {fault}") from None


def _first_cause(error: BaseException) -> str:
    """Return one line; those above it say only how far the exporter got."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _open_session(program: Path | bytes, name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = NO_MESSAGES
    try:
        return onnxruntime.InferenceSession(program, options, providers=["CPUExecutionProvider"])
    except _runtime_errors() as error:
        raise ModelFileError(f"{name}: not an ONNX file that onnxruntime runs ({error})") from None


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Return all that onnxruntime raises; the classes have no common one below Exception.

    Its names are bytes that it decodes when they are asked for.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = (kind for kind in vars(state).values() if isinstance(kind, type))
    return (UnicodeDecodeError, *(kind for kind in kinds if issubclass(kind, Exception)))


def _check_input(name: str, session: Any) -> tuple[str, type[np.floating[Any]]]:
    """Return the input's name and type, if images of any size can be fed to it."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    try:
        shapes = [list(tensor.shape) for tensor in (*inputs, *outputs)]
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{name}: its names cannot be read: {error}") from None
    if len(inputs) != 1 or len(outputs) != 1 or any(len(shape) != 4 for shape in shapes):
        raise ModelFileError(
            f"{name}: expected one input and one output (N, 3, H, W); got {shapes}"
        )
    (shape, _), (given,) = shapes, inputs
    if any(isinstance(side, int) for side in shape[2:]) or shape[0] not in (1, None, str(shape[0])):
        raise ModelFileError(f"{name}: expected a free height and width; got the fixed {shape}")
    if shape[1] not in (3, None, str(shape[1])) or given.type not in _TYPES:
        raise ModelFileError(
            f"{name}: expected 3 channels of {' or '.join(_TYPES)}; got {shape[1]} of {given.type}"
        )
    return str(given.name), _TYPES[given.type]


def _measure_scale(name: str, network: nn.Module) -> int:
    """Measure the scale, since few files state it."""
    sr = network(torch.full((1, 3, PROBED_SIDE, PROBED_SIDE), 0.5))
    scale, rest = divmod(sr.shape[-1], PROBED_SIDE)
    expected = (1, 3, scale * PROBED_SIDE, scale * PROBED_SIDE)
    if rest or scale < 1 or tuple(sr.shape) != expected:
        raise ModelFileError(
            f"{name}: expected an enlargement; {PROBED_SIDE}x{PROBED_SIDE} pixels became "
            f"{tuple(sr.shape)}"
        )
    return int(scale)
