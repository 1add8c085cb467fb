"""A run of `infer.py` by the actors of a Ray cluster: the driver's side.

The driver finds the tasks and opens no input. Ray Data takes blocks of paths through a pool of
actors (`sr.cluster.worker`), each of which does its tasks as a run on one machine does, with the
same locks and files. A block whose actor or machine is lost is done again on another; there, what
is finished is kept. Videos are shared by leases on their segments (see
`sr.inference.video.shared_segments`): one row of each is waited for, others help.
"""

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from sr.cluster.connect import ActorPool, connect, import_ray, plan_actors
from sr.cluster.driver import Driver
from sr.cluster.model_copies import put_models
from sr.cluster.progress import watch_progress
from sr.cluster.rows import Block, make_table
from sr.cluster.task_result import TaskResult
from sr.cluster.worker import UpscaleWorker, WorkerSetup
from sr.errors import UsageError
from sr.inference.events import Emit, send_one_at_a_time
from sr.inference.load_models import load_models
from sr.inference.named_files import exists, find_models
from sr.inference.options import InferOptions
from sr.inference.output_size import label_size
from sr.inference.run import find_checked_tasks, find_recorded_backend, make_folders
from sr.inference.run_summary import RunSummary, emit_end
from sr.inference.share_tasks import is_shared
from sr.inference.tasks import Task, is_file_name, is_video_name
from sr.io.atomic_write import remove_abandoned
from sr.io.hash_code import hash_code
from sr.io.object_path import ObjectPath, forget_listings
from sr.io.video.formats import is_pattern
from sr.models.loaded_model import LoadedGenerator

_MAX_RETRIES = 3  # of a block whose actor died, each time on another one


def run_on_cluster(
    options: InferOptions, emit: Emit, worker: type[UpscaleWorker] = UpscaleWorker
) -> RunSummary:
    """Upscale all inputs on a cluster, as `sr.inference.run.run` does on this machine.

    worker: the class of the actors. Raises UserError before any work is done.
    """
    import_ray()
    options = _make_absolute(options)
    files = find_models(options)
    generator = load_models(files)
    tasks, num_ignored = _find_tasks(options, generator)
    started = time.perf_counter()
    folders = make_folders([task for task in tasks if not isinstance(task.output, ObjectPath)])
    emit = send_one_at_a_time(emit)
    with connect(options.cluster):
        pool = plan_actors(options.cluster)
        num_removed = sum(map(remove_abandoned, folders))
        emit(
            "start",
            pictures=len(tasks),
            ignored=num_ignored,
            megapixels=None,
            model=files.name,
            scale=generator.scale,
            size=label_size(options.output, generator.scale),
            cluster="ray",
            actors=[pool.min_size, pool.max_size],
            cpus_per_actor=pool.num_cpus,
            gpus_per_actor=pool.num_gpus,
            backend=options.runtime.backend,
            precision=options.runtime.precision,
        )
        driver = Driver(tasks, emit)
        summary = RunSummary(tasks)
        with (
            emit_end(summary, emit, started=started, num_removed=num_removed),
            watch_progress(driver.report_progress) as progress,
        ):
            setup = WorkerSetup(
                options=_make_worker_options(options, tasks, pool),
                models=put_models(files),
                code=hash_code(),
                num_threads=max(1, int(pool.num_cpus)),
                progress=progress,
            )
            driver.run(partial(_do_blocks, setup=setup, pool=pool, worker=worker), pool.max_size)
    return summary


def _do_blocks(
    blocks: Sequence[Block], setup: WorkerSetup, pool: ActorPool, worker: type[UpscaleWorker]
) -> Iterator[TaskResult]:
    """Yield how each task ended, in any order; none for those that were lost with their actors."""
    import ray.data

    tables = [make_table(block) for block in blocks]
    shared = [
        block for block in blocks for task in block.values() if is_shared(task, setup.options)
    ]
    num_helping = pool.max_size if pool.max_size > 1 else 0
    tables += [make_table(block, is_own=False) for block in shared for _ in range(num_helping)]
    max_size = max(pool.min_size, min(pool.max_size, len(tables)))
    with warnings.catch_warnings():
        # Until 2.64 there are no other names for the number of retries.
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        results = ray.data.from_arrow(tables).map_batches(
            worker,
            fn_constructor_args=(setup,),
            batch_size=None,  # a whole block
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(
                min_size=pool.min_size,
                max_size=max_size,
                initial_size=max(pool.min_size, min(max_size, pool.num_fitting)),
            ),
            num_cpus=pool.num_cpus,
            num_gpus=pool.num_gpus,
            max_restarts=-1,
            max_task_retries=_MAX_RETRIES,
        )
    for row in results.iter_rows():
        yield TaskResult.load(row["result"])


def _find_tasks(options: InferOptions, generator: LoadedGenerator) -> tuple[list[Task], int]:
    """Return the tasks, and how many files are ignored. Raises UserError for what cannot be."""
    try:
        tasks, num_ignored, _ = find_checked_tasks(options, generator)
        _check_stores(options)
    finally:
        forget_listings()
    for task in tasks:
        if task.content is not None:
            raise UsageError(f"{task.source}: --cluster: expected a file, got a pipe")
    return tasks, num_ignored


def _check_stores(options: InferOptions) -> None:
    """Refuse what cannot be in an object store, and one that cannot be written to."""
    output = options.output.path
    to_video = is_video_name(output)
    for path in options.inputs:
        if isinstance(path, ObjectPath) and ((to_video and path.is_dir()) or not exists(path)):
            raise UsageError(f"{path}: expected a folder of this machine for the frames of a video")
    if isinstance(output, ObjectPath):
        if is_pattern(output):
            raise UsageError(f"-o {output}: expected a folder of this machine for numbered images")
        (output.parent if is_file_name(output) else output).check_writable()


def _make_absolute(options: InferOptions) -> InferOptions:
    """Return options whose paths mean the same in all folders: actors work in others."""
    texture = options.texture
    mask = None if texture.mask is None else texture.mask.absolute()
    return replace(
        options,
        inputs=[path.absolute() for path in options.inputs],
        output=replace(options.output, path=options.output.path.absolute()),
        texture=replace(texture, mask=mask),
    )


def _make_worker_options(
    options: InferOptions, tasks: Sequence[Task], pool: ActorPool
) -> InferOptions:
    """Return the options of the actors.

    What exists was settled by the driver; what is there now, an actor that died has left. The back
    end is not chosen by a measurement, which may come out differently on each machine.
    """
    runtime, output = options.runtime, options.output
    if runtime.devices == ("auto",) and not pool.num_gpus:
        runtime = replace(runtime, devices=("cpu",))
    if runtime.backend == "auto" and output.resume and (found := find_recorded_backend(tasks)):
        runtime = replace(runtime, backend=found)
    if not output.overwrite:
        output = replace(output, resume=True)
    return replace(options, runtime=runtime, output=output, log=None)
