"""ncnn's devices, and its talk, which nobody sees."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sr.vulkan import count_free_mib, list_vulkan_devices


def test_devices_have_a_name_and_memory(
    vulkan: torch.device, capfd: pytest.CaptureFixture[str]
) -> None:
    list_vulkan_devices.cache_clear()
    first = list_vulkan_devices()[0]
    assert (first.index, f"vulkan:{first.index} ({first.name})") == (0, str(first))
    assert first.name
    assert first.num_mib > 0
    assert count_free_mib(0) > 0
    assert capfd.readouterr() == ("", "")


def test_without_a_driver_there_are_no_devices(repository: Path) -> None:
    pytest.importorskip("ncnn")
    code = "from sr.vulkan import list_vulkan_devices as l; print(l())"
    nowhere = {"VK_ICD_FILENAMES": "/nonexistent", "VK_DRIVER_FILES": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "()\n", "")
