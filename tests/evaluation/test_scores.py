"""Scores against original images."""

import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import pyvips

from sr.evaluation.scores import (
    Score,
    ScoreError,
    VideoScore,
    average_scores,
    average_video_scores,
    score_against_file,
    write_scores,
)
from sr.io.rgb8 import write_rgb8
from sr.losses.lpips import LPIPS


def random_image(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_equal_images_are_infinitely_good(tmp_path: Path) -> None:
    image = random_image(32, 40)
    write_rgb8(tmp_path / "a.png", image)
    score = score_against_file(image, tmp_path / "a.png", border=4)
    assert score.psnr_y == score.psnr_rgb == math.inf
    assert score.ssim_y == score.ssim_rgb == pytest.approx(1)


def test_the_border_does_not_count(tmp_path: Path) -> None:
    image = random_image(32, 40)
    write_rgb8(tmp_path / "a.png", image)
    spoilt = 255 - image
    spoilt[4:-4, 4:-4] = image[4:-4, 4:-4]
    assert score_against_file(spoilt, tmp_path / "a.png", border=4).psnr_rgb == math.inf
    assert score_against_file(spoilt, tmp_path / "a.png", border=3).psnr_rgb < 30


@pytest.mark.parametrize(("more_rows", "more_columns"), [(3, 0), (0, 2), (-1, 3)])
def test_sizes_that_are_no_multiple_of_the_scale_are_cut(
    tmp_path: Path, more_rows: int, more_columns: int
) -> None:
    large = random_image(40, 48)
    write_rgb8(tmp_path / "a.png", large[: 32 + more_rows, : 40 + more_columns])
    score = score_against_file(large[:32, :40], tmp_path / "a.png", border=4)
    assert score.psnr_rgb == math.inf


def test_originals_of_another_size_are_refused(tmp_path: Path) -> None:
    write_rgb8(tmp_path / "a.png", random_image(36, 40))
    with pytest.raises(ScoreError, match=r"expected an original of 40x32 .* got .* of 40x36"):
        score_against_file(random_image(32, 40), tmp_path / "a.png", border=4)


def test_images_too_small_to_score_are_refused(tmp_path: Path) -> None:
    write_rgb8(tmp_path / "a.png", random_image(18, 40))
    with pytest.raises(ScoreError, match="at least 19 pixels per side"):
        score_against_file(random_image(18, 40), tmp_path / "a.png", border=4)


def test_gray_originals_are_compared_as_rgb(tmp_path: Path) -> None:
    gray = random_image(32, 40)[..., 0]
    pyvips.Image.new_from_array(gray).copy(interpretation="b-w").pngsave(str(tmp_path / "a.png"))
    score = score_against_file(np.stack([gray] * 3, -1), tmp_path / "a.png", border=4)
    assert score.psnr_rgb == math.inf


def test_lpips_is_measured_where_it_is_asked_for(tmp_path: Path) -> None:
    image, lpips = random_image(40, 48), LPIPS("AlexNet", "random")
    write_rgb8(tmp_path / "a.png", image)
    assert score_against_file(image, tmp_path / "a.png", border=4).lpips is None
    assert score_against_file(image, tmp_path / "a.png", border=4, lpips=lpips).lpips == 0
    spoilt = 255 - image
    distance = score_against_file(spoilt, tmp_path / "a.png", border=4, lpips=lpips).lpips
    assert distance is not None
    assert distance > 0
    spoilt[4:-4, 4:-4] = image[4:-4, 4:-4]
    assert score_against_file(spoilt, tmp_path / "a.png", border=4, lpips=lpips).lpips == 0
    with pytest.raises(ScoreError, match="at least 41 pixels per side"):
        score_against_file(image, tmp_path / "a.png", border=5, lpips=lpips)


def test_means_are_taken_number_by_number() -> None:
    mean = average_scores([Score(30, 0.8, 28, 0.7), Score(32, 0.9, 29, 0.8)])
    assert (mean.psnr_y, mean.psnr_rgb) == (31, 28.5)
    assert (mean.ssim_y, mean.ssim_rgb) == pytest.approx((0.85, 0.75))
    measured = [Score(30, 0.8, 28, 0.7, lpips) for lpips in (0.2, 0.3)]
    assert average_scores(measured).lpips == pytest.approx(0.25)


def test_clips_count_alike_and_those_without_pairs_only_as_images() -> None:
    long = VideoScore(40, Score(30, 0.8, 28, 0.7), 39, 6.0, 5.0, 0.5)
    short = VideoScore(2, Score(32, 0.8, 28, 0.7), 1, 4.0, 3.0, 0.3)
    cut = VideoScore(2, Score(34, 0.8, 28, 0.7), 0, None, None, None)
    mean = average_video_scores([long, short, cut])
    assert (mean.frames, mean.pairs, mean.mean.psnr_y) == (44, 40, 32)
    assert (mean.flicker, mean.original_flicker, mean.tof) == (5, 4, 0.4)
    assert list(cut.as_json()) == ["frames", "psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "pairs"]
    assert list(long.as_json())[-3:] == ["flicker", "original_flicker", "tof"]


def test_scores_are_saved_as_valid_json(tmp_path: Path) -> None:
    scores = {
        Path("a.png"): Score(math.inf, 1, math.inf, 1),
        Path("b.png"): Score(30, 0.8, 28, 0.7),
    }
    write_scores(tmp_path / "scores.json", {"scale": 4}, scores, {})
    saved = json.loads((tmp_path / "scores.json").read_text())
    assert saved["scale"] == 4
    assert saved["pictures"]["a.png"]["psnr_y"] == "inf"
    assert saved["mean"]["ssim_y"] == pytest.approx(0.9)
    assert "clips" not in saved
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]
    clip = VideoScore(40, Score(30, 0.8, 28, 0.7), 39, 6.0, 5.0, 0.5)
    write_scores(tmp_path / "scores.json", {"scale": 4}, {}, {Path("c.mp4"): clip})
    saved = json.loads((tmp_path / "scores.json").read_text())
    assert saved["clips"] == {"c.mp4": clip.as_json()}
    assert saved["mean_of_clips"] == clip.as_json()
    assert "pictures" not in saved
