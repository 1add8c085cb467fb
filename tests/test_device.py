"""Device and precision: what is asked for is given or refused, never replaced."""

import sys
import threading
from pathlib import Path

import pytest
import torch

from sr import device as devices
from sr.device import (
    DeviceError,
    choose_shared_device,
    choose_tensor_device,
    cpu_has_bf16,
    find_vulkan_gpu,
    hold_device,
    name_precision,
    resolve_device,
    resolve_precision,
)
from sr.openvino_devices import (
    MissingOpenVinoError,
    OpenVinoDevice,
    list_openvino_devices,
)
from sr.vulkan import MissingNcnnError, VulkanDevice, list_vulkan_devices

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


def pretend_gpus(monkeypatch: pytest.MonkeyPatch, count: int, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: count - 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)


def test_auto_prefers_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, 1, (8, 0))
    assert resolve_device("auto").type == "cuda"
    pretend_gpus(monkeypatch, 0, (0, 0))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto").type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"


def test_named_devices_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, 2, (8, 0))
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("cuda:0") == torch.device("cuda", 0)
    assert resolve_device("cuda") == resolve_device("auto") == torch.device("cuda", 1)  # in use
    assert resolve_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize("name", ["cuda:2", "cuda:999"])
def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend_gpus(monkeypatch, 2, (8, 0))
    with pytest.raises(DeviceError, match=f"one of 2 CUDA .*, got '{name}'"):
        resolve_device(name)


def test_mps_without_mps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="mps"):
        resolve_device("mps")


def pretend_vulkan(monkeypatch: pytest.MonkeyPatch, *kinds: str, has_fp16: bool = True) -> None:
    found = [VulkanDevice(n, f"Card {n}", kind, 4096, has_fp16) for n, kind in enumerate(kinds)]
    monkeypatch.setattr(devices, "list_vulkan_devices", lambda: tuple(found))


def test_vulkan_is_the_first_gpu_or_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_vulkan(monkeypatch, "CPU", "integrated GPU", "discrete GPU")
    assert resolve_device("vulkan") == torch.device("vulkan", 1) == find_vulkan_gpu()
    assert resolve_device("vulkan:0") == torch.device("vulkan", 0)
    pretend_vulkan(monkeypatch, "CPU")
    assert resolve_device("vulkan") == torch.device("vulkan", 0)
    assert find_vulkan_gpu() is None


def test_a_vulkan_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_vulkan(monkeypatch, "discrete GPU", "CPU")
    known = r"\(vulkan:0 \(Card 0\), vulkan:1 \(Card 1\)\), got vulkan:2"
    with pytest.raises(DeviceError, match=f"expected one of the Vulkan devices {known}"):
        resolve_device("vulkan:2")
    pretend_vulkan(monkeypatch)
    with pytest.raises(DeviceError, match=r"\(none: no driver for Vulkan was found\), got vulkan$"):
        resolve_device("vulkan")


def test_vulkan_without_its_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ncnn", None)
    list_vulkan_devices.cache_clear()
    with pytest.raises(MissingNcnnError, match=r"\(ncnn is missing\): pip install -e '\.\[ncnn\]'"):
        resolve_device("vulkan")
    assert find_vulkan_gpu() is None


def test_vulkan_is_fp16_where_the_device_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("vulkan", 0)
    pretend_vulkan(monkeypatch, "discrete GPU")
    assert resolve_precision("auto", device) == resolve_precision("fp16", device) == torch.float16
    with pytest.raises(DeviceError, match="expected fp16 or fp32 on vulkan:0"):
        resolve_precision("bf16", device)
    pretend_vulkan(monkeypatch, "discrete GPU", has_fp16=False)
    assert resolve_precision("auto", device) == torch.float32
    with pytest.raises(DeviceError, match="expected fp32 on vulkan:0, which has no fp16"):
        resolve_precision("fp16", device)


def pretend_openvino(monkeypatch: pytest.MonkeyPatch, **has_fp16: bool) -> None:
    found = tuple(OpenVinoDevice(name, "Card", fp16) for name, fp16 in has_fp16.items())
    monkeypatch.setattr(devices, "list_openvino_devices", lambda: found)


