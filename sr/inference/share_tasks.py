"""Which of all tasks a shard does: its own, and the videos of others that it helps with."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sr.inference.options import InferOptions
from sr.inference.shards import Shard, split_by_work
from sr.inference.tasks import Task
from sr.io.object_path import ObjectPath
from sr.io.video.formats import is_pattern

NUM_THREADS = 8  # that read headers, mostly waiting for the disk


def share_tasks(tasks: Sequence[Task], options: InferOptions) -> list[Task]:
    """Return the tasks of the shard, own ones first; all where there are no shards.

    Where shards share videos, each helps with all of those that become one file. tasks: of all
    shards, the same for each.
    """
    shard = options.shard
    if shard is None:
        return list(tasks)
    owned = _choose_keys(tasks, options, shard)
    own = [task for task in tasks if task.key in owned]
    helped = [
        replace(task, is_own=False)
        for task in tasks
        if task.key not in owned and is_shared(task, options)
    ]
    return [*own, *helped]


def is_shared(task: Task, options: InferOptions) -> bool:
    """Return whether several runs compute a task together: a video that becomes one file.

    Object stores know no leases.
    """
    is_file = not (is_pattern(task.output) or isinstance(task.output, ObjectPath))
    return options.shares_videos and task.kind == "video" and is_file


def _choose_keys(tasks: Sequence[Task], options: InferOptions, shard: Shard) -> set[str]:
    weighed = []
    if options.shard_by == "work":
        weighed = [task for task in tasks if not is_shared(task, options)]
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        sizes = threads.map(lambda task: _measure_work(task, options), weighed)
        work = {task.key: size for task, size in zip(weighed, sizes, strict=True)}
    own = split_by_work(work, shard.count)[shard.number - 1]
    return own | {task.key for task in tasks if task.key not in work and shard.holds(task.key)}


def _measure_work(task: Task, options: InferOptions) -> float:
    """Return the pixels of a source by its header, whether or not its result exists.

    0 for what cannot be read, which takes no time. The shards must come to the same numbers.
    """
    try:
        if task.kind == "video":
            from sr.inference.video.source import open_source

            limit = options.runtime.max_pixels
            with open_source(task.source, options.video, max_pixels=limit) as source:
                info = source.info
            return info.height * info.width * (info.num_frames or 1)
        if task.kind == "archive":
            return float(task.source.stat().st_size)  # near the pixels of its images
        from sr.io.image_reader import read_header

        header = read_header(
            task.source, frames=options.output.load_frames, page=task.page or options.output.page
        )
        return header.height * header.width * header.num_frames
    except Exception:  # noqa: BLE001, whatever a file makes a reader raise; the probe reports it
        return 0.0
