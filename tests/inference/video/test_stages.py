"""What happens to frames on the way: batches, repeated frames, several devices, order."""

import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sr.inference.video import stages
from sr.inference.video.pipeline import choose_batch_size
from sr.inference.video.stages import (
    Batch,
    NetworkStage,
    Upscaled,
    convert_to_planes,
    convert_to_rgb,
)
from sr.io.video.frame import Color, Frame, Layout
from sr.io.video.pixels.yuv import Conversion
from sr.tiling.runner import NetworkError, NumericError
from sr.tiling.upscaler import StoppedError, Upscaler

CPU = torch.device("cpu")
GRAY = Layout("gray", 8)
COLOR = Color(1, 1, 1, True)
CONVERSION = Conversion(GRAY, COLOR, "left")
HEIGHT, WIDTH = 6, 8


def frames(levels: Sequence[int]) -> Iterator[Frame]:
    """Plain frames, each in memory of its own."""
    for number, level in enumerate(levels):
        planes = (np.full((HEIGHT, WIDTH), level, np.uint8),)
        yield Frame(number, 10 * number, 10, planes)


class Doubling(nn.Module):
    """Repeats each pixel twice; notes what it was given."""

    def __init__(self, *, fault: BaseException | None = None, fault_at: int = 0) -> None:
        super().__init__()
        self.given: list[tuple[int, ...]] = []
        self.fault = fault
        self.fault_at = fault_at

    def forward(self, lr: Tensor) -> Tensor:
        if self.fault is not None and len(self.given) == self.fault_at:
            raise self.fault
        self.given.append(tuple(lr.shape))
        return lr.repeat_interleave(2, 2).repeat_interleave(2, 3)


def upscaler(network: nn.Module, tile_size: int = 0) -> Upscaler:
    return Upscaler(network, scale=2, halo=0, tile_size=tile_size, device=CPU, dtype=torch.float32)


def run_network(
    levels: Sequence[int],
    networks: Sequence[nn.Module],
    *,
    batch_size: int = 1,
    size: tuple[int, int] = (2 * HEIGHT, 2 * WIDTH),
    num_passes: int = 1,
    tile_size: int = 0,
    stopped: threading.Event | None = None,
) -> list[Upscaled]:
    upscalers = [upscaler(network, tile_size) for network in networks]
    stage = NetworkStage(upscalers, size, num_passes, stopped or threading.Event())
    batches = convert_to_rgb(frames(levels), CONVERSION, [CPU] * len(networks), batch_size)
    return list(stage.upscale(batches))


def levels_of(results: Sequence[Upscaled]) -> list[int]:
    """The one level of each result."""
    found = []
    for _, _, sr in results:
        assert float(sr.max() - sr.min()) < 1e-5
        found.append(round(float(sr.mean()) * 255))
    return found


def batches_of(levels: Sequence[int], batch_size: int, devices: int = 1) -> list[Batch]:
    return list(convert_to_rgb(frames(levels), CONVERSION, [CPU] * devices, batch_size))


def test_a_batch_holds_distinct_frames_and_those_that_repeat_them() -> None:
    one, two, three = batches_of([1, 1, 2, 2, 2, 3, 1, 5], batch_size=2)
    assert [frame.number for frame in one.frames] == [0, 1, 2, 3, 4]
    assert one.is_new == [True, False, True, False, False]
    assert [frame.number for frame in two.frames] == [5, 6]
    assert [frame.number for frame in three.frames] == [7]
    assert [len(batch.lr) for batch in (one, two, three)] == [2, 2, 1]
    assert one.lr[0].shape == (1, 3, HEIGHT, WIDTH)


def test_batches_go_to_the_devices_in_turn() -> None:
    assert [batch.turn for batch in batches_of(range(7), 2, devices=3)] == [0, 1, 2, 0]


def test_a_still_scene_does_not_hold_up_all() -> None:
    found = batches_of([7] * 100, batch_size=8)
    assert [len(batch.frames) for batch in found] == [32, 32, 32, 4]
    assert [len(batch.lr) for batch in found] == [1, 0, 0, 0]


def test_no_frames_give_no_batch() -> None:
    assert batches_of([], 4) == []


