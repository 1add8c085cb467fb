"""Scores of whole images, and which validation is the best."""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.runs import read_events
from torch import Tensor, nn
from torch.nn import functional

from sr.build_data import find_image_sources
from sr.device import tune_convolutions
from sr.losses.lpips import LPIPS
from sr.metrics.ssim import ssim
from sr.networks.compact import Compact
from sr.options.image_sources import HRFolders
from sr.options.schema import Options
from sr.training import run
from sr.training.distributed import make_accelerator
from sr.training.run import make_tiling
from sr.training.validate import (
    Scores,
    Tiling,
    ValidationSets,
    checkpoint_score,
    choose_score,
    validate,
    validate_bicubic,
)


class Nearest(nn.Module):
    """Enlarges; `offset` reaches over the range that an image file holds."""

    def __init__(self, offset: float = 0.0) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, lr: Tensor) -> Tensor:
        return functional.interpolate(lr, scale_factor=2, mode="nearest") + self.offset


@pytest.fixture
def sets(photographs: Path) -> ValidationSets:
    source = HRFolders(type="HRFolders", hr=(photographs,))
    return {"same": find_image_sources(source, scale=2)}


@pytest.fixture(scope="module")
def lpips() -> LPIPS:
    torch.manual_seed(0)
    return LPIPS("VGG16", "random")


def scores_of(network: nn.Module, sets: ValidationSets, lpips: LPIPS | None) -> Scores:
    device = torch.device("cpu")
    return validate(network, sets, 2, device, contextlib.nullcontext, lambda *_: None, lpips)


def test_lpips_is_measured_only_where_asked(sets: ValidationSets, lpips: LPIPS) -> None:
    without, measured = scores_of(Nearest(), sets, None), scores_of(Nearest(), sets, lpips)
    assert "lpips" not in without["same"]
    assert measured["same"].pop("lpips") > 0
    assert measured == without
    assert "lpips" in validate_bicubic(sets, 2, lpips)["same"]


def test_lpips_is_that_of_8_bit_pixels_inside_the_border(
    sets: ValidationSets, lpips: LPIPS
) -> None:
    distances = []
    for source in sets["same"]:
        lr, hr = (
            torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in source.load()
        )
        sr = ((Nearest(0.11)(lr).clamp(0, 1) * 255).round() / 255)[..., 2:-2, 2:-2]
        with torch.no_grad():
            distances.append(float(lpips(sr, hr[..., 2:-2, 2:-2])))
    expected = sum(distances) / len(distances)
    assert scores_of(Nearest(0.11), sets, lpips)["same"]["lpips"] == pytest.approx(expected)


def test_the_checkpoint_score_is_psnr_in_adversarial_training_lpips_or_if_asked_niqe() -> None:
    scores = {
        "a": {"psnr_y": 30.0, "lpips": 0.3},
        "b": {"psnr_y": 26.0, "lpips": 0.1},
        "lr": {"niqe": 4.0},
    }
    assert checkpoint_score(scores, choose_score("auto", adversarial=False)) == pytest.approx(28)
    assert checkpoint_score(scores, choose_score("auto", adversarial=True)) == pytest.approx(-0.2)
    for adversarial in (False, True):
        by = choose_score("niqe", adversarial=adversarial)
        assert checkpoint_score(scores, by) == pytest.approx(-4)
    del scores["a"], scores["b"]
    assert checkpoint_score(scores, "psnr_y") is None


@pytest.mark.parametrize("name", ["network", "bicubic"])
def test_processes_of_one_thread_measure_several_images_at_a_time(
    name: str, sets: ValidationSets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score() -> Scores:
        return scores_of(Nearest(), sets, None) if name == "network" else validate_bicubic(sets, 2)

    expected, threads = score(), set()
    together = threading.Barrier(2, timeout=60)

    def wait_for_another(*arguments: Any, channel: Any, **more: Any) -> float:
        threads.add(threading.current_thread())
        if channel == "y":
            together.wait()  # of four images
        return ssim(*arguments, channel=channel, **more)

    monkeypatch.setattr("sr.training.validate.ssim", wait_for_another)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert score() == expected
    assert threading.main_thread() not in threads


def test_images_of_any_size_are_not_tuned_for_and_fp32_is_full(sets: ValidationSets) -> None:
    class Watching(Nearest):
        def forward(self, lr: Tensor) -> Tensor:
            conv: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]
            seen.append((torch.backends.cudnn.benchmark, conv.fp32_precision))
            return super().forward(lr)

    seen: list[tuple[bool, str]] = []
    with tune_convolutions(enabled=True):
        scores_of(Watching(), sets, None)
        assert torch.backends.cudnn.benchmark
    assert not torch.backends.cudnn.benchmark
    assert set(seen) == {(False, "ieee")}


def test_large_images_are_upscaled_in_tiles_with_the_same_scores(sets: ValidationSets) -> None:
    sizes: list[tuple[int, ...]] = []

    class Recording(Compact):
        def forward(self, lr: Tensor) -> Tensor:
            sizes.append(tuple(lr.shape[-2:]))
            return super().forward(lr)

    torch.manual_seed(0)
    network = Recording(2, 4, 2).eval()  # sees 4 pixels far
    before = {name: value.clone() for name, value in network.state_dict().items()}

    def score(tiling: Tiling | None) -> dict[str, float]:
        sizes.clear()
        device = torch.device("cpu")
        return validate(
            network, sets, 2, device, contextlib.nullcontext, lambda *_: None, tiling=tiling
        )["same"]

    whole = score(None)
    assert set(sizes) == {(20, 24)}
    tiled = score(Tiling(8, 4, torch.float32))
    assert max(max(size) for size in sizes) <= 16
    assert tiled == pytest.approx(whole, rel=1e-6)
    score(Tiling(24, 4, torch.float32))  # no image is larger
    assert set(sizes) == {(20, 24)}
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_validation_is_tiled_if_the_options_say_so(
    tiny_options: Callable[..., Options],
) -> None:
    accelerator = make_accelerator(torch.device("cpu"), torch.float32)
    assert make_tiling(tiny_options(), accelerator) is None
    options = tiny_options("validate.tile_size=8")
    assert make_tiling(options, accelerator) == Tiling(8, 4, torch.float32)
    run.train(options)
    whole = tiny_options("name=whole")
    run.train(whole)
    tiled_scores, scores = (
        [event["scores"]["same"] for event in read_events(each, item="validation")]
        for each in (options, whole)
    )
    assert tiled_scores == [pytest.approx(each, rel=1e-6) for each in scores]
