"""What `sr-info --devices` says."""

import sys

import pytest
import torch
from typer.testing import CliRunner

from sr.cli import info
from sr.inference import list_devices
from sr.inference.list_devices import describe_devices
from sr.openvino_devices import OpenVinoDevice, list_openvino_devices
from sr.vulkan import VulkanDevice, list_vulkan_devices


def test_the_cpu_and_all_kinds_are_listed() -> None:
    done = CliRunner().invoke(info.app, ["--devices"])
    assert done.exit_code == 0
    first, *_ = lines = done.stdout.splitlines()
    assert first.startswith("cpu ")
    assert "core(s)" in first
    assert "fp32" in first
    kinds = [line.split()[0].partition(":")[0] for line in lines]
    assert list(dict.fromkeys(kinds)) == ["cpu", "cuda", "mps", "vulkan", "openvino"]


def test_files_and_devices_may_be_asked_for_together_but_not_nothing() -> None:
    done = CliRunner().invoke(info.app, ["--devices", "compact_tiny_x4"])
    assert done.exit_code == 0
    assert "cpu" in done.stdout
    assert "Compact" in done.stdout
    assert CliRunner().invoke(info.app, []).exit_code == 2


def test_gpus_have_memory_and_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        name = "Big Card"
        total_memory = 24 * 2**30

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    found = (
        VulkanDevice(0, "Card", "discrete GPU", 6144, has_fp16=True),
        VulkanDevice(1, "llvmpipe", "CPU", 512, has_fp16=False),
    )
    monkeypatch.setattr(list_devices, "list_vulkan_devices", lambda: found)
    accelerators = (
        OpenVinoDevice("CPU", "Core", has_fp16=False),
        OpenVinoDevice("NPU", "Boost", has_fp16=True),
    )
    monkeypatch.setattr(list_devices, "list_openvino_devices", lambda: accelerators)
    facts = describe_devices()
    assert "openvino:CPU" not in facts  # it is `cpu`
    assert facts["openvino:NPU"] == "Boost; fp32, fp16"
    assert facts["cuda:0"] == "Big Card, 24.0 GiB; fp32, fp16"
    assert facts["vulkan:0"] == "Card (discrete GPU), 6.0 GiB; fp32, fp16"
    assert facts["vulkan:1"] == "llvmpipe (runs on the CPU, slow), 0.5 GiB; fp32"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "ncnn", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    list_vulkan_devices.cache_clear()
    list_openvino_devices.cache_clear()
    facts = describe_devices()
    assert "pip install -e '.[openvino]'" in facts["openvino"]
    assert facts["cuda"].startswith("none")
    assert "pip install -e '.[ncnn]'" in facts["vulkan"]
    monkeypatch.setattr(list_devices, "list_vulkan_devices", lambda: ())
    assert describe_devices()["vulkan"] == "none: no driver for Vulkan was found"
