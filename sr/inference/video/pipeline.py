"""Frames of a source -> upscaled frames:

decode | convert to RGB | (windows of frames) | network | (temporal filter) | (sink) | ...

each in a thread of its own, with a few frames between them. What takes the results is the last
stage.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor

from sr.device import choose_shared_device
from sr.inference.choose_tiles import NUM_PATCHES
from sr.inference.mask import Mask
from sr.inference.options import Alpha
from sr.inference.video.frame_windows import IsWanted, WindowStage, with_neighbors
from sr.inference.video.plan import VideoPlan
from sr.inference.video.prefetcher import Prefetcher
from sr.inference.video.stages import NetworkStage, Upscaled, convert_to_rgb
from sr.inference.video.temporal_filter import TemporalFilter
from sr.io.film_grain import FilmGrain
from sr.io.video.frame import Frame
from sr.io.video.pixels.yuv import Conversion
from sr.io.video.read.decode_errors import DamageError
from sr.tiling.auto_tile_size import FILLING_SIZE
from sr.tiling.streams import on_own_stream
from sr.tiling.upscaler import Upscaler

NUM_DECODED = 8  # frames of the source that wait; small ones
NUM_READY = 2  # batches and results that wait; large ones
NUM_WINDOWS = 1  # batches of them that wait; very large ones
MAX_BATCH_SIZE = 8  # frames


class FrameSink(Protocol):
    """Gets each upscaled frame as the encoder does, such as a scorer."""

    def process(self, sr: Tensor) -> None:
        """Take the next frame: (1, 3, H, W), RGB, not clamped, on any device."""
        ...

    def flush(self) -> None:
        """End: no frame follows."""
        ...


class Pipeline:
    """The upscaled frames of one video, computed while they are taken.

    frames: all of the source. first: number of the first frame that is wanted. only: the numbers of
    those that are, None for all from the first one on. is_wanted: decides it instead, asked in
    the order of the frames; last: the last one that can be. alpha: how transparency is upscaled,
    where the frames have it. mask: where the model's results show. grain: levels of film grain.
    """

    def __init__(
        self,
        prefetcher: Prefetcher,
        frames: Iterable[Frame],
        plan: VideoPlan,
        upscalers: Sequence[Upscaler],
        *,
        first: int = 0,
        only: Collection[int] | None = None,
        is_wanted: IsWanted | None = None,
        last: int | None = None,
        temporal_filter: bool = False,
        alpha: Alpha = "model",
        sink: FrameSink | None = None,
        mask: Mask | None = None,
        grain: float = 0.0,
    ) -> None:
        self.prefetcher = prefetcher
        self.network = NetworkStage(
            upscalers, (plan.height, plan.width), plan.num_passes, prefetcher.stopped, alpha, mask
        )
        self.first = first
        self.num_frames = 0
        """Frames that have come out of the network, from the first one that is wanted on."""
        self.num_repeated = 0
        """Those of them that were equal to the one before, and so were not computed."""
        self.damage: DamageError | None = None
        """What ended the source early, where damage was to end it."""
        self._frames = frames
        self._only = None if only is None else frozenset(only)
        self._is_result = is_wanted or self._is_selected
        self._last = max(self._only) if self._only else last
        self._filter = TemporalFilter() if temporal_filter else None
        self._sink = sink
        self._grain = grain
        self._window, self._flow = upscalers[0].window, upscalers[0].flow
        self._devices = [choose_shared_device(upscaler.device) for upscaler in upscalers]
        info = plan.info
        self._conversion = Conversion(info.layout, info.color, info.siting)
        self._batch_size = min(
            choose_batch_size(info.height, info.width, upscaler.tile_size, upscaler.device)
            for upscaler in upscalers
        )

    def run(self) -> Iterator[tuple[Frame, Tensor]]:
        """Yield each frame from the first one on with its (1, 3, H, W), RGB, not clamped.

        Or (1, 4, H, W), with alpha, where the plan's frames have it.
        """
        prefetch = self.prefetcher.prefetch
        results: Iterator[tuple[Frame, Tensor]]
        if self._filter is None:
            results = ((frame, sr) for frame, _, sr in self.run_network())
        else:
            filtered = prefetch("filter", self._filter_colors(self._filter), NUM_READY)
            results = (pair for pair in filtered if self._is_result(pair[0].number))
        if self._grain:
            results = prefetch("grain", map(self.add_grain, results), NUM_READY)
        if self._sink is not None:
            results = prefetch("score", self._give_to_sink(results, self._sink), NUM_READY)
        return results

    def add_grain(self, result: tuple[Frame, Tensor]) -> tuple[Frame, Tensor]:
        """Return a frame's result with the grain of its number."""
        frame, sr = result
        if not self._grain:
            return result
        return frame, on_own_stream(FilmGrain(self._grain, frame.number).add_to_tensor, sr.device)(
            sr
        )

    def run_network(self) -> Iterator[Upscaled]:
        """Yield the frames as they come from the network, with those that the filter needs."""
        prefetch = self.prefetcher.prefetch
        frames = prefetch("decode", self._select_frames(), NUM_DECODED)
        if self._window is None or self._flow is None:
            convert = convert_to_rgb(frames, self._conversion, self._devices, self._batch_size)
            batches = prefetch("convert", convert, NUM_READY)
        else:
            convert = convert_to_rgb(frames, self._conversion, self._devices[:1], batch_size=1)
            stage = WindowStage(
                self._window, self._flow, self._devices, self._batch_size, self._is_wanted
            )
            batches = stage.pack(prefetch("convert", convert, NUM_READY))
            batches = prefetch("windows", batches, NUM_WINDOWS)
        return prefetch("network", self._count_frames(self.network.upscale(batches)), NUM_READY)

    def _filter_colors(self, temporal_filter: TemporalFilter) -> Iterator[tuple[Frame, Tensor]]:
        """Yield frames with their filtered colors, and alpha as it is."""
        for run in _split_at_gaps(self.run_network()):
            unfiltered = (((frame, sr[:, 3:]), lr[:, :3], sr[:, :3]) for frame, lr, sr in run)
            for (frame, alpha), sr in temporal_filter.filter(unfiltered):
                yield frame, torch.cat([sr, alpha.to(sr)], 1) if alpha.shape[1] else sr

    def _is_selected(self, number: int) -> bool:
        return number >= self.first if self._only is None else number in self._only

    @property
    def _filter_radius(self) -> int:
        return 0 if self._filter is None else self._filter.radius

    def _is_wanted(self, number: int) -> bool:
        """Return whether a frame is wanted, or one that the filter needs for its neighbors."""
        radius = self._filter_radius
        return any(map(self._is_result, range(max(number - radius, 0), number + radius + 1)))

    def _select_frames(self) -> Iterator[Frame]:
        """Yield the frames that are wanted, and those that their windows show."""
        radius = 0 if self._window is None else self._window.radius
        last = None if self._last is None else self._last + self._filter_radius
        return with_neighbors(self._stop_at_damage(), self._is_wanted, radius, last)

    def _stop_at_damage(self) -> Iterator[Frame]:
        """Yield the frames before damage: an error would take along those on the way."""
        try:
            yield from self._frames
        except DamageError as error:
            self.damage = error

    def _count_frames(self, upscaled: Iterable[Upscaled]) -> Iterator[Upscaled]:
        last: Tensor | None = None
        for frame, lr, sr in upscaled:
            if self._is_result(frame.number):
                self.num_frames += 1
                self.num_repeated += sr is last
            last = sr
            yield frame, lr, sr

    @staticmethod
    def _give_to_sink(
        results: Iterable[tuple[Frame, Tensor]], sink: FrameSink
    ) -> Iterator[tuple[Frame, Tensor]]:
        for frame, sr in results:
            on_own_stream(sink.process, sr.device)(sr[:, :3])
            yield frame, sr
        sink.flush()


def _split_at_gaps(upscaled: Iterable[Upscaled]) -> Iterator[Iterator[Upscaled]]:
    """Split into frames that follow each other, without waiting for the frame after a gap."""
    runs = groupby(enumerate(upscaled), key=lambda item: item[1][0].number - item[0])
    return ((each for _, each in run) for _, run in runs)


def choose_batch_size(height: int, width: int, tile_size: int, device: torch.device) -> int:
    """Return how many frames go through the network together: small ones do not fill a GPU.

    Not of more pixels than tiles of `tile_size` have, which there is memory for; 0 for any.
    """
    if device.type != "cuda":
        return 1
    pixels = FILLING_SIZE**2
    if tile_size:
        pixels = min(pixels, NUM_PATCHES * tile_size**2)
    return min(max(pixels // (height * width), 1), MAX_BATCH_SIZE)
