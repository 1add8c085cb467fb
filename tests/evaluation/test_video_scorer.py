"""Scores of clips against their originals: by the scorer alone, and through the engine."""

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from sr.evaluation.scores import ScoreError
from sr.evaluation.video_scorer import ClipScorer
from sr.inference.options import UsageError
from sr.inference.video.options import VideoMaking
from sr.io.rgb8 import image_to_tensor, read_rgb8, write_rgb8
from sr.io.video.read.frame_rate import Moment
from sr.losses.lpips import LPIPS
from sr.metrics.flicker import warping_error
from sr.metrics.psnr import psnr
from sr.metrics.ssim import ssim
from sr.metrics.tof import measure_tof_flow, tof
from sr.motion.methods import DIS

RGB8 = npt.NDArray[np.uint8]
NAME = Path("hr")


def scene(frame: int, *, height: int = 40, width: int = 48, seed: int = 0) -> RGB8:
    """Smooth noise that moves by 2 pixels to the left a frame."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 24, 3)).astype(np.uint8)
    tensor = image_to_tensor(coarse)
    large = torch.nn.functional.interpolate(tensor, scale_factor=6, mode="bicubic").clamp(0, 1)
    pixels = (255 * large[0].permute(1, 2, 0)).to(torch.uint8).numpy()
    return np.ascontiguousarray(pixels[:height, 2 * frame : 2 * frame + width])


def noisy(frame: int) -> Tensor:
    """A result: (1, 3, 40, 48), beyond [0, 1] here and there."""
    noise = torch.randn(1, 3, 40, 48, generator=torch.Generator().manual_seed(frame))
    return image_to_tensor(scene(frame)) + 0.1 * noise


def scorer(originals: list[RGB8], **more: Any) -> ClipScorer:
    return ClipScorer(originals, border=2, name=NAME, **more)


def test_frame_by_frame_gives_what_the_whole_clip_gives() -> None:
    originals, results = [scene(t) for t in range(4)], [noisy(t) for t in range(4)]
    scoring = scorer(originals)
    handed_on = list(scoring.scored(zip(range(4), results, strict=True)))  # type: ignore[arg-type]  # any frames
    assert [sr for _, sr in handed_on] == results
    score = scoring.score()
    frames = [((sr.clamp(0, 1) * 255 + 0.5).floor() / 255) for sr in results]
    hr = [image_to_tensor(original) for original in originals]
    pairs = list(zip(frames, hr, strict=True))
    assert score.frames == 4
    assert score.mean.lpips is None
    assert score.mean.psnr_y == pytest.approx(
        np.mean([psnr(*pair, border=2, channel="y") for pair in pairs])
    )
    assert score.mean.ssim_rgb == pytest.approx(
        np.mean([ssim(*pair, border=2, channel="rgb") for pair in pairs])
    )
    assert score.pairs == 3
    dis = DIS()
    flows = [
        (torch.from_numpy(dis(a, b)), torch.from_numpy(dis(b, a))) for a, b in pairwise(originals)
    ]
    assert score.flicker == pytest.approx(255 * warping_error(frames, flows) ** 0.5)
    assert score.original_flicker == pytest.approx(255 * warping_error(hr, flows) ** 0.5)
    levels = [(255 * sr[0].permute(1, 2, 0)).round().byte().numpy() for sr in frames]
    differences = [
        tof(
            measure_tof_flow(levels[t], levels[t + 1]),
            measure_tof_flow(*originals[t : t + 2]),
            border=2,
        )
        for t in range(3)
    ]
    assert score.tof == pytest.approx(np.mean(differences))
    assert min(differences) > 0


def test_the_original_itself_has_its_own_flicker_and_no_distance() -> None:
    originals = [scene(t) for t in range(3)]
    scoring = scorer(originals, lpips=LPIPS("AlexNet", "random"))
    for original in originals:
        scoring.add(image_to_tensor(original))
    score = scoring.score()
    assert (score.mean.psnr_y, score.mean.lpips, score.tof) == (float("inf"), 0, 0)
    assert score.mean.ssim_y == pytest.approx(1)
    assert score.flicker == score.original_flicker
    assert score.flicker is not None
    assert score.flicker < 4


def test_pairs_across_a_scene_cut_do_not_count() -> None:
    shots = [scene(t, seed=seed) for seed in (0, 1) for t in range(2)]
    cut, first = scorer(shots), scorer(shots[:2])
    for number, original in enumerate(shots):
        for scoring in (cut, first)[: 2 if number < 2 else 1]:
            scoring.add(image_to_tensor(original))
    assert (cut.score().frames, cut.score().pairs) == (4, 2)
    assert first.score().pairs == 1
    still = scorer([scene(0), scene(0, seed=1)])
    for original in (scene(0), scene(0, seed=1)):
        still.add(image_to_tensor(original))
    score = still.score()
    assert (score.pairs, score.flicker, score.tof) == (0, None, None)


def test_frames_at_the_ends_may_be_left_out() -> None:
    whole, middle = scorer([scene(t) for t in range(6)]), scorer([scene(t) for t in (2, 3)])
    for t in range(6):
        whole.add(noisy(t))
    for t in (2, 3):
        middle.add(noisy(t))
    assert whole.score(leave_out=2) == middle.score()
    with pytest.raises(ScoreError, match="expected more than 6 frames"):
        whole.score(leave_out=3)


@pytest.mark.parametrize(("num_originals", "got"), [(2, "of 2"), (4, "of 4 or more")])
def test_another_number_of_frames_is_told_at_the_end(num_originals: int, got: str) -> None:
    scoring = scorer([scene(t) for t in range(num_originals)])
    for t in range(3):
        scoring.add(noisy(t))
    with pytest.raises(ScoreError, match=f"expected an original of 3 frames, .* hr {got}$"):
        scoring.score()


def test_sizes_that_are_no_multiple_of_the_scale_are_cut() -> None:
    scoring, larger = scorer([scene(0)]), scorer([scene(0, height=41, width=49)])
    for each in (scoring, larger):
        each.add(noisy(0))
    assert scoring.score() == larger.score()
    small = scorer([scene(0, height=38)])
    small.add(noisy(0))
    with pytest.raises(ScoreError, match="not scored: expected an original of 48x40"):
        small.score()


@pytest.fixture
def originals(studio: Any) -> Path:
    """A folder with one of four frames: hr/clip."""
    return write_frames(studio.folder / "hr" / "clip", 4)


def write_frames(folder: Path, num_frames: int, step: int = 1) -> Path:
    """Every `step`-th pixel of the scene's frames, each way."""
    folder.mkdir(parents=True)
    for t in range(num_frames):
        write_rgb8(folder / f"{t:02}.png", scene(t)[::step, ::step])
    return folder


