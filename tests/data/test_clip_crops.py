import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from sr.data.cache import SourceCache, fill_cache
from sr.data.clip_crops import ClipCropDataset, WindowSettings, collate_clips, list_references
from sr.data.clips import ClipArrays
from sr.data.crops import Crop, CropSettings
from sr.motion.frame_window import Alignment, Edge, Window

Key = Literal["lr", "hr", "neighbors", "flows"]
SCALE = 2
SIZE = 12  # of a crop, LR pixels
SETTINGS = CropSettings(SCALE * SIZE, 1, flips=True, transposes=True)
UPRIGHT = replace(SETTINGS, flips=False, transposes=False)
STEPS = ((2, 1), (1, -3), (-2, 1), (3, 1))  # of the camera, LR pixels across and down
PAIR = WindowSettings(Window((-1, 1)), num_references=2)


@dataclass
class Panned:
    """A camera that moves over noise by whole LR pixels; hr is lr with every pixel repeated.

    dark: frames whose pixels are below 128, those of the others are above; cuts lie between.
    """

    steps: Sequence[tuple[int, int]] = STEPS
    size: tuple[int, int] = (30, 36)
    seed: int = 0
    dark: int = 0
    with_flow: bool = True
    name: str = "panned"

    @property
    def hr_size(self) -> tuple[int, int]:
        return SCALE * self.size[0], SCALE * self.size[1]

    @property
    def num_bytes(self) -> int:
        return 100 * self.size[0] * self.size[1] * (len(self.steps) + 1)

    def load(self) -> ClipArrays:
        return self.arrays

    @cached_property
    def arrays(self) -> ClipArrays:
        height, width = self.size
        texture = np.random.default_rng(self.seed).integers(128, 256, (80, 90, 3), dtype=np.uint8)
        places = np.cumsum([(20, 20), *self.steps], axis=0)
        lr = np.stack([texture[y : y + height, x : x + width] for x, y in places])
        lr[: self.dark] -= 128
        flow = np.array([(-x, -y) for x, y in self.steps], np.float16).reshape(-1, 2, 1, 1)
        flow = np.broadcast_to(flow, (len(self.steps), 2, height, width)).copy()
        cuts = np.zeros(len(self.steps), np.bool_)
        if self.dark:
            cuts[self.dark - 1] = True
        if not self.with_flow:
            flow, cuts = flow[:0], cuts[:0]
        return ClipArrays(lr, lr.repeat(SCALE, 1).repeat(SCALE, 2), flow, -flow, cuts)


def dataset(
    windows: WindowSettings,
    *clips: Panned,
    settings: CropSettings = SETTINGS,
    seed: int = 0,
) -> ClipCropDataset:
    return ClipCropDataset(
        SourceCache(clips or [Panned()], Path(), []), SCALE, settings, windows, seed
    )


def window_of(offsets: tuple[int, ...], alignment: Alignment, edge: Edge = "reference") -> Window:
    return Window(offsets, edge, alignment)


