"""ncnn's devices, and its talk, which nobody sees."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from sr.vulkan import capture_native_errors, count_free_mib, list_vulkan_devices


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


def test_what_a_library_reports_is_kept_back_and_given(capfd: pytest.CaptureFixture[str]) -> None:
    with capture_native_errors() as lines:
        os.write(2, b"of a library\n\xff")
        os.write(1, b"a result\n")
    os.write(2, b"after\n")
    assert capfd.readouterr() == ("a result\n", "after\n")
    assert lines == ["of a library", "\ufffd"]


def test_the_stream_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), capture_native_errors():
        raise KeyError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_two_threads_capture_one_after_the_other(capfd: pytest.CaptureFixture[str]) -> None:
    def work(number: int) -> list[str]:
        with capture_native_errors() as lines:
            os.write(2, b"%d\n" % number)
        return lines

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(100))) == [[str(number)] for number in range(100)]
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
