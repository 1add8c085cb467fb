"""Signals while libraries are imported, and what is printed to a terminal that is gone."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from sr.io.stop_signals import detach_terminal
sys.stdin.readline()
try:
    print("lost", flush=True)
except OSError:
    print("an error", file=sys.stderr)
detach_terminal()
print("nowhere", flush=True)
print("to a file", file=sys.stderr, flush=True)
"""


def test_after_the_terminal_is_gone_printing_is_no_error_and_files_still_get_theirs(
    tmp_path: Path,
) -> None:
    ours, theirs = pty.openpty()
    with (tmp_path / "err").open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=theirs, stderr=file
        )
        os.close(theirs)
        os.close(ours)
        process.communicate(b"\n", timeout=60)
    assert process.returncode == 0
    assert (tmp_path / "err").read_text() == "an error\nto a file\n"


IMPORTS = """
import os, signal
from sr.io.stop_signals import exit_at_signals, raise_stop_signals
with raise_stop_signals(), exit_at_signals():
    try:
        os.kill(os.getpid(), {number})
    except BaseException:
        print("a library would have said something")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_while_libraries_are_imported_ends_the_program_silently(
    number: int,
) -> None:
    code = IMPORTS.format(number=int(number))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + number, b"", b"")


COMMAND = """
import os, runpy, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == interrupted:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
_, interrupted, *sys.argv = sys.argv
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("imported", ["typer", "torch"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["infer.py", "-i", "README.md", "-o", "nowhere"],
        ["train.py", "-opt", "options/train/compact_x4.yml", "--check"],
    ],
)
def test_ctrl_c_while_a_command_imports_ends_it_silently(
    arguments: list[str], imported: str, repository: Path
) -> None:
    command = [sys.executable, "-c", COMMAND, imported, *arguments]
    ended = subprocess.run(command, cwd=repository, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")
