"""One archive of images -> an archive of upscaled ones: page by page, each kept until all are done.

Finished pages lie in the folder `.NAME.parts` next to the result NAME, with a manifest of what they
depend on, so that a killed run continues after them with --resume. The result is put together at
the end: other files and the order stay.

A page that cannot be upscaled fails the archive, once all other pages are done: a book must not
lack a page unnoticed. With --damaged continue such a page is copied as it is, with a warning.
"""

import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from sr.errors import ModelFileError
from sr.inference.ends_run import ENDS_RUN
from sr.inference.events import Emit
from sr.inference.image import ImagePlan, probe_image, upscale_image
from sr.inference.mask import Mask
from sr.inference.named_files import find_models
from sr.inference.options import InferOptions
from sr.inference.tasks import Task
from sr.inference.video.resume import (
    SegmentManifest,
    fingerprint,
    fingerprint_models,
    fingerprint_texture,
    locate_segments,
)
from sr.io.archive import ArchiveError, list_pages, open_archive, read_page, write_archive
from sr.io.image_formats import WRITABLE_SUFFIXES
from sr.tiling.multi_device import DevicePool
from sr.tiling.upscaler import StoppedError

_DECISIVE = frozenset(
    {
        "outscale",
        "size",
        "long_side",
        "alpha",
        "frames",
        "page",
        "ext",
        "quality",
        "lossless",
        "above_white",
    }
)
"""Names of options that finished pages depend on."""
_NUM_NAMED = 5  # pages in a message; the rest are counted


@dataclass(frozen=True)
class ArchivePlan:
    """What is to be done with one archive. pages: tasks with their plans or errors, by entry."""

    source: Path
    output: Path
    pages: Mapping[str, Task]
    names: Mapping[str, str]
    """Of the results in the archive, by entry."""

    @property
    def megapixels(self) -> float:
        """What the network reads, over all pages, in millions."""
        return sum(page.megapixels for page in self.pages.values())

    def check_mask(self, mask: Mask) -> None:
        """Raise UserError for a mask that does not fit."""
        for page in self.pages.values():
            if page.plan is not None:
                page.plan.check_mask(mask)


def probe_archive(task: Task, options: InferOptions, scale: int) -> ArchivePlan:
    """Plan an archive by the headers of its pages, one in memory at a time.

    Raises ArchiveError for an archive that cannot be read, and where pages cannot be upscaled.
    """
    folder = locate_segments(task.output)
    pages: dict[str, Task] = {}
    with open_archive(task.source) as archive:
        names = _name_pages(archive, options)
        for number, entry in enumerate(list_pages(archive)):
            suffix = PurePosixPath(names[entry.filename]).suffix
            page = Task(task.source / entry.filename, folder / f"page-{number:05d}{suffix}")
            _try(page, partial(_probe, page, archive, entry, options, scale))
            pages[entry.filename] = page
    if not pages:
        raise ArchiveError(f"{task.source}: expected images in the archive, got none")
    counts = Counter(warning for page in pages.values() for warning in page.warnings)
    task.warnings += [f"{text} ({count} page(s))" for text, count in counts.items()]
    plan = ArchivePlan(task.source, task.output, pages, names)
    if options.video.damaged != "continue":
        _raise_failures(plan, before=True)
    return plan


def upscale_archive(
    plan: ArchivePlan,
    options: InferOptions,
    pool: DevicePool,
    emit: Emit,
    num_threads: int,
    precision: str,
    mask: Mask | None = None,
) -> dict[str, Any]:
    """Read, upscale and write one archive. Return the fields of its event.

    Raises ArchiveError, ManifestError, and what ends a run. The caller holds the lock of the
    result.
    """
    depends_on = _list_dependencies(plan, options, precision)
    manifest = SegmentManifest.open(plan.output, depends_on, resume=options.output.resume)
    waiting = {
        name: page
        for name, page in plan.pages.items()
        if page.error is None and not page.output.exists()
    }
    num_pages = len(plan.pages)
    num_kept = sum(page.output.exists() for page in plan.pages.values())

    def upscale(name: str, page: Task) -> None:
        if pool.stopped.is_set():
            return
        assert isinstance(page.plan, ImagePlan)
        page.content = read_page(archive, archive.getinfo(name))
        try:
            upscale_image(page, page.plan, options, pool, _drop_progress(emit), mask)
        finally:
            page.content = None

    with open_archive(plan.source) as archive:
        done = num_kept

        def report() -> None:
            nonlocal done
            done += 1
            emit("progress", page=done, pages=num_pages)

        _run_pages(waiting, upscale, report, pool, num_threads)
        if options.video.damaged != "continue":
            _raise_failures(plan)
        _warn_of_copies(plan, emit)
        written = {
            name: (plan.names[name], page.output)
            for name, page in plan.pages.items()
            if page.error is None
        }
        write_archive(archive, plan.output, written)
    manifest.remove()
    largest = max((page.plan for page in plan.pages.values() if page.plan), key=_count_pixels)
    assert isinstance(largest, ImagePlan)
    return {
        "sr_size": largest.size[::-1],
        "pages": num_pages,
        "resumed_at": num_kept,
    }


