"""Programs in forked processes, which are signalled and waited for."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

PATIENCE = 120.0  # seconds for a program to end by itself

Work = Callable[[], object]
"""A program: ends by returning (code 0), or with SystemExit."""


class Program:
    """A program that runs in a process group of its own, its output in a file."""

    def __init__(self, work: Work, output: Path) -> None:
        sys.stdout.flush()
        self.output = output
        with output.open("wb") as file:
            self.pid = os.fork()
            if self.pid == 0:
                os._exit(_run(work, file.fileno()))
        os.setpgid(self.pid, self.pid)  # else a signal could come before there is a group

    def send(self, number: int) -> None:
        """Signal all its processes, as launchers do; nothing where it has ended."""
        if not self._has_ended():
            os.killpg(self.pid, number)

    def wait(self) -> int:
        """Return the exit code, or -N of signal N. Raises TimeoutError, and kills what hangs."""
        deadline = time.monotonic() + PATIENCE
        while not self._has_ended():
            if time.monotonic() > deadline:
                os.killpg(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise TimeoutError(f"not ended after {PATIENCE:.0f} s: {self.read_output()}")
            time.sleep(0.002)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def read_output(self) -> str:
        """Return what it has printed."""
        return self.output.read_text(errors="replace")

    def _has_ended(self) -> bool:
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, options) is not None


def run_to_end(work: Work, output: Path) -> float:
    """Run a program. Returns seconds; raises AssertionError unless its exit code is 0."""
    started = time.monotonic()
    program = Program(work, output)
    code = program.wait()
    assert code == 0, f"expected exit code 0, got {code}:\n{program.read_output()}"
    return time.monotonic() - started


def _run(work: Work, output: int) -> int:
    os.setpgid(0, 0)
    for number in (1, 2):
        os.dup2(output, number)
    try:
        work()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001, as the interpreter does
        traceback.print_exc()
        return 1
    return 0
