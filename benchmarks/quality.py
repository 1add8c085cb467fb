"""Measure quality and time of models and bicubic on image sets: Markdown, CSV, a plot.

    python benchmarks/quality.py FOLDER [-m MODEL ...] [--sets Set5 Set14 BSD100] [-o OUT]
        [--lpips WEIGHTS] [--vgg16 WEIGHTS] [--no-reference niqe_bundled niqe piqe]
        [--no-time] [--per-image]
        [--degraded Light|Real|RealESRGAN [--seed 0] [--save-lr FOLDER]]

FOLDER has one folder per set with `HR/`; if a set has `LR_x4/` (x2, x3 likewise), its images are
upscaled, else LR is made by MATLAB's bicubic downscaling. A model is the name of a bundled one or
any file that infer.py accepts; the default are all bundled single-image models. They run in the
engine of infer.py, in fp32 unless --precision is given. PSNR and SSIM are measured on Y, without a
border of `scale` pixels, with the code of validation during training; on RGB of the same pixels
LPIPS with AlexNet, if its weights are given, and with VGG16's LPIPS with VGG16 and DISTS.

Time: in memory, on an image of noise; all models in turn in every round. --degraded makes LR as in
training for real images, seeded by file name (degraded_images.py), and ignores LR_xN. No-reference
metrics are described in no_reference.py.
"""

import argparse
import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from degraded_images import KINDS, degradation_of, find_blindly_degraded, save_lr
from no_reference import METRICS
from provenance import provenance
from quality_measures import Measures, describe_weights, load_measures
from quality_methods import (
    CPU,
    Method,
    Seconds,
    bundled_models,
    load_methods,
    seconds_a_megapixel,
    with_bicubic,
)
from quality_report import ORIGINAL, Row, as_text, write_csv, write_images_csv, write_plot
from torch import Tensor

from sr.build_data import find_image_sources
from sr.data.sources import Pair, Source, refuse_small_images
from sr.device import resolve_device
from sr.io.rgb8 import image_to_tensor
from sr.memory import keep_freed_memory
from sr.options.image_sources import HRFolders, PairedFolders
from sr.training.validate import refuse_few_blocks, validate

MIN_TIME_SIZE = 64  # pixels


@dataclass(frozen=True)
class ImageSet:
    """The images of a set for one scale."""

    name: str
    lr: str
    """Where its lr images come from, in words."""
    sources: Sequence[Source[Any]]