def test_frames_are_scored_before_they_are_encoded(studio: Any, originals: Path) -> None:
    lr = write_frames(studio.folder / "clip", 4, step=2)
    bad = VideoMaking(encoder={"crf": 50})
    found = []
    for output, video in (("out.mkv", bad), ("lossless.mkv", None), ("frames/%d.png", None)):
        listener = studio.Listener()
        outcome = studio.upscale(
            lr / "%02d.png",
            studio.folder / output,
            network=studio.Counting(2),
            video=video,
            listener=listener,
            reference=originals.parent,
            existing="overwrite",
        )
        (score,) = outcome.clip_scores.values()
        found.append(score)
        assert listener.fields("item_done")[0]["scores"] == score.as_json()
        assert listener.fields("done")[0]["clip_scores"]["frames"] == 4
        saved = json.loads((studio.folder / output).with_name("scores.json").read_text())
        assert saved["clips"] == {str(lr / "%02d.png"): score.as_json()}
        assert "encoding" in saved["metrics"]["clips"]
    assert found[0] == found[1] == found[2]
    assert (found[0].frames, found[0].pairs) == (4, 3)
    results = [read_rgb8(studio.folder / "frames" / f"{t}.png") for t in range(4)]
    expected = [
        psnr(image_to_tensor(sr), image_to_tensor(scene(t)), border=2, channel="y")
        for t, sr in enumerate(results)
    ]
    assert found[0].mean.psnr_y == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le", "gray"])
