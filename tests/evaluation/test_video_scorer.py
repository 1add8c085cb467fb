"""Scores of clips against their originals: by the scorer alone, and through the engine."""

import json
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from helpers.clips import make_clip, read_frames
from helpers.videos import LOSSLESS, CountingNetwork, Listener, upscale
from torch import Tensor

from sr.errors import UsageError
from sr.evaluation.scores import ScoreError, VideoScore
from sr.evaluation.video_scorer import VideoScorer
from sr.inference.video_options import VideoOptions
from sr.io.rgb8 import image_to_tensor, read_rgb8, write_rgb8
from sr.io.video.time_range import Moment
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


def scorer(originals: list[RGB8], **more: Any) -> VideoScorer:
    return VideoScorer(originals, border=2, name=NAME, **more)


def score_all(scoring: VideoScorer, results: Iterable[Tensor]) -> VideoScore:
    for sr in results:
        scoring.process(sr)
    scoring.flush()
    return scoring.score()


def test_frame_by_frame_gives_what_the_whole_clip_gives() -> None:
    originals, results = [scene(t) for t in range(4)], [noisy(t) for t in range(4)]
    score = score_all(scorer(originals), results)
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
    score = score_all(scoring, map(image_to_tensor, originals))
    assert (score.mean.psnr_y, score.mean.lpips, score.tof) == (float("inf"), 0, 0)
    assert score.mean.ssim_y == pytest.approx(1)
    assert score.flicker == score.original_flicker
    assert score.flicker is not None
    assert score.flicker < 4


def test_pairs_across_a_scene_cut_do_not_count() -> None:
    shots = [scene(t, seed=seed) for seed in (0, 1) for t in range(2)]
    results = list(map(image_to_tensor, shots))
    score = score_all(scorer(shots), results)
    assert (score.frames, score.pairs) == (4, 2)
    assert score_all(scorer(shots[:2]), results[:2]).pairs == 1
    score = score_all(scorer(shots[1:3]), results[1:3])
    assert (score.pairs, score.flicker, score.tof) == (0, None, None)


def test_frames_at_the_ends_may_be_left_out() -> None:
    whole, middle = scorer([scene(t) for t in range(6)]), scorer([scene(t) for t in (2, 3)])
    score_all(whole, map(noisy, range(6)))
    assert whole.score(leave_out=2) == score_all(middle, map(noisy, (2, 3)))
    with pytest.raises(ScoreError, match="expected more than 6 frames"):
        whole.score(leave_out=3)


@pytest.mark.parametrize(("num_originals", "got"), [(2, "of 2"), (4, "of 4 or more")])
def test_another_number_of_frames_is_reported_at_the_end(num_originals: int, got: str) -> None:
    scoring = scorer([scene(t) for t in range(num_originals)])
    with pytest.raises(ScoreError, match=f"expected an original of 3 frames, .* hr {got}$"):
        score_all(scoring, map(noisy, range(3)))


def test_sizes_that_are_no_multiple_of_the_scale_are_cut() -> None:
    larger = scorer([scene(0, height=41, width=49)])
    assert score_all(larger, [noisy(0)]) == score_all(scorer([scene(0)]), [noisy(0)])
    with pytest.raises(ScoreError, match="not scored: expected an original of 48x40"):
        score_all(scorer([scene(0, height=38)]), [noisy(0)])


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """A folder with one of four frames: hr/clip."""
    return write_frames(tmp_path / "hr" / "clip", 4)


def write_frames(folder: Path, num_frames: int, step: int = 1) -> Path:
    """Every `step`-th pixel of the scene's frames, each way."""
    folder.mkdir(parents=True)
    for t in range(num_frames):
        write_rgb8(folder / f"{t:02}.png", scene(t)[::step, ::step])
    return folder


def test_frames_are_scored_before_they_are_encoded(tmp_path: Path, originals: Path) -> None:
    lr = write_frames(tmp_path / "clip", 4, step=2)
    bad = VideoOptions(crf=50)
    found = []
    for output, video in (
        ("out.mkv", bad),
        ("lossless.mkv", LOSSLESS),
        ("frames/%d.png", LOSSLESS),
    ):
        listener = Listener()
        summary = upscale(
            lr / "%02d.png",
            tmp_path / output,
            network=CountingNetwork(2),
            video=video,
            listener=listener,
            reference=originals.parent,
            overwrite=True,
        )
        (score,) = summary.video_scores.values()
        found.append(score)
        assert listener.fields("item_done")[0]["scores"] == score.as_json()
        assert listener.fields("done")[0]["clip_scores"]["frames"] == 4
        saved = json.loads((tmp_path / output).with_name("scores.json").read_text())
        assert saved["clips"] == {str(lr / "%02d.png"): score.as_json()}
        assert "encoding" in saved["metrics"]["clips"]
    assert found[0] == found[1] == found[2]
    assert (found[0].frames, found[0].pairs) == (4, 3)
    results = [read_rgb8(tmp_path / "frames" / f"{t}.png") for t in range(4)]
    expected = [
        psnr(image_to_tensor(sr), image_to_tensor(scene(t)), border=2, channel="y")
        for t, sr in enumerate(results)
    ]
    assert found[0].mean.psnr_y == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le", "gray"])
