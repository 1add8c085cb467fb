"""train.py --check and --preview-data: everything is tried, nothing is left behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr.data.sources import DataError
from sr.io.rgb8 import read_rgb8, write_rgb8
from sr.options.schema import Options
from sr.training import data_loader as batches
from sr.training.dry_run import check, preview

MakeOptions = Callable[..., Options]


def told(options: Options) -> list[str]:
    lines: list[str] = []
    check(options, lines.append)
    return lines


def test_a_check_tells_parameters_terms_time_and_memory(gan_options: MakeOptions) -> None:
    options = gan_options("train.gan.start_step=4")
    lines = told(options)
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
        told(options)


def test_a_check_finds_missing_weights_of_lpips(tiny_options: MakeOptions, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.pth: no such file of weights"):
        told(tiny_options(f"validate.lpips.weights={tmp_path / 'none.pth'}"))


def test_a_check_leaves_nothing_behind(tiny_options: MakeOptions, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    told(tiny_options())
    assert set(tmp_path.rglob("*")) - {tmp_path / "options.yml"} == before - {
        tmp_path / "options.yml"
    }


def test_a_check_names_every_image_that_breaks_when_it_is_decoded(
    tiny_options: MakeOptions, photographs: Path
) -> None:
    for index in (1, 3):
        file = photographs / f"image_{index}.png"
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) * 2 // 3])  # the header is still good
    with pytest.raises(DataError, match=r"(?s)cannot be used: .*image_1\.png.*image_3\.png"):
        told(tiny_options())


def test_a_check_refuses_losses_that_are_not_finite(
    tiny_options: MakeOptions,
) -> None:
    with pytest.raises(ValueError, match="generator: its first steps are not finite"):
        told(tiny_options("train.optimizer={type: Adam, learning_rate: 1e30}"))


def test_a_check_is_for_one_process(
    tiny_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="--check rehearses one process"):
        told(tiny_options())


def test_a_preview_shows_the_first_crops(tiny_options: MakeOptions, tmp_path: Path) -> None:
    path = preview(tiny_options("datasets.train.degradation={type: Real}"), tmp_path / "sheets")
    assert path == tmp_path / "sheets" / "tiny.png"
    height, width, _ = read_rgb8(path).shape
    assert min(height, width) > 100
    assert not (tmp_path / "runs").exists()


def test_no_worker_takes_time_from_the_steps_that_are_timed(
    tiny_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    endless_crops = batches.endless_crops

    def counted(*arguments: Any, num_workers: int, **more: Any) -> Any:
        asked.append(num_workers)
        return endless_crops(*arguments, num_workers=num_workers, **more)

    monkeypatch.setattr(batches, "endless_crops", counted)
    check(tiny_options("datasets.train.num_workers=2"), lambda _: None)
    assert asked == [0]
