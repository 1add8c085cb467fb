"""Runs whose batches are degraded on the device, or drawn from a pool."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from helpers.runs import assert_a_resumed_run_equals_an_unbroken_one

from sr.build_data import find_training_sources
from sr.data.cache import SourceCache
from sr.data.crops import Crop
from sr.device import DeviceError
from sr.io.rgb8 import read_rgb8
from sr.options.schema import Options
from sr.training.data_loader import find_sources, load_crops
from sr.training.dry_run import dry_run, write_data_preview
from sr.training.run import CatchInterruption

MakeOptions = Callable[..., Options]
CPU = torch.device("cpu")
ON_DEVICE = "datasets.train.degradation={type: RealESRGAN, on_device: true}"
POOL = "datasets.train.pool={size: 5, uses: 2}"


def load(
    options: Options, count: int, num_workers: int = 0, first_batch: int = 0, stride: int = 1
) -> list[Crop]:
    cached = SourceCache(find_training_sources(options, CPU), Path(), [])
    crops = load_crops(
        options,
        cached,
        CPU,
        num_workers=num_workers,
        first_batch=first_batch,
        stride=stride,
        pin_memory=False,
    )
    return list(islice(crops, count))


def assert_equal(ours: list[Crop], theirs: list[Crop]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one["name"] == other["name"]
        assert torch.equal(one["lr"], other["lr"])
        assert torch.equal(one["hr"], other["hr"])


@pytest.mark.parametrize("num_workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_batches_depend_on_their_number_alone(tiny_options: MakeOptions, num_workers: int) -> None:
    options = tiny_options(ON_DEVICE)
    whole = load(options, 8)
    assert all(set(batch) == {"lr", "hr", "name"} for batch in whole)
    assert_equal(load(options, 3, num_workers, first_batch=3, stride=2), whole[3:8:2])


def test_batches_of_a_pool_depend_on_their_number_alone(tiny_options: MakeOptions) -> None:
    options = tiny_options(POOL)
    for process in (0, 1):  # each has a pool of its own
        whole = load(options, 12, first_batch=process, stride=2)
        names = [name for batch in whole[:2] for name in batch["name"]]
        assert len(set(names)) <= 3  # the first two batches are of one
        later = load(options, 5, first_batch=process + 2 * 7, stride=2)
        assert_equal(later, whole[7:])


def test_a_resumed_run_equals_an_unbroken_one(
    tiny_options: MakeOptions, stop_after: Callable[[int], CatchInterruption]
) -> None:
    assert_a_resumed_run_equals_an_unbroken_one(
        tiny_options, ON_DEVICE, POOL, interruption=stop_after(3)
    )


def test_zoomed_crops_come_with_batches_degraded_on_the_device(tiny_options: MakeOptions) -> None:
    teacher = "losses.teacher={model: compact_x2, inputs: [lr, zoomed]}"
    (ours,) = load(tiny_options(ON_DEVICE, teacher), 1)
    (theirs,) = load(tiny_options(teacher, "datasets.train.degradation={type: RealESRGAN}"), 1)
    assert torch.equal(ours["zoomed"], theirs["zoomed"])
    assert ours["lr"].shape == theirs["lr"].shape


def test_a_dry_run_and_a_preview_degrade_on_the_device(
    tiny_options: MakeOptions, tmp_path: Path
) -> None:
    options = tiny_options(ON_DEVICE)
    dry_run(options, lambda _: None)
    sheet = read_rgb8(write_data_preview(options, tmp_path))
    (batch,) = load(options, 1)
    lr = (batch["lr"][0] * 255).round().permute(1, 2, 0).byte().numpy()
    assert (sheet[0:16:2, 0:16:2] == lr).all()


def test_mps_is_refused(tiny_options: MakeOptions) -> None:
    with pytest.raises(DeviceError, match=r"on_device: expected a CUDA GPU or the CPU"):
        find_sources(tiny_options(ON_DEVICE), torch.device("mps"))


def test_validation_is_not_degraded_on_the_device(tiny_options: MakeOptions) -> None:
    source = "{type: HRFolders, hr: [photos]}"
    degradation = "{type: Light, on_device: true}"
    part = f"{{name: a, source: {source}, degradation: {degradation}}}"
    with pytest.raises(ValueError, match=r"on_device: expected false in validation"):
        tiny_options(f"datasets.validation=[{part}]")


def test_a_pool_smaller_than_a_batch_is_refused(tiny_options: MakeOptions) -> None:
    with pytest.raises(ValueError, match=r"pool\.size: expected at least batch_size, 3, got 2"):
        tiny_options("datasets.train.pool={size: 2}")


def test_a_pool_of_clips_is_refused(tiny_options: MakeOptions) -> None:
    source = "datasets.train.source={type: MovingPhotos, photos: [photos]}"
    with pytest.raises(ValueError, match="pool: expected a source of images, got MovingPhotos"):
        tiny_options(source, POOL)
