import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from shutil import copy2

import cv2
import numpy as np
import pytest

from sr.data.augment import measure_detail
from sr.data.sources import Image
from sr.data.synthetic_clips import MovingPhoto
from sr.io.image_formats import ImageError
from sr.io.rgb8 import write_rgb8
from sr.motion.methods import DIS
from sr.motion.scene_cuts import measure_motion
from sr.motion.warp import warp_image

SIZE = (48, 64)


def texture(height: int, width: int, seed: int = 0) -> Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 2)
    return np.asarray((128 + 5 * (blurred - 128)).clip(0, 255), np.uint8)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    write_rgb8(path, texture(160, 200))
    return path


def clip(path: Path, number: int = 0, speed: float = 4, num_frames: int = 4) -> MovingPhoto:
    return MovingPhoto(path, number, num_frames, SIZE, speed, (path,))


def same(one: MovingPhoto, other: MovingPhoto) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.read(), other.read(), strict=True))


def test_a_clip_depends_on_the_files_name_and_its_number_alone(photo: Path, tmp_path: Path) -> None:
    first = clip(photo)
    assert same(first, clip(photo))
    assert not same(first, clip(photo, number=1))
    (tmp_path / "elsewhere").mkdir()
    moved = Path(copy2(photo, tmp_path / "elsewhere" / "photo.png"))
    assert same(first, replace(first, path=moved))
    renamed = Path(copy2(photo, tmp_path / "another.png"))
    assert not same(first, replace(first, path=renamed))


@pytest.mark.parametrize("num_frames", [1, 2, 7])
def test_a_clip_has_the_frames_and_the_size_asked_for(photo: Path, num_frames: int) -> None:
    made = clip(photo, num_frames=num_frames)
    frames = made.read()
    assert len(frames) == made.num_frames == num_frames
    assert {(frame.shape, frame.dtype) for frame in frames} == {((*SIZE, 3), np.dtype(np.uint8))}
    assert made.size == SIZE


def test_frames_differ_and_are_of_one_scene(photo: Path) -> None:
    unlike = clip(photo, number=100).read()[0].astype(np.float32)
    for number in range(4):
        for a, b in pairwise(clip(photo, number).read()):
            assert not np.array_equal(a, b)
            motion = measure_motion(a, b, DIS())
            assert not motion.is_cut
            # Outlines of what moves in front, and the frame's border, are hidden in one of them.
            error = np.median(np.abs(warp_image(b.astype(np.float32), motion.forward) - a))
            assert error < 0.2 * np.median(np.abs(unlike - a))


def test_the_speed_is_that_of_the_fastest_motion(photo: Path) -> None:
    lengths = []
    for number in range(12):
        a, b = clip(photo, number, speed=6, num_frames=2).read()
        flow = DIS()(a, b)[16:-16, 16:-16]
        lengths.append(float(np.median(np.hypot(flow[..., 0], flow[..., 1]))))
    assert max(lengths) < 7
    assert max(lengths) > 3
    assert min(lengths) < 2


def test_no_frame_is_sharper_than_another(tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (180, 240, 3), dtype=np.uint8)
    write_rgb8(path, noise)
    for number in range(3):
        details = [measure_detail(frame) for frame in clip(path, number, 1.5, 6).read()]
        assert max(details) / min(details) < 1.15


@pytest.mark.parametrize("size", [(10, 12), (2, 2), (3, 300), (97, 129), (96, 128)])
def test_photographs_smaller_than_the_frames_are_mirrored(
    size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "small.png"
    write_rgb8(path, texture(*size))
    for number in range(3):
        frames = clip(path, number).read()
        assert {frame.shape for frame in frames} == {(*SIZE, 3)}
        assert min(frame.mean() for frame in frames) > 50  # nothing is black beyond the border


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_a_photograph_of_one_row_or_column_is_refused_by_name(
    size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "line.png"
    write_rgb8(path, np.zeros((*size, 3), np.uint8))
    with pytest.raises(ImageError, match=rf"line\.png: .* 2x2 pixels, got {size[1]}x{size[0]}"):
        clip(path).read()


def test_a_gray_photograph_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "gray.png"
    cv2.imwrite(str(path), texture(120, 160)[..., 0])
    frames = clip(path).read()
    np.testing.assert_array_equal(frames[0][..., 0], frames[0][..., 2])


def test_in_some_clips_a_part_of_another_photograph_moves_in_front(tmp_path: Path) -> None:
    gray, red = tmp_path / "gray.png", tmp_path / "red.png"
    write_rgb8(gray, np.full((120, 160, 3), 128, np.uint8))
    write_rgb8(red, np.full((120, 160, 3), (255, 0, 0), np.uint8))
    shares = []
    for number in range(40):
        frames = MovingPhoto(gray, number, 2, SIZE, 6, (red,)).read()
        shares.append([float((frame[..., 0] > 200).mean()) for frame in frames])
    with_front = [share for share in shares if max(share) > 0.01]
    assert 4 <= len(with_front) <= 20  # 30 percent
    assert all(max(share) < 0.9 for share in with_front)


def write_plain(path: Path, color: tuple[int, int, int]) -> Path:
    write_rgb8(path, np.full((120, 160, 3), color, np.uint8))
    return path


def test_as_many_objects_move_in_front_as_are_asked_for(tmp_path: Path) -> None:
    gray = write_plain(tmp_path / "gray.png", (128, 128, 128))
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    plain = tuple(write_plain(tmp_path / f"{color}.png", color) for color in colors)
    counts = set()
    for number in range(12):
        alone = MovingPhoto(gray, number, 2, SIZE, 6, plain, object_share=0)
        assert all((frame == 128).all() for frame in alone.read())
        crowded = replace(alone, object_share=1, most_objects=3)
        frame = crowded.read()[0]
        counts.add(sum(bool((frame == color).all(axis=-1).any()) for color in colors))
    assert counts >= {1, 2}
    assert max(counts) <= 3


def test_objects_that_bend_change_their_outline(tmp_path: Path) -> None:
    gray = write_plain(tmp_path / "gray.png", (128, 128, 128))
    red = write_plain(tmp_path / "red.png", (255, 0, 0))

    def measure_change(bend: float) -> float:
        changes = []
        for number in range(6):
            made = MovingPhoto(gray, number, 2, SIZE, 0.001, (red,), object_share=1, bend=bend)
            first, second = (frame[..., 0] > 190 for frame in made.read())
            changes.append(float((first != second).mean()))
        return float(np.mean(changes))

    assert measure_change(6) > 2 * measure_change(0)


def test_the_identity_changes_with_whatever_changes_the_frames(photo: Path, tmp_path: Path) -> None:
    other = Path(copy2(photo, tmp_path / "other.png"))
    first = MovingPhoto(photo, 0, 4, SIZE, 4, (photo, other))
    others = [
        replace(first, number=1),
        replace(first, num_frames=5),
        replace(first, size=(32, 64)),
        replace(first, speed=5),
        replace(first, path=other),
        replace(first, others=(photo,)),
        replace(first, object_share=1),
        replace(first, most_objects=2),
        replace(first, bend=3),
    ]
    identities = {made.identity for made in (first, *others)}
    assert len(identities) == 10
    for path in (photo, other):  # of the other, too: it may be in front
        os.utime(path, ns=(0, 0))
        assert first.identity not in identities
        identities.add(first.identity)
