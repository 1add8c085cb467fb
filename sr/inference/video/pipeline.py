"""Frames of a source -> enlarged frames, through the pipeline:

decode | convert to RGB | (windows of frames) | network | (temporal filter) | ...

each in threads of its own, with a few frames between them. What takes the results is the last
stage.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from sr.inference.load_upscaler import FILLING_SIZE
from sr.inference.video.frame_windows import Windows, around
from sr.inference.video.options import VideoMaking, VideoWork
from sr.inference.video.prefetch import Pipeline
from sr.inference.video.stages import Batch, Enlarged, Network, as_rgb
from sr.inference.video.temporal_filter import TemporalFilter
from sr.io.video.frame import Frame
from sr.io.video.pixels.yuv import Conversion
from sr.io.video.read.decode_errors import DamageError
from sr.tiling.upscaler import Upscaler

NUM_DECODED = 8  # frames of the source that wait; small ones
NUM_READY = 2  # batches and results that wait; large ones
NUM_WINDOWS = 1  # batches of them that wait; very large ones
MAX_BATCH_SIZE = 8  # frames


class HasFrames(Protocol):
    """A source of frames."""

    def frames(self) -> Iterator[Frame]:
        """All of them, once, in order."""
        ...


class Production:
    """The enlarged frames of one video, made while they are taken."""

    def __init__(
        self,
        source: HasFrames,
        work: VideoWork,
        making: VideoMaking,
        upscalers: Sequence[Upscaler],
        first: int,
        only: Collection[int] | None = None,
    ) -> None:
        """first: number of the first frame that is wanted. only: the numbers of those that are,
        None for all from the first one on.
        """
        self.pipeline = Pipeline()
        self.network = Network(upscalers, work.size, self.pipeline.stopped)
        self.num_frames = 0
        """Frames that have come out of the network, from the first one that is wanted on."""
        self.num_repeated = 0
        """Those of them that were equal to the one before, and so were not computed."""
        self.damage: DamageError | None = None
        """What ended the source early, where damage was to end it."""
        self.first = first
        self._filter = TemporalFilter() if making.temporal_filter else None
        self._only = None if only is None else frozenset(only)
        self._source = source
        self._window = upscalers[0].window
        self._flow = upscalers[0].flow
        self._devices = [upscaler.device for upscaler in upscalers]
        info = work.info
        self._conversion = Conversion(info.layout, info.color, info.siting)
        self._batch_size = batch_size(info.height, info.width, self._devices[0])

    def results(self) -> Iterator[tuple[Frame, Tensor]]:
        """Each frame from the first one on with its (1, 3, H, W), RGB, not clamped."""
        enlarged = self.enlarged()
        if self._filter is None:
            return ((each.frame, each.sr) for each in enlarged)
        triples = ((each.frame, each.lr, each.sr) for each in enlarged)
        filtered = self.pipeline.ahead("filter", self._filter.filtered(triples), NUM_READY)
        return (pair for pair in filtered if pair[0].number >= self.first)

    def enlarged(self) -> Iterator[Enlarged]:
        """The frames as they come from the network, with those that the filter needs before."""
        ahead = self.pipeline.ahead
        frames = ahead("decode", self._wanted(), NUM_DECODED)
        if self._window is None or self._flow is None:
            convert = as_rgb(frames, self._conversion, self._devices, self._batch_size)
            batches = ahead("convert", convert, NUM_READY)
        else:
            convert = as_rgb(frames, self._conversion, self._devices[:1], batch_size=1)
            windows = Windows(
                self._window, self._flow, self._devices, self._batch_size, self._is_wanted
            )
            batches = windows.batches(ahead("convert", convert, NUM_READY))
            batches = ahead("windows", batches, NUM_WINDOWS)
        return ahead("network", self._counted(batches), NUM_READY)

    def _is_wanted(self, number: int) -> bool:
        """From the first frame on, and before it what the filter looks at."""
        if self._only is not None:
            return number in self._only
        return number >= self.first - (0 if self._filter is None else self._filter.radius)

    def _wanted(self) -> Iterator[Frame]:
        """The frames that are wanted, and those that their windows show."""
        radius = 0 if self._window is None else self._window.radius
        last = None if self._only is None else max(self._only)
        return around(self._undamaged(), self._is_wanted, radius, last)

    def _undamaged(self) -> Iterator[Frame]:
        """The frames before damage. An error would take those along that are still on the way."""
        try:
            yield from self._source.frames()
        except DamageError as error:
            self.damage = error

    def _counted(self, batches: Iterable[Batch]) -> Iterator[Enlarged]:
        last: Tensor | None = None
        for each in self.network.enlarged(batches):
            if each.frame.number >= self.first:
                self.num_frames += 1
                self.num_repeated += each.sr is last
            last = each.sr
            yield each


def batch_size(height: int, width: int, device: torch.device) -> int:
    """How many frames go through the network together: small ones do not fill a GPU."""
    if device.type != "cuda":
        return 1
    return min(max(FILLING_SIZE**2 // (height * width), 1), MAX_BATCH_SIZE)
