"""train.py --check and --preview-data: everything is tried, nothing is left behind."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sr.data.sources import DataError
from sr.errors import UserError
from sr.io.rgb8 import read_rgb8, write_rgb8
from sr.options.schema import Options
from sr.training import dry_run as module
from sr.training.data_loader import load_first_batches
from sr.training.dry_run import dry_run, write_data_preview
from sr.training.state import TrainState
from sr.training.steps import Batch, train_step

MakeOptions = Callable[..., Options]


def report(options: Options) -> list[str]:
    lines: list[str] = []
    dry_run(options, lines.append)
    return lines


def test_a_dry_run_reports_parameters_terms_time_and_memory(gan_options: MakeOptions) -> None:
    options = gan_options("train.gan.start_step=4")
    lines = report(options)
    assert lines[0] == "data: images to train on 4, to validate on 4; all can be read"
    assert lines[1] == "generator: Compact x2, 864 parameters"
    assert lines[2].startswith("discriminator: UNet, 17,")
    assert [line.split()[0] for line in lines[4:7]] == ["l1", "adversarial", "total_variation"]
    assert " s each on cpu in fp32, so 6 take 0:00:0" in lines[7]
    assert lines[8].startswith("validation: ")
    assert lines[9].startswith("memory: ")


@pytest.mark.parametrize(
    ("lpips", "least"), [("{network: AlexNet}", 35), ("{network: VGG16, weights: random}", 20)]
)
def test_images_too_small_for_lpips_are_named(
    gan_options: MakeOptions, tmp_path: Path, lpips: str, least: int
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    write_rgb8(small / "small.png", np.zeros((least - 1, 40, 3), np.uint8))
    source = f"{{type: HRFolders, hr: [{small}]}}"
    options = gan_options(
        f"validate.lpips={lpips}", f"datasets.validation=[{{name: small, source: {source}}}]"
    )
    with pytest.raises(DataError, match=rf"validation measures of {least} HR(?s:.*)small\.png"):
        report(options)


def test_a_dry_run_finds_missing_weights_of_lpips(
    tiny_options: MakeOptions, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"none\.pth: no such model file"):
        report(tiny_options(f"validate.lpips.weights={tmp_path / 'none.pth'}"))


def test_a_dry_run_leaves_nothing_behind(tiny_options: MakeOptions, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    report(tiny_options())
    assert set(tmp_path.rglob("*")) - {tmp_path / "options.yml"} == before - {
        tmp_path / "options.yml"
    }


def test_a_dry_run_names_every_image_that_breaks_when_it_is_decoded(
    tiny_options: MakeOptions, photographs: Path
) -> None:
    for index in (1, 3):
        file = photographs / f"image_{index}.png"
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) * 2 // 3])  # the header is still good
    with pytest.raises(DataError, match=r"(?s)cannot be used: .*image_1\.png.*image_3\.png"):
        report(tiny_options())


def test_a_dry_run_refuses_losses_that_are_not_finite(
    tiny_options: MakeOptions,
) -> None:
    with pytest.raises(UserError, match="generator: its first steps are not finite"):
        report(tiny_options("train.optimizer={type: Adam, learning_rate: 1e30}"))


def test_a_dry_run_is_for_one_process(
    tiny_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="--check: expected one process, got 2"):
        report(tiny_options())


def test_a_preview_shows_the_first_crops(tiny_options: MakeOptions, tmp_path: Path) -> None:
    path = write_data_preview(
        tiny_options("datasets.train.degradation={type: Real}"), tmp_path / "sheets"
    )
    assert path == tmp_path / "sheets" / "tiny.png"
    height, width, _ = read_rgb8(path).shape
    assert min(height, width) > 100
    assert not (tmp_path / "runs").exists()


def test_no_worker_takes_time_from_the_steps_that_are_timed(tiny_options: MakeOptions) -> None:
    workers: list[object] = []
    options = tiny_options("datasets.train.num_workers=2")
    dry_run(options, lambda _: workers.extend(multiprocessing.active_children()))
    assert not workers


def test_a_dry_run_says_which_batch_fits(
    gan_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def measure(function: Callable[[], object], _: torch.device) -> int:
        function()
        return 2**30 * (1 + sizes[-1])

    def load(options: Options, *arguments: Any) -> list[Batch]:
        sizes.append(options.datasets.train.batch_size)
        return load_first_batches(options, *arguments)

    monkeypatch.setattr(module, "load_first_batches", load)
    monkeypatch.setattr(module, "measure_peak_bytes", measure)
    monkeypatch.setattr(module, "count_usable_bytes", lambda _: 10 * 2**30)
    assert report(gan_options())[-1] == (
        "batch: 1.000 GiB per crop and 1.00 GiB once, of 10.0 GiB that can be used; "
        "batch_size up to about 8 fits, or crop_size up to about 26"
    )


def test_a_dry_run_that_runs_out_of_memory_says_which_batch_fits(
    tiny_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def take_step(state: TrainState, loss: Any, batches: list[Batch], *arguments: Any) -> Any:
        sizes.append(len(batches[0].hr))
        if sizes[-1] > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train_step(state, loss, batches, *arguments)

    def measure(function: Callable[[], object], _: torch.device) -> int:
        function()
        return 2**30 * (1 + sizes[-1])

    monkeypatch.setattr(module, "train_step", take_step)
    monkeypatch.setattr(module, "measure_peak_bytes", measure)
    monkeypatch.setattr(module, "count_usable_bytes", lambda _: 6 * 2**30)
    with pytest.raises(
        UserError, match=r"use datasets\.train\.batch_size=4 train\.accumulation=4$"
    ):
        report(tiny_options("datasets.train.batch_size=16"))
