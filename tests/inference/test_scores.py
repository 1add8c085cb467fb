"""Scores against original pictures."""

import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import pyvips

from sr.inference.scores import (
    References,
    Score,
    ScoreError,
    mean_score,
    score_against,
    write_scores,
)
from sr.io.image import write_rgb8


def random_picture(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["baby.png", "babyx4.png", "baby_x4.png", "baby-X2.jpg"])
def test_originals_are_found_by_the_stem_without_its_scale(tmp_path: Path, name: str) -> None:
    (tmp_path / "baby.tif").touch()
    (tmp_path / "bab.tif").touch()
    assert References(tmp_path).original_of(Path("lr") / name) == tmp_path / "baby.tif"


def test_the_full_name_goes_before_the_one_without_scale(tmp_path: Path) -> None:
    for name in ("a.png", "a_x4.png"):
        (tmp_path / name).touch()
    assert References(tmp_path).original_of(Path("a_x4.png")).name == "a_x4.png"


def test_missing_and_ambiguous_originals_are_told(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        (tmp_path / name).touch()
    references = References(tmp_path)
    with pytest.raises(ScoreError, match=r"named a in .* came: a\.jpg, a\.png"):
        references.original_of(Path("a.png"))
    with pytest.raises(ScoreError, match=r"named b_x4 or b in .* came: none"):
        references.original_of(Path("b_x4.png"))


def test_equal_pictures_are_infinitely_good(tmp_path: Path) -> None:
    picture = random_picture(32, 40)
    write_rgb8(tmp_path / "a.png", picture)
    score = score_against(picture, tmp_path / "a.png", border=4)
    assert score.psnr_y == score.psnr_rgb == math.inf
    assert score.ssim_y == score.ssim_rgb == pytest.approx(1)


def test_the_border_does_not_count(tmp_path: Path) -> None:
    picture = random_picture(32, 40)
    write_rgb8(tmp_path / "a.png", picture)
    spoilt = 255 - picture
    spoilt[4:-4, 4:-4] = picture[4:-4, 4:-4]
    assert score_against(spoilt, tmp_path / "a.png", border=4).psnr_rgb == math.inf
    assert score_against(spoilt, tmp_path / "a.png", border=3).psnr_rgb < 30


@pytest.mark.parametrize(("more_rows", "more_columns"), [(3, 0), (0, 2), (-1, 3)])
def test_sizes_that_are_no_multiple_of_the_scale_are_cut(
    tmp_path: Path, more_rows: int, more_columns: int
) -> None:
    large = random_picture(40, 48)
    write_rgb8(tmp_path / "a.png", large[: 32 + more_rows, : 40 + more_columns])
    score = score_against(large[:32, :40], tmp_path / "a.png", border=4)
    assert score.psnr_rgb == math.inf


def test_originals_of_another_size_are_refused(tmp_path: Path) -> None:
    write_rgb8(tmp_path / "a.png", random_picture(36, 40))
    with pytest.raises(ScoreError, match=r"expected an original of 40x32 .* came: .* of 40x36"):
        score_against(random_picture(32, 40), tmp_path / "a.png", border=4)


def test_pictures_too_small_to_score_are_refused(tmp_path: Path) -> None:
    write_rgb8(tmp_path / "a.png", random_picture(18, 40))
    with pytest.raises(ScoreError, match="at least 19 pixels a side"):
        score_against(random_picture(18, 40), tmp_path / "a.png", border=4)


def test_grey_originals_are_compared_as_rgb(tmp_path: Path) -> None:
    grey = random_picture(32, 40)[..., 0]
    pyvips.Image.new_from_array(grey).copy(interpretation="b-w").pngsave(str(tmp_path / "a.png"))
    score = score_against(np.stack([grey] * 3, -1), tmp_path / "a.png", border=4)
    assert score.psnr_rgb == math.inf


def test_means_are_taken_number_by_number() -> None:
    mean = mean_score([Score(30, 0.8, 28, 0.7), Score(32, 0.9, 29, 0.8)])
    assert mean == Score(31, pytest.approx(0.85), 28.5, pytest.approx(0.75))


def test_scores_are_saved_as_valid_json(tmp_path: Path) -> None:
    scores = {
        Path("a.png"): Score(math.inf, 1, math.inf, 1),
        Path("b.png"): Score(30, 0.8, 28, 0.7),
    }
    write_scores(tmp_path / "scores.json", {"scale": 4}, scores)
    saved = json.loads((tmp_path / "scores.json").read_text())
    assert saved["scale"] == 4
    assert saved["pictures"]["a.png"]["psnr_y"] == "inf"
    assert saved["mean"]["ssim_y"] == pytest.approx(0.9)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]
