"""WindowStage of frames: each is what a plain program over the whole clip would make of it."""

import weakref
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from helpers.clips import draw_scene
from torch import Tensor

from sr.inference.video import frame_windows as stage
from sr.inference.video.frame_windows import WindowStage, with_neighbors
from sr.inference.video.stages import MAX_FRAMES, Batch
from sr.io.rgb8 import image_to_tensor
from sr.io.video.frame import Frame
from sr.motion.flow import measure_flow, to_luma8
from sr.motion.frame_window import Alignment, Edge, Window, list_offsets
from sr.motion.methods import DIS, RGB8, Flow
from sr.motion.warp import Image
from sr.networks.packed_window import PackedWindow
from sr.networks.rbpn import RBPN
from sr.tiling.upscaler import Upscaler

CPU = torch.device("cpu")
HEIGHT, WIDTH = 28, 40
Clip = Sequence[tuple[int, int]]
"""Of each frame its scene, and how far that has moved; as in the frame before: it is repeated."""
TWO_SCENES: Clip = [(0, 0), (0, 1), (0, 1), (0, 2), (0, 3), (0, 4), (0, 4), (1, 0), (1, 1), (1, 2)]


class Counting:
    """DIS that notes how often it is asked."""

    name = "counting"

    def __init__(self) -> None:
        self.num_calls = 0

    def __call__(self, a: RGB8, b: RGB8) -> Flow:
        self.num_calls += 1
        return DIS()(a, b)


def image(scene: int, step: int) -> RGB8:
    return draw_scene(scene, step, HEIGHT, WIDTH)


def converted(clip: Clip, *, most: int = MAX_FRAMES) -> Iterator[Batch]:
    """As `convert_to_rgb` gives them: batches of one distinct frame each, of `most` frames."""
    batch = Batch(0)
    for number, shown in enumerate(clip):
        is_new = number == 0 or shown != clip[number - 1]
        if batch.frames and (is_new or len(batch.frames) == most):
            yield batch
            batch = Batch(0)
        pixels = image(*shown)
        if is_new:
            batch.lr.append(image_to_tensor(pixels))
        batch.frames.append(Frame(number, number, 1, (pixels,)))
        batch.is_new.append(is_new)
    yield batch


def make_stage(
    radius: int = 1,
    *,
    edge: Edge = "reference",
    alignment: Alignment = "none",
    flow: Counting | DIS | None = None,
    devices: int = 1,
    batch_size: int = 1,
    first: int = 0,
) -> WindowStage:
    window = Window(list_offsets(2 * radius + 1, "nearest"), edge, alignment)
    return WindowStage(window, flow or DIS(), [CPU] * devices, batch_size, lambda n: n >= first)


def expected_windows(clip: Clip, radius: int, edge: Edge) -> list[Tensor]:
    """Of each frame, from the definition, one after the other."""
    distinct = [shown for n, shown in enumerate(clip) if n == 0 or shown != clip[n - 1]]
    found: dict[tuple[int, int], Tensor] = {}
    for place, (scene, step) in enumerate(distinct):
        inside = [n for n, other in enumerate(distinct) if other[0] == scene]
        parts: list[tuple[RGB8, Image]] = []
        for offset in list_offsets(2 * radius + 1, "nearest"):
            wanted = place + offset
            if wanted not in inside:
                end = min(inside) if offset < 0 else max(inside)
                beyond = {"reference": place, "replicate": end, "reflect": 2 * end - wanted}[edge]
                wanted = min(max(beyond, min(inside)), max(inside))
            parts.append((image(*distinct[wanted]), flow_along(distinct, place, wanted)))
        pixels = [image(scene, step), *(neighbor for neighbor, _ in parts)]
        flows = [torch.from_numpy(flow).permute(2, 0, 1)[None] for _, flow in parts]
        found[scene, step] = torch.cat([*map(image_to_tensor, pixels), *flows], dim=1)
    return [found[shown] for shown in clip]


def flow_along(distinct: Clip, start: int, end: int) -> Image:
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    step = 1 if end > start else -1
    lumas = [to_luma8(image_to_tensor(image(*shown))) for shown in distinct]
    for place in range(start, end, step):
        flow = flow + sampled(measure_flow(lumas[place], lumas[place + step]), flow)
    return flow


