"""Images, and calls of infer.py."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr.cli.infer import main
from sr.io.rgb8 import write_rgb8
from sr.tiling.upscaler import Upscaler

Call = Callable[..., Any]


@pytest.fixture
def call() -> Call:
    """Calls infer.py, with upscalers in place of a model if they are given; returns the code."""

    def call(*arguments: object, upscalers: Sequence[Upscaler] | None = None) -> Any:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments], upscalers)
        return stop.value.code

    return call


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with a.png and b.png of 25x20 pixels."""
    folder = tmp_path / "in"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        write_rgb8(folder / f"{name}.png", random.integers(0, 256, (20, 25, 3), dtype=np.uint8))
    return folder
