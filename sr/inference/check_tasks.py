"""Tasks that cannot be done as they are asked for, refused before any work."""

import os
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from sr.errors import UsageError
from sr.evaluation.references import References
from sr.inference.options import STREAM, InferOptions
from sr.inference.share_tasks import is_shared
from sr.inference.tasks import Task, is_file_name
from sr.inference.video.resume import locate_segments
from sr.io.archive import ARCHIVE_SUFFIXES
from sr.io.process_lock import MAX_NAME_BYTES, LockedError, check_unlocked
from sr.io.video.formats import (
    WRITABLE_CONTAINERS,
    format_frame_path,
    is_pattern,
    list_frame_numbers,
)
from sr.tiling.upscaler import ONLY_VIDEOS

_NUM_NAMED = 5  # files named in a message; the rest are counted


def check_tasks(
    tasks: Sequence[Task], options: InferOptions, *, takes_clips: bool = False
) -> References | None:
    """Refuse what cannot be; return the originals to score against. Opens no input.

    takes_clips: the model upscales videos only. Raises UsageError if a result would replace an
    input or another result, or one exists and stays neither to be replaced nor skipped, or what is
    asked for cannot be scored.
    """
    references = None if options.reference is None else References(options.reference)
    _check_names(task.output for task in tasks)
    check_collisions(tasks)
    if references is not None:
        _check_scored(tasks, options)
    if not (options.output.overwrite or options.output.keeps_existing):
        others = [] if references is None else [locate_scores(options)]
        _check_existing([*chain(*(_list_files(task.output) for task in tasks)), *others])
    if not (options.output.overwrite or options.output.resume):
        _check_segments(tasks)
    if takes_clips:
        _check_kinds(tasks)
    is_one_video = len(tasks) == 1 and tasks[0].kind == "video"
    if references is not None and references.is_one_video and not is_one_video:
        got = "an image" if len(tasks) == 1 else f"{len(tasks)} inputs"
        raise UsageError(
            f"--reference: expected a folder of originals for {got}, got those of one video"
        )
    return references


def locate_scores(options: InferOptions) -> Path:
    """Where scores are saved: next to the results; those of each shard in a file of its own."""
    output, shard = options.output.path, options.shard
    name = "scores" if shard is None else f"scores-{shard.number}-of-{shard.count}"
    return (output.parent if is_file_name(output) else output) / f"{name}.json"


def check_shared_folders(options: InferOptions) -> None:
    """Refuse results next to the inputs, where a shard would take those of others for inputs."""
    output = options.output.path
    folders = [given for given in options.inputs if given.is_dir()]
    if options.shard is None or is_file_name(output):
        return
    if any(given.resolve() == output.resolve() for given in folders):
        raise UsageError(
            f"-o {output}: expected another folder than that of the inputs with --shard, since"
            " each shard would take the results of others for inputs"
        )


def refuse_hopeless(tasks: Sequence[Task]) -> None:
    """Raise UsageError where no video of a run can be encoded as it is asked for.

    Also where other processes are writing all results. tasks: all of the run, probed.
    """
    videos = [task for task in tasks if task.kind == "video" and not task.skipped]
    if videos:
        from sr.io.video.encode.codecs import EncoderError

        if all(isinstance(task.error, EncoderError) for task in videos):
            raise UsageError(videos[0].describe_error())  # not of one odd file alone
    if tasks and all(isinstance(task.error, LockedError) for task in tasks):
        raise UsageError(tasks[0].describe_error())


def _check_kinds(tasks: Sequence[Task]) -> None:
    images = [str(task.source) for task in tasks if task.kind != "video"]
    if images:
        more = ", ..." if len(images) > _NUM_NAMED else ""
        raise UsageError(f"{ONLY_VIDEOS}, got {', '.join(images[:_NUM_NAMED])}{more}")


def check_collisions(tasks: Sequence[Task]) -> None:
    """Refuse a result that would replace an input, or another result. tasks: of all shards."""
    inputs = {task.source.resolve(): task.source for task in tasks}
    outputs: dict[Path, Path] = {}
    for task in tasks:
        if task.output == STREAM:
            continue
        place = task.output.resolve()
        if place in inputs:
            raise UsageError(
                f"{task.output}: the result of {task.source} would replace the input"
                f" {inputs[place]}. Choose another output folder or --suffix"
            )
        if place in outputs:
            raise UsageError(
                f"{task.output}: two results would have this name, those of {outputs[place]}"
                f" and {task.source}. Upscale them into different folders"
            )
        outputs[place] = task.source


def _check_names(outputs: Iterable[Path]) -> None:
    """No name may be longer than file systems allow."""
    for output in outputs:
        has_parts = output.suffix.lower() in WRITABLE_CONTAINERS | ARCHIVE_SUFFIXES
        longest = locate_segments(output) if has_parts else output
        if len(os.fsencode(longest.name)) > MAX_NAME_BYTES:
            raise UsageError(
                f"{longest.name}: expected a name of at most {MAX_NAME_BYTES} bytes for the result."
                " Choose a shorter --suffix, or rename the input"
            )


def _check_existing(outputs: Sequence[Path]) -> None:
    """No result may exist."""
    existing = [str(path) for path in outputs if path.exists()]
    if existing:
        named = ", ".join(existing[:_NUM_NAMED])
        rest = f" and {len(existing) - _NUM_NAMED} more" if len(existing) > _NUM_NAMED else ""
        verb = "exists" if len(existing) == 1 else "exist"
        raise UsageError(
            f"{named}{rest} already {verb}."
            " Add --overwrite or --skip-existing, or choose another -o"
        )


def _check_segments(tasks: Sequence[Task]) -> None:
    for task in tasks:
        folder = locate_segments(task.output)
        if task.kind != "image" and not task.skipped and folder.exists():
            if _is_locked(task.output):
                continue  # of a run that goes on; the probe names it
            raise UsageError(
                f"{folder}: segments of {task.output.name} from a run that was interrupted. Add"
                " --resume to continue them, or --overwrite to start again"
            )


def _is_locked(output: Path) -> bool:
    try:
        check_unlocked(output)
    except LockedError:
        return True
    return False


def _check_scored(tasks: Sequence[Task], options: InferOptions) -> None:
    """No streams, and no videos of which a segment exists: its frames are not those of this run."""
    output = options.output
    if any(is_shared(task, options) for task in tasks):
        raise UsageError(
            "--reference: expected whole videos, whose frames are scored before they are encoded;"
            " leave out --resume, so that each shard has videos of its own"
        )
    if any(STREAM in (task.source, task.output) for task in tasks):
        raise UsageError("--reference: needs files; expected no `-` for input or output")
    if archives := [str(task.source) for task in tasks if task.kind == "archive"]:
        raise UsageError(f"--reference: expected images and videos, got {archives[0]}")
    for task in tasks:
        if task.kind != "video" or task.skipped or not output.keeps_existing:
            continue
        has_segments = output.resume and locate_segments(task.output).exists()
        if has_segments or (is_pattern(task.output) and _list_files(task.output)):
            raise UsageError(
                f"--reference: expected to upscale all frames of {task.output.name}, which are"
                " scored before they are written; some exist from an earlier run. Leave out"
                " --reference, or take --overwrite"
            )


def _list_files(output: Path) -> list[Path]:
    """The result; of a pattern, those of its files that exist; none for standard output."""
    if output == STREAM:
        return []
    if not is_pattern(output):
        return [output]
    return [format_frame_path(output, number) for number in list_frame_numbers(output)]