def test_frames_are_asked_for_only_when_they_are_needed() -> None:
    asked = []

    def watched() -> Iterator[Frame]:
        for frame in frames(range(10)):
            asked.append(frame.number)
            yield frame

    batches = convert_to_rgb(watched(), CONVERSION, [CPU], 2)
    next(batches)
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("num_devices", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_each_frame_has_its_own_result_in_order(batch_size: int, num_devices: int) -> None:
    levels = [10, 10, 20, 30, 30, 30, *[40] * 40, 10, 20, 20, 250, 0]
    networks = [Doubling() for _ in range(num_devices)]
    results = run_network(levels, networks, batch_size=batch_size)
    assert [frame.number for frame, _, _ in results] == list(range(len(levels)))
    assert levels_of(results) == levels
    assert sum(shape[0] for network in networks for shape in network.given) == 8
    assert all(network.given for network in networks[: 8 // batch_size])
    for (frame, lr, sr), (following, next_lr, next_sr) in pairwise(results):
        is_equal = levels[frame.number] == levels[following.number]
        assert (lr is next_lr) == (sr is next_sr) == is_equal


def test_batches_change_no_result() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))
    levels = [1, 50, 50, 99, 180, 7]
    alone = run_network(levels, [network], batch_size=1)
    for batch_size, tile_size in ((4, 0), (1, 4), (3, 4)):
        if tile_size:  # without a halo tiles have borders of their own
            expected = run_network(levels, [network], batch_size=1, tile_size=tile_size)
        else:
            expected = alone
        results = run_network(levels, [network], batch_size=batch_size, tile_size=tile_size)
        for (_, _, one), (_, _, other) in zip(expected, results, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_several_passes_and_shrinking_give_the_size_that_is_asked_for() -> None:
    levels = [3, 200]
    network = Doubling()
    results = run_network(levels, [network], size=(3 * HEIGHT, 3 * WIDTH), num_passes=2)
    assert [tuple(sr.shape) for _, _, sr in results] == [(1, 3, 18, 24)] * 2
    assert levels_of(results) == levels
    assert network.given == [(1, 3, 6, 8), (1, 3, 12, 16)] * 2


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (MemoryError("full"), MemoryError, "frame 4: .*not enough memory"),
        (RuntimeError("out of memory, somehow"), MemoryError, "frame 4: "),
        (KeyError("ours"), NetworkError, "KeyError in the network: .*ours"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    ],
)
@pytest.mark.parametrize("num_devices", [1, 2])
def test_a_fault_comes_out_with_the_number_of_its_frame(
    fault: BaseException, kind: type[BaseException], message: str, num_devices: int
) -> None:
    networks = [Doubling(fault=fault, fault_at=4 // num_devices)]
    networks += [Doubling() for _ in range(num_devices - 1)]
    with pytest.raises(kind, match=message):
        run_network(range(9), networks)


def test_a_result_that_is_no_number_is_reported_with_its_frame() -> None:
    class Broken(nn.Module):
        def forward(self, lr: Tensor) -> Tensor:
            sr = lr.repeat_interleave(2, 2).repeat_interleave(2, 3)
            return sr / 0 * 0 if float(lr.max()) > 0.5 else sr

    with pytest.raises(NumericError, match="frame 2: "):
        run_network([10, 10, 255], [Broken()])


def test_no_tile_is_computed_any_more_once_the_work_is_stopped() -> None:
    stopped = threading.Event()

    class Stopping(Doubling):
        def forward(self, lr: Tensor) -> Tensor:
            stopped.set()
            return super().forward(lr)

    network = Stopping()
    with pytest.raises(StoppedError):
        run_network([1, 2, 3], [network], tile_size=4, stopped=stopped)
    assert len(network.given) < 4


def test_the_network_counts_what_it_did() -> None:
    stage = NetworkStage([upscaler(Doubling(), 4)], (12, 16), 1, threading.Event())
    list(stage.upscale(convert_to_rgb(frames([1, 1, 2]), CONVERSION, [CPU], 1)))
    assert stage.num_tiles == 8
    assert stage.seconds > 0


class CountingConversion(Conversion):
    num_calls = 0

    def from_rgb(self, rgb: Tensor) -> tuple[Tensor, ...]:
        self.num_calls += 1
        return super().from_rgb(rgb)


def test_repeated_frames_are_converted_once() -> None:
    conversion = CountingConversion(GRAY, COLOR, "left")
    one, two = torch.full((1, 3, 4, 4), 0.2), torch.full((1, 3, 4, 4), 1.2)
    given = zip(frames([0] * 5), [one, one, two, two, one], strict=True)
    found = list(convert_to_planes(given, conversion, GRAY, (0, 0)))
    assert conversion.num_calls == 3
    assert [int(planes[0][0, 0]) for _, planes in found] == [51, 51, 255, 255, 51]
    assert found[0][1] is found[1][1]
    assert [frame.number for frame, _ in found] == [0, 1, 2, 3, 4]


def test_rows_and_columns_are_repeated_at_the_bottom_and_right() -> None:
    sr = torch.rand(1, 1, 3, 5, generator=torch.Generator().manual_seed(0)).expand(1, 3, 3, 5)
    ((_, plain),) = convert_to_planes(zip(frames([0]), [sr], strict=True), CONVERSION, GRAY, (0, 0))
    ((_, padded),) = convert_to_planes(
        zip(frames([0]), [sr], strict=True), CONVERSION, GRAY, (1, 3)
    )
    np.testing.assert_array_equal(padded[0], np.pad(plain[0], ((0, 1), (0, 3)), "edge"))


def test_all_work_on_tensors_is_on_streams_that_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_stream: list[bool] = []  # while a function runs that `on_own_stream` has made

    def watched(function: Any, device: torch.device) -> Any:
        assert device == CPU

        def run(*given: Any, **more: Any) -> Any:
            on_stream.append(True)
            try:
                return function(*given, **more)
            finally:
                on_stream.pop()

        return run

    seen: list[str] = []

    def checked(name: str, function: Any) -> Any:
        def run(*given: Any, **more: Any) -> Any:
            assert on_stream, name
            seen.append(name)
            return function(*given, **more)

        return run

    monkeypatch.setattr(stages, "on_own_stream", watched)
    for name in ("planes_to_tensors", "tensors_to_planes"):
        monkeypatch.setattr(stages, name, checked(name, getattr(stages, name)))
    resize = checked("interpolate", torch.nn.functional.interpolate)
    monkeypatch.setattr(torch.nn.functional, "interpolate", resize)
    results = run_network([10, 200], [Doubling()], size=(HEIGHT, WIDTH))
    list(convert_to_planes(((frame, sr) for frame, _, sr in results), CONVERSION, GRAY, (0, 0)))
    assert {*seen} == {"planes_to_tensors", "interpolate", "tensors_to_planes"}


@pytest.mark.parametrize(
    ("height", "width", "tile_size", "expected"),
    [(64, 64, 0, 8), (128, 256, 512, 2), (720, 1280, 1024, 1), (64, 64, 64, 2), (64, 64, 32, 1)],
)
def test_small_frames_go_through_a_gpu_together_if_tiles_say_there_is_memory(
    height: int, width: int, tile_size: int, expected: int
) -> None:
    assert choose_batch_size(height, width, tile_size, torch.device("cuda", 0)) == expected
    assert choose_batch_size(height, width, tile_size, CPU) == 1


def test_no_frame_is_begun_once_the_work_is_stopped() -> None:
    stopped, network = threading.Event(), Doubling()
    stopped.set()
    with pytest.raises(StoppedError):
        run_network([1, 2, 3], [network], stopped=stopped)
    assert network.given == []


def test_upscalers_on_one_cpu_share_its_threads() -> None:
    class Recording(Doubling):
        def forward(self, lr: Tensor) -> Tensor:
            num_threads.append(torch.get_num_threads())
            return super().forward(lr)

    before = torch.get_num_threads()
    num_threads: list[int] = []
    try:
        torch.set_num_threads(5)
        run_network([1, 2], [Recording(), Recording()])
    finally:
        torch.set_num_threads(before)
    assert num_threads == [2, 2]
