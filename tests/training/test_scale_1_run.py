"""Scale 1: results as large as the input, for JPEG artifacts, noise and blur."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.runs import find_model, read_events
from typer.testing import CliRunner

from sr.build_data import find_validation_sources
from sr.cli.infer import make_app
from sr.data.sources import Pair, Source
from sr.io.rgb8 import read_rgb8, write_rgb8
from sr.models.convert import convert_model
from sr.models.describe import describe_model
from sr.models.load import load_generator
from sr.options.read_yaml import OptionsError
from sr.options.schema import Options
from sr.training import run
from sr.training.dry_run import dry_run

MakeOptions = Callable[..., Options]
JPEG = "{type: Light, only: {quality: [10, 40], compression_probability: 1.0}}"


@pytest.fixture
def restore(tiny_options: MakeOptions, photographs: Path) -> MakeOptions:
    """Options of a tiny run at scale 1; arguments are overrides."""
    validation = f"{{name: same, source: {{type: HRFolders, hr: [{photographs}]}}"
    return lambda *overrides: tiny_options(
        "scale=1",
        f"datasets.train.degradation={JPEG}",
        f"datasets.validation=[{validation}, degradation: {JPEG}}}]",
        *overrides,
    )


def test_a_run_restores_at_the_same_size(restore: MakeOptions, tmp_path: Path) -> None:
    options = restore("train.steps=3", "datasets.train.crop_size=15")
    lines: list[str] = []
    dry_run(options, lines.append)
    assert lines[1].startswith("generator: Compact x1, ")
    assert run.train(options)
    file = find_model(options, 3)
    loaded = load_generator(file)
    assert loaded.scale == 1
    assert describe_model(file)["scale"] == "1"
    (scores,) = read_events(options, event="item_done", item="validation")
    assert 10 < scores["bicubic"]["same"]["psnr_y"] < 60  # of the input, which is no hr

    image = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)
    write_rgb8(tmp_path / "photo.png", image)
    arguments = ["-m", str(file), "-i", str(tmp_path / "photo.png"), "--device", "cpu"]
    done = CliRunner().invoke(make_app(), [*arguments, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert read_rgb8(tmp_path / "out" / "photo_x1.png").shape == (21, 34, 3)
    done = CliRunner().invoke(
        make_app(), [*arguments, "-o", str(tmp_path / "large.png"), "-s", "2"]
    )
    assert done.exit_code == 0, done.output
    assert read_rgb8(tmp_path / "large.png").shape == (42, 68, 3)


def test_what_is_published_at_scale_1_is_detected(restore: MakeOptions, tmp_path: Path) -> None:
    options = restore("train.steps=2")
    assert run.train(options)
    convert_model(find_model(options, 2), tmp_path / "theirs.pth")
    found, ours = load_generator(tmp_path / "theirs.pth"), load_generator(find_model(options, 2))
    assert (found.architecture, found.scale) == ("Compact", 1)
    lr = torch.rand(1, 3, 9, 13)
    assert torch.equal(found.network(lr), ours.network(lr))
    pytest.importorskip("onnxruntime")
    convert_model(find_model(options, 2), tmp_path / "ours.onnx")
    program = load_generator(tmp_path / "ours.onnx")
    assert program.scale == 1
    assert (program.network(lr) - ours.network(lr)).abs().max() < 1e-4


def test_validation_is_degraded_alike_every_time(restore: MakeOptions) -> None:
    def load() -> list[Source[Pair]]:
        (found,) = find_validation_sources(restore(), torch.device("cpu")).values()
        return found

    for first, second in zip(load(), load(), strict=True):
        (lr, hr), (again, _) = first.load(), second.load()
        assert lr.shape == hr.shape == (*first.hr_size, 3)
        assert np.array_equal(lr, again)
        assert not np.array_equal(lr, hr)


def test_pairs_of_one_size_are_matched(
    tiny_options: MakeOptions, photographs: Path, tmp_path: Path
) -> None:
    for path in photographs.iterdir():
        image = read_rgb8(path)
        (tmp_path / "lr").mkdir(exist_ok=True)
        write_rgb8(tmp_path / "lr" / path.name, image // 2)
    source = f"{{type: PairedFolders, hr: [{photographs}], lr: [{tmp_path / 'lr'}]}}"
    options = tiny_options(
        "scale=1",
        f"datasets.train.source={source}",
        f"datasets.validation=[{{name: pairs, source: {source}}}]",
        "train.steps=2",
        "validate.interval=2",
    )
    assert run.train(options)
    (scores,) = read_events(options, event="item_done", item="validation")
    assert scores["bicubic"]["pairs"]["psnr_rgb"] < 20


@pytest.mark.parametrize("generator", ["SPAN", "RLFN", "SRResNet"])
def test_other_generators_have_scale_1(generator: str, restore: MakeOptions) -> None:
    options = restore(f"generator={{type: {generator}, num_features: 8, num_blocks: 1}}")
    assert options.scale == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("datasets.train.degradation=null", "datasets.train: expected a degradation, or Paired"),
        ("datasets.validation.0.degradation=null", "datasets.validation 'same': expected a degr"),
        ("datasets.train.detail_measure=residual", "detail_measure: expected gradient at scale 1"),
        ("generator={type: EDSR}", "scale: expected one of 2, 3, 4, 8 for EDSR, got 1"),
    ],
)
def test_what_scale_1_has_no_use_for_is_refused(
    override: str, message: str, restore: MakeOptions
) -> None:
    with pytest.raises(OptionsError, match=message):
        restore(override)
