"""Validation sets that have LR images only."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.runs import find_model, load_state, read_events, run_folder

from sr.build_data import find_validation_sources
from sr.data.imresize import imresize
from sr.data.sources import DataError
from sr.io.image_formats import ImageError
from sr.io.rgb8 import image_to_tensor, read_rgb8, write_rgb8
from sr.metrics.niqe import niqe
from sr.options.read_yaml import OptionsError
from sr.options.schema import Options
from sr.training import run
from sr.training.dry_run import decode_all, dry_run

MakeOptions = Callable[..., Options]


@pytest.fixture
def lr_folder(tmp_path: Path) -> Path:
    """Two images, whose results at x2 have two blocks of 96 pixels inside the border."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "lr"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        coarse = rng.integers(0, 256, (25, 50, 3), dtype=np.uint8)
        write_rgb8(folder / name, imresize(coarse, 2))
    return folder


@pytest.fixture
def only_lr(lr_folder: Path) -> str:
    return f"datasets.validation=[{{name: real, source: {{type: LRFolders, lr: [{lr_folder}]}}}}]"


def list_scores(options: Options) -> list[dict[str, dict[str, float]]]:
    return [event["scores"] for event in read_events(options, item="validation")]


def test_its_niqe_is_logged_next_to_bicubics_and_nothing_is_the_best(
    tiny_options: MakeOptions, only_lr: str, lr_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = tiny_options(only_lr, "validate.save_images=1")
    assert run.train(options)
    events = read_events(options, item="validation")
    assert [event["scores"]["real"].keys() for event in events] == [{"niqe"}, {"niqe"}]
    assert not any(event["best"] for event in events)
    lrs = [read_rgb8(path) for path in sorted(lr_folder.iterdir())]
    bicubic = [niqe(image_to_tensor(imresize(lr, 2)), border=2) for lr in lrs]
    assert events[0]["bicubic"]["real"]["niqe"] == pytest.approx(sum(bicubic) / 2)
    assert "real: NIQE " in capsys.readouterr().err
    folder = run_folder(options)
    assert not (folder / "checkpoints/best.safetensors").exists()
    saved = folder / "validation/step_000000006/real/0000_a.png"
    assert read_rgb8(saved).shape == (100, 200, 3)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_the_best_is_the_lowest_niqe_where_asked(tiny_options: MakeOptions, only_lr: str) -> None:
    options = tiny_options(only_lr, "validate.best_by=niqe", "validate.interval=2")
    assert run.train(options)
    events = read_events(options, item="validation")
    found = [event["scores"]["real"]["niqe"] for event in events]
    lowest = [min(found[: number + 1]) for number in range(len(found))]
    expected = [n == 0 or lowest[n] < lowest[n - 1] for n in range(len(found))]
    assert [event["best"] for event in events] == expected
    assert load_state(options, 6)["best"] == pytest.approx(-min(found))
    assert (run_folder(options) / "checkpoints/best.safetensors").exists()


def test_sets_with_hr_choose_the_best_and_have_niqe_where_asked(
    tiny_options: MakeOptions, lr_folder: Path
) -> None:
    sources = (
        f"{{name: seen, source: {{type: HRFolders, hr: [{lr_folder}]}}}}",
        f"{{name: real, source: {{type: LRFolders, lr: [{lr_folder}]}}}}",
    )
    both = f"datasets.validation=[{', '.join(sources)}]"
    options = tiny_options(both, "train.steps=2")
    assert run.train(options)
    (scores,) = list_scores(options)
    assert "niqe" not in scores["seen"]
    assert load_state(options, 2)["best"] == scores["seen"]["psnr_y"]


def test_niqe_of_sets_with_hr_is_measured_where_asked(
    tiny_options: MakeOptions, tmp_path: Path
) -> None:
    folder = tmp_path / "hr"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (100, 200, 3), dtype=np.uint8)
    write_rgb8(folder / "a.png", noise)
    data = f"datasets.validation=[{{name: hr, source: {{type: HRFolders, hr: [{folder}]}}}}]"
    options = tiny_options(data, "validate.niqe=true", "train.steps=2")
    assert run.train(options)
    (scores,) = list_scores(options)
    assert scores["hr"]["niqe"] > 0
    assert scores["hr"]["psnr_y"] > 5


def test_another_choice_of_the_best_begins_again(
    tiny_options: MakeOptions, only_lr: str, stop_after: Callable[[int], run.CatchInterruption]
) -> None:
    options = tiny_options(only_lr, "validate.best_by=niqe", "validate.interval=1")
    # Asked before each step and after each image.
    assert not run.train(options, catch_interruption=stop_after(4))
    assert math.isfinite(load_state(options, 2)["best"])
    assert run.train(tiny_options(only_lr))
    assert load_state(options, 6)["best"] == -math.inf
    assert find_model(options, 6).exists()


@pytest.mark.parametrize("way", [run.train, lambda options: dry_run(options, print)])
def test_results_that_are_too_small_are_named(
    tiny_options: MakeOptions, only_lr: str, lr_folder: Path, way: Callable[[Options], object]
) -> None:
    write_rgb8(lr_folder / "b.png", np.zeros((49, 99, 3), np.uint8))
    with pytest.raises(DataError, match=r"fewer than 2 blocks of 96 pixels[^/]*\n.*b\.png: 198x98"):
        way(tiny_options(only_lr))


def test_a_dry_run_takes_it_and_damaged_files_are_named(
    tiny_options: MakeOptions, only_lr: str, lr_folder: Path
) -> None:
    options = tiny_options(only_lr)
    lines: list[str] = []
    dry_run(options, lines.append)
    assert lines
    broken = (lr_folder / "a.png").read_bytes()[:2000]
    (lr_folder / "a.png").write_bytes(broken)
    (sources,) = find_validation_sources(options, torch.device("cpu")).values()
    with pytest.raises(DataError, match=r"a\.png"):
        decode_all(sources)
    (lr_folder / "a.png").write_bytes(b"no image")
    with pytest.raises((DataError, ImageError), match=r"LR images: 1 fault\n.*a\.png"):
        find_validation_sources(options, torch.device("cpu"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("validate.best_by=niqe",), "validate.best_by: expected niqe to be measured"),
        (
            ("validate.best_by=niqe", "validate.niqe=true", "datasets.validation=[]"),
            "validate.best_by: expected niqe to be measured",
        ),
        (
            ("datasets.train.source={type: LRFolders, lr: [x]}",),
            "datasets.train.source",
        ),
        (
            (
                "datasets.validation=[{name: a, source: {type: LRFolders, lr: [x]}, "
                "degradation: {type: Light}}]",
            ),
            "degradation makes lr from hr",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tiny_options: MakeOptions, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(OptionsError, match=message):
        tiny_options(*overrides)


def test_at_scale_1_it_is_the_input_that_is_beaten(
    tiny_options: MakeOptions, only_lr: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        write_rgb8(tmp_path / "lr" / name, rng.integers(0, 256, (98, 194, 3), dtype=np.uint8))
    jpeg = "datasets.train.degradation={type: Light}"
    options = tiny_options(only_lr, "scale=1", jpeg, "train.steps=2")
    assert run.train(options)
    assert "the input's" in capsys.readouterr().err