def looked_up(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """image (C, a, b) at x + flow, whole pixels, and where that lies inside, (a, b)."""
    height, width = image.shape[-2:]
    rows = torch.arange(height)[:, None] + flow[1].long()
    columns = torch.arange(width) + flow[0].long()
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return image[:, rows.clamp(0, height - 1), columns.clamp(0, width - 1)], inside


def repeated(lr: Tensor) -> Tensor:
    return functional.interpolate(lr, scale_factor=float(SCALE), mode="nearest")


def same(one: Crop, other: Crop) -> bool:
    keys = {key for key in one if key != "name"}
    assert keys == {key for key in other if key != "name"}
    return all(torch.equal(one[key], other[key]) for key in keys)  # type: ignore[literal-required]


def test_without_alignment_neighbors_at_their_flow_equal_the_reference_however_turned() -> None:
    crops = dataset(WindowSettings(window_of((-1, 1, -2, 2), "none")))
    seen = set()
    for number in range(80):
        crop = crops[0, number]
        assert crop["neighbors"].shape == (1, 4, 3, SIZE, SIZE)
        assert crop["flows"].shape == (1, 4, 2, SIZE, SIZE)
        assert crop["flows"].dtype == torch.float32
        for neighbor, flow in zip(crop["neighbors"][0], crop["flows"][0], strict=True):
            moved, inside = looked_up(neighbor, flow)
            assert inside.float().mean() > 0.2
            assert torch.equal(moved[:, inside], crop["lr"][0][:, inside])
            seen.add(tuple(flow[:, 0, 0].abs().tolist()))
    assert seen >= {(2, 1), (1, 2), (1, 3), (3, 1)}  # both ways up


def test_all_eight_orientations_occur_forwards_and_backwards() -> None:
    windows = WindowSettings(Window((-1, 1)), whole_windows=True)
    crops = dataset(windows, Panned(((2, 1), (3, 1))))
    flows = {tuple(crops[0, n]["flows"][0, :, :, 0, 0].flatten().tolist()) for n in range(120)}
    # To the frame before and to the one after; backwards they change places.
    both = [(2, 1, -3, -1), (-3, -1, 2, 1)]
    expected = set()
    for a, b, c, d in both:
        for across in (1, -1):
            for down in (1, -1):
                expected.add((across * a, down * b, across * c, down * d))
                expected.add((down * b, across * a, down * d, across * c))
    assert flows == expected


def test_aligned_neighbors_equal_the_reference_where_no_flow_is_left() -> None:
    aligned = dataset(WindowSettings(window_of((-1, 1, -2, 2), "nearest")))
    plain = dataset(WindowSettings(window_of((-1, 1, -2, 2), "none")))
    shares = []
    for number in range(40):
        crop = aligned[0, number]
        still = (crop["flows"] == 0).all(2)  # (1, 4, a, b)
        pixels = still[:, :, None].expand_as(crop["neighbors"])
        expected = crop["lr"][:, None].expand_as(crop["neighbors"])
        assert torch.equal(crop["neighbors"][pixels], expected[pixels])
        shares.append(still.float().mean().item())
        assert torch.equal(crop["lr"], plain[0, number]["lr"])
        assert not torch.equal(crop["neighbors"], plain[0, number]["neighbors"])
    # Else the flow leads out of the frame.
    assert min(shares) > 0.4
    assert max(shares) == 1


@pytest.mark.parametrize("num_references", [1, 2])
def test_lr_and_hr_show_the_same_place_in_the_same_orientation(num_references: int) -> None:
    crops = dataset(replace(PAIR, num_references=num_references))
    for number in range(20):
        crop = crops[0, number]
        assert crop["lr"].shape == (num_references, 3, SIZE, SIZE)
        assert torch.equal(crop["hr"], repeated(crop["lr"]))
        assert crop["hr"].dtype == torch.float32
        assert 0.5 < crop["hr"].min() < crop["hr"].max() <= 1


def test_the_motion_leads_from_the_first_reference_to_the_second_in_hr_pixels() -> None:
    crops = dataset(PAIR, settings=UPRIGHT)
    seen = set()
    for number in range(40):
        crop = crops[0, number]
        assert crop["motion"].shape == (1, 2, SCALE * SIZE, SCALE * SIZE)
        seen.add(tuple(crop["motion"][0, :, 0, 0].tolist()))
        # One of the flows of the first reference leads there too, in LR pixels.
        assert any(
            torch.equal(repeated(flow[None]) * SCALE, crop["motion"]) for flow in crop["flows"][0]
        )
    forwards = {(-SCALE * x, -SCALE * y) for x, y in STEPS}
    assert seen == forwards | {(-x, -y) for x, y in forwards}  # also when time runs backwards


def test_the_second_reference_at_the_motion_equals_the_first_however_turned() -> None:
    for windows in (PAIR, replace(PAIR, window=None)):
        crops = dataset(windows)
        for number in range(40):
            crop = crops[0, number]
            moved, inside = looked_up(crop["hr"][1], crop["motion"][0])
            assert inside.float().mean() > 0.4
            assert torch.equal(moved[:, inside], crop["hr"][0][:, inside])
            assert not torch.equal(crop["hr"][0], crop["hr"][1])


def test_without_reversal_time_runs_forwards_only() -> None:
    crops = dataset(replace(PAIR, reversal=False), settings=UPRIGHT)
    motions = {tuple(crops[0, n]["motion"][0, :, 0, 0].tolist()) for n in range(40)}
    assert motions == {(-SCALE * x, -SCALE * y) for x, y in STEPS}


def test_a_crop_depends_on_the_seed_and_the_number_of_its_draw_alone() -> None:
    crops = dataset(PAIR, Panned(), Panned(seed=1))
    first = crops[1, 5]
    for number in (3, 9, 2):
        assert not same(crops[1, number], first)
    crops[0, 5]
    assert same(crops[1, 5], first)
    assert not same(dataset(PAIR, Panned(), Panned(seed=1), seed=1)[1, 5], first)


def test_a_worker_with_a_copy_of_the_data_set_gives_the_same_crops(tmp_path: Path) -> None:
    clips = fill_cache([Panned(), Panned(seed=1)], tmp_path / "clips.bin", 10**9)
    crops = ClipCropDataset(clips, SCALE, SETTINGS, PAIR, seed=0)
    copy = pickle.loads(pickle.dumps(crops))  # noqa: S301, our own
    uncached = dataset(PAIR, Panned(), Panned(seed=1))
    for number in range(8):
        draw = number % 2, number
        assert same(crops[draw], copy[draw])
        assert same(crops[draw], uncached[draw])


def test_a_crop_carries_the_name_of_its_clip() -> None:
    crops = dataset(PAIR, Panned(name="a"), Panned(name="b"))
    assert [crops[index, 0]["name"] for index in (0, 1)] == ["a", "b"]
    assert len(crops) == 2


def test_a_network_that_sees_single_frames_gets_nothing_else() -> None:
    crops = dataset(WindowSettings(None), Panned(with_flow=False))
    places = {tuple(crops[0, number]["lr"][0, :, 0, 0].tolist()) for number in range(30)}
    assert len(places) > 20
    assert crops[0, 0].keys() == {"lr", "hr", "name"}


@pytest.mark.parametrize("window", [Window((-1, 1)), Window((-1, 1), alignment="nearest")])
def test_a_clip_of_one_frame_gives_it_as_its_own_neighbors(window: Window) -> None:
    crop = dataset(WindowSettings(window), Panned(()))[0, 0]
    assert torch.equal(crop["neighbors"], crop["lr"][:, None].expand(1, 2, 3, SIZE, SIZE))
    assert crop["flows"].shape == (1, 2, 2, SIZE, SIZE)
    assert not crop["flows"].any()


@pytest.mark.parametrize(
    ("edge", "at_first"),
    [("reference", (0, 1)), ("replicate", (0, 1)), ("reflect", (1, 1))],
)
def test_beyond_the_ends_of_a_clip_the_rule_of_the_options_holds(
    edge: Edge, at_first: tuple[int, int]
) -> None:
    windows = WindowSettings(window_of((-1, 1), "none", edge), reversal=False)
    crops = dataset(windows, Panned(((2, 1),), (SIZE, SIZE)), settings=UPRIGHT)
    frames = torch.from_numpy(crops.clips[0][0]).permute(0, 3, 1, 2) / 255
    drawn = [crops[0, number] for number in range(10)]
    starts = [crop for crop in drawn if torch.equal(crop["lr"][0], frames[0])]
    assert 0 < len(starts) < len(drawn)
    for crop in starts:
        assert torch.equal(crop["neighbors"][0], frames[list(at_first)])
        to_next = torch.tensor([-2.0, -1.0])
        for number, flow in zip(at_first, crop["flows"][0], strict=True):
            assert torch.equal(flow[:, 0, 0], number * to_next)


@pytest.mark.parametrize("edge", ["reference", "replicate", "reflect"])
@pytest.mark.parametrize("num_references", [1, 2])
@pytest.mark.parametrize("dark", [1, 3])
def test_no_window_and_no_pair_crosses_a_cut(edge: Edge, num_references: int, dark: int) -> None:
    windows = WindowSettings(window_of((-1, 1, -2, 2), "none", edge), False, num_references)
    crops = dataset(windows, Panned(dark=dark))
    sides = set()
    for number in range(30):
        crop = crops[0, number]
        is_dark = bool(crop["lr"][0].max() < 0.5)
        sides.add(is_dark)
        for images in (crop["lr"], crop["hr"], crop["neighbors"]):
            assert bool(images.max() < 0.5) is is_dark
            assert bool(images.min() > 0.5) is not is_dark
    assert sides == ({False} if (dark, num_references) == (1, 2) else {True, False})


def test_a_pair_of_a_clip_of_single_frames_is_one_frame_twice_without_motion() -> None:
    crops = dataset(PAIR, Panned(((2, 1),), dark=1))
    for number in range(10):
        crop = crops[0, number]
        assert torch.equal(crop["lr"][0], crop["lr"][1])
        assert torch.equal(crop["hr"][0], crop["hr"][1])
        assert not crop["motion"].any()
        assert not crop["flows"].any()


def clip_of(num_frames: int, *cuts_behind: int) -> ClipArrays:
    cuts = np.zeros(num_frames - 1, np.bool_)
    cuts[list(cuts_behind)] = True
    nothing = np.zeros(0, np.float16)
    frames = np.zeros((num_frames, 1, 1, 3), np.uint8)
    return ClipArrays(frames, frames, nothing, nothing, cuts)


@pytest.mark.parametrize(
    ("num_frames", "cuts", "whole", "num_references", "expected"),
    [
        (7, (), True, 1, [3]),  # of a septuplet the middle
        (9, (), True, 1, [3, 4, 5]),
        (9, (), True, 2, [3, 4]),
        (8, (), True, 2, [3]),
        (7, (), False, 1, [0, 1, 2, 3, 4, 5, 6]),
        (4, (), False, 2, [0, 1, 2]),
        (5, (1,), False, 2, [0, 2, 3]),
        (5, (1,), False, 1, [0, 1, 2, 3, 4]),
        (12, (3,), True, 1, [7, 8]),  # windows behind the cut
        (5, (), True, 1, [2]),  # too short for a whole window
        (4, (), True, 2, [1]),
        (2, (0,), False, 2, [0]),
        (1, (), False, 1, [0]),
    ],
)
def test_references_are_the_frames_that_have_what_is_asked_for(
    num_frames: int, cuts: tuple[int, ...], whole: bool, num_references: int, expected: list[int]
) -> None:
    window = Window((-1, 1, -2, 2, -3, 3))
    windows = WindowSettings(window, whole, num_references)
    assert list_references(clip_of(num_frames, *cuts), windows) == expected


def test_whole_windows_mean_nothing_where_no_neighbors_are_seen() -> None:
    windows = WindowSettings(None, whole_windows=True)
    assert list_references(clip_of(3), windows) == [0, 1, 2]


def test_with_whole_windows_no_neighbor_is_replaced() -> None:
    crops = dataset(WindowSettings(Window((-1, 1, -2, 2)), whole_windows=True))
    for number in range(10):
        crop = crops[0, number]
        assert not any(torch.equal(other, crop["lr"][0]) for other in crop["neighbors"][0])
        assert crop["flows"].abs().amax((0, 2, 3, 4)).all()


def test_every_reference_is_drawn() -> None:
    crops = dataset(WindowSettings(Window((-1, 1))), Panned(size=(SIZE, SIZE)), settings=UPRIGHT)
    assert len({crops[0, number]["lr"].numpy().tobytes() for number in range(60)}) == 5


def test_of_several_candidates_the_place_with_the_most_detail_is_taken() -> None:
    spread = []
    for candidates in (1, 6):
        crops = dataset(PAIR, settings=replace(SETTINGS, detail_candidates=candidates))
        images = [crops[0, number]["lr"][0] for number in range(30)]
        spread.append(np.mean([image.diff(dim=-1).abs().mean() for image in images]))
    assert spread[1] > spread[0]


def test_joined_crops_keep_the_two_references_of_a_draw_side_by_side() -> None:
    crops = dataset(PAIR, Panned(name="a"), Panned(seed=1, name="b"))
    drawn = [crops[number % 2, number] for number in range(3)]
    batch = collate_clips(drawn)
    assert batch["lr"].shape == (6, 3, SIZE, SIZE)
    assert batch["neighbors"].shape == (6, 2, 3, SIZE, SIZE)
    assert batch["flows"].shape == (6, 2, 2, SIZE, SIZE)
    assert batch["motion"].shape == (3, 2, SCALE * SIZE, SCALE * SIZE)
    for number, crop in enumerate(drawn):
        keys: tuple[Key, ...] = ("lr", "hr", "neighbors", "flows")
        for key in keys:
            both = batch[key][2 * number : 2 * number + 2]
            assert torch.equal(both, crop[key])
        assert torch.equal(batch["motion"][number], crop["motion"][0])
    assert list(batch["name"]) == ["a", "b", "a"]
