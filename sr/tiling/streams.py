"""CUDA streams for threads next to the one in which the network runs."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")

_idle_streams: defaultdict[torch.device, list[torch.cuda.Stream]] = defaultdict(list)


def on_own_stream(function: Callable[P, R], device: torch.device) -> Callable[P, R]:
    """Wrap a function so that its CUDA kernels and copies do not wait for those of other threads.

    Done when it returns, so that its tensors may be used anywhere and their memory freed.
    """
    if device.type != "cuda":
        return function

    def on_stream(*args: P.args, **kwargs: P.kwargs) -> R:
        with _borrow_stream(device) as stream, torch.cuda.stream(stream):
            result = function(*args, **kwargs)
            stream.synchronize()
        return result

    return on_stream


@contextmanager
def _borrow_stream(device: torch.device) -> Iterator[torch.cuda.Stream]:
    """Lend a stream that nobody else uses meanwhile.

    There are as many as were ever in use at once: each keeps memory of its own.
    """
    idle = _idle_streams[device]
    try:
        stream = idle.pop()
    except IndexError:
        stream = torch.cuda.Stream(device)
    try:
        yield stream
    finally:
        idle.append(stream)
