"""Time crops of a data set that is cached, decoded at each use, or prepared (sr-data prepare).

    python benchmarks/train_data.py FOLDER [--images 300] [--crop-size 96] [--scale 4]
        [--crops 2000] [--work FOLDER] [--only KIND] [--share]
    python benchmarks/train_data.py FOLDER --degradation RealESRGAN [--images 20] [--crops 200]

FOLDER: photographs, repeated by hard links, or copies, until there are as many as asked for. Each
kind runs in a process of its own, with one thread as in a worker of train.py, and draws crops in
the order of training: `start` is the time to the first crop, `first` and `later` the median
milliseconds per crop in the first epoch and in the later ones, `memory` the peak of what the
process has allocated, without mapped files. `whole lr` decodes an image and makes its whole lr for
each crop, as was done before lr was made from the surroundings of a crop. The cache and the
prepared images need 3 bytes per pixel on the disk of --work, each; with --share all links to a
photograph are prepared as one image, to see how many images start without the disk for them.

With --degradation, instead, what a worker takes for a crop of cached images with bicubic lr, with
the degradation crop by crop, and with `on_device`, where it only reads and crops, and the training
process degrades (degrade_crops.py): the same crops in turn, in milliseconds of CPU time, and times
that of bicubic lr. The mean counts, as degradations differ.
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import cv2
import torch
from degraded_images import KINDS as DEGRADATIONS
from degraded_images import find_blindly_degraded
from pydantic import TypeAdapter

from sr.build_data import build_degradation
from sr.data.cache import SourceCache, fill_cache
from sr.data.crops import CropDataset, CropSettings
from sr.data.hr_only import find_hr_images, make_variants
from sr.data.prepare_images import Recipe, prepare_images
from sr.data.prepared_images import INDEX, ROWS, PreparedImages, encode_path
from sr.data.random_degradation import Degradation
from sr.data.sampler import EndlessBatchSampler
from sr.data.sources import Pair, Source
from sr.io.find_files import find_images
from sr.options.degradations import DegradationOptions

KINDS = ("cached", "prepared", "uncached", "whole lr")
CROPS_PER_BATCH = 16
WARM_UP = 20  # crops of each kind that are not counted
NEVER = Degradation((), final_sinc_probability=0, clean_probability=1)


@dataclass(frozen=True)
class Case:
    """One kind of data set to be timed."""

    kind: str
    photos: Path
    work: Path
    scale: int
    crop_size: int
    num_crops: int
    num_prepared: int  # files; the others share their images


def main() -> None:
    """Print a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="photographs")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--crop-size", type=int, default=96)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--crops", type=int, default=2000, help="crops per kind")
    parser.add_argument("--work", type=Path, help="where to write; default: a temporary folder")
    parser.add_argument("--only", choices=KINDS, action="append", help="time this kind alone")
    parser.add_argument("--share", action="store_true", help="prepare each photograph once")
    parser.add_argument("--degradation", choices=DEGRADATIONS, help="time workers with it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as name:
        work = Path(name)
        num_photos = repeat_images(arguments.folder, work / "photos", arguments.images)
        if arguments.degradation is not None:
            sizes = arguments.scale, arguments.crop_size, arguments.crops
            case = Case("cached", work / "photos", work, *sizes, 0)
            time_degradation(case, arguments.degradation)
            return
        print_line(
            f"{arguments.images} images, x{arguments.scale}, crops of {arguments.crop_size} px, "
            f"{arguments.crops} per kind (uncached: at most one epoch)"
        )
        print_line(f"{'kind':10} {'start s':>8} {'first ms':>9} {'later ms':>9} {'memory MiB':>11}")
        for kind in arguments.only or KINDS:
            sizes = arguments.scale, arguments.crop_size, arguments.crops
            num_prepared = (
                min(num_photos, arguments.images) if arguments.share else arguments.images
            )
            run_alone(Case(kind, work / "photos", work, *sizes, num_prepared))


def repeat_images(folder: Path, target: Path, count: int) -> int:
    """Link or copy the images of a folder until there are `count`; return how many it has."""
    target.mkdir()
    found = find_images([folder], recursive=True)
    for number in range(count):
        source = found[number % len(found)]
        copy = target / f"{number:05d}{source.suffix}"
        try:
            os.link(source, copy)
        except OSError:  # another file system
            shutil.copyfile(source, copy)
    return len(found)


def run_alone(case: Case) -> None:
    """Time a case in a new process."""
    if case.kind == "prepared":
        started = time.perf_counter()
        prepare(case)
        print_line(f"(sr-data prepare, once: {time.perf_counter() - started:.1f} s)")
    process = multiprocessing.get_context("spawn").Process(target=time_case, args=(case,))
    process.start()
    process.join()


def prepare(case: Case) -> None:
    """Do what sr-data prepare does."""
    variants = make_variants(1.0, case.scale)
    images = find_images([case.photos], recursive=True)
    first, others = images[: case.num_prepared], images[case.num_prepared :]
    folder = case.work / "images"
    prepare_images([Recipe(path, variants) for path in first], folder)
    rows = {row.path: row for row in PreparedImages(folder).rows}
    with (folder / INDEX).open("ab") as index:
        for number, path in enumerate(others):
            status, row = path.stat(), rows[encode_path(first[number % len(first)])]
            row = replace(
                row,
                path=encode_path(path),
                num_bytes=status.st_size,
                mtime_ns=status.st_mtime_ns,
            )
            index.write(ROWS.dump_json(row) + b"\n")


def time_case(case: Case) -> None:
    """Draw the crops of a case and print its line."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    started = time.perf_counter()
    crops = CropDataset(
        open_pairs(case), case.scale, CropSettings(case.crop_size, 1, True, True), seed=0
    )
    draws = chain.from_iterable(EndlessBatchSampler(len(crops), CROPS_PER_BATCH, seed=0))
    crops[next(draws)]
    start = time.perf_counter() - started
    count = min(case.num_crops, len(crops)) if case.kind in KINDS[2:] else case.num_crops
    seconds, memory = [], 0
    for number, draw in enumerate(islice(draws, count)):
        before = time.perf_counter()
        crops[draw]
        seconds.append(time.perf_counter() - before)
        if number % 50 == 0:
            memory = max(memory, measure_memory())
    epoch = len(crops)
    print_line(
        f"{case.kind:10} {start:8.2f} {format_ms(seconds[:epoch])} {format_ms(seconds[epoch:])} "
        f"{memory / 2**20:11.0f}"
    )


def time_degradation(case: Case, name: str) -> None:
    """Draw the same crops without and with a degradation, in turn, and print a line for each."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    pairs, settings = open_pairs(case), CropSettings(case.crop_size, 1, True, True)
    degradation = build_degradation(
        TypeAdapter[DegradationOptions](DegradationOptions).validate_python(
            {"type": name, "clean_probability": 0}
        )
    )
    ways = {
        "bicubic lr": CropDataset(pairs, case.scale, settings, 0),
        "in the worker": CropDataset(pairs, case.scale, settings, 0, degradation),
        "on_device": CropDataset(pairs, case.scale, settings, 0, degradation, on_device=True),
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    draws = chain.from_iterable(EndlessBatchSampler(len(pairs), CROPS_PER_BATCH, seed=0))
    for number, draw in enumerate(islice(draws, WARM_UP + case.num_crops)):
        for way, crops in ways.items():
            before = time.process_time()
            crops[draw]
            if number >= WARM_UP:
                taken[way].append(time.process_time() - before)
    print_line(f"{name}, x{case.scale}, crops of {case.crop_size} px, {case.num_crops} per kind")
    print_line(f"{'lr':14} {'mean ms':>9} {'median ms':>10} {'mean, relative':>15}")
    base = statistics.fmean(taken["bicubic lr"])
    for way, seconds in taken.items():
        mean = statistics.fmean(seconds)
        print_line(f"{way:14} {1000 * mean:9.2f} {format_ms(seconds):>10} {mean / base:15.1f}")


def open_pairs(case: Case) -> SourceCache[Pair]:
    """Find the images as train.py does."""
    prepared = PreparedImages(case.work / "images") if case.kind == "prepared" else None
    sources: Sequence[Source[Pair]]
    if case.kind == "whole lr":  # of a source that gives nothing but whole pairs
        sources = find_blindly_degraded(case.photos, case.scale, NEVER, seed=0)
    else:
        sources = find_hr_images([case.photos], case.scale, (), (1.0,), None, prepared)
    if case.kind == "cached":
        return fill_cache(sources, case.work / "cache.bin", 2**50)
    return SourceCache(sources, case.work, [])


def format_ms(seconds: Sequence[float]) -> str:
    """Format the median, or a dash of nothing."""
    return f"{1000 * statistics.median(seconds):9.3f}" if seconds else f"{'-':>9}"


def measure_memory() -> int:
    """Return the bytes that this process has allocated; mapped files do not count (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    return 0


def print_line(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
