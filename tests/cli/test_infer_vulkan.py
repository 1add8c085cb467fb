"""infer.py by Vulkan and ncnn, from files to files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from helpers.ncnn_files import write_program
from helpers.videos import Listener

from sr.inference.load_upscaler import load_upscalers
from sr.inference.options import RuntimeOptions
from sr.io.rgb8 import read_rgb8
from sr.models import backends
from sr.models.ncnn_network import NcnnNetwork

Call = Callable[..., Any]

pytest.importorskip("ncnn")
pytest.importorskip("pnnx")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_an_image_by_vulkan_is_that_by_torch(
    call: Call,
    images: Path,
    model: Path,
    tmp_path: Path,
    vulkan: torch.device,
    capfd: pytest.CaptureFixture[str],
) -> None:
    results: dict[str, npt.NDArray[np.int64]] = {}
    for name in ("vulkan", "cpu", "vulkan:0,vulkan:0"):
        output = tmp_path / f"{len(results)}"
        arguments = ["-i", images, "-o", output, "-m", model, "--device", name]
        assert call(*arguments, "--precision", "fp32", "-t", 9) == 0
        results[name] = read_rgb8(output / "b_x2.png").astype(int)
    assert results["cpu"].shape == (40, 50, 3)
    for result in results.values():
        assert np.abs(result - results["cpu"]).max() <= 1
    said = capfd.readouterr()
    assert ", vulkan:0, fp32," in said.err + said.out
    assert ", vulkan:0, vulkan:0, fp32," in said.err + said.out
    assert "queueC" not in said.err + said.out


def test_a_program_of_others_is_run_without_any_flag(
    call: Call, images: Path, tmp_path: Path
) -> None:
    param = write_program(tmp_path / "double.param")
    assert call("-i", images, "-o", tmp_path / "out", "-m", param) == 0
    assert read_rgb8(tmp_path / "out" / "a_x2.png").shape == (40, 50, 3)


def test_vulkan_means_ncnn_and_fp16_where_the_device_has_it(
    model: Path, half_vulkan: torch.device
) -> None:
    listener = Listener()
    (upscaler,) = load_upscalers(model, listener, RuntimeOptions(devices=("vulkan:0",)))
    assert upscaler.dtype == torch.float16
    assert (upscaler.device.type, str(upscaler.network_device)) == ("cpu", "vulkan:0")
    assert upscaler.tile_size == 256
    assert listener.events == []


@pytest.mark.slow
def test_a_network_that_fails_in_fp16_is_loaded_in_fp32(
    model: Path, half_vulkan: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backends.TOLERANCE, torch.float16, 1e-9)
    listener = Listener()
    (upscaler,) = load_upscalers(model, listener, RuntimeOptions(devices=("vulkan:0",)))
    assert upscaler.dtype == torch.float32
    (warning,) = listener.warnings
    assert warning.startswith("backend ncnn: Compact: its result differs by")
    assert warning.endswith("taken in fp32")


def test_ncnn_on_the_cpu_is_said_to_be_slow(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sr.inference.load_upscaler.find_vulkan_gpu", lambda: None)
    listener = Listener()
    (upscaler,) = load_upscalers(model, listener, RuntimeOptions(backend="ncnn"))
    assert isinstance(upscaler._runner._network, NcnnNetwork)
    assert (str(upscaler.network_device), upscaler.dtype) == ("cpu", torch.float32)
    assert "slower than torch on the CPU" in listener.warnings[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "vulkan:99"], "expected one of the Vulkan devices ("),
        (["--device", "vulkan", "--precision", "bf16"], "expected fp16 or fp32 on vulkan:0"),
        (["--device", "vulkan", "--backend", "openvino"], "where only ncnn runs"),
        (["--device", "vulkan", "--compile"], "--compile: expected backend torch, got ncnn"),
    ],
)
def test_what_vulkan_cannot_do_exits_with_2(
    arguments: list[str],
    message: str,
    call: Call,
    images: Path,
    model: Path,
    tmp_path: Path,
    vulkan: torch.device,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert call("-i", images, "-o", tmp_path / "out", "-m", model, *arguments) == 2
    assert message in capfd.readouterr().err


def test_models_of_several_frames_are_refused(clip_model: Path, vulkan: torch.device) -> None:
    with pytest.raises(ValueError, match="takes several frames and their flow, which only torch"):
        load_upscalers(clip_model, Listener(), RuntimeOptions(devices=("vulkan:0",)))