def test_other_sources_are_compared_by_the_same_conversion(studio: Any, pix_fmt: str) -> None:
    source = studio.clip("in.mkv", 3, pix_fmt=pix_fmt, codec="ffv1")
    outcome = studio.upscale(source, studio.folder / "out.mkv", reference=source)
    (score,) = outcome.clip_scores.values()
    assert (score.frames, score.mean.psnr_rgb) == (3, float("inf"))


def test_the_original_is_cut_and_retimed_like_the_source(studio: Any) -> None:
    source = studio.clip("in.mkv", 10, codec="ffv1")
    video = VideoMaking(
        encoder=studio.lossless, start=Moment(Fraction(1, 8)), end=Moment(frame=9), fps=Fraction(50)
    )
    outcome = studio.upscale(source, studio.folder / "out.mkv", video=video, reference=source)
    (score,) = outcome.clip_scores.values()
    assert (score.frames, score.mean.psnr_y) == (10, float("inf"))


def test_what_the_headers_tell_is_refused_before_the_work(studio: Any, originals: Path) -> None:
    lr = write_frames(studio.folder / "clip", 3, step=2)
    output, network = studio.folder / "out.mkv", studio.Counting(2)
    request = {"network": network, "reference": originals.parent}
    (fault,) = studio.upscale(lr, output, **request).failures.values()
    assert "expected an original of 3 frames" in fault
    assert fault.endswith("clip of 4")
    (originals / "03.png").unlink()
    larger = {**request, "network": studio.Counting(3)}
    (fault,) = studio.upscale(lr, output, **larger).failures.values()
    assert "expected an original of 72x60 pixels, or less than 3 more or less" in fault
    (fault,) = studio.upscale(lr, output, network=network, reference=lr).failures.values()
    assert "expected an original of 48x40 pixels" in fault
    assert network.num_calls == 0
    assert not output.exists()
    assert studio.upscale(lr, output, **request).exit_code == 0


def test_a_videos_number_of_frames_is_doubted_first_and_told_at_last(
    studio: Any, originals: Path
) -> None:
    source = studio.clip("clip.mp4", 3, size=(20, 24))
    listener, output = studio.Listener(), studio.folder / "out.mkv"
    outcome = studio.upscale(
        source,
        output,
        network=studio.Counting(2),
        listener=listener,
        reference=originals.parent,
    )
    warnings = [fields["message"] for fields in listener.fields("warning")]
    assert any("as far as their headers tell" in message for message in warnings)
    fault = f"{output} is written, but not scored: expected an original of 3 frames"
    assert fault in outcome.failures[source]
    assert len(studio.frames_of(output)) == 3  # the work is not lost


def test_videos_that_are_partly_made_are_not_scored(studio: Any) -> None:
    source = studio.clip("in.mkv", 3, codec="ffv1")
    output = studio.folder / "out.mkv"
    request = {"reference": source, "existing": "skip"}
    (studio.folder / ".out.mkv.parts").mkdir()
    with pytest.raises(UsageError, match=r"--reference: expected to make all frames of out\.mkv"):
        studio.upscale(source, output, resume=True, **request)
    (studio.folder / ".out.mkv.parts").rmdir()
    write_rgb8(studio.folder / "1.png", scene(0))
    with pytest.raises(UsageError, match="some are there from an earlier run"):
        studio.upscale(source, studio.folder / "%d.png", **request)
    listener = studio.Listener()
    studio.upscale(source, output)
    outcome = studio.upscale(source, output, listener=listener, **request)
    assert (outcome.num_skipped, outcome.clip_scores) == (1, {})
    assert "out.mkv: exists, and is not scored" in listener.fields("warning")[0]["message"]
    assert not (studio.folder / "scores.json").exists()


def test_one_videos_original_is_not_that_of_others(studio: Any) -> None:
    source = studio.clip("in.mkv", 2, codec="ffv1")
    other = studio.clip("other.mkv", 2, codec="ffv1")
    with pytest.raises(UsageError, match="expected a folder of originals for 2 inputs"):
        studio.upscale([source, other], studio.folder / "out", reference=source)
    write_rgb8(studio.folder / "a.png", scene(0))
    with pytest.raises(UsageError, match="expected a folder of originals for an image"):
        studio.upscale(studio.folder / "a.png", studio.folder / "out", reference=source)