def sampled(flow: Image, moved: Image) -> Image:
    """flow where each pixel has moved to, between four pixels, the border repeated."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    y = np.clip(rows + moved[..., 1], 0, HEIGHT - 1)
    x = np.clip(columns + moved[..., 0], 0, WIDTH - 1)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    bottom, right = np.minimum(top + 1, HEIGHT - 1), np.minimum(left + 1, WIDTH - 1)
    down, across = (y - top)[..., None], (x - left)[..., None]
    above = flow[top, left] * (1 - across) + flow[top, right] * across
    below = flow[bottom, left] * (1 - across) + flow[bottom, right] * across
    return np.asarray(above * (1 - down) + below * down, np.float32)


def levels(batches: Iterator[Batch]) -> list[tuple[int, Tensor]]:
    """Of each frame its number and the window that its result comes from."""
    found: list[tuple[int, Tensor]] = []
    window = torch.empty(0)
    for batch in batches:
        new = zip(batch.lr, batch.windows, strict=True)
        for frame, is_new in zip(batch.frames, batch.is_new, strict=True):
            if is_new:
                lr, window = next(new)
                assert torch.equal(window[:, :3], lr)
            found.append((frame.number, window))
    return found


@pytest.mark.parametrize("edge", ["reference", "replicate", "reflect"])
@pytest.mark.parametrize("radius", [1, 2, 3])
def test_windows_are_those_of_a_plain_program(radius: int, edge: Edge) -> None:
    found = levels(make_stage(radius, edge=edge).pack(converted(TWO_SCENES)))
    assert [number for number, _ in found] == list(range(len(TWO_SCENES)))
    expected = expected_windows(TWO_SCENES, radius, edge)
    for (_, window), other in zip(found, expected, strict=True):
        torch.testing.assert_close(window, other, rtol=0, atol=2e-4)


def test_the_motion_is_found() -> None:
    clip: Clip = [(0, step) for step in range(5)]
    _, window = levels(make_stage(2).pack(converted(clip)))[2]
    flows = window[0, -8:, 8:-8, 10:-10].mean(dim=(1, 2)).view(4, 2)
    true = torch.tensor([[2.0, 1], [-2, -1], [4, 2], [-4, -2]])  # 1 and 2 before, as offsets go
    torch.testing.assert_close(flows, true, rtol=0, atol=0.2)


def test_flow_is_measured_once_between_a_frame_and_the_next() -> None:
    flow = Counting()
    list(make_stage(3, flow=flow).pack(converted(TWO_SCENES)))
    assert flow.num_calls == 2 * 7  # in both directions, of 8 distinct frames


def test_frames_are_kept_only_as_long_as_a_window_is_wide() -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()

    def watched() -> Iterator[Batch]:
        for batch in converted([(0, step % 8) for step in range(24)]):
            alive.update(batch.lr)
            yield batch

    most = 0
    for batch in make_stage(2).pack(watched()):
        batch.lr.clear()
        most = max(most, len(alive))
    assert most == 5


def test_a_result_waits_for_no_more_than_the_frames_of_its_window() -> None:
    asked = []

    def watched() -> Iterator[Batch]:
        for batch in converted([(0, step) for step in range(8)]):
            asked.append(batch.frames[0].number)
            yield batch

    batches = make_stage(2).pack(watched())
    assert next(batches).frames[0].number == 0
    assert len(asked) <= 1 + 2 + 1  # a batch ends where the next one begins


def test_a_still_image_is_kept_once_however_long_it_lasts() -> None:
    clip: Clip = [(0, 0), *[(0, 1)] * 100, (0, 2)]
    found = list(make_stage().pack(converted(clip)))
    assert max(len(batch.frames) for batch in found) == MAX_FRAMES
    assert sum(len(batch.windows) for batch in found) == 3
    frames = [frame for batch in found for frame in batch.frames]
    assert [frame.number for frame in frames] == list(range(102))
    assert len({id(frame.planes) for frame in frames}) == 3
    assert [number for number, _ in levels(iter(found))] == list(range(102))


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batches_go_to_the_devices_in_turn_and_change_nothing(batch_size: int) -> None:
    plain = levels(make_stage().pack(converted(TWO_SCENES)))
    found = list(make_stage(devices=2, batch_size=batch_size).pack(converted(TWO_SCENES)))
    assert [batch.turn for batch in found] == [number % 2 for number in range(len(found))]
    assert max(len(batch.lr) for batch in found) == batch_size
    for (number, window), (twin, same) in zip(plain, levels(iter(found)), strict=True):
        assert number == twin
        assert torch.equal(window, same)


@pytest.mark.parametrize("first", range(len(TWO_SCENES)))
@pytest.mark.parametrize("radius", [1, 2])
def test_what_is_left_out_before_a_frame_changes_no_window_from_it_on(
    radius: int, first: int
) -> None:
    whole = levels(make_stage(radius).pack(converted(TWO_SCENES)))
    frames = [frame for batch in converted(TWO_SCENES) for frame in batch.frames]
    numbers = [frame.number for frame in with_neighbors(frames, lambda n: n >= first, radius)]
    assert len([number for number in numbers if number < first]) <= radius + 1
    part = [(TWO_SCENES[number], number) for number in numbers]
    batches = list(converted([shown for shown, _ in part]))
    renumbered = make_stage(radius, first=numbers.index(first)).pack(iter(batches))
    found = [(part[number][1], window) for number, window in levels(renumbered)]
    for (number, window), (twin, same) in zip(whole[first:], found, strict=True):
        assert number == twin
        assert torch.equal(window, same)


def shown(levels: Sequence[int]) -> Iterator[Frame]:
    for number, level in enumerate(levels):
        yield Frame(number, number, 1, (np.full((2, 2), level, np.uint8),))


def neighbors(frames: Sequence[Frame], number: int, radius: int) -> list[int]:
    """Levels of the distinct frames with_neighbors one."""
    groups: list[list[Frame]] = []
    for frame in frames:
        if not groups or groups[-1][0].planes[0][0, 0] != frame.planes[0][0, 0]:
            groups.append([])
        groups[-1].append(frame)
    place = next(n for n, group in enumerate(groups) if number in [f.number for f in group])
    near = groups[max(place - radius, 0) : place + radius + 1]
    return [int(group[0].planes[0][0, 0]) for group in near]


@pytest.mark.parametrize("radius", [0, 1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_picked_frames_keep_their_neighbors(seed: int, radius: int) -> None:
    random = np.random.default_rng(seed)
    whole = list(shown(random.integers(0, 3, 40).tolist()))
    picked = set(random.choice(40, 4, replace=False).tolist())
    last = max(picked)
    part = list(with_neighbors(whole, lambda n: n in picked, radius, last))
    numbers = [frame.number for frame in part]
    assert numbers == sorted(set(numbers))
    assert picked <= set(numbers)
    assert len(numbers) <= len(picked) * (2 * radius + 2)
    for number in picked:
        # Frames of other spans may follow, behind what the window shows.
        assert neighbors(part, number, radius) == neighbors(whole, number, radius)


def test_nothing_is_decoded_behind_the_window_of_the_last_frame() -> None:
    asked = []

    def watched() -> Iterator[Frame]:
        for frame in shown(range(50)):
            asked.append(frame.number)
            yield frame

    assert [f.number for f in with_neighbors(watched(), lambda n: n == 9, 2, 9)] == [
        6,
        7,
        8,
        9,
        10,
        11,
    ]
    assert asked[-1] == 11


def test_tiles_with_a_halo_are_the_whole() -> None:
    torch.manual_seed(0)
    network = PackedWindow(RBPN(4, 6, 4, 1, 1, 3)).eval()
    radius = 9  # that far it sees (test_packed_window.py)
    (_, window), *_ = levels(make_stage(alignment="nearest").pack(converted(TWO_SCENES)))
    frames = Window((-1, 1), "reference", "nearest")

    def upscaled(tile_size: int, halo: int = radius) -> Tensor:
        upscaler = Upscaler(
            network,
            scale=4,
            halo=halo,
            tile_size=tile_size,
            device=CPU,
            dtype=torch.float32,
            window=frames,
        )
        assert len(upscaler.list_tiles(*window.shape[2:])) > 1 or not tile_size
        return upscaler.upscale_whole(window, CPU)

    whole = upscaled(0)
    assert whole.shape == (1, 3, 4 * HEIGHT, 4 * WIDTH)
    torch.testing.assert_close(upscaled(16), whole, rtol=0, atol=1e-6)
    assert (upscaled(16, halo=0) - whole).abs().max() > 1e-3


def test_all_work_on_tensors_is_on_streams_that_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_stream: list[bool] = []  # while a function runs that `on_own_stream` has made
    seen: set[str] = set()

    def watched(function: Any, device: torch.device) -> Any:
        def run(*given: Any) -> Any:
            on_stream.append(True)
            try:
                return function(*given)
            finally:
                on_stream.pop()

        return run

    def checked(name: str, function: Any) -> Any:
        def run(*given: Any) -> Any:
            # A window goes from the first device to its own.
            assert len(on_stream) == (2 if name in ("gather_window", "pack_window") else 1), name
            seen.add(name)
            return function(*given)

        return run

    names = {"tensor_to_rgb8", "measure_motion", "gather_window", "pack_window"}
    for name in names:
        monkeypatch.setattr(stage, name, checked(name, getattr(stage, name)))
    monkeypatch.setattr(stage, "on_own_stream", watched)
    list(make_stage().pack(converted(TWO_SCENES)))
    assert seen == names


def test_steps_of_the_scenes_are_no_cuts() -> None:
    """What the tests above build on."""
    for one, other in pairwise(TWO_SCENES):
        if one != other:
            batches = converted([one, other])
            ((_, window), _) = levels(make_stage().pack(batches))
            neighbor = window[:, 6:9]  # the next frame, or the reference where there is none
            assert torch.equal(neighbor, window[:, :3]) == (one[0] != other[0])