def test_devices_of_openvino_go_by_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_openvino(monkeypatch, CPU=False, GPU=True)
    gpu = resolve_device("openvino:gpu")
    assert gpu == torch.device("xpu", 1)
    assert resolve_precision("auto", gpu) == resolve_precision("fp16", gpu) == torch.float16
    with pytest.raises(DeviceError, match="expected fp16 or fp32"):
        resolve_precision("bf16", gpu)
    cpu = resolve_device("openvino:CPU")
    assert resolve_precision("auto", cpu) == torch.float32
    with pytest.raises(DeviceError, match="which has no fp16"):
        resolve_precision("fp16", cpu)
    with pytest.raises(
        DeviceError, match=r"openvino:CPU \(Card\), openvino:GPU \(Card\)\), got openvino:NPU"
    ):
        resolve_device("openvino:NPU")


def test_openvino_without_its_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    list_openvino_devices.cache_clear()
    with pytest.raises(MissingOpenVinoError, match=r"pip install -e '\.\[openvino\]'"):
        resolve_device("openvino:GPU")


@pytest.mark.parametrize(
    "name", ["gpu", "openvino", "openvino:", "cuda:", "cuda:x", "CPU", "", "vulkan:", "vulkan:-1"]
)
def test_unknown_device_names_are_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="expected auto, cpu"):
        resolve_device(name)


@pytest.mark.parametrize(("has_bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_on_a_cpu_is_bf16_only_with_its_instructions(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: has_bf16)
    assert resolve_precision("auto", CPU) == dtype


@pytest.mark.parametrize(
    ("capability", "dtype", "preferring_fp16"),
    [
        ((9, 0), torch.bfloat16, torch.float16),
        ((7, 5), torch.float16, torch.float16),
        ((6, 1), torch.float32, torch.float32),
    ],
)
def test_auto_on_cuda_follows_the_generation(
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    dtype: torch.dtype,
    preferring_fp16: torch.dtype,
) -> None:
    pretend_gpus(monkeypatch, 1, capability)
    assert resolve_precision("auto", CUDA) == dtype
    assert resolve_precision("auto", CUDA, prefer_fp16=True) == preferring_fp16
    assert resolve_precision("auto", CPU, prefer_fp16=True) == resolve_precision("auto", CPU)


def test_auto_on_mps_is_fp32() -> None:
    assert resolve_precision("auto", MPS) == torch.float32


def test_named_precisions_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, 1, (7, 0))
    assert resolve_precision("fp32", CPU) == torch.float32
    assert resolve_precision("bf16", CPU) == torch.bfloat16
    assert resolve_precision("fp16", CUDA) == torch.float16


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_precisions_are_called_what_the_user_calls_them(name: str) -> None:
    assert name_precision(resolve_precision(name, CPU)) == name


def test_precisions_that_a_device_is_not_made_for_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend_gpus(monkeypatch, 1, (7, 0))
    for name, device in (("fp16", CPU), ("bf16", CUDA), ("bf16", MPS)):
        with pytest.raises(DeviceError, match=f"precision: expected .* got {name}"):
            resolve_precision(name, device)
    with pytest.raises(DeviceError, match="expected auto, fp32, bf16 or fp16, got 'half'"):
        resolve_precision("half", CPU)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, True), ({"sve_bf16": True}, True), ({"avx2": True}, False)],
)
def test_bf16_instructions_are_read_from_torch(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert cpu_has_bf16() is expected
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert cpu_has_bf16() is False


@pytest.mark.parametrize(
    ("text", "expected"), [("flags : avx512_bf16 x", True), ("flags : avx2", False), (None, False)]
)
def test_bf16_instructions_are_read_from_the_system_where_torch_does_not_say(
    monkeypatch: pytest.MonkeyPatch, text: str | None, expected: bool
) -> None:
    def read(path: Path, **_: str) -> str:
        if text is None:
            raise FileNotFoundError(path)
        return text

    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(Path, "read_text", read)
    assert cpu_has_bf16() is expected


@pytest.mark.parametrize("kind", ["vulkan", "xpu"])
def test_where_torch_has_no_tensors_they_are_on_the_cpu(kind: str) -> None:
    device = torch.device(kind, 0)
    assert choose_tensor_device(device) == choose_shared_device(device) == CPU
    assert choose_tensor_device(MPS) == MPS


def test_one_thread_at_a_time_uses_mps() -> None:
    assert choose_shared_device(MPS) == CPU
    assert choose_shared_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
    is_held = threading.Event()

    def hold() -> None:
        with hold_device(MPS):
            is_held.set()

    with hold_device(CPU), hold_device(CPU):  # which any number may
        pass
    thread = threading.Thread(target=hold)
    with hold_device(MPS):
        thread.start()
        assert not is_held.wait(0.05)
    assert is_held.wait(10)
    thread.join()
