"""A data set and options small enough for a run of seconds."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import yaml
from helpers.images import write_block_images

from sr.options.load import load_options
from sr.options.schema import Options
from sr.training.run import CatchInterruption


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Four 40x48 images."""
    return write_block_images(tmp_path / "photographs", 4)


@pytest.fixture
def tiny_options(tmp_path: Path, photographs: Path) -> Callable[..., Options]:
    """Options of a tiny run in tmp_path; arguments are overrides."""
    tree = {
        "name": "tiny",
        "scale": 2,
        "generator": {"type": "Compact", "num_features": 4, "num_convs": 2},
        "losses": {"pixel": {"type": "L1"}},
        "datasets": {
            "train": {
                "source": {"type": "HRFolders", "hr": [str(photographs)]},
                "crop_size": 16,
                "batch_size": 3,
                "detail_candidates": 2,
                "num_workers": 0,
            },
            "validation": [
                {"name": "same", "source": {"type": "HRFolders", "hr": [str(photographs)]}}
            ],
        },
        "train": {
            "steps": 6,
            "device": "cpu",
            "precision": "fp32",
            "clip_norm": 1.0,
            "optimizer": {"type": "AdamW", "learning_rate": 1e-3},
            "schedule": {"type": "cosine", "warmup_steps": 2},
            "checkpoint_interval": 2,
        },
        "validate": {"interval": 3},
        "log": {"folder": str(tmp_path / "runs"), "interval": 1},
    }
    path = tmp_path / "options.yml"
    path.write_text(yaml.safe_dump(tree))
    return lambda *overrides: load_options(path, overrides)


@pytest.fixture
def gan_options(tiny_options: Callable[..., Options]) -> Callable[..., Options]:
    """Options of a tiny adversarial run; arguments are overrides."""
    adversarial = (
        "discriminator={type: UNet, num_features: 4}",
        "losses.adversarial={type: standard, weight: 0.01}",
        "losses.total_variation={type: squared, weight: 1e-4}",
        "train.gan={optimizer: {type: Adam, learning_rate: 1e-3}}",
    )
    return lambda *overrides: tiny_options(*adversarial, *overrides)


@pytest.fixture
def stop_after() -> Callable[[int], CatchInterruption]:
    """Makes what stands for Ctrl-C after so many steps of a run."""

    @contextmanager
    def interrupt(steps: int) -> Iterator[Callable[[], bool]]:
        asked = itertools.count(1)
        yield lambda: next(asked) > steps

    return lambda steps: partial(interrupt, steps)
