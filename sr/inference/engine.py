"""From picture files to upscaled picture files, told in the order of the work."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sr.devices import DeviceError, precision_name, resolve_precision
from sr.inference.plan import Job, Request, UsageError, folder_of_results, plan
from sr.inference.report import Emit, with_fields
from sr.inference.scores import (
    References,
    Score,
    ScoreError,
    mean_score,
    score_against,
    write_scores,
)
from sr.inference.upscaler import DEFAULT_TILE_SIZE, Upscaler, resample
from sr.io.image import (
    ImageError,
    check_writable_size,
    image_to_tensor,
    read_rgb8,
    tensor_to_rgb8,
    write_rgb8,
)
from sr.models.load import load_generator

MAX_DEFAULT_HALO = 32  # LR pixels; very deep networks hardly look farther than this


@dataclass
class Outcome:
    """What became of a run's pictures."""

    num_done: int = 0
    num_skipped: int = 0
    failures: dict[Path, str] = field(default_factory=dict)
    scores: dict[Path, Score] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0: all done; 3: some failed, the others are done; 4: no usable input."""
        if not self.failures:
            return 0
        return 3 if self.num_done + self.num_skipped else 4


def load_upscaler(
    model: Path,
    emit: Emit,
    *,
    device: torch.device,
    precision: str = "auto",
    tile_size: int | None = None,
    halo: int | None = None,
) -> Upscaler:
    """The upscaler of a model file of any origin.

    precision: as in `resolve_precision`. tile_size, halo: LR pixels; None for
    `DEFAULT_TILE_SIZE`, and for the network's receptive radius. Raises `ModelFileError` for a
    file that is no model, `DeviceError` for a precision that cannot be had.
    """
    dtype = resolve_precision(precision, device)
    generator = load_generator(model)
    if generator.on_cpu_only and device.type != "cpu":
        emit(
            "warning", message=f"{model.name} is run on the CPU, where onnxruntime is; not {device}"
        )
        device = torch.device("cpu")
        dtype = torch.float32
    if dtype != torch.float32 and dtype not in generator.reduced_precisions:
        if precision != "auto":
            raise DeviceError(f"precision {precision}: {generator.architecture} needs fp32")
        dtype = torch.float32
    if tile_size is None:
        tile_size = 0 if generator.tiling == "internal" else DEFAULT_TILE_SIZE
    if tile_size and generator.tiling != "exact":
        message = (
            f"{generator.architecture} may look farther than a tile and its halo, so tiles may "
            "not match; -t 0 takes the whole picture at once"
        )
        emit("warning", message=message)
    radius = generator.receptive_radius
    if halo is not None and halo < min(radius, MAX_DEFAULT_HALO):
        message = f"--halo {halo}: the network sees {radius} px far, so tiles may show seams"
        emit("warning", message=message)
    return Upscaler(
        generator.network,
        scale=generator.scale,
        halo=min(radius, MAX_DEFAULT_HALO) if halo is None else halo,
        tile_size=tile_size,
        device=device,
        dtype=dtype,
        multiple=generator.size_multiple,
    )


def run(upscaler: Upscaler, request: Request, emit: Emit, model: str = "") -> Outcome:
    """Upscale all pictures of a request; one that fails does not keep the others.

    model: its name for the log and the scores. Raises `UsageError` or `NoInputError`
    before any work is done. An interrupt leaves whole files only.
    """
    started = time.perf_counter()
    outscale = float(request.outscale or upscaler.scale)
    references = _open_references(request.reference)
    scores_path = folder_of_results(request.output) / "scores.json"
    others = [] if references is None else [scores_path]
    jobs = plan(request, outscale=outscale, others=others)
    _make_folders(jobs)
    about = {"model": model, **_describe(upscaler), "outscale": outscale}
    emit("start", pictures=len(jobs), **about)

    outcome, interrupted = Outcome(), True
    try:
        for number, job in enumerate(jobs, start=1):
            emit_item = with_fields(emit, picture=number, pictures=len(jobs), source=job.source)
            _try_job(job, upscaler, outscale, references, emit_item, outcome)
        if outcome.scores:
            write_scores(scores_path, about, outcome.scores)
        interrupted = False
    finally:
        seconds = round(time.perf_counter() - started, 3)
        emit("done", **_count(outcome), seconds=seconds, interrupted=interrupted)
    return outcome


def _open_references(folder: Path | None) -> References | None:
    if folder is None:
        return None
    if not folder.is_dir():
        raise UsageError(f"--reference {folder}: expected a folder of original pictures")
    return References(folder)


def _try_job(
    job: Job,
    upscaler: Upscaler,
    outscale: float,
    references: References | None,
    emit: Emit,
    outcome: Outcome,
) -> None:
    """Do one job; note and tell how it ended."""
    started = time.perf_counter()
    try:
        original = None if references is None else references.original_of(job.source)
        fields: dict[str, Any] = {}
        result = None
        if not job.skipped:
            result, fields = _upscale_file(job, upscaler, outscale, emit, original is not None)
        if original is not None:
            sr = read_rgb8(job.output) if result is None else result
            outcome.scores[job.source] = score = score_against(sr, original, round(outscale))
            fields["scores"] = score.as_json()
    except (ImageError, ScoreError, MemoryError, RuntimeError) as error:
        message = _explain(error, job, upscaler)
        outcome.failures[job.source] = message
        emit("item_failed", error=message)
    else:
        outcome.num_skipped += job.skipped
        outcome.num_done += not job.skipped
        seconds = round(time.perf_counter() - started, 3)
        emit("item_done", output=job.output, skipped=job.skipped, seconds=seconds, **fields)


def _upscale_file(
    job: Job, upscaler: Upscaler, outscale: float, emit: Emit, grey_to_rgb: bool
) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """Read, upscale and write one picture. Returns it, (H, W, 3), and what to tell of it."""
    picture = read_rgb8(job.source, grey_to_rgb=grey_to_rgb)  # (H, W, 3)
    height, width = (max(round(side * outscale), 1) for side in picture.shape[:2])
    check_writable_size(job.output, height, width)

    def on_tile(tile: int, tiles: int) -> None:
        emit("progress", tile=tile, tiles=tiles)

    network_started = time.perf_counter()
    sr = upscaler(image_to_tensor(picture), on_tile)  # (1, 3, scale*H, scale*W)
    network_seconds = round(time.perf_counter() - network_started, 3)
    if sr.shape[2:] != (height, width):
        sr = resample(sr, height, width)
    result = tensor_to_rgb8(sr)
    write_rgb8(job.output, result)
    return result, {
        "lr_size": (picture.shape[1], picture.shape[0]),
        "sr_size": (width, height),
        "tiles": upscaler.num_tiles(*picture.shape[:2]),
        "network_seconds": network_seconds,
    }


def _explain(error: Exception, job: Job, upscaler: Upscaler) -> str:
    """What failed at which picture; faults of ours are raised again."""
    message = str(error)
    if isinstance(error, MemoryError | RuntimeError):
        if not _is_out_of_memory(error):
            raise error
        whole = "a tile size" if upscaler.tile_size == 0 else f"less than {upscaler.tile_size}"
        message = f"not enough memory; try {whole} with -t"
    return message if message.startswith(str(job.source)) else f"{job.source}: {message}"


def _is_out_of_memory(error: Exception) -> bool:
    # On the CPU, torch raises a plain RuntimeError.
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def _make_folders(jobs: Sequence[Job]) -> None:
    for folder in {job.output.parent: None for job in jobs}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"-o {folder}: no folder can be made: {error.strerror}") from error
        if not os.access(folder, os.W_OK):
            raise UsageError(f"-o {folder}: expected a folder that may be written to")


def _describe(upscaler: Upscaler) -> dict[str, Any]:
    return {
        "scale": upscaler.scale,
        "tile_size": upscaler.tile_size,
        "halo": upscaler.halo,
        "device": str(upscaler.device),
        "precision": precision_name(upscaler.dtype),
    }


def _count(outcome: Outcome) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "done": outcome.num_done,
        "skipped": outcome.num_skipped,
        "failed": len(outcome.failures),
    }
    if outcome.scores:
        counts["scores"] = mean_score(list(outcome.scores.values())).as_json()
    return counts
