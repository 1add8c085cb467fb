"""Which image or video goes where: decided and checked before any work is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from sr.inference.inputs import Input, find_inputs
from sr.inference.options import STREAM, Job, Request, UsageError
from sr.inference.outputs import (
    is_file_name,
    is_video_name,
    output_file,
    output_names,
    refuse_collisions,
    refuse_existing,
    refuse_long_names,
)
from sr.inference.video.resume import parts_folder
from sr.io.video.formats import format_frame_path, is_pattern, list_frame_numbers
from sr.tiling.frame_window import ONLY_VIDEOS

NUM_NAMED = 5  # images, in a message


@dataclass(frozen=True)
class Plan:
    """The jobs of a run, in the order of the work."""

    jobs: list[Job]
    num_ignored: int
    """Files in the input folders that are hidden or have the suffix of something else."""


def plan(request: Request, *, label: str, others: Sequence[Path] = ()) -> Plan:
    """Pair every input with its output.

    Folders found below an input folder reappear below the output folder. label: says the size
    in names, such as x4. `others` are further files that the run will write, checked like the
    outputs for being there.
    Raises `NoInputError` if there is nothing to upscale or an input does not exist, `UsageError`
    if two results would have one name, a result would replace an input, or one exists
    and `request.existing` is "refuse".
    """
    to_file = is_file_name(request.output)
    inputs = find_inputs(
        request, None if to_file else request.output, to_video=is_video_name(request.output)
    )
    found = inputs.found
    outputs = [output_file(found, request)] if to_file else output_names(found, request, label)
    refuse_long_names(outputs)
    jobs = [
        Job(each.source, output, skipped=_is_skipped(each, output, request), kind=each.kind)
        for each, output in zip(found, outputs, strict=True)
    ]
    refuse_collisions(jobs)
    if request.reference is not None:
        _refuse_unscored(jobs, request)
    if request.existing == "refuse":
        files = [_files_of(job.output) for job in jobs if job.output != STREAM]
        refuse_existing([*chain(*files), *others])
    if request.existing != "overwrite" and not request.resume:
        _refuse_parts(jobs)
    return Plan(jobs, inputs.num_ignored)


def refuse_images(jobs: Sequence[Job]) -> None:
    """For models that enlarge videos only: raises UsageError where there are images, too."""
    names = [str(job.source) for job in jobs if job.kind == "image"]
    if names:
        more = ", ..." if len(names) > NUM_NAMED else ""
        raise UsageError(f"{ONLY_VIDEOS}, got {', '.join(names[:NUM_NAMED])}{more}")


def folder_of_results(output: Path) -> Path:
    """The folder that `-o` names, or the one of the file that it names."""
    return output.parent if is_file_name(output) else output


def _is_skipped(given: Input, output: Path, request: Request) -> bool:
    """It is done. Next to parts, which --resume goes on with, stands what was to be replaced."""
    if request.existing != "skip" or not _exists(output):
        return False
    return not (request.resume and given.kind == "video" and parts_folder(output).exists())


def _exists(output: Path) -> bool:
    return output != STREAM and not is_pattern(output) and output.exists()


def _files_of(output: Path) -> list[Path]:
    """The result; of a pattern, those of its files that are there."""
    if not is_pattern(output):
        return [output]
    return [format_frame_path(output, number) for number in list_frame_numbers(output)]


def _refuse_parts(jobs: Sequence[Job]) -> None:
    for job in jobs:
        folder = parts_folder(job.output)
        if job.kind == "video" and not job.skipped and folder.exists():
            raise UsageError(
                f"{folder}: parts of {job.output.name} from a run that was cut off. Add --resume to"
                " go on with them, or --overwrite to begin again"
            )


def _refuse_unscored(jobs: Sequence[Job], request: Request) -> None:
    """No streams, and no videos of which a part is there: its frames are not those of this run."""
    if any(STREAM in (job.source, job.output) for job in jobs):
        raise UsageError("--reference: needs files; expected no `-` for input or output")
    for job in jobs:
        if job.kind != "video" or job.skipped or request.existing != "skip":
            continue
        has_parts = request.resume and parts_folder(job.output).exists()
        if has_parts or (is_pattern(job.output) and _files_of(job.output)):
            raise UsageError(
                f"--reference: expected to make all frames of {job.output.name}, which are scored"
                " before they are written; some are there from an earlier run. Leave --reference"
                " out, or take --overwrite"
            )
