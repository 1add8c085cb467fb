from pathlib import Path

import numpy as np
import pytest
import torch

from sr.inference.video.previews import choose_preview_frames, name_preview, write_preview
from sr.io.image_formats import ImageError
from sr.io.rgb8 import read_rgb8


def test_numbers_are_the_middles_of_equal_spans() -> None:
    assert choose_preview_frames(100, 1) == [50]
    assert choose_preview_frames(100, 4) == [12, 37, 62, 87]
    assert choose_preview_frames(9, 3) == [1, 4, 7]


@pytest.mark.parametrize("num_frames", [1, 2, 7, 50, 1001])
@pytest.mark.parametrize("count", [1, 2, 5, 60])
def test_numbers_are_in_the_video_rise_and_are_as_many_as_asked_for(
    num_frames: int, count: int
) -> None:
    numbers = choose_preview_frames(num_frames, count)
    assert len(numbers) == min(count, num_frames)
    assert numbers == sorted(set(numbers))
    assert numbers[0] >= 0
    assert numbers[-1] < num_frames


def test_counts_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 1 frame or more to show, got 0"):
        choose_preview_frames(10, 0)
    with pytest.raises(ValueError, match="video of 1 frame or more, got 0"):
        choose_preview_frames(0, 3)


def test_the_name_has_frame_and_time(tmp_path: Path) -> None:
    path = name_preview(tmp_path, "clip", 123, 4.92)
    assert path == tmp_path / "clip_preview_00123_4.920s.png"


def test_the_enlarged_frame_is_left_and_the_result_right(tmp_path: Path) -> None:
    lr = torch.full((1, 3, 6, 8), 0.2)
    sr = torch.rand((1, 3, 15, 20), generator=torch.Generator().manual_seed(0))
    path = name_preview(tmp_path, "clip", 0, 0)
    write_preview(path, lr, sr)
    image = read_rgb8(path)
    assert image.shape == (15, 20 + 4 + 20, 3)
    assert (image[:, :20] == 51).all()
    right = torch.from_numpy(image[:, 24:]).permute(2, 0, 1)[None] / 255
    assert float((right - sr).abs().max()) <= 0.5 / 255 + 1e-6


def test_enlarging_keeps_where_things_are(tmp_path: Path) -> None:
    lr = torch.zeros(1, 3, 10, 10)
    lr[..., 5:] = 1
    path = tmp_path / "a.png"
    write_preview(path, lr, torch.zeros(1, 3, 40, 40))
    left = read_rgb8(path)[:, :40]
    assert (left[:, :16] == 0).all()
    assert (left[:, 24:] == 255).all()
    assert np.array_equal(left, left[::-1])


def test_a_result_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    sr = torch.full((1, 3, 4, 4), torch.nan)
    with pytest.raises(ImageError, match="NaN"):
        write_preview(tmp_path / "a.png", torch.zeros(1, 3, 2, 2), sr)
    assert not list(tmp_path.iterdir())
