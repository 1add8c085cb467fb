"""Runs in which a teacher's results are a target."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.runs import find_model, load_state, read_progress

from sr.build import build_generator
from sr.errors import UserError
from sr.io.model_file import write_model_file
from sr.models.describe import describe_model
from sr.models.load import load_generator
from sr.options.generator import CompactOptions
from sr.options.schema import Options
from sr.training import run
from sr.training.dry_run import dry_run
from sr.training.run import CatchInterruption

MakeOptions = Callable[..., Options]


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A model file of scale 2."""
    return write_teacher(tmp_path / "teacher.safetensors", 2)


def write_teacher(path: Path, scale: int) -> Path:
    torch.manual_seed(7)
    options = CompactOptions(type="Compact", num_features=6, num_convs=1)
    metadata = {
        "generator": options.model_dump(mode="json"),
        "scale": scale,
        "licence": "CC0-1.0",
        "receptive_radius": 3,
    }
    write_model_file(path, build_generator(options, scale).state_dict(), metadata)
    return path


def taught(path: Path | str, inputs: str = "lr") -> tuple[str, ...]:
    """Overrides: the teacher alone."""
    term = f"{{model: '{path}', inputs: [{inputs}]}}"
    return ("losses.pixel=null", f"losses.teacher={term}")


def assert_same_weights(first: Options, second: Options, **tolerance: Any) -> None:
    for part in ("generator", "ema"):
        theirs = load_state(second, 6)[part]
        for name, value in load_state(first, 6)[part].items():
            torch.testing.assert_close(value, theirs[name], **tolerance)


@pytest.mark.parametrize("inputs", ["lr", "lr, zoomed"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_teacher_alone_trains_the_generator(
    tiny_options: MakeOptions, teacher: Path, inputs: str, precision: str
) -> None:
    options = tiny_options(*taught(teacher, inputs), f"train.precision={precision}")
    assert run.train(options)
    losses = [event["loss_teacher"] for event in read_progress(options)]
    assert losses[-1] < losses[0]


def test_a_teacher_of_a_larger_scale_trains_the_generator(
    tiny_options: MakeOptions, tmp_path: Path
) -> None:
    teacher = write_teacher(tmp_path / "x4.safetensors", 4)
    options = tiny_options(*taught(teacher, "lr, zoomed"))
    assert run.train(options)
    losses = [event["loss_teacher"] for event in read_progress(options)]
    assert losses[-1] < losses[0]


def test_a_generator_with_its_teachers_weights_differs_by_the_clamp_alone(
    tiny_options: MakeOptions, teacher: Path
) -> None:
    options = tiny_options(
        *taught(teacher, "lr, zoomed"),
        "generator={type: Compact, num_features: 6, num_convs: 1}",
        f"train.initial_generator={teacher}",
        "train.steps=1",
    )
    run.train(options)
    (progress,) = read_progress(options)
    assert 0 < progress["loss_teacher"] < 0.02


@pytest.mark.parametrize(
    "generator",
    [
        "{type: Compact, num_features: 4, num_convs: 2}",
        "{type: SRResNet, num_features: 4, num_blocks: 1}",  # with batch normalization
    ],
)
def test_k_steps_and_resume_and_k_steps_equal_2k_steps(
    tiny_options: MakeOptions,
    teacher: Path,
    stop_after: Callable[[int], CatchInterruption],
    generator: str,
) -> None:
    common = (*taught(teacher, "lr, zoomed"), f"generator={generator}")
    whole, halves = (tiny_options(f"name={name}", *common) for name in ("whole", "halves"))
    assert run.train(whole)
    assert not run.train(halves, catch_interruption=stop_after(3))
    torch.manual_seed(123)
    assert run.train(halves)
    assert_same_weights(whole, halves, rtol=0, atol=0)


def test_accumulated_batches_learn_what_one_large_batch_learns(
    tiny_options: MakeOptions, teacher: Path
) -> None:
    common = (*taught(teacher, "lr, zoomed"), "train.optimizer={type: Adam}")
    one = tiny_options("name=one", "datasets.train.batch_size=4", *common)
    two = tiny_options("name=two", "datasets.train.batch_size=2", "train.accumulation=2", *common)
    assert run.train(one)
    assert run.train(two)
    assert_same_weights(one, two, rtol=1e-4, atol=1e-5)


def test_a_teacher_and_a_discriminator_train_together(
    gan_options: MakeOptions, teacher: Path
) -> None:
    inputs = f"losses.teacher={{model: '{teacher}', inputs: [lr, zoomed]}}"
    options = gan_options(inputs, "train.gan.updates=2")
    assert run.train(options)
    progress = read_progress(options)[0]
    assert {"loss_l1", "loss_adversarial", "loss_teacher"} <= progress.keys()


def test_model_files_name_the_teacher(tiny_options: MakeOptions, teacher: Path) -> None:
    options = tiny_options(*taught(teacher))
    run.train(options)
    path = find_model(options, 6)
    digest = hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert load_generator(path).metadata["teacher"] == {
        "file": "teacher.safetensors",
        "sha256": digest,
        "architecture": "Compact",
        "licence": "CC0-1.0",
    }
    expected = f"teacher.safetensors, Compact; license: CC0-1.0; sha256: {digest}"
    assert describe_model(path)["teacher"] == expected
    assert "teacher" not in describe_model(teacher)


def test_a_dry_run_reports_the_teacher(tiny_options: MakeOptions, teacher: Path) -> None:
    lines: list[str] = []
    dry_run(tiny_options(*taught(teacher, "lr, zoomed")), lines.append)
    assert any(line.startswith("teacher: teacher.safetensors, Compact, ") for line in lines)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("none.pth", r"losses\.teacher\.model: none\.pth: no such model file"),
        ("rbpn_small_x4", r"losses\.teacher\.model: .*RBPN, which sees several frames"),
    ],
)
@pytest.mark.parametrize("start", [run.train, lambda options: dry_run(options, print)])
def test_a_model_that_cannot_teach_is_refused_before_anything_is_written(
    tiny_options: MakeOptions, start: Callable[[Options], Any], model: str, message: str
) -> None:
    options = tiny_options(*taught(model))
    with pytest.raises(UserError, match=message):
        start(options)
    assert not options.log.folder.exists()


@pytest.mark.parametrize("inputs", ["zoomed", "zoomed, lr", "lr, lr", ""])
def test_other_inputs_are_refused(tiny_options: MakeOptions, inputs: str) -> None:
    with pytest.raises(UserError, match=r"inputs: expected \[lr\] or \[lr, zoomed\], got"):
        tiny_options(*taught("span_x4", inputs))


def test_a_run_without_any_target_is_refused(tiny_options: MakeOptions) -> None:
    with pytest.raises(UserError, match=r"compares sr with hr .* or with a teacher's result"):
        tiny_options("losses.pixel=null")
