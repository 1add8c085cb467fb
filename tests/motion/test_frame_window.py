from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from sr.motion.frame_window import (
    Alignment,
    Area,
    Edge,
    Scene,
    Window,
    crop_area,
    gather_window,
    list_offsets,
)
from sr.motion.methods import DIS, RGB8
from sr.motion.scene_cuts import measure_motion

Moved = Callable[..., RGB8]

HEIGHT, WIDTH = 20, 30
ALIGNMENTS: list[Alignment] = ["none", "nearest"]
EDGES: list[Edge] = ["reference", "replicate", "reflect"]


def constant(right: float, down: float) -> Tensor:
    return torch.tensor([right, down]).view(2, 1, 1).expand(2, HEIGHT, WIDTH)


def uneven(seed: int, strength: float = 3) -> Tensor:
    """A smooth flow, (2, HEIGHT, WIDTH)."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn((1, 2, 4, 5), generator=random)
    size = (HEIGHT, WIDTH)
    return strength * torch.nn.functional.interpolate(coarse, size, mode="bicubic")[0]


def frame(number: int) -> Tensor:
    """(3, HEIGHT, WIDTH), other pixels in each frame."""
    random = torch.Generator().manual_seed(1000 + number)
    return torch.rand((3, HEIGHT, WIDTH), generator=random)


def scene(first: int, last: int, flow: Callable[[int], Tensor] = uneven) -> Scene:
    return Scene(
        {number: frame(number) for number in range(first, last + 1)},
        {number: flow(number) for number in range(first, last)},
        {number: flow(-number) for number in range(first + 1, last + 1)},
        first,
        last,
    )


@pytest.mark.parametrize(
    ("num_frames", "time", "nearest"),
    [
        (3, (-1, 1), (-1, 1)),
        (5, (-2, -1, 1, 2), (-1, 1, -2, 2)),
        (7, (-3, -2, -1, 1, 2, 3), (-1, 1, -2, 2, -3, 3)),
    ],
)
def test_neighbors_come_in_the_order_of_time_or_the_nearest_first(
    num_frames: int, time: tuple[int, ...], nearest: tuple[int, ...]
) -> None:
    assert list_offsets(num_frames, "time") == time
    assert list_offsets(num_frames, "nearest") == nearest


@pytest.mark.parametrize("edge", EDGES)
def test_in_the_middle_of_a_scene_neighbors_are_the_frames_around(edge: Edge) -> None:
    assert Window((-2, -1, 1, 2), edge).neighbors(7, 3, 11) == (5, 6, 8, 9)
    assert Window((-1, 1, -2, 2), edge).neighbors(5, 3, 7) == (4, 6, 3, 7)
    assert Window((-3, -1), edge).neighbors(6, 3, 7) == (3, 5)


@pytest.mark.parametrize(
    ("edge", "at_first", "next_to_first", "at_last"),
    [
        ("reference", (3, 3, 4, 5), (4, 3, 5, 6), (9, 10, 11, 11)),
        ("replicate", (3, 3, 4, 5), (3, 3, 5, 6), (9, 10, 11, 11)),
        ("reflect", (5, 4, 4, 5), (4, 3, 5, 6), (9, 10, 10, 9)),
    ],
)
def test_what_stands_for_frames_beyond_the_ends(
    edge: Edge,
    at_first: tuple[int, ...],
    next_to_first: tuple[int, ...],
    at_last: tuple[int, ...],
) -> None:
    window = Window((-2, -1, 1, 2), edge)
    assert window.neighbors(3, 3, 11) == at_first
    assert window.neighbors(4, 3, 11) == next_to_first
    assert window.neighbors(11, 3, 11) == at_last


@pytest.mark.parametrize(
    ("edge", "of_one", "of_two"),
    [
        ("reference", (4, 4, 4, 4), (4, 4, 5, 4)),
        ("replicate", (4, 4, 4, 4), (4, 4, 5, 5)),
        ("reflect", (4, 4, 4, 4), (5, 5, 5, 4)),
    ],
)
def test_in_scenes_shorter_than_the_window_no_frame_is_of_another_scene(
    edge: Edge, of_one: tuple[int, ...], of_two: tuple[int, ...]
) -> None:
    window = Window((-2, -1, 1, 2), edge)
    assert window.neighbors(4, 4, 4) == of_one
    assert window.neighbors(4, 4, 5) == of_two


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("edge", EDGES)
def test_a_scene_of_one_frame_is_looked_at_without_motion(edge: Edge, alignment: Alignment) -> None:
    neighbors, flows = gather_window(Window((-2, -1, 1, 2), edge, alignment), scene(4, 4), 4)
    assert torch.equal(neighbors, frame(4).expand(4, 3, HEIGHT, WIDTH))
    assert flows.shape == (4, 2, HEIGHT, WIDTH)
    assert not flows.any()


def test_the_radius_is_that_of_the_farthest_neighbor() -> None:
    assert Window((-1, 1, -3, 2)).radius == 3
    assert Window((1, 2)).radius == 2


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("position", range(5))
def test_a_window_backwards_sees_the_same_in_a_clip_that_runs_backwards(
    position: int, edge: Edge, alignment: Alignment
) -> None:
    window = Window((-1, 1, -2, 2, -3), edge, alignment)
    forwards = scene(0, 4)
    mirrored = Scene(
        {4 - number: image for number, image in forwards.frames.items()},
        {4 - number: flow for number, flow in forwards.to_previous.items()},
        {4 - number: flow for number, flow in forwards.to_next.items()},
        0,
        4,
    )
    expected = gather_window(window, forwards, position)
    found = gather_window(window.backwards(), mirrored, 4 - position)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert window.backwards().backwards() == window


def test_without_alignment_frames_next_to_it_are_handed_over_with_their_flow() -> None:
    whole = scene(0, 4)
    neighbors, flows = gather_window(Window((1, -1)), whole, 2)
    assert torch.equal(neighbors, torch.stack([frame(3), frame(1)]))
    assert torch.equal(flows, torch.stack([whole.to_next[2], whole.to_previous[2]]))


def test_flow_over_two_and_three_frames_is_so_many_times_that_of_a_steady_motion() -> None:
    steady = Scene(
        {number: frame(number) for number in range(7)},
        {number: constant(2.5, -1) for number in range(6)},
        {number: constant(-2.5, 1) for number in range(1, 7)},
        0,
        6,
    )
    neighbors, flows = gather_window(Window((-3, -2, 2, 3)), steady, 3)
    assert torch.equal(neighbors, torch.stack([frame(0), frame(1), frame(5), frame(6)]))
    for flow, times in zip(flows, (-3, -2, 2, 3), strict=True):
        assert torch.allclose(flow, times * constant(2.5, -1), atol=1e-5)


def test_flow_measured_over_two_frames_of_a_moving_scene_is_twice_the_shift(moved: Moved) -> None:
    images = [moved(1.5 * step, -0.75 * step) for step in range(3)]
    motions = [measure_motion(*pair, DIS()) for pair in pairwise(images)]
    there = [torch.from_numpy(motion.forward).permute(2, 0, 1) for motion in motions]
    back = [torch.from_numpy(motion.backward).permute(2, 0, 1) for motion in motions]
    frames = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
    whole = Scene(dict(enumerate(frames)), dict(enumerate(there)), dict(enumerate(back, 1)), 0, 2)
    shift = torch.tensor([3, -1.5]).view(2, 1, 1)
    for position, offset, expected in ((0, 2, shift), (2, -2, -shift)):
        neighbors, flows = gather_window(Window((offset,)), whole, position)
        assert torch.equal(neighbors[0], frames[position + offset])
        assert (flows[0] - expected)[:, 10:-10, 10:-10].abs().max() < 0.3


def test_the_second_step_of_a_flow_is_read_where_the_first_one_leads() -> None:
    columns = torch.arange(WIDTH, dtype=torch.float32).expand(HEIGHT, WIDTH)
    stretched = torch.stack([0.1 * columns, torch.zeros(HEIGHT, WIDTH)])
    whole = scene(0, 2, lambda _number: stretched)
    _, flows = gather_window(Window((2,)), whole, 0)
    inside = 1.1 * columns <= WIDTH - 1
    assert torch.allclose(flows[0, 0][inside], (0.21 * columns)[inside], atol=1e-4)
    # Beyond the border, the border's flow.
    beyond = (0.1 * columns + 0.1 * (WIDTH - 1))[~inside]
    assert torch.allclose(flows[0, 0][~inside], beyond, atol=1e-4)
    assert not flows[0, 1].any()


def test_aligned_neighbors_are_the_pixels_that_flow_points_to_and_the_rest_of_it() -> None:
    whole = scene(0, 4)
    window = Window((-2, -1, 1, 2))
    frames, flows = gather_window(window, whole, 2)
    aligned, left = gather_window(Window(window.offsets, alignment="nearest"), whole, 2)
    num_inside = 0
    for n in range(4):
        for y in range(HEIGHT):
            for x in range(WIDTH):
                right, down = flows[n, :, y, x].tolist()
                column, row = round(x + right), round(y + down)
                if 0 <= column < WIDTH and 0 <= row < HEIGHT:
                    num_inside += 1
                    assert left[n, :, y, x].abs().max() <= 0.5 + 1e-5
                column, row = min(max(column, 0), WIDTH - 1), min(max(row, 0), HEIGHT - 1)
                assert torch.equal(aligned[n, :, y, x], frames[n, :, row, column])
                assert left[n, 0, y, x].item() == pytest.approx(x + right - column, abs=1e-5)
                assert left[n, 1, y, x].item() == pytest.approx(y + down - row, abs=1e-5)
    assert num_inside > HEIGHT * WIDTH  # else the half pixel was not looked at


def test_after_alignment_by_whole_pixels_no_flow_is_left_inside() -> None:
    whole = scene(0, 2, lambda _number: constant(3, -2))
    aligned, left = gather_window(Window((1,), alignment="nearest"), whole, 1)
    assert torch.equal(aligned[0, :, 2:, :-3], frame(2)[:, :-2, 3:])
    assert not left[0, :, 2:, :-3].any()
    # Beyond the border, the border's pixels, and the way that is left.
    assert torch.equal(aligned[0, :, 2:, -3:], frame(2)[:, :-2, -1:].expand(3, HEIGHT - 2, 3))
    assert torch.equal(left[0, 0, 2:, -3:], torch.tensor([1.0, 2, 3]).expand(HEIGHT - 2, 3))


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("position", [0, 1, 3, 6])
@pytest.mark.parametrize("area", [Area(0, 0, 7, 9), Area(5, 8, 10, 12), Area(13, 19, 7, 11)])
def test_an_area_is_seen_as_in_the_whole_frame(
    area: Area, position: int, edge: Edge, alignment: Alignment
) -> None:
    window = Window((-3, -2, -1, 1, 2, 3), edge, alignment)
    whole = scene(0, 6)
    neighbors, flows = gather_window(window, whole, position)
    part, part_flows = gather_window(window, whole, position, area)
    assert torch.equal(part, crop_area(neighbors, area))
    assert torch.allclose(part_flows, crop_area(flows, area), atol=1e-4)
    assert part.shape == (6, 3, area.height, area.width)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_frames_of_bytes_and_flow_of_half_precision_are_taken(alignment: Alignment) -> None:
    whole = scene(0, 4)
    frames = {number: (255 * image).byte() for number, image in whole.frames.items()}
    half = Scene(
        frames,
        {number: flow.half() for number, flow in whole.to_next.items()},
        {number: flow.half() for number, flow in whole.to_previous.items()},
        0,
        4,
    )
    window = Window((-2, -1, 1, 2), alignment=alignment)
    neighbors, flows = gather_window(window, half, 2)
    assert neighbors.dtype == torch.uint8
    assert flows.dtype == torch.float32
    if alignment == "none":
        assert torch.allclose(flows, gather_window(window, whole, 2)[1], atol=0.02)
        assert torch.equal(neighbors[2], frames[3])
