"""What is printed to a terminal that is gone."""

import os
import pty
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from sr.io.terminal import detach_terminal
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
