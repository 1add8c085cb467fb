"""Frames -> windows of frames, for networks that look at several: a stage of the pipeline.

Windows run over distinct frames: a repeated one is nobody's neighbor, and its result is that of
the frame that it repeats. They end at scene cuts as at the ends of the video. Flow is measured once
between a frame and the next one, in both directions, and put together for those farther away.

A result comes `radius` distinct frames late. Kept are the frames of one window, 2 * radius + 1, and
the flow between them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sr.inference.video.stages import MAX_FRAMES, Batch, are_equal
from sr.io.rgb8 import tensor_to_rgb8
from sr.io.video.frame import Frame, Planes
from sr.motion.frame_window import Scene, Window, gather_window
from sr.motion.methods import RGB8, Flow, FlowMethod
from sr.motion.scene_cuts import measure_motion
from sr.networks.packed_window import pack_window
from sr.tiling.streams import on_own_stream

IsWanted = Callable[[int], bool]
"""Whether the result of the frame of this number is wanted."""

_Complete = tuple[list[Frame], Tensor, Scene, int]
"""Frames that show the same, what they show (1, 3, h, w), their scene, and their number in it."""


class WindowStage:
    """Packs the window of each distinct frame.

    devices: those of the network, in turn. Frames come on the first, where their windows are put
    together, since most frames are in windows for several devices. batch_size: windows that go
    through the network together.
    """

    def __init__(
        self,
        window: Window,
        flow: FlowMethod,
        devices: Sequence[torch.device],
        batch_size: int,
        is_wanted: IsWanted,
    ) -> None:
        self._window = window
        self._flow = flow
        self._devices = devices
        self._batch_size = batch_size
        self._is_wanted = is_wanted
        self._to_rgb8 = on_own_stream(tensor_to_rgb8, devices[0])
        self._measure = on_own_stream(self._measure_flows, devices[0])
        self._pack = on_own_stream(self._pack_window, devices[0])

    def pack(self, converted: Iterable[Batch]) -> Iterator[Batch]:
        """Yield batches of the frames that are wanted, with their windows.

        converted: batches of one distinct frame at most, from the first frame on, whose windows
        are complete or end there.
        """
        batch = Batch(turn=0)
        for shown, lr, scene, number in self._find_neighbors(converted):
            frames = [frame for frame in shown if self._is_wanted(frame.number)]
            for frame in frames:
                is_new = frame is frames[0]
                is_full = is_new and len(batch.lr) == self._batch_size
                if is_full or len(batch.frames) == MAX_FRAMES:
                    yield batch
                    batch = Batch((batch.turn + 1) % len(self._devices))
                if is_new:
                    batch.lr.append(lr)
                    device = self._devices[batch.turn]
                    # On streams of both GPUs, since a copy from one to the other waits for both.
                    pack = on_own_stream(self._pack, device)
                    batch.windows.append(pack(scene, number, device))
                batch.frames.append(frame)
                batch.is_new.append(is_new)
        if batch.frames:
            yield batch

    def _find_neighbors(self, converted: Iterable[Batch]) -> Iterator[_Complete]:
        """Yield each distinct frame once all of its neighbors are known."""
        scene = _OpenScene(self._window.radius)
        last: RGB8 | None = None
        for batch in converted:
            for lr in batch.lr:
                rgb8 = self._to_rgb8(lr)
                flows = None if last is None else self._measure(last, rgb8)
                if flows is None:  # the first frame, or one after a cut
                    yield from scene.complete(is_over=True)
                    scene = _OpenScene(self._window.radius)
                scene.add(lr, flows)
                last = rgb8
            scene.show(batch.frames)
            yield from scene.complete(is_over=False)
        yield from scene.complete(is_over=True)

    def _measure_flows(self, a: RGB8, b: RGB8) -> tuple[Tensor, Tensor] | None:
        """Return the flow from a to b, and back: (2, h, w) each; None across a cut."""
        motion = measure_motion(a, b, self._flow)
        if motion.is_cut:
            return None
        return self._move(motion.forward), self._move(motion.backward)

    def _move(self, flow: Flow) -> Tensor:
        """(h, w, 2) to (2, h, w), on the first device."""
        return torch.from_numpy(flow).to(self._devices[0]).permute(2, 0, 1).contiguous()

    def _pack_window(self, scene: Scene, number: int, device: torch.device) -> Tensor:
        """Return the packed window of a frame, (1, 3 + 5n, h, w), on `device`."""
        neighbors, flows = gather_window(self._window, scene, number)
        return pack_window(scene.frames[number][None], neighbors, flows).to(device)


class _OpenScene:
    """The end of a scene so far: the frames whose windows are not complete, and their neighbors.

    Distinct frames are numbered from 0.
    """

    def __init__(self, radius: int) -> None:
        self._radius = radius
        self._lr: dict[int, Tensor] = {}  # (1, 3, h, w)
        self._shown: dict[int, list[Frame]] = {}  # each frame, and those that repeat it
        self._to_next: dict[int, Tensor] = {}
        self._to_previous: dict[int, Tensor] = {}
        self._last = -1
        self._next = 0  # the first whose window is not complete

    def add(self, lr: Tensor, flows: tuple[Tensor, Tensor] | None) -> None:
        """Add a distinct frame. flows: from the one before to it, and back; None for the first."""
        if flows is not None:
            self._to_next[self._last], self._to_previous[self._last + 1] = flows
        self._last += 1
        self._lr[self._last] = lr
        self._shown[self._last] = []

    def show(self, frames: Iterable[Frame]) -> None:
        """Add frames that show the last one that was added."""
        shown = self._shown[self._last]
        for frame in frames:
            # A still image may last long; its samples are kept once.
            shown.append(replace(frame, planes=shown[0].planes) if shown else frame)

    def complete(self, *, is_over: bool) -> Iterator[_Complete]:
        """Yield the frames whose windows are complete now, each once. is_over: no frame follows."""
        end = self._last if is_over else self._last - self._radius
        while self._next <= end:
            frames = {number: lr[0] for number, lr in self._lr.items()}
            scene = Scene(frames, self._to_next, self._to_previous, first=0, last=self._last)
            yield self._shown.pop(self._next), self._lr[self._next], scene, self._next
            for kept in (self._lr, self._to_next, self._to_previous):
                kept.pop(self._next - self._radius, None)
            self._next += 1


def with_neighbors(
    frames: Iterable[Frame], is_wanted: IsWanted, radius: int, last: int | None = None
) -> Iterator[Frame]:
    """Yield the frames that are wanted, and those that their windows show: one of each distinct.

    Windows over what is yielded are those over all frames, for the wanted ones. last: the last that
    is wanted, after which frames are asked for only as long as its window does.
    """
    # So many, since the wanted frame may repeat the last of them.
    before: deque[Frame] = deque(maxlen=radius + 1)
    num_missing = 0  # of distinct frames after the wanted one
    shown: Planes | None = None
    for frame in frames:
        if is_wanted(frame.number):
            yield from before
            before.clear()
            yield frame
            num_missing = radius
        elif radius and (shown is None or not are_equal(frame.planes, shown)):
            if num_missing:
                num_missing -= 1
                yield frame
            else:
                before.append(frame)
        if last is not None and frame.number >= last and not num_missing:
            return
        shown = frame.planes
