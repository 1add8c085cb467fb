"""ONNX programs: made from a network, and run through onnxruntime as if they were one.

Needs the extra `onnx`. Opset 20; one input `lr` and one output `sr`, (N, 3, H, W), RGB in [0, 1],
float32; batch, height and width are free. Programs of others may take float16.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sr.io.model_file import ModelFileError
from sr.models.quiet import silence_output

OPSET = 20
PROBED_SIDE = 32  # LR pixels
NO_MESSAGES = 4  # severity; what fails is raised besides
_TYPES: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}


class OnnxNetwork(nn.Module):
    """A program behind the shapes of a network; onnxruntime runs it on the CPU.

    program: a file, or the bytes of one. name: what messages call it.
    """

    def __init__(self, program: Path | bytes, name: str) -> None:
        super().__init__()
        self.program = program
        self._name = name
        self._session = _session(program, name)
        self._input, self._type = _checked_input(name, self._session)
        self.scale = _scale_of(name, self)

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (N, 3, H, W), RGB in [0, 1]. Returns (N, 3, scale*H, scale*W), not clamped."""
        image = lr.detach().cpu().numpy().astype(self._type)
        try:
            (sr,) = self._session.run(None, {self._input: image})
        except _runtime_errors() as error:
            if "Failed to allocate memory" in str(error):
                raise MemoryError(f"{self._name}: onnxruntime: {error}") from None
            raise ModelFileError(
                f"{self._name}: onnxruntime cannot run it on {tuple(lr.shape)}: {error}"
            ) from None
        return torch.from_numpy(sr).to(lr.device, torch.float32)

    def metadata_text(self) -> str:
        """What the program tells of itself under the key `sr`; JSON, if it is ours."""
        return str(self._session.get_modelmeta().custom_metadata_map.get("sr", "{}"))


def require_onnx() -> None:
    """Raises ModelFileError where the extra `onnx` is not installed."""
    try:
        import onnx  # noqa: F401, only looked for
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ModelFileError(
            f"ONNX needs the extra `onnx` ({error.name} is missing): pip install '.[onnx]'"
        ) from None


def export_onnx(network: nn.Module, name: str) -> Any:
    """The ONNX model of a network, checked by onnx. Raises ModelFileError where there is none."""
    import onnx

    dim = torch.export.Dim
    free = {0: dim("batch"), 2: dim("height"), 3: dim("width")}
    try:
        with silence_output():
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
        raise ModelFileError(
            f"{name}: this network cannot be exported: {_first_cause(error)}"
        ) from None
    assert program is not None
    onnx.checker.check_model(program.model_proto)
    return program.model_proto


def _first_cause(error: BaseException) -> str:
    """One line; those above it tell only how far the exporter got."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _session(program: Path | bytes, name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = NO_MESSAGES
    try:
        return onnxruntime.InferenceSession(program, options, providers=["CPUExecutionProvider"])
    except _runtime_errors() as error:
        raise ModelFileError(f"{name}: not an ONNX file that onnxruntime runs ({error})") from None


def _runtime_errors() -> tuple[type[Exception], ...]:
    """All that onnxruntime raises; the classes have no common one below Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = (kind for kind in vars(state).values() if isinstance(kind, type))
    return tuple(kind for kind in kinds if issubclass(kind, Exception))


def _checked_input(name: str, session: Any) -> tuple[str, type[np.floating[Any]]]:
    """The input's name and type, if images of any size can be fed to it."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shapes = [list(tensor.shape) for tensor in (*inputs, *outputs)]
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


def _scale_of(name: str, network: nn.Module) -> int:
    """Measured, since few files tell."""
    sr = network(torch.full((1, 3, PROBED_SIDE, PROBED_SIDE), 0.5))
    scale, rest = divmod(sr.shape[-1], PROBED_SIDE)
    expected = (1, 3, scale * PROBED_SIDE, scale * PROBED_SIDE)
    if rest or scale < 1 or tuple(sr.shape) != expected:
        raise ModelFileError(
            f"{name}: expected an enlargement; {PROBED_SIDE}x{PROBED_SIDE} pixels became "
            f"{tuple(sr.shape)}"
        )
    return int(scale)
