"""Signals that stop a run are for its main process; its workers end when that says so.

A terminal, torchrun, Slurm, systemd and docker signal all processes of a run. torch's workers end
at SIGTERM, and then torch raises in the main process, at whatever line that is, that a worker has
died: nothing would be saved.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from sr.data.crops import use_one_thread
from sr.training.signals import SIGNALS


@contextmanager
def block_signals() -> Iterator[None]:
    """Give processes that are started inside no signals that stop a run, from their first line on.

    Those that come meanwhile reach this process at the end.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows, which has no such signals
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    resource_tracker.ensure_running()  # unblocks signals when it starts its process
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker(_worker: int) -> None:
    """Set up a worker process of a DataLoader that was started inside `block_signals`."""
    use_one_thread(_worker)
    if hasattr(signal, "sigwaitinfo"):
        threading.Thread(target=_obey_parent, args=(os.getppid(),), daemon=True).start()
    elif hasattr(signal, "pthread_sigmask"):  # macOS: who has sent a signal is not known
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _obey_parent(parent: int) -> None:
    """End this process at a signal of its parent, or at any once that is gone."""
    while True:
        sender = signal.sigwaitinfo(SIGNALS).si_pid
        if sender == parent or os.getppid() != parent:
            os._exit(0)
