"""Back ends: the same image whoever runs the network, and a word where that cannot be."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sr.device import DeviceError
from sr.errors import ModelFileError, UserError
from sr.models.backends import BACKENDS, TOLERANCE, use_backend
from sr.models.loaded_model import LoadedGenerator
from sr.models.onnx_model import read_onnx, write_onnx
from sr.models.openvino_network import OpenVinoDeviceNetwork, OpenVinoNetwork
from sr.networks.compact import Compact
from sr.networks.rrdb import RRDBNet
from sr.networks.srresnet import SRResNet
from sr.openvino_devices import import_openvino, list_openvino_devices

CPU = torch.device("cpu")
SIZES = ((1, 3, 7, 11), (3, 3, 24, 32), (2, 3, 40, 17))


def has(*packages: str) -> bool:
    # Not importorskip: imported so, openvino would report it to its makers.
    return all(importlib.util.find_spec(package) for package in packages)


def openvino_has_bf16() -> bool:
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


needs_openvino = pytest.mark.skipif(not has("openvino"), reason="needs the extra openvino")
needs_onnx = pytest.mark.skipif(
    not has("onnx", "onnxruntime", "onnxscript"), reason="needs the extra onnx"
)
needs_ncnn = pytest.mark.skipif(not has("ncnn", "pnnx"), reason="needs the extra ncnn")
OTHERS = [
    pytest.param("onnxruntime", marks=needs_onnx),
    pytest.param("openvino", marks=needs_openvino),
    pytest.param("ncnn", marks=needs_ncnn),
]


@pytest.fixture(autouse=True, scope="module")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as context:
        context.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


class ByBrightness(nn.Module):
    """Takes another branch for bright images than for dark ones."""

    def forward(self, lr: Tensor) -> Tensor:
        return lr * 2 if bool(lr.mean() > 0.55) else lr


class OfOneSize(nn.Module):
    """Right at the size of the exports' example only, which exporters do not notice."""

    def forward(self, lr: Tensor) -> Tensor:
        return lr + 1 if lr.shape[2] != 24 else lr


class InPlace(nn.Module):
    """Changes its input, as some networks do."""

    def forward(self, lr: Tensor) -> Tensor:
        return lr.mul_(2) + 0


def generator_of(network: nn.Module, scale: int = 1) -> LoadedGenerator:
    network.eval().requires_grad_(False)
    return LoadedGenerator(network, scale, 5, "Small", "test", {"licence": "CC0-1.0"})


def compact() -> LoadedGenerator:
    torch.manual_seed(0)
    return generator_of(Compact(4, 8, 2), 4)


@cache
def compact_by(backend: str) -> LoadedGenerator:
    return run_by(compact(), backend)


def run_by(generator: LoadedGenerator, backend: str) -> LoadedGenerator:
    return use_backend(generator, backend, device=CPU, precision=torch.float32)


