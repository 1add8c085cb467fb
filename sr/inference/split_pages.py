"""Images of several pages or frames, of which each becomes a file of its own (`--frames files`)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sr.errors import UsageError
from sr.inference.options import STREAM, InferOptions, OutputOptions
from sr.inference.tasks import Task, is_file_name, is_skipped
from sr.io.count_frames import count_frames
from sr.io.image_formats import ImageError
from sr.io.video.formats import format_frame_path, is_pattern

_MIN_DIGITS = 3  # of the number in a result's name


def split_pages(tasks: Sequence[Task], options: InferOptions) -> list[Task]:
    """Replace each image of several pages by a task for each of them, if they become files.

    An image that cannot be opened stays one task, whose probe reports why. Raises UsageError where
    the result's name fits one page only.
    """
    output = options.output
    if output.frames != "files":
        return list(tasks)
    to_file = is_file_name(output.path)
    return [page for task in tasks for page in _split(task, output, to_file=to_file)]


def _split(task: Task, output: OutputOptions, *, to_file: bool) -> list[Task]:
    if task.kind != "image":
        return [task]
    try:
        source = task.source if task.content is None else task.content
        num_pages = count_frames(source, task.name)
    except ImageError:
        num_pages = 1
    paths = _name_pages(task, num_pages, to_file=to_file)
    return [
        replace(
            task,
            output=path,
            page=number if num_pages > 1 else None,
            key=f"{task.key}/{number}" if num_pages > 1 else task.key,
            skipped=is_skipped(path, task.kind, output),
            warnings=[],
        )
        for number, path in enumerate(paths, start=1)
    ]


def _name_pages(task: Task, num_pages: int, *, to_file: bool) -> list[Path]:
    """Return the results' names: NAME_p001_x4.png, or those of a pattern."""
    path, numbers = task.output, range(1, num_pages + 1)
    if to_file and is_pattern(path):
        return [format_frame_path(path, number) for number in numbers]
    if num_pages == 1:
        return [path]
    if to_file or path == STREAM:
        raise UsageError(
            f"-o {path}: expected a folder, or a pattern such as page_%03d.png, for the"
            f" {num_pages} pages of {task.name}, got one file"
        )
    num_kept = len(task.source.stem if task.source != STREAM else "stdin")
    stem, rest = path.name[:num_kept], path.name[num_kept:]
    digits = max(_MIN_DIGITS, len(str(num_pages)))
    return [path.with_name(f"{stem}_p{number:0{digits}}{rest}") for number in numbers]
