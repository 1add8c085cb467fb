"""Runs over uploaded images, and over a crop of one: what the tab of images and the API start."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sr.cli.format_arguments import format_command
from sr.errors import UsageError
from sr.inference.options import InferOptions, OutputOptions
from sr.io.image_reader import Header
from sr.web.form import Choices, make_options
from sr.web.model_cards import read_model_cards
from sr.web.previews import Box, save_crop
from sr.web.queued_run import QueuedRun
from sr.web.run_queue import RunQueue
from sr.web.settings import Settings
from sr.web.uploads import check_result, check_upload, choose_name
from sr.web.work_folders import make_work_folder

RESULTS = Path("upscaled")  # where the command line that is shown writes


@dataclass(frozen=True)
class Upload:
    """A file that was sent, and its name there."""

    file: Path
    name: str


def start_images(
    uploads: Sequence[Upload], choices: Choices, owner: str, queue: RunQueue, settings: Settings
) -> QueuedRun:
    """Queue the upscaling of uploaded images, each checked before.

    Raises UserError: `TooLargeError`, `NotAnImageError`, `ImageError`, `QueueFullError`.
    """
    if not uploads:
        raise UsageError("expected one or more images, got none")
    scale = find_scale(choices.model)
    folder = make_work_folder(settings)
    try:
        sources: list[Path] = []
        for upload in uploads:
            header = check_upload(upload.file, upload.name, settings)
            check_result(header, _make_output(choices), scale, upload.name, settings)
            _check_frames(header, upload.name)
            name = choose_name(upload.name, [each.name for each in sources])
            sources.append(folder / "in" / name)
            sources[-1].parent.mkdir(exist_ok=True)
            shutil.copyfile(upload.file, sources[-1])
        options = make_options(sources, folder / "out", choices, device=settings.device)
        return queue.submit(QueuedRun(options, owner, work=folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def start_preview(
    upload: Upload,
    choices: Choices,
    box: Box | None,
    owner: str,
    queue: RunQueue,
    settings: Settings,
) -> QueuedRun:
    """Queue the upscaling of a part, None for one in the middle; raises likewise."""
    header = check_upload(upload.file, upload.name, settings)
    output, scale = _make_output(choices), find_scale(choices.model)
    check_result(header, output, scale, upload.name, settings)
    folder = make_work_folder(settings)
    limit = settings.max_upload_pixels
    try:
        crop = save_crop(upload.file, folder / "crop.png", output, scale, box=box, max_pixels=limit)
        crop_choices = replace(choices, scale=None, long_side=None, size=crop.size, format="png")
        options = make_options(
            [crop.file], folder / "out.png", crop_choices, device=settings.device
        )
        return queue.submit(QueuedRun(options, owner, is_urgent=True, work=folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def find_scale(model: str) -> int:
    """Return the scale of a bundled model for images. Raises UsageError."""
    for card in read_model_cards():
        if card.name == model and not card.takes_clips:
            return card.scale
    raise UsageError(f"{model}: expected a model for images; this one is for videos only")


def show_command(names: Sequence[str], choices: Choices) -> str:
    """Return the command line that does the same with files of these names."""
    options = make_options([Path(name) for name in names], RESULTS, choices)
    return format_command(options)


def _make_output(choices: Choices) -> OutputOptions:
    options: InferOptions = make_options([], RESULTS, choices)
    return options.output


def _check_frames(header: Header, name: str) -> None:
    if header.num_frames > 1:
        raise UsageError(
            f"{name}: expected an image of one frame, got {header.num_frames};"
            " infer.py --frames each upscales all"
        )
