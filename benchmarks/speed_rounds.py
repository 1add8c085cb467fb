"""Interleaved timing of several contestants, and the peak convolution rate of the machine.

All contestants of a table run in turn, round by round, so that other load affects them equally; the
first round is a warm-up and not counted. The peak is the best of several 3x3 convolutions with many
channels, in each memory layout; it is measured in the same rounds.
"""

import copy
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from speed_table import Row
from torch import Tensor, nn
from torch.nn.functional import conv2d

from sr.device import name_precision
from sr.models.describe import measure_mflop_per_pixel

Contestant = Callable[[], float]
"""Run once and return the seconds that it took, or a rate."""

LEAST_SECONDS = 0.1  # of a measurement; shorter runs are repeated
PEAK_SHAPES: dict[str, Sequence[tuple[int, int]]] = {
    "cpu": ((64, 64), (64, 256), (128, 128), (256, 64), (512, 32)),
    "cuda": ((64, 1024), (128, 1024), (256, 512), (512, 256)),
}
"""Device -> channels, in and out, and side of the square, of the convolutions of the peak."""
NUM_KEPT = 3  # of the convolutions, after the first round
NUM_CALLS = 3  # of each in a round, of which the fastest counts


@dataclass(frozen=True)
class Entry:
    """A contestant, and what is known of its row before it runs."""

    cells: Row
    contestant: Contestant
    """Seconds of one image."""
    precision: torch.dtype
    flop: float
    """Of one image, without tile overhead; a multiply-add counts as two."""
    sr_pixels: float
    """Of one image's result."""
    group: str = ""
    """Ratios are to the first of the group."""


@dataclass(frozen=True)
class LeftOut:
    """A row without numbers."""

    cells: Row
    reason: str


@dataclass
class Peak:
    """The best rate of a convolution in GFLOP/s, each time that it is called.

    The first call tries all shapes and layouts, the others those that were best then.
    """

    precision: torch.dtype
    device: torch.device
    num_threads: int | None = None
    """Of torch on the CPU; None for what is set."""
    best: str = ""
    """The fastest convolution of the first call, in words."""
    _kept: dict[str, tuple[Callable[[], Tensor], float]] = field(default_factory=dict)

    def __call__(self) -> float:
        """GFLOP/s of the fastest."""
        first = not self._kept
        if first:
            self._kept = _convolutions(self.precision, self.device)
        with _threads(self.num_threads), _full_fp32(), torch.inference_mode():
            rates = {name: self._rate(name) for name in self._kept}
        if first:
            order = sorted(rates, key=lambda name: rates[name], reverse=True)
            self.best = order[0]
            self._kept = {name: self._kept[name] for name in order[:NUM_KEPT]}
        return max(rates.values())

    def _rate(self, name: str) -> float:
        run, flop = self._kept[name]
        least = math.inf
        for _ in range(1 + NUM_CALLS):  # the first may want memory
            synchronize(self.device)
            started = time.perf_counter()
            run()
            synchronize(self.device)
            least = min(least, time.perf_counter() - started)
        return flop / least / 1e9


def in_turn(contestants: Sequence[Contestant], num_rounds: int) -> list[list[float]]:
    """Return the numbers of each contestant by round, without the warm-up round."""
    numbers: list[list[float]] = [[] for _ in contestants]
    for _ in range(num_rounds + 1):
        for contestant, taken in zip(contestants, numbers, strict=True):
            taken.append(contestant())
    return [taken[1:] for taken in numbers]


def compete(entries: Sequence[Entry | LeftOut], device: torch.device, num_rounds: int) -> list[Row]:
    """Return a row per entry, with the fraction of the peak of its precision."""
    running = [entry for entry in entries if isinstance(entry, Entry)]
    precisions = list(dict.fromkeys(entry.precision for entry in running))
    contestants: list[Contestant] = [Peak(precision, device) for precision in precisions]
    contestants += [entry.contestant for entry in running]
    numbers = in_turn(contestants, num_rounds)
    taken = dict(zip(map(id, running), numbers[len(precisions) :], strict=True))
    peaks = dict(zip(precisions, map(statistics.median, numbers), strict=False))
    first: dict[str, float] = {}
    rows: list[Row] = []
    for entry in entries:
        if isinstance(entry, LeftOut):
            rows.append({**entry.cells, "note": entry.reason})
            continue
        seconds = taken[id(entry)]
        median = statistics.median(seconds)
        rate = entry.flop / median / 1e9
        rows.append(
            {
                **entry.cells,
                "ms": 1000 * median,
                "least ms": 1000 * min(seconds),
                "ratio": median / first.setdefault(entry.group, median),
                "GFLOP/s": rate,
                "of peak": rate / peaks[entry.precision],
                "output MP/s": entry.sr_pixels / median / 1e6,
            }
        )
    return rows