def assert_equal_results(a: LoadedGenerator, b: LoadedGenerator, tolerance: float) -> None:
    for size in SIZES:
        lr = torch.rand(size, generator=torch.Generator().manual_seed(1))
        expected = a.network(lr.contiguous(memory_format=torch.channels_last))
        sr = b.network(lr.contiguous(memory_format=torch.channels_last))
        assert sr.dtype == torch.float32
        torch.testing.assert_close(sr, expected, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def onnx_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "a.onnx"
    write_onnx(path, compact(), half=False)
    return path


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("backend", OTHERS)
def test_a_backend_computes_what_torch_does_at_every_size(backend: str) -> None:
    assert_equal_results(compact(), compact_by(backend), 1e-5)
    srresnet = generator_of(SRResNet(2, 4, 1), 2)
    assert_equal_results(srresnet, run_by(srresnet, backend), 1e-5)


@needs_openvino
def test_openvino_takes_odd_sizes_also_of_a_network_that_folds() -> None:
    rrdb = generator_of(RRDBNet(2, 4, 1, 2), 2)
    assert_equal_results(rrdb, run_by(rrdb, "openvino"), 1e-5)


@pytest.mark.parametrize("backend", OTHERS)
def test_all_but_the_network_is_kept(backend: str) -> None:
    ours = compact()
    theirs = compact_by(backend)
    ones_of_the_runtime = {"network", "reduced_precisions", "on_cpu_only"}
    for field in fields(LoadedGenerator):
        if field.name not in ones_of_the_runtime:
            assert getattr(theirs, field.name) == getattr(ours, field.name), field.name
    assert theirs.on_cpu_only == (backend != "ncnn")
    assert not theirs.network.training
    assert run_by(ours, "torch") is ours


@needs_openvino
def test_bf16_is_computed_in_bf16_and_near_or_refused_where_the_cpu_lacks_it() -> None:
    ours = compact()
    if not openvino_has_bf16():
        with pytest.raises(DeviceError, match="expected precision f32, all that this CPU has"):
            use_backend(ours, "openvino", device=CPU, precision=torch.bfloat16)
        return
    theirs = use_backend(ours, "openvino", device=CPU, precision=torch.bfloat16)
    lr = torch.rand(1, 3, 20, 30)
    difference = float((theirs.network(lr) - ours.network(lr)).abs().max())
    assert 1e-5 < difference < TOLERANCE[torch.bfloat16]
    assert theirs.reduced_precisions == {torch.bfloat16}


@needs_openvino
def test_openvino_takes_as_many_threads_as_torch(two_threads: None) -> None:
    network = run_by(compact(), "openvino").network
    compiled = network._request.get_compiled_model()  # type: ignore[union-attr, operator]
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 2
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"


@needs_openvino
def test_openvino_reports_nothing_to_its_makers() -> None:
    compact_by("openvino")
    from openvino.tools.ovc import telemetry_utils

    assert telemetry_utils.tm.__name__.endswith("telemetry_stub")


@needs_openvino
def test_memory_that_openvino_could_not_get_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Request:
        def infer(self, *_: object, **__: object) -> dict[int, object]:
            return {0: torch.empty(0, 3, 0, 0).numpy()}  # as OpenVINO 2026.4 does then

    network = compact_by("openvino").network
    assert isinstance(network, OpenVinoNetwork)
    monkeypatch.setattr(network, "_request", Request())
    with pytest.raises(MemoryError, match=r"not enough memory for \(1, 3, 8, 8\)"):
        network(torch.rand(1, 3, 8, 8))


@needs_onnx
def test_an_onnx_file_is_run_by_onnxruntime_as_it_is_and_by_torch_not(onnx_path: Path) -> None:
    loaded = read_onnx(onnx_path)
    assert run_by(loaded, "onnxruntime") is loaded
    with pytest.raises(ModelFileError, match="torch cannot run; take onnxruntime or openvino"):
        run_by(loaded, "torch")


@pytest.fixture
def by_device() -> LoadedGenerator:
    """A network on a device of OpenVINO's: its CPU stands for GPUs and NPUs."""
    (number,) = (n for n, each in enumerate(list_openvino_devices()) if each.name == "CPU")
    device = torch.device("xpu", number)
    return use_backend(compact(), "openvino", device=device, precision=torch.float32)


@needs_openvino
def test_on_a_device_of_openvinos_each_size_is_compiled_once(by_device: LoadedGenerator) -> None:
    assert_equal_results(compact(), by_device, 1e-5)
    network = by_device.network
    assert isinstance(network, OpenVinoDeviceNetwork)
    before = network._find_request.cache_info()
    assert_equal_results(compact(), by_device, 1e-5)
    after = network._find_request.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (0, len(SIZES))
    assert by_device.reduced_precisions == {torch.float16}


@needs_openvino
def test_a_device_of_openvinos_computes_in_the_precision_of_autocast(
    by_device: LoadedGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints = []
    request = compact_by("openvino").network._request  # traced here, not inside autocast

    def compile_for(*arguments: Any) -> object:
        hints.append(arguments[2])
        return request

    monkeypatch.setattr("sr.models.openvino_network._compile", compile_for)
    lr = torch.rand(1, 3, 9, 9)
    with torch.autocast("cpu", torch.float16):
        by_device.network(lr)
    by_device.network(lr)
    assert hints == [torch.float16, torch.float32]


@needs_openvino
@pytest.mark.parametrize(
    "fault",
    [
        "[GPU] Exceeded max size of memory object allocation: requested 9 bytes",
        "[GPU] clEnqueueNDRangeKernel, error code: -5 CL_OUT_OF_RESOURCES",
        "ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY",
    ],
)
def test_memory_that_a_device_of_openvinos_could_not_get_is_reported(
    by_device: LoadedGenerator, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    class Request:
        def infer(self, *_: object, **__: object) -> object:
            raise RuntimeError(fault)

    monkeypatch.setattr(by_device.network, "_find_request", lambda *_: Request())
    with pytest.raises(MemoryError, match=re.escape(fault)):
        by_device.network(torch.rand(1, 3, 8, 8))


@needs_onnx
@needs_openvino
def test_openvino_reads_an_onnx_file(onnx_path: Path) -> None:
    theirs = run_by(read_onnx(onnx_path), "openvino")
    assert isinstance(theirs.network, OpenVinoNetwork)
    assert theirs.metadata["licence"] == "CC0-1.0"
    assert_equal_results(compact(), theirs, 1e-5)


@needs_onnx
@needs_openvino
def test_openvino_reads_a_program_in_float16(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT16, ["n", 3, "h", "w"])
        for name in ("x", "y")
    ]
    node = onnx.helper.make_node("Add", ["x", "x"], ["y"])
    graph = onnx.helper.make_graph([node], "doubled", ends[:1], ends[1:])
    opset = onnx.helper.make_opsetid("", 20)
    path = tmp_path / "a.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    loaded = read_onnx(path)
    assert_equal_results(loaded, run_by(loaded, "openvino"), 2e-3)


@needs_openvino
@pytest.mark.parametrize("network", [ByBrightness(), OfOneSize()])
def test_what_openvino_would_compute_otherwise_is_refused(
    network: nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelFileError, match=r"^backend openvino: Small: its result differs by"):
        run_by(generator_of(network), "openvino")
    assert capfd.readouterr() == ("", "")


@needs_openvino
def test_a_program_that_gives_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(network: nn.Module, lr: Tensor) -> Tensor:  # as of a SwinIR at other sizes
        raise MemoryError

    monkeypatch.setattr(OpenVinoNetwork, "forward", forward)
    with pytest.raises(ModelFileError, match=r"Small: gives nothing for \(1, 3, 37, 26\)"):
        run_by(compact(), "openvino")


@pytest.mark.slow
@needs_onnx
def test_a_network_that_onnx_fixes_to_one_size_is_refused() -> None:
    with pytest.raises(ModelFileError, match="Small: expected a free height and width; got"):
        run_by(generator_of(OfOneSize()), "onnxruntime")


@pytest.mark.slow
@needs_openvino
@needs_onnx
def test_a_network_that_changes_its_input_is_compared_with_its_result(tmp_path: Path) -> None:
    theirs = run_by(generator_of(InPlace()), "openvino")
    assert theirs.network(torch.full((1, 3, 8, 8), 0.25)).mean() == 0.5
    assert write_onnx(tmp_path / "a.onnx", generator_of(InPlace()), half=False) < 1e-6


@needs_onnx
def test_an_export_that_fails_says_so_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(ModelFileError) as raised:
        write_onnx(path, generator_of(ByBrightness()), half=False)
    message = str(raised.value)
    assert message.startswith(f"{path}: this network cannot be exported: Could not guard on data")
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")
    assert not path.exists()


@pytest.mark.parametrize(
    ("backend", "device", "precision", "fault"),
    [
        (
            "tensorrt",
            "cpu",
            torch.float32,
            "expected one of torch, onnxruntime, openvino, ncnn, got 't",
        ),
        ("onnxruntime", "cuda", torch.float32, "runs on the CPU only, got device cuda"),
        ("openvino", "mps", torch.float32, "runs on the CPU only, got device mps"),
        ("onnxruntime", "cpu", torch.bfloat16, "expected precision fp32, got bf16"),
        ("openvino", "cpu", torch.float16, "expected precision fp32 or bf16, got fp16"),
        ("ncnn", "mps", torch.float32, "runs on vulkan or cpu, got device mps"),
        ("ncnn", "cpu", torch.bfloat16, "expected precision fp32 on cpu, got bf16"),
        ("ncnn", "vulkan:0", torch.bfloat16, "expected precision fp32 or fp16 on vulkan:0"),
        ("torch", "vulkan:0", torch.float32, "got vulkan:0, where only ncnn runs"),
        ("openvino", "vulkan:0", torch.float32, "got vulkan:0, where only ncnn runs"),
    ],
)
def test_what_a_backend_lacks_is_refused(
    backend: str, device: str, precision: torch.dtype, fault: str
) -> None:
    with pytest.raises(DeviceError, match=fault):
        use_backend(compact(), backend, device=torch.device(device), precision=precision)


@needs_onnx
def test_bf16_of_what_needs_fp32_is_refused(onnx_path: Path) -> None:
    with pytest.raises(DeviceError, match="expected precision fp32, which unnamed needs"):
        use_backend(read_onnx(onnx_path), "openvino", device=CPU, precision=torch.bfloat16)


@pytest.mark.parametrize(
    ("backend", "missing", "command"),
    [
        ("onnxruntime", "onnxscript", r"pip install -e '\.\[onnx\]'"),
        ("ncnn", "pnnx", r"pip install -e '\.\[ncnn\]'"),
        ("openvino", "openvino", r"pip install -e '\.\[openvino\]'"),
    ],
)
def test_a_missing_extra_is_named(
    backend: str, missing: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=rf"\({missing} is missing\): {command}"):
        run_by(compact(), backend)


def test_every_backend_is_tested() -> None:
    assert {"torch", *(str(param.values[0]) for param in OTHERS)} == set(BACKENDS)
