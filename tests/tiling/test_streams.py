"""Threads next to the network's on a GPU: streams of their own, and no more than are in use."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from sr.tiling.read_ahead import write_behind
from sr.tiling.streams import on_own_stream
from sr.tiling.tiles import Box


def ignore(*_: object) -> None:
    pass


class FakeStream:
    """In place of a CUDA stream; `log` gets what happens on all of them."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log = log
        self.name = name

    def record_event(self) -> "FakeEvent":
        self.log.append(f"record on {self.name}")
        return FakeEvent(self)

    def synchronize(self) -> None:
        self.log.append(f"wait for {self.name}")


class FakeEvent:
    def __init__(self, of: FakeStream) -> None:
        self.of = of

    def wait(self, stream: FakeStream) -> None:
        self.of.log.append(f"{stream.name} waits for {self.of.name}")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens on streams of CUDA in place of which fake ones stand."""
    log: list[str] = []
    current = threading.local()

    def make(device: torch.device) -> FakeStream:
        log.append("new stream")
        return FakeStream(log, "another")

    @contextmanager
    def use(stream: FakeStream) -> Iterator[None]:
        before = get_current(stream.name)
        current.stream = stream
        yield
        current.stream = before

    def get_current(_device: object) -> FakeStream:
        return getattr(current, "stream", FakeStream(log, "the network's"))

    monkeypatch.setattr(torch.cuda, "Stream", make)
    monkeypatch.setattr(torch.cuda, "stream", use)
    monkeypatch.setattr(torch.cuda, "current_stream", get_current)
    monkeypatch.setattr("sr.tiling.streams._idle_streams", defaultdict(list))
    return log


def test_on_a_gpu_the_writer_waits_for_the_network_and_no_thread_does(log: list[str]) -> None:
    def write(box: Box, sr: Tensor) -> None:
        log.append("write")

    with write_behind(write, torch.device("cuda", 0)) as put:
        put(Box(0, 0, 1, 1), torch.zeros(1))
    log.remove("new stream")
    assert log == [
        "record on the network's",
        "another waits for the network's",
        "write",
        "wait for another",
    ]


def test_streams_are_used_again(log: list[str]) -> None:
    device = torch.device("cuda", 0)
    for _ in range(20):
        with write_behind(ignore, device) as put:
            put(Box(0, 0, 1, 1), torch.zeros(1))
        on_own_stream(ignore, device)()
    assert log.count("new stream") == 1
    on_own_stream(on_own_stream(ignore, device), device)()  # both in use
    assert log.count("new stream") == 2