@dataclass(frozen=True)
class Loaded:
    """A pair in memory, for all models."""

    name: str
    pair: Pair

    @property
    def hr_size(self) -> tuple[int, int]:
        height, width = self.pair[1].shape[:2]
        return height, width

    @property
    def num_bytes(self) -> int:
        return sum(image.nbytes for image in self.pair)

    def load(self) -> Pair:
        return self.pair


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables. arguments: None for the command line's."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.per_image and given.output is None:
        parser.error("--per-image: needs -o")
    if given.save_lr is not None and given.degraded is None:
        parser.error("--save-lr: needs --degraded")
    if given.rounds < 1:
        parser.error(f"--rounds: expected 1 or more, got {given.rounds}")
    if given.time_size < MIN_TIME_SIZE:
        parser.error(f"--time-size: expected {MIN_TIME_SIZE} or more, got {given.time_size}")
    try:
        device = resolve_device(given.device)
        measures = load_measures(given, device)
        methods = load_methods(given.model or bundled_models(), device, given.precision)
        by_scale = with_bicubic(methods)
        sets = {scale: _sets(given, scale, measures) for scale in by_scale}
        if given.output is not None:
            _file(given.output, "md").parent.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    every = [method for methods in by_scale.values() for method in methods]
    seconds: Sequence[Seconds | None] = [None] * len(every)
    if given.time:
        seconds = seconds_a_megapixel(every, given.time_size, given.rounds)
    seconds_of = {
        (method.scale, method.name): each for method, each in zip(every, seconds, strict=True)
    }
    rows = [
        row
        for scale, methods in by_scale.items()
        for images in sets[scale]
        for row in _score_set(methods, images, measures, seconds_of)
    ]
    command = sys.argv if arguments is None else ["benchmarks/quality.py", *arguments]
    text = as_text(_head(given, command, device, methods, sets), rows)
    _write(given, text, rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("folder", type=Path, help="with one folder per set, with HR/ in it")
    add("-m", "--model", type=Path, nargs="+", help="names or files; all bundled ones if not given")
    add("--sets", nargs="+", help="folders in FOLDER; every one with HR/ if not given")
    add("--lpips", metavar="WEIGHTS", help="AlexNet's: torchvision (downloaded once), or a file")
    add("--vgg16", metavar="WEIGHTS", help="for LPIPS with VGG16, and DISTS; as --lpips")
    add("--no-reference", nargs="+", default=(), choices=METRICS, help="no-reference metrics")
    add("--degraded", choices=KINDS, help="LR as in training for real images, of this kind")
    add("--seed", type=int, default=0, help="of --degraded")
    add("--save-lr", type=Path, metavar="FOLDER", help="write LR to SET/LR_xN in it (--degraded)")
    add("--no-time", dest="time", action="store_false")
    add("--rounds", type=int, default=5, help="of time, after a warm-up round")
    add("--time-size", type=int, default=768, help="side of the timed result, pixels")
    add("--device", default="auto")
    add("--precision", default="fp32", help="auto, fp32, bf16 or fp16, as in infer.py")
    add("-o", "--output", type=Path, metavar="OUT", help="OUT.md, OUT.csv and OUT.png")
    add("--per-image", action="store_true", help="OUT.images.csv, too")
    return parser


def _sets(given: argparse.Namespace, scale: int, measures: Measures) -> list[ImageSet]:
    """Small sets first. Raises ValueError naming what is missing, broken or too small."""
    names = given.sets or [path.parent.name for path in sorted(given.folder.glob("*/HR"))]
    if not names:
        raise ValueError(f"{given.folder}: expected folders with HR/ in it, got none")
    sets = [_find(given, name, scale) for name in names]
    sources = [each for found in sets for each in found.sources]
    refuse_small_images(sources, measures.least_side + 2 * scale, "what is measured")
    if measures.needs_blocks:
        refuse_few_blocks(sources, scale)
    return sets if given.sets else sorted(sets, key=lambda found: len(found.sources))


def _find(given: argparse.Namespace, name: str, scale: int) -> ImageSet:
    folder = given.folder / name
    hr, lr = folder / "HR", folder / f"LR_x{scale}"
    if given.degraded is not None:
        sources = find_blindly_degraded(hr, scale, degradation_of(given.degraded), given.seed)
        if given.save_lr is not None:
            save_lr(given.save_lr / name / f"LR_x{scale}", sources)
        return ImageSet(name, f"{given.degraded}, seed {given.seed}", sources)
    if lr.is_dir():
        options = PairedFolders(type="PairedFolders", hr=(hr,), lr=(lr,))
        return ImageSet(name, lr.name, find_image_sources(options, scale))
    return ImageSet(
        name, "bicubic", find_image_sources(HRFolders(type="HRFolders", hr=(hr,)), scale)
    )


def _score_set(
    methods: Sequence[Method],
    images: ImageSet,
    measures: Measures,
    seconds_of: Mapping[tuple[int, str], Seconds | None],
) -> list[Row]:
    """Return a row per method, and one of the originals if there are no-reference metrics."""
    rows = [
        Row(method, images.name, images.lr, seconds_of[method.scale, method.name])
        for method in methods
    ]
    scale = methods[0].scale
    original = Row(Method(ORIGINAL, scale, "", torch.nn.Identity()), images.name, "", None)
    for source in images.sources:
        loaded = Loaded(source.name, source.load())
        name = Path(source.name).name
        for row in rows:
            row.images.append((name, _scores(row.method, loaded, measures)))
        if measures.metrics:
            hr = image_to_tensor(loaded.pair[1])
            original.images.append((name, measures.score_alone(hr, scale)))
    sys.stderr.write(f"x{scale} {images.name}: {len(images.sources)} images done\n")
    return [*rows, original] if measures.metrics else rows


def _scores(method: Method, loaded: Loaded, measures: Measures) -> dict[str, float]:
    found: dict[str, float] = {}
    hr = image_to_tensor(loaded.pair[1])

    def record(_set: str, _index: int, _lr: Tensor, sr: Tensor, _hr: Tensor | None) -> None:
        found.update(measures.compare(sr, hr, method.scale))
        found.update(measures.score_alone(sr, method.scale))

    of_one = {"": [loaded]}
    scores = validate(
        method.module, of_one, method.scale, CPU, contextlib.nullcontext, record, measures.lpips
    )
    return {**scores[""], **found}


def _head(
    given: argparse.Namespace,
    command: Sequence[str],
    device: torch.device,
    methods: Sequence[Method],
    sets: Mapping[int, Sequence[ImageSet]],
) -> dict[str, str]:
    """Where the numbers come from, and what they are."""
    needed = [METRICS[name] for name in given.no_reference]
    packages = ["numpy", *(found[0] for found in needed if found is not None)]
    if given.degraded is not None:
        packages.append("opencv-python-headless")
    head = provenance(command, packages)
    head["networks"] = f"through the engine of infer.py, {given.precision} on {device}"
    head["files"] = (
        ", ".join(f"{method.name} {method.file_hash}" for method in methods) + " (SHA-256)"
    )
    if given.time:
        head["seconds"] = (
            f"per output megapixel, in memory; median of {given.rounds} round(s) of all "
            f"models in turn, noise upscaled to {given.time_size}x{given.time_size}"
        )
    head["LR"] = "; ".join(
        f"{found.name} x{scale}: {found.lr}" for scale, each in sets.items() for found in each
    )
    return {**head, **describe_weights(given)}


def _write(given: argparse.Namespace, text: str, rows: Sequence[Row]) -> None:
    sys.stdout.write(text)
    output = given.output
    if output is None:
        return
    _file(output, "md").write_text(text, encoding="utf-8")
    write_csv(_file(output, "csv"), rows)
    write_plot(_file(output, "png"), rows)
    if given.per_image:
        write_images_csv(_file(output, "images.csv"), rows)


def _file(output: Path, suffix: str) -> Path:
    return output.with_name(f"{output.name}.{suffix}")


if __name__ == "__main__":
    keep_freed_memory()
    main()
