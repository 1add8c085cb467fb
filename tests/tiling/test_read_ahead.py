"""Reading ahead and writing behind: in step, within bounds, and over when the caller is done."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sr.inference.channels import Channels
from sr.tiling.read_ahead import read_ahead
from sr.tiling.runner import NetworkError
from sr.tiling.tiles import Box, split_image
from sr.tiling.upscaler import Upscaler

CPU = torch.device("cpu")
NUM_TILES = 8


class Network(nn.Module):
    """Returns its input, once `before` was called with the number of the pass, from 0."""

    def __init__(self, before: Callable[[int], None]) -> None:
        super().__init__()
        self.before = before
        self.num_passes = 0

    def forward(self, lr: Tensor) -> Tensor:
        self.before(self.num_passes)
        self.num_passes += 1
        return lr.clone()


def read_zeros(box: Box) -> Tensor:
    return torch.zeros(1, 3, box.height, box.width)


def ignore(*_: object) -> None:
    pass


def upscale(
    before: Callable[[int], None] = ignore,
    read: Callable[[Box], Tensor] = read_zeros,
    write: Callable[[Box, Tensor], None] = ignore,
) -> None:
    """A column of NUM_TILES tiles."""
    upscaler = Upscaler(
        Network(before), scale=1, halo=0, tile_size=4, device=CPU, dtype=torch.float32
    )
    upscaler.upscale(4 * NUM_TILES, 4, read, write)


def number(box: Box) -> int:
    return box.top // 4


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_the_next_tile_is_read_and_the_last_written_while_one_is_computed() -> None:
    is_read = [threading.Event() for _ in range(NUM_TILES)]
    is_computed = [threading.Event() for _ in range(NUM_TILES)]
    is_written = [threading.Event() for _ in range(NUM_TILES)]

    def read(box: Box) -> Tensor:
        is_read[number(box)].set()
        return read_zeros(box)

    def before(index: int) -> None:
        if index + 1 < NUM_TILES:
            assert is_read[index + 1].wait(10)
        if index:
            assert is_written[index - 1].wait(10)
        is_computed[index].set()

    def write(box: Box, sr: Tensor) -> None:
        index = number(box)
        if index + 1 < NUM_TILES - 1:  # written while the network is at the next one
            assert not is_computed[index + 1].is_set()
        is_written[index].set()

    upscale(before, read, write)
    assert all(event.is_set() for event in is_written)


def test_neither_reading_nor_writing_is_far_from_computing() -> None:
    reads, writes, distances = [], [], []

    def read(box: Box) -> Tensor:
        reads.append(number(box))
        return read_zeros(box)

    def write(box: Box, sr: Tensor) -> None:
        time.sleep(0.01)
        writes.append(number(box))

    def before(index: int) -> None:
        distances.append((len(reads) - index, index - len(writes)))

    upscale(before, read, write)
    assert reads == writes == list(range(NUM_TILES))
    assert max(ahead for ahead, _ in distances) <= 2  # the one computed and the next
    assert max(behind for _, behind in distances) <= 2


@pytest.mark.parametrize("error", [OSError("broken"), MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize("at", [0, 3, NUM_TILES - 1])
def test_an_error_of_reading_comes_out_in_the_caller(error: BaseException, at: int) -> None:
    written = []

    def read(box: Box) -> Tensor:
        if number(box) == at:
            raise error
        return read_zeros(box)

    with pytest.raises(type(error)) as raised:
        upscale(read=read, write=lambda box, _: written.append(number(box)))
    assert raised.value is error
    assert written == list(range(len(written)))
    assert len(written) <= at


@pytest.mark.parametrize("error", [OSError("disk full"), MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize("at", [0, 3, NUM_TILES - 1])
def test_an_error_of_writing_comes_out_in_the_caller_and_stops_it(
    error: BaseException, at: int
) -> None:
    written: list[int] = []
    computed: list[Any] = []

    def write(box: Box, sr: Tensor) -> None:
        if number(box) == at:
            raise error
        written.append(number(box))

    with pytest.raises(type(error)) as raised:
        upscale(computed.append, write=write)
    assert raised.value is error
    assert written == list(range(at))
    assert len(computed) <= at + 4


@pytest.mark.parametrize(
    ("error", "kind"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (ValueError("ours"), NetworkError)],
)
def test_an_interrupt_of_computing_ends_both_threads(
    error: BaseException, kind: type[BaseException]
) -> None:
    written = []

    def before(index: int) -> None:
        if index == 3:
            raise error

    with pytest.raises(kind):
        upscale(before, write=lambda box, _: written.append(number(box)))
    assert written == list(range(len(written)))
    assert len(written) <= 3


def test_an_error_of_the_listener_ends_both_threads() -> None:
    upscaler = Upscaler(
        nn.Identity(), scale=1, halo=0, tile_size=4, device=CPU, dtype=torch.float32
    )

    def on_tile(tile: int, _: int) -> None:
        if tile == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscaler.upscale(4 * NUM_TILES, 4, read_zeros, ignore, on_tile)


def test_all_is_written_on_return() -> None:
    written = []

    def write(box: Box, sr: Tensor) -> None:
        time.sleep(0.02)
        written.append(number(box))

    upscale(write=write)
    assert written == list(range(NUM_TILES))


@pytest.mark.parametrize(
    "wrong", [torch.zeros(1, 3, 4, 5), torch.zeros(3, 4, 4), torch.zeros(1, 3, 4, 4).double()]
)
def test_what_does_not_fit_the_box_is_refused(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, 3, 4, 4\), torch.float32, got \("):
        upscale(read=lambda _: wrong)


@pytest.mark.parametrize("num_bands", [1, 2, 3, 4])
@pytest.mark.parametrize("alpha", ["uniform", "varying"])
def test_what_is_read_for_a_gpu_is_pinned_contiguous_and_alone(
    pinned: list[Tensor], num_bands: int, alpha: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, num_bands), np.uint8)
    if alpha == "uniform":
        pixels[..., -1] = 200
    channels = Channels(lambda box: pixels[box.rows, box.columns], 40, 30, num_bands, 2, "model")
    tiles = split_image(40, 30, tile_size=16, halo=2)
    with read_ahead(channels.read, tiles, torch.device("cuda"), num_ahead=1) as patches:
        for tile, lr in patches:
            assert any(lr is one for one in pinned)
            assert lr.is_contiguous()
            assert lr.untyped_storage().nbytes() == lr.numel() * 4
            assert torch.equal(lr, channels.read(tile.haloed))
