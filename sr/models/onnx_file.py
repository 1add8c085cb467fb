"""ONNX files: written from a generator and checked against it, and run through onnxruntime.

Needs the extra `onnx`. Opset 20; one input `lr` and one output `sr`, (N, 3, H, W), RGB in [0, 1],
float32 also where the weights inside are float16; batch, height and width are free.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from sr.io.model_file import ModelFileError
from sr.io.whole_file import whole_file
from sr.models.loaded import LoadedGenerator
from sr.networks.receptive import MAX_RADIUS

OPSET = 20
CHECKED_SIZE = (1, 3, 37, 26)  # another batch and size than those of the export
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2}  # of the [0, 1] range
PROBED_SIDE = 32  # LR pixels
_TYPES: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}


class _Header(BaseModel):
    """What a file of ours tells under the key `sr`; others tell nothing."""

    generator: dict[str, Any] = {}
    receptive_radius: NonNegativeInt | None = None
    size_multiple: PositiveInt = 1


class OnnxNetwork(nn.Module):
    """A program behind the shapes of a network; onnxruntime runs it on the CPU."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._session = _session(path)
        self._input, self._type = _checked_input(path, self._session)
        self.scale = _scale_of(path, self)

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (N, 3, H, W), RGB in [0, 1]. Returns (N, 3, scale*H, scale*W), not clamped."""
        try:
            (sr,) = self._session.run(None, {self._input: lr.cpu().numpy().astype(self._type)})
        except _runtime_errors() as error:
            raise ModelFileError(
                f"{self._path}: onnxruntime cannot run it on {tuple(lr.shape)}: {error}"
            ) from None
        return torch.from_numpy(sr).to(lr.device, torch.float32)

    def metadata(self) -> dict[str, Any]:
        """What the file tells of itself under the key `sr`."""
        text = self._session.get_modelmeta().custom_metadata_map.get("sr", "{}")
        try:
            read = json.loads(text)
            _Header.model_validate(read)
        except ValueError as error:  # of JSON, and of pydantic
            raise ModelFileError(f"{self._path}: its metadata cannot be read: {error}") from None
        return dict(read)


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
    metadata["size_multiple"] = generator.size_multiple
    onnx.helper.set_model_props(program, {"sr": json.dumps(metadata)})
    with whole_file(path) as temporary:
        onnx.save(program, temporary)
        difference = float((OnnxNetwork(temporary)(lr) - expected).abs().max())
        if not difference <= TOLERANCE[dtype]:
            raise ModelFileError(
                f"{path}: onnxruntime's result differs from torch's by {difference:g} "
                f"(allowed: {TOLERANCE[dtype]:g}); nothing was written"
            )
    return difference


def read_onnx(path: Path) -> LoadedGenerator:
    """The generator in an ONNX file. Raises ModelFileError for what is not one."""
    _need_extra()
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    network = OnnxNetwork(path).eval()
    metadata = network.metadata()
    header = _Header.model_validate(metadata)
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
        on_cpu_only=True,
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
            (torch.rand(2, 3, 24, 32),),  # of 2, since torch takes a batch of 1 for fixed
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

    try:
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except _runtime_errors() as error:
        raise ModelFileError(f"{path}: not an ONNX file that onnxruntime runs ({error})") from None


def _runtime_errors() -> tuple[type[Exception], ...]:
    """All that onnxruntime raises; the classes have no common one below Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = (kind for kind in vars(state).values() if isinstance(kind, type))
    return tuple(kind for kind in kinds if issubclass(kind, Exception))


def _checked_input(path: Path, session: Any) -> tuple[str, type[np.floating[Any]]]:
    """The input's name and type, if pictures of any size can be fed to it."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shapes = [list(tensor.shape) for tensor in (*inputs, *outputs)]
    if len(inputs) != 1 or len(outputs) != 1 or any(len(shape) != 4 for shape in shapes):
        raise ModelFileError(
            f"{path}: expected one input and one output (N, 3, H, W); got {shapes}"
        )
    (shape, _), (given,) = shapes, inputs
    if any(isinstance(side, int) for side in shape[2:]) or shape[0] not in (1, None, str(shape[0])):
        raise ModelFileError(f"{path}: expected a free height and width; got the fixed {shape}")
    if shape[1] not in (3, None, str(shape[1])) or given.type not in _TYPES:
        raise ModelFileError(
            f"{path}: expected 3 channels of {' or '.join(_TYPES)}; got {shape[1]} of {given.type}"
        )
    return str(given.name), _TYPES[given.type]


def _scale_of(path: Path, network: nn.Module) -> int:
    """Measured, since few files tell."""
    sr = network(torch.full((1, 3, PROBED_SIDE, PROBED_SIDE), 0.5))
    scale, rest = divmod(sr.shape[-1], PROBED_SIDE)
    expected = (1, 3, scale * PROBED_SIDE, scale * PROBED_SIDE)
    if rest or scale < 1 or tuple(sr.shape) != expected:
        raise ModelFileError(
            f"{path}: expected an enlargement; {PROBED_SIDE}x{PROBED_SIDE} pixels became "
            f"{tuple(sr.shape)}"
        )
    return int(scale)