def timed(run: Callable[[], object], device: torch.device) -> Contestant:
    """Return a contestant that repeats a run for LEAST_SECONDS and gives the seconds per run."""

    def measure() -> float:
        synchronize(device)
        started = time.perf_counter()
        num_runs, seconds = 0, 0.0
        while seconds < LEAST_SECONDS:
            run()
            synchronize(device)
            num_runs += 1
            seconds = time.perf_counter() - started
        return seconds / num_runs

    return measure


def flop_of(network: nn.Module, num_channels: int, num_pixels: int) -> float:
    """Count the operations of one pass over a square image of about num_pixels LR pixels.

    A multiply-add counts as two. Nothing is computed. NaN for networks without torch parameters.

    network: on any device, of (1, num_channels, H, W).
    """
    if next(network.parameters(), None) is None:
        return math.nan
    with torch.device("meta"):
        shadow = copy.deepcopy(network).to("meta")
        side = math.isqrt(num_pixels)
        return 1e6 * measure_mflop_per_pixel(shadow, side, num_channels) * num_pixels


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_rows(
    precisions: Sequence[torch.dtype], device: torch.device, num_rounds: int
) -> list[Row]:
    """Return the peak of each precision, on a CPU also with one thread."""
    threads = [1, torch.get_num_threads()] if device.type == "cpu" else [torch.get_num_threads()]
    peaks = [
        Peak(precision, device, number)
        for precision in precisions
        for number in dict.fromkeys(threads)
    ]
    return [
        {
            "precision": name_precision(peak.precision),
            "threads": peak.num_threads,
            "GFLOP/s": statistics.median(rates),
            "most GFLOP/s": round(max(rates), 1),
            "convolution": peak.best,
        }
        for peak, rates in zip(peaks, in_turn(peaks, num_rounds), strict=True)
    ]


def _convolutions(
    precision: torch.dtype, device: torch.device
) -> dict[str, tuple[Callable[[], Tensor], float]]:
    """Return name -> function that runs it once, and its FLOP."""
    made: dict[str, tuple[Callable[[], Tensor], float]] = {}
    for channels, side in PEAK_SHAPES["cuda" if device.type == "cuda" else "cpu"]:
        lr = torch.rand(1, channels, side, side).to(device, precision)
        weight = torch.rand(channels, channels, 3, 3).to(device, precision)
        layouts = {"NCHW": (lr, weight)}
        last = torch.channels_last
        layouts["NHWC"] = (lr.contiguous(memory_format=last), weight.contiguous(memory_format=last))
        if device.type == "cpu" and _has_onednn_blocks(precision):
            layouts["oneDNN's blocks"] = (lr.to_mkldnn(), weight.to_mkldnn())
        for name, given in layouts.items():
            label = f"{channels} channels, {side}x{side}, {name}"
            made[label] = (_convolution(*given), 2.0 * (3 * channels * side) ** 2)
    return made


def _has_onednn_blocks(precision: torch.dtype) -> bool:
    """Whether oneDNN's own layout runs here; in bf16 only on CPUs with AVX-512 or better."""
    if precision == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.backends.mkldnn.is_available()  # type: ignore[no-any-return]  # torch's own


def _convolution(lr: Tensor, weight: Tensor) -> Callable[[], Tensor]:
    return lambda: conv2d(lr, weight, padding=1)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _full_fp32() -> Iterator[None]:
    """On CUDA: no TF32, which our fp32 does without too, and the fastest of cuDNN's ways."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
        yield