def test_other_sources_are_compared_by_the_same_conversion(tmp_path: Path, pix_fmt: str) -> None:
    source = make_clip(tmp_path / "in.mkv", 3, pix_fmt=pix_fmt, codec="ffv1")
    summary = upscale(source, tmp_path / "out.mkv", reference=source)
    (score,) = summary.video_scores.values()
    assert (score.frames, score.mean.psnr_rgb) == (3, float("inf"))


def test_the_original_is_cut_and_retimed_like_the_source(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", 10, codec="ffv1")
    video = VideoOptions(
        codec="ffv1", start=Moment(Fraction(1, 8)), end=Moment(frame=9), fps=Fraction(50)
    )
    summary = upscale(source, tmp_path / "out.mkv", video=video, reference=source)
    (score,) = summary.video_scores.values()
    assert (score.frames, score.mean.psnr_y) == (10, float("inf"))


def test_faults_in_the_headers_are_refused_before_the_work(tmp_path: Path, originals: Path) -> None:
    lr = write_frames(tmp_path / "clip", 3, step=2)
    output, network = tmp_path / "out.mkv", CountingNetwork(2)
    request: dict[str, Any] = {"network": network, "reference": originals.parent}
    (fault,) = upscale(lr, output, **request).failures.values()
    assert "expected an original of 3 frames" in fault
    assert fault.endswith("clip of 4")
    (originals / "03.png").unlink()
    larger = {**request, "network": CountingNetwork(3)}
    (fault,) = upscale(lr, output, **larger).failures.values()
    assert "expected an original of 72x60 pixels, or less than 3 more or less" in fault
    (fault,) = upscale(lr, output, network=network, reference=lr).failures.values()
    assert "expected an original of 48x40 pixels" in fault
    assert network.num_calls == 0
    assert not output.exists()
    assert upscale(lr, output, **request).exit_code == 0


def test_a_videos_number_of_frames_is_doubted_first_and_reported_at_last(
    tmp_path: Path, originals: Path
) -> None:
    source = make_clip(tmp_path / "clip.mp4", 3, size=(20, 24))
    listener, output = Listener(), tmp_path / "out.mkv"
    summary = upscale(
        source,
        output,
        network=CountingNetwork(2),
        listener=listener,
        reference=originals.parent,
    )
    warnings = [fields["message"] for fields in listener.fields("warning")]
    assert any("according to their headers" in message for message in warnings)
    fault = f"{output} is written, but not scored: expected an original of 3 frames"
    assert fault in summary.failures[source]
    assert len(read_frames(output)) == 3  # the work is not lost


def test_videos_that_are_partly_made_are_not_scored(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", 3, codec="ffv1")
    output = tmp_path / "out.mkv"
    request: dict[str, Any] = {"reference": source, "skip_existing": True}
    (tmp_path / ".out.mkv.parts").mkdir()
    with pytest.raises(UsageError, match=r"expected to upscale all frames of out\.mkv"):
        upscale(source, output, resume=True, **request)
    (tmp_path / ".out.mkv.parts").rmdir()
    write_rgb8(tmp_path / "1.png", scene(0))
    with pytest.raises(UsageError, match="some exist from an earlier run"):
        upscale(source, tmp_path / "%d.png", **request)
    listener = Listener()
    upscale(source, output)
    summary = upscale(source, output, listener=listener, **request)
    assert (summary.num_skipped, summary.video_scores) == (1, {})
    assert "out.mkv: exists, and is not scored" in listener.fields("warning")[0]["message"]
    assert not (tmp_path / "scores.json").exists()


def test_one_videos_original_is_not_that_of_others(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", 2, codec="ffv1")
    other = make_clip(tmp_path / "other.mkv", 2, codec="ffv1")
    with pytest.raises(UsageError, match="expected a folder of originals for 2 inputs"):
        upscale([source, other], tmp_path / "out", reference=source)
    write_rgb8(tmp_path / "a.png", scene(0))
    with pytest.raises(UsageError, match="expected a folder of originals for an image"):
        upscale(tmp_path / "a.png", tmp_path / "out", reference=source)
