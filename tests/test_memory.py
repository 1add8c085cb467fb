"""The C library keeps freed memory when asked to."""

import platform
import subprocess
import sys

import pytest

from sr.device import keep_freed_memory

PAGE_FAULTS_OF_40_BLOCKS = """
import resource, sys, threading
import torch
from sr.device import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def work():
    for _ in range(40):
        torch.ones(9 * 2**20)  # 36 MiB, freed at once


if sys.argv[2] == "thread":  # which has memory of its own by default
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

with_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


def page_faults(how: str, where: str) -> int:
    command = [sys.executable, "-c", PAGE_FAULTS_OF_40_BLOCKS, how, where]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@with_glibc
@pytest.mark.parametrize("where", ["main", "thread"])
def test_most_blocks_that_were_freed_are_used_again_without_page_faults(where: str) -> None:
    # Not all: something small is put next to the first ones, then an equal one does not fit there.
    assert page_faults("keep", where) < page_faults("default", where) / 2


def test_a_system_without_the_setting_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _name: object())
    assert not keep_freed_memory()
