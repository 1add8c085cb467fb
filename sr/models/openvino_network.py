"""Networks and ONNX programs run through OpenVINO, on the CPU.

Needs the extra `openvino`. A network is traced and converted with free batch, height and width;
tracing takes a second where an ONNX export takes five. It follows the branches that its example
took, so what it gives has to be compared with the network (`sr.models.backends`).

One program serves tiles of all sizes. For Compact on one thread of a busy machine, tiles of three
sizes in turn took 1.22, 0.51 and 0.40 s (medians of 3), and 1.08, 0.52 and 0.58 s by a program
compiled for each size: no difference beyond the noise.
"""

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sr.device import DeviceError, name_precision
from sr.errors import ModelFileError
from sr.models.quiet import silence_output
from sr.networks.fuse_layers import fuse_layers

PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}
_EXAMPLE_SIZE = (2, 3, 24, 32)


class OpenVinoNetwork(nn.Module):
    """A compiled program behind the shapes of a network. name: what messages call it."""

    def __init__(self, program: Any, name: str, precision: torch.dtype) -> None:
        super().__init__()
        self._name = name
        self._request = _compile(program, name, precision).create_infer_request()

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), not clamped."""
        image = lr.detach().to("cpu", torch.float32).contiguous().numpy()
        try:
            (sr,) = self._request.infer([image], share_inputs=True).values()
        except RuntimeError as error:
            raise ModelFileError(
                f"{self._name}: cannot be run on {tuple(lr.shape)}: {_last_line(error)}"
            ) from None
        if sr.size == 0:  # all that OpenVINO says of an allocation that failed
            raise MemoryError(f"{self._name}: not enough memory for {tuple(lr.shape)}")
        return torch.from_numpy(sr).to(lr.device)


def trace_network(network: nn.Module, name: str) -> Any:
    """Return the OpenVINO model of a network. Raises ModelFileError where there is none."""
    openvino = _openvino()
    free = openvino.PartialShape([-1, 3, -1, -1])
    example = torch.rand(_EXAMPLE_SIZE, generator=torch.Generator().manual_seed(0))
    try:
        with silence_output():
            fused = fuse_layers(network.eval())
            return openvino.convert_model(fused, example_input=example, input=[free])
    except _conversion_errors() as error:
        raise ModelFileError(
            f"{name}: this network cannot be converted: {_last_line(error)}"
        ) from None


def read_program(program: Path | bytes, name: str) -> Any:
    """Return the OpenVINO model of an ONNX program, float32 at its ends."""
    openvino = _openvino()
    source = program if isinstance(program, Path) else BytesIO(program)
    try:
        model = openvino.Core().read_model(source)
    except _conversion_errors() as error:
        raise ModelFileError(f"{name}: this program cannot be read: {_last_line(error)}") from None
    ends = openvino.preprocess.PrePostProcessor(model)
    ends.input().tensor().set_element_type(openvino.Type.f32)
    ends.output().tensor().set_element_type(openvino.Type.f32)
    return ends.build()


def holds_type(program: Any, name: str) -> bool:
    """Return whether weights or steps of an OpenVINO model are of a type, such as f16 or i8."""
    outputs = (output for node in program.get_ops() for output in node.outputs())
    return any(output.get_element_type().get_type_name() == name for output in outputs)


def _openvino() -> Any:
    """Import the package; it reports that to its makers unless barred from it."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # bars an import
    try:
        import openvino
    except ImportError as error:
        raise ModelFileError(
            f"backend openvino needs the extra `openvino` ({error.name} is missing): "
            "pip install -e '.[openvino]'"
        ) from None
    return openvino


def _compile(program: Any, name: str, precision: torch.dtype) -> Any:
    """Compile the program for this CPU; threads as torch has them, on cores that others use too."""
    hint = PRECISIONS[precision]
    options = {
        "INFERENCE_PRECISION_HINT": hint,  # else bf16 wherever the CPU has it
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # two processes would be pinned to the same cores
    }
    try:
        compiled = _openvino().Core().compile_model(program, "CPU", options)
    except RuntimeError as error:
        raise ModelFileError(f"{name}: cannot be compiled: {_last_line(error)}") from None
    given = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if given != hint:
        raise DeviceError(
            f"backend openvino: expected precision {given}, all that this CPU has, got "
            f"{name_precision(precision)}"
        )
    return compiled


def _conversion_errors() -> tuple[type[Exception], ...]:
    """Return what OpenVINO's converters raise; the classes have no common one below Exception."""
    frontend = _openvino().frontend
    return (
        RuntimeError,
        frontend.GeneralFailure,
        frontend.InitializationFailure,
        frontend.NotImplementedFailure,
        frontend.OpConversionFailure,
        frontend.OpValidationFailure,
    )


def _last_line(error: Exception) -> str:
    """Return one line; those above it say only where in OpenVINO it was found."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
