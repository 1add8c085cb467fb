"""Networks and ONNX programs run through OpenVINO, on the CPU, or on its GPUs and NPUs.

Needs the extra `openvino`. A network is traced and converted with free batch, height and width;
tracing takes a second where an ONNX export takes five. It follows the branches that its example
took, so what it gives has to be compared with the network (`sr.models.backends`).

On the CPU one program serves tiles of all sizes. For Compact on one thread of a busy machine, tiles
of three sizes in turn took 1.22, 0.51 and 0.40 s (medians of 3), and 1.08, 0.52 and 0.58 s by a
program compiled for each size: no difference beyond the noise.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sr.device import DeviceError, name_precision
from sr.errors import ModelFileError
from sr.models.quiet import silence_output
from sr.networks.fuse_layers import fuse_layers
from sr.openvino_devices import import_openvino
from sr.tiling.runner import is_autocast_to_float16

PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
NUM_SIZES = 8  # of tiles whose programs are kept: those inside an image, at its edges, of the next
# In OpenVINO's own words and in those of OpenCL and Level Zero, which it passes on.
_OUT_OF_MEMORY = "max size of memory|OUT_OF_[A-Z]*_?MEMORY|OUT_OF_RESOURCES|ALLOCATION_FAILURE"
_EXAMPLE_SIZE = (2, 3, 24, 32)


class OpenVinoNetwork(nn.Module):
    """A program compiled for the CPU, behind the shapes of a network.

    name: what messages call it. Raises DeviceError for a precision that this CPU does not have.
    """

    def __init__(self, program: Any, name: str, precision: torch.dtype) -> None:
        super().__init__()
        self._name = name
        self._request = _compile(program, name, precision, "CPU", _list_cpu_options())

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), not clamped."""
        return _infer(self._request, lr, self._name)


class OpenVinoDeviceNetwork(nn.Module):
    """A program for a GPU or an NPU, compiled for each size of tiles when that first comes.

    NPUs run no program of free sizes. Inside torch.autocast of float16 it computes in float16.
    name: what messages call it. device: a name of OpenVINO's, such as GPU.1.
    """

    def __init__(self, program: Any, name: str, device: str) -> None:
        super().__init__()
        self._program = program
        self._name = name
        self._device = device
        self._find_request = lru_cache(NUM_SIZES)(self._compile)

    def forward(self, lr: Tensor) -> Tensor:
        """As OpenVinoNetwork. Raises DeviceError for a precision that the device does not have."""
        dtype = torch.float16 if is_autocast_to_float16() else torch.float32
        return _infer(self._find_request(tuple(lr.shape), dtype), lr, self._name)

    def _compile(self, shape: tuple[int, ...], dtype: torch.dtype) -> Any:
        program = self._program.clone()
        program.reshape(list(shape))
        return _compile(program, self._name, dtype, self._device, {})


def trace_network(network: nn.Module, name: str) -> Any:
    """Return the OpenVINO model of a network. Raises ModelFileError where there is none."""
    openvino = import_openvino()
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
    openvino = import_openvino()
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


def _compile(
    program: Any, name: str, precision: torch.dtype, device: str, options: Mapping[str, Any]
) -> Any:
    """Compile the program. Returns what runs it."""
    hint = PRECISIONS[precision]  # else what the device likes best: bf16 or f16 where it has them
    options = {**options, "INFERENCE_PRECISION_HINT": hint}
    try:
        compiled = import_openvino().Core().compile_model(program, device, options)
    except RuntimeError as error:
        raise _explain(error, f"{name}: cannot be compiled for {device}") from None
    given = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if given != hint:
        raise DeviceError(
            f"backend openvino: expected precision {given}, all that this {device} has, got "
            f"{name_precision(precision)}"
        )
    return compiled.create_infer_request()


def _list_cpu_options() -> dict[str, Any]:
    """Threads as torch has them, on cores that others use too."""
    return {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # two processes would be pinned to the same cores
    }


def _infer(request: Any, lr: Tensor, name: str) -> Tensor:
    image = lr.detach().to("cpu", torch.float32).contiguous().numpy()
    try:
        (sr,) = request.infer([image], share_inputs=True).values()
    except RuntimeError as error:
        raise _explain(error, f"{name}: cannot be run on {tuple(lr.shape)}") from None
    if sr.size == 0:  # all that OpenVINO says of an allocation on the CPU that failed
        raise MemoryError(f"{name}: not enough memory for {tuple(lr.shape)}")
    return torch.from_numpy(sr).to(lr.device)


def _explain(error: RuntimeError, message: str) -> Exception:
    """Return what to raise; MemoryError where a GPU's memory is what is missing."""
    message = f"{message}: {_last_line(error)}"
    is_of_memory = re.search(_OUT_OF_MEMORY, str(error)) is not None
    return MemoryError(message) if is_of_memory else ModelFileError(message)


def _conversion_errors() -> tuple[type[Exception], ...]:
    """Return what OpenVINO's converters raise; the classes have no common one below Exception."""
    frontend = import_openvino().frontend
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
