"""Frames -> windows of frames, for networks that look at several: a stage of the pipeline.

Windows run over distinct frames: a repeated one is nobody's neighbor, and its result is that of
the frame that it repeats. They end at scene cuts as at the ends of the video. Flow is measured once
between a frame and the next one, in both directions, and put together for those farther away.

A result comes `radius` distinct frames late. Kept are the frames of one window, 2 * radius + 1, and
the flow between them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sr.inference.video.stages import MAX_FRAMES, Batch, equal
from sr.io.rgb8 import tensor_to_rgb8
from sr.io.video.frame import Frame, Planes
from sr.motion.frame_window import Scene, gather_window
from sr.motion.methods import RGB8, Flow
from sr.motion.scene_cuts import measure_motion
from sr.networks.packed_window import pack_window
from sr.tiling.frame_window import FrameWindow
from sr.tiling.prefetch import on_own_stream

IsWanted = Callable[[int], bool]
"""Whether the result of the frame of this number is wanted."""


class Windows:
    """Makes of consecutive frames what a network takes of each distinct one.

    devices: those of the network, in turn. Frames come on the first, where their windows are put
    together, since most frames are in windows for several devices. batch_size: windows that go
    through the network together.
    """

    def __init__(
        self,
        window: FrameWindow,
        devices: Sequence[torch.device],
        batch_size: int,
        is_wanted: IsWanted,
    ) -> None:
        self._window = window
        self._devices = devices
        self._batch_size = batch_size
        self._is_wanted = is_wanted
        self._rgb8 = on_own_stream(tensor_to_rgb8, devices[0])
        self._motion = on_own_stream(self._measured, devices[0])
        self._packed = on_own_stream(self._looked_at, devices[0])

    def batches(self, converted: Iterable[Batch]) -> Iterator[Batch]:
        """Those of the frames that are wanted.

        converted: batches of one distinct frame at most, from the first frame on, whose windows
        are complete or end there.
        """
        batch = Batch(turn=0)
        for shown, scene, number in self._in_scenes(converted):
            frames = [frame for frame in shown.frames if self._is_wanted(frame.number)]
            for frame in frames:
                is_new = frame is frames[0]
                is_full = is_new and len(batch.lr) == self._batch_size
                if is_full or len(batch.frames) == MAX_FRAMES:
                    yield batch
                    batch = Batch((batch.turn + 1) % len(self._devices))
                if is_new:
                    batch.lr.append(shown.lr)
                    batch.windows.append(self._packed(scene, number, self._devices[batch.turn]))
                batch.frames.append(frame)
                batch.is_new.append(is_new)
        if batch.frames:
            yield batch

    def _in_scenes(self, converted: Iterable[Batch]) -> Iterator["_InScene"]:
        """Each distinct frame, once all of its neighbors are known."""
        scene = _OpenScene(self._window.frames.radius)
        last: RGB8 | None = None
        for part in converted:
            for lr in part.lr:
                rgb8 = self._rgb8(lr)
                flows = None if last is None else self._motion(last, rgb8)
                if flows is None:  # the first frame, or one behind a cut
                    yield from scene.complete(is_over=True)
                    scene = _OpenScene(self._window.frames.radius)
                scene.add(lr, flows)
                last = rgb8
            scene.show(part.frames)
            yield from scene.complete(is_over=False)
        yield from scene.complete(is_over=True)

    def _measured(self, a: RGB8, b: RGB8) -> tuple[Tensor, Tensor] | None:
        """The flow from a to b, and back: (2, h, w) each; None across a cut."""
        motion = measure_motion(a, b, self._window.flow)
        if motion.is_cut:
            return None
        return self._moved(motion.forward), self._moved(motion.backward)

    def _moved(self, flow: Flow) -> Tensor:
        """(h, w, 2) to (2, h, w), on the first device."""
        return torch.from_numpy(flow).to(self._devices[0]).permute(2, 0, 1).contiguous()

    def _looked_at(self, scene: Scene, number: int, device: torch.device) -> Tensor:
        """The packed window of a frame, (1, 3 + 5n, h, w), on `device`."""
        neighbors, flows = gather_window(self._window.frames, scene, number)
        return pack_window(scene.frames[number][None], neighbors, flows).to(device)


@dataclass(frozen=True)
class _Shown:
    """A distinct frame, and when it shows."""

    lr: Tensor
    """(1, 3, h, w)."""
    frames: list[Frame] = field(default_factory=list)
    """It, and those that repeat it."""


_InScene = tuple[_Shown, Scene, int]
"""A frame, the scene that it is in, and its number there."""


class _OpenScene:
    """The end of a scene so far: the frames whose windows are not complete, and their neighbors.

    Distinct frames are numbered from 0.
    """

    def __init__(self, radius: int) -> None:
        self._radius = radius
        self._shown: dict[int, _Shown] = {}
        self._to_next: dict[int, Tensor] = {}
        self._to_previous: dict[int, Tensor] = {}
        self._last = -1
        self._next = 0  # the first whose window is not complete

    def add(self, lr: Tensor, flows: tuple[Tensor, Tensor] | None) -> None:
        """A further distinct frame. flows: from the one before to it, and back; None for the
        first.
        """
        if flows is not None:
            self._to_next[self._last], self._to_previous[self._last + 1] = flows
        self._last += 1
        self._shown[self._last] = _Shown(lr)

    def show(self, frames: Iterable[Frame]) -> None:
        """Frames that show the last one that was added."""
        shown = self._shown[self._last].frames
        for frame in frames:
            # A still image may last long; its samples are kept once.
            shown.append(replace(frame, planes=shown[0].planes) if shown else frame)

    def complete(self, *, is_over: bool) -> Iterator[_InScene]:
        """The frames whose windows are complete now, each once. is_over: no frame follows."""
        end = self._last if is_over else self._last - self._radius
        while self._next <= end:
            frames = {number: shown.lr[0] for number, shown in self._shown.items()}
            scene = Scene(frames, self._to_next, self._to_previous, first=0, last=self._last)
            yield self._shown[self._next], scene, self._next
            for kept in (self._shown, self._to_next, self._to_previous):
                kept.pop(self._next - self._radius, None)
            self._next += 1


def around(
    frames: Iterable[Frame], is_wanted: IsWanted, radius: int, last: int | None = None
) -> Iterator[Frame]:
    """The frames that are wanted, and those that their windows show: one of each distinct frame.

    Windows over what comes out are those over all frames, for the wanted ones. last: the last that
    is wanted, behind which frames are asked for only as long as its window does.
    """
    # So many, since the wanted frame may repeat the last of them.
    before: deque[Frame] = deque(maxlen=radius + 1)
    num_missing = 0  # of distinct frames behind the wanted one
    shown: Planes | None = None
    for frame in frames:
        if is_wanted(frame.number):
            yield from before
            before.clear()
            yield frame
            num_missing = radius
        elif radius and (shown is None or not equal(frame.planes, shown)):
            if num_missing:
                num_missing -= 1
                yield frame
            else:
                before.append(frame)
        if last is not None and frame.number >= last and not num_missing:
            return
        shown = frame.planes
