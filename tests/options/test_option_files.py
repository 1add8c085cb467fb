"""Every option file of the repository works; a new one is found by itself."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from sr.build import build_generator
from sr.build_losses import LossParts, build_loss
from sr.build_training import build_discriminator, build_optimizer, build_schedule
from sr.io.rgb8 import write_rgb8
from sr.models.load import load_generator
from sr.options.clips import ClipSource
from sr.options.load import load_options
from sr.options.schema import Options
from sr.training.run import train
from sr.training.setup import make_teacher

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ROOT / "options"
FILES = sorted(OPTIONS.rglob("*.yml")) + sorted(OPTIONS.rglob("*.yaml"))


def each_file(argument: str = "file") -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        argument, FILES, ids=[file.relative_to(OPTIONS).as_posix() for file in FILES]
    )


def quick_losses(options: Options) -> list[str]:
    """Overrides without downloads, and with the smaller of LPIPS's networks."""
    overrides = []
    if options.losses.perceptual is not None:
        overrides.append("losses.perceptual.weights=random")
    if options.validate_.lpips is not None:
        overrides.append("validate.lpips={network: AlexNet, weights: random}")
    if options.train.gan is not None:
        overrides.append("train.gan.lead_steps=0")
    return overrides


def tiny_source(options: Options, folder: Path) -> str:
    """Images of noise, or a clip of them where the file learns from clips."""
    clips = isinstance(options.datasets.train.source, ClipSource)
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(7 if clips else 1):
        image = rng.integers(0, 256, (48, 56, 3) if clips else (96, 80, 3), dtype=np.uint8)
        write_rgb8(folder / f"{number}.png", image)
    return f"{{type: {'FrameFolders' if clips else 'HRFolders'}, hr: [{folder}]}}"


TINY = {
    "RBPN": {"shallow_features": 8, "features": 4, "stages": 1, "res_blocks": 1},
    "RRDBNet": {"features": 8, "blocks": 1, "growth": 4},
    "SRResNet": {"features": 8, "blocks": 1},
    "RLFN": {"features": 8, "blocks": 1},
}


def tiny_generator(options: Options) -> list[str]:
    """Smaller, of those that begin without weights."""
    sizes = TINY.get(options.generator.type, {})
    return [f"generator.num_{name}={size}" for name, size in sizes.items()]


def test_there_are_option_files() -> None:
    assert FILES


@each_file()
def test_the_first_line_names_the_schema(file: Path) -> None:
    first = file.read_text(encoding="utf-8").splitlines()[0]
    prefix = "# yaml-language-server: $schema="
    assert first.startswith(prefix)
    schema = (file.parent / first.removeprefix(prefix)).resolve()
    assert schema == OPTIONS / "schema.json"
    assert schema.is_file()


@each_file()
def test_the_file_loads_and_builds(file: Path) -> None:
    options = load_options(file)
    generator = build_generator(options.generator, options.scale)
    if options.discriminator is None:
        build_loss(options.losses, LossParts(teacher=make_teacher(options)))
    else:
        build_discriminator(options.discriminator, options.datasets.train.crop_size)
    build_optimizer(options.train.optimizer, generator)
    factor = build_schedule(options.train.schedule, options.train.steps)
    assert all(0 <= factor(step) <= 1 for step in range(1, options.train.steps + 1, 97))
    assert file.stem == options.name


@each_file()
def test_the_file_trains_two_steps_on_tiny_images(file: Path, tmp_path: Path) -> None:
    whole = load_options(file)
    source = tiny_source(whole, tmp_path / "images")
    scale = whole.scale
    degradation = ", degradation: {type: Light}" if scale == 1 else ""  # lr is hr without
    # Of a tiny generator there are no weights to begin from.
    initial = None if tiny_generator(whole) else whole.train.initial_generator
    options = load_options(
        file,
        [
            f"train.initial_generator={'null' if initial is None else ROOT / initial}",
            *quick_losses(whole),
            *tiny_generator(whole),
            *([] if whole.discriminator is None else ["discriminator.num_features=8"]),
            f"datasets.cache_folder={tmp_path / 'cache'}",
            f"datasets.train.source={source}",
            f"datasets.validation=[{{name: tiny, source: {source}{degradation}}}]",
            "datasets.train.crop_size=32",
            "datasets.train.batch_size=2",
            "datasets.train.num_workers=0",
            "train.steps=2",
            "train.device=cpu",
            "train.precision=fp32",
            "train.compile=false",
            f"log.folder={tmp_path}",
            "log.interval=1",
        ],
    )
    assert train(options)
    run = tmp_path / options.name
    assert load_options(run / "options.yml") == options
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    losses = [event["loss"] for event in events if event["event"] == "progress"]
    assert len(losses) == 2
    assert all(math.isfinite(loss) for loss in losses)
    loaded = load_generator(run / "checkpoints" / "step_000000002.safetensors")
    assert loaded.scale == scale
    assert loaded.metadata["step"] == 2
