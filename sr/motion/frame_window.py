"""The frames that a network sees around each frame: which, in what order, and the flow to them.

Flow is measured between frames side by side alone; to farther ones it is put together,

    f(t, t+2)(x) = f(t, t+1)(x) + f(t+1, t+2)(x + f(t, t+1)(x)),

and so on, also backwards: two measurements per frame, however long the window is. A flow is
(2, h, w): across, down, in pixels; the point of frame a at x lies in frame b at x + f(a, b)(x).

Letters: h, w size of the frames, a, b of the area that is looked at, n number of neighbors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from sr.motion.warp import locate_pixels, sample

Order = Literal["time", "nearest"]
Edge = Literal["reference", "replicate", "reflect"]
Alignment = Literal["none", "nearest"]


class Area(NamedTuple):
    """A part of the frames, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Window:
    """Which frames a network sees next to the reference, and how.

    offsets: where they stand in time, in the order in which the network takes them.
    edge: what stands for those beyond the ends of a scene: the reference itself, without motion
    (iSeeBetter), the frame at the end, or frames mirrored at the end.
    alignment: none hands neighbors over where they are, as in the paper. nearest takes each of
    their pixels from where the flow points, to the nearest pixel, and hands over what is left of
    the flow, -0.5 ... 0.5 within the image: nothing is interpolated, so no detail is lost, and
    the network need not learn to look far.
    """

    offsets: tuple[int, ...]
    edge: Edge = "reference"
    alignment: Alignment = "none"

    @property
    def radius(self) -> int:
        """How many frames on each side are looked at."""
        return max(map(abs, self.offsets))

    def backwards(self) -> "Window":
        """Return the window as it is where time runs backwards."""
        return Window(tuple(-offset for offset in self.offsets), self.edge, self.alignment)

    def neighbors(self, position: int, first: int, last: int) -> tuple[int, ...]:
        """Return the numbers of `position`'s neighbors in a scene from first to last."""
        return tuple(self._within(position, offset, first, last) for offset in self.offsets)

    def _within(self, position: int, offset: int, first: int, last: int) -> int:
        wanted = position + offset
        if first <= wanted <= last:
            return wanted
        if self.edge == "reference":
            return position
        if self.edge == "reflect":
            mirrored = 2 * (first if wanted < first else last) - wanted
            return min(max(mirrored, first), last)  # of a scene shorter than the window
        return min(max(wanted, first), last)


def list_offsets(num_frames: int, order: Order) -> tuple[int, ...]:
    """Return the neighbors of a reference in the middle of `num_frames`, an odd number.

    time: from the past to the future. nearest: 1 before, 1 after, 2 before, ...
    """
    radius = num_frames // 2
    offsets = [offset for offset in range(-radius, radius + 1) if offset]
    return tuple(sorted(offsets, key=abs) if order == "nearest" else offsets)


@dataclass(frozen=True)
class Scene:
    """Consecutive frames without a cut, by number, and the flow between those side by side.

    frames: (C, h, w). to_next, to_previous: by the number of the frame that they lead from; of any
    floating type.
    """

    frames: Mapping[int, Tensor]
    to_next: Mapping[int, Tensor]
    to_previous: Mapping[int, Tensor]
    first: int
    last: int


def gather_window(
    window: Window, scene: Scene, position: int, area: Area | None = None
) -> tuple[Tensor, Tensor]:
    """Return the neighbors of a frame and the flow from it to them.

    area: the part of the frame; None for all of it.
    Returns neighbors (n, C, a, b), as the frames are, and flows (n, 2, a, b), float32.
    """
    reference = scene.frames[position]
    if area is None:
        area = Area(0, 0, *reference.shape[-2:])
    neighbors, flows = [], []
    for number in window.neighbors(position, scene.first, scene.last):
        flow = _chain_flow(scene, position, number, area)
        frame = scene.frames[number]
        if window.alignment == "nearest":
            part, flow = _align(frame, flow, area)
        else:
            part = crop_area(frame, area)
        neighbors.append(part)
        flows.append(flow)
    return torch.stack(neighbors), torch.stack(flows)


def crop_area(frame: Tensor, area: Area) -> Tensor:
    """Return the area of a frame: (..., h, w) to (..., a, b)."""
    top, left, height, width = area
    return frame[..., top : top + height, left : left + width]


def _chain_flow(scene: Scene, position: int, number: int, area: Area) -> Tensor:
    """Return the flow from one frame to another: (2, a, b)."""
    if number == position:
        device = scene.frames[position].device
        return torch.zeros(2, area.height, area.width, device=device)
    step, flows = (1, scene.to_next) if number > position else (-1, scene.to_previous)
    flow = crop_area(flows[position], area).float()
    for between in range(position + step, number, step):
        places = _locate(area, flow.device) + flow
        flow = flow + sample(flows[between].float()[None], places[None])[0]
    return flow


def _align(frame: Tensor, flow: Tensor, area: Area) -> tuple[Tensor, Tensor]:
    """Return the pixels of a frame that the flow points to, and what is left of the flow."""
    height, width = frame.shape[-2:]
    places = _locate(area, flow.device)
    columns, rows = (places + flow).round()
    columns, rows = columns.clamp(0, width - 1), rows.clamp(0, height - 1)
    part = frame[..., rows.long(), columns.long()]
    return part, places + flow - torch.stack([columns, rows])


def _locate(area: Area, device: torch.device) -> Tensor:
    """Return column and row of each pixel of an area: (2, a, b)."""
    top, left, height, width = area
    return locate_pixels(height, width, top=top, left=left, device=device)
