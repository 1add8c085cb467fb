"""The engine of `infer.py` behind the page, which keeps models loaded between runs of images."""

from pathlib import Path

from sr.inference.events import Emit
from sr.inference.load_upscaler import load_upscalers
from sr.inference.named_files import ModelFiles, find_models
from sr.inference.options import InferOptions, RuntimeOptions
from sr.inference.run import run
from sr.inference.run_summary import RunSummary
from sr.io.image_formats import READABLE_SUFFIXES
from sr.memory import keep_freed_memory
from sr.tiling.upscaler import Upscaler
from sr.web.form import Choices, make_options

_NUM_KEPT = 3  # models


class Engine:
    """Does runs as `infer.py` does. Of one thread."""

    def __init__(self, device: str = "auto") -> None:
        """device: of `load_default`."""
        keep_freed_memory()
        self._device = device
        self._kept: dict[tuple[ModelFiles, RuntimeOptions], list[Upscaler]] = {}

    def load_default(self) -> None:
        """Load the default model, so that the first run need not wait for it."""
        options = make_options([], Path(), Choices(), device=self._device)
        self._load(options, _ignore)

    def __call__(self, options: InferOptions, emit: Emit) -> RunSummary:
        """Do a run; raises as `sr.inference.run.run`."""
        return run(options, emit, self._load(options, emit))

    def _load(self, options: InferOptions, emit: Emit) -> list[Upscaler] | None:
        """Return the upscalers for images, loaded once; None lets `run` choose and load.

        That is for folders and videos, whose back end depends on their length and their journal.
        """
        if not all(map(_is_image, options.inputs)):
            return None
        key = find_models(options), options.runtime
        if key not in self._kept:
            self._kept[key] = load_upscalers(key[0], emit, options.runtime)
        upscalers = self._kept[key] = self._kept.pop(key)  # the latest is the last to go
        while len(self._kept) > _NUM_KEPT:
            del self._kept[next(iter(self._kept))]
        return upscalers


def _ignore(*_: object, **__: object) -> None:
    """Take an event and drop it."""


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in READABLE_SUFFIXES and path.is_file()