def _run_pages(
    waiting: Mapping[str, Task],
    upscale: Callable[[str, Task], None],
    report: Callable[[], None],
    pool: DevicePool,
    num_threads: int,
) -> None:
    """Upscale pages in a few threads; what is foreseen of a page becomes its error."""
    with ThreadPoolExecutor(num_threads, thread_name_prefix="sr-page") as threads:
        futures = [
            threads.submit(_try, page, partial(upscale, name, page), report)
            for name, page in waiting.items()
        ]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException:
            pool.stopped.set()
            threads.shutdown(wait=True, cancel_futures=True)
            raise


def _try(page: Task, work: Callable[[], None], report: Callable[[], None] | None = None) -> None:
    """Do what belongs to one page; record why it fails, unless that ends the run."""
    try:
        work()
    except (*ENDS_RUN, StoppedError):
        raise
    except Exception as error:  # noqa: BLE001, whatever a page makes a reader raise
        page.error = error
    if report is not None:
        report()


def _probe(
    page: Task, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, options: InferOptions, scale: int
) -> None:
    page.content = read_page(archive, entry)
    try:
        page.plan = probe_image(page, options, scale)
    finally:
        page.content = None


def _name_pages(archive: zipfile.ZipFile, options: InferOptions) -> dict[str, str]:
    """Name the pages' results: in their own formats, if those are written, else as PNG.

    A new name that is taken gets the whole old one: a.gif.png next to a.png.
    """
    ext = options.output.ext
    names: dict[str, str] = {}
    taken = set(archive.namelist())
    for entry in list_pages(archive):
        old = new = entry.filename
        path = PurePosixPath(old)
        if ext != "auto" or path.suffix.lower() not in WRITABLE_SUFFIXES:
            suffix = ".png" if ext == "auto" else f".{ext}"
            new, longer = str(path.with_suffix(suffix)), old
            while new != old and new in taken:
                new = longer = f"{longer}{suffix}"
        taken.add(new)
        names[old] = new
    return names


def _list_dependencies(plan: ArchivePlan, options: InferOptions, precision: str) -> dict[str, Any]:
    """Return all that finished pages depend on, as JSON values."""
    output, runtime = options.output, options.runtime
    model: dict[str, Any] = {"tta": runtime.tta, "backend": runtime.backend}
    with suppress(OSError, ModelFileError):  # a network from elsewhere has no file
        model |= fingerprint_models(find_models(options))
    return {
        "source": fingerprint(plan.source),
        "model": model,
        "precision": precision,
        "texture": fingerprint_texture(options.texture),
        **{name: value for name, value in asdict(output).items() if name in _DECISIVE},
    }


def _raise_failures(plan: ArchivePlan, *, before: bool = False) -> None:
    failed = [page.describe_error() for page in plan.pages.values() if page.error is not None]
    if not failed:
        return
    named = "; ".join(failed[:_NUM_NAMED])
    more = f"; and {len(failed) - _NUM_NAMED} more" if len(failed) > _NUM_NAMED else ""
    kept = "" if before else " The other pages are kept for --resume."
    raise ArchiveError(
        f"{plan.source}: {len(failed)} of {len(plan.pages)} pages cannot be upscaled: {named}"
        f"{more}."
        f"{kept} --damaged continue copies such pages as they are"
    )


def _warn_of_copies(plan: ArchivePlan, emit: Emit) -> None:
    for page in plan.pages.values():
        if page.error is not None:
            emit("warning", message=f"copied as it is: {page.describe_error()}")


def _drop_progress(emit: Emit) -> Emit:
    """Wrap a listener for what belongs to one page: its tiles say little of the book."""

    def emit_rest(event: Any, **fields: Any) -> None:
        if event != "progress":
            emit(event, **fields)

    return emit_rest


def _count_pixels(plan: Any) -> int:
    return int(plan.size[0] * plan.size[1])
