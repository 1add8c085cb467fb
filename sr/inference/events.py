"""What a run over images and videos reports while it goes: events, given to all listeners.

Events and their fields:
  start        `pictures` (images and videos), ignored (files that are neither), megapixels (for the
               network), model (of `-m auto` all that are taken), scale, size (such as x4),
               tile_size, halo (LR pixels), device, backend (auto: torch, or onnxruntime for an
               .onnx file, or ncnn by Vulkan), precision; of a shard: shard (such as 3/16); on a
               cluster: cluster (ray), actors (the fewest and the most), cpus_per_actor,
               gpus_per_actor; megapixels is None there, and there are no tile_size, halo and
               device, which the actors choose
  note         message
  progress     of an image: tile (tiles done), tiles; of an archive: page (pages done), pages;
               of a video: frame (frames done), frames (None where nobody knows), fps,
               seconds_left, queues (how full the one behind each stage is on average), bottleneck
               (the stage that the others wait for), disk_gib (of
               segments and result at their most, estimated from the first segment on); or preview
               (an image that was written)
  item_done    output, skipped, seconds (without those that it waited for a device), megapixels;
               when upscaled: lr_size and sr_size (width, height), passes, tiles, tile_size,
               precision, network_seconds, peak_gib (of memory, of the run so far), with
               --verify-tiles tile_difference; of a video also frames, resumed_at (the first frame
               of this run), repeated (equal to the one before, not computed), fps; of one that
               several runs share: computed (frames of this run); of an archive only sr_size (the
               largest), pages, resumed_at (how many were there); when scored:
               scores (of a video: `sr.evaluation.scores.VideoScore`)
  item_failed  error, megapixels; of an error that is not foreseen also its traceback
  warning      message
  done         done, skipped, failed, removed (unfinished files that killed runs had left in the
               folders of the results), seconds, ended ("done", "interrupted", or "aborted" by a
               fault of the program); when scored: scores (the images' mean), clip_scores (the
               videos')
progress, item_done and item_failed also have `picture` (counted from 1), `pictures`, source.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sr.io.event_log import Event, EventLog


class Emit(Protocol):
    """Takes one event."""

    def __call__(self, event: Event, **fields: Any) -> None: ...


def send_to_all(listeners: Sequence[Emit]) -> Emit:
    """Make one listener of several."""

    def emit(event: Event, **fields: Any) -> None:
        for listener in listeners:
            listener(event, **fields)

    return emit


def add_fields(listener: Emit, **more: Any) -> Emit:
    """Wrap a listener so that it gets `more` with every event."""

    def emit(event: Event, **fields: Any) -> None:
        listener(event, **more, **fields)

    return emit


def ignore_errors(log: EventLog, print_line: Callable[[str], None]) -> Emit:
    """Write to a log until that fails, which is reported once: the images matter more."""

    def emit(event: Event, **fields: Any) -> None:
        try:
            log.write(event, **fields)
        except OSError as error:
            log.abandon()
            print_line(f"warning: --log: no more can be written ({error.strerror})")

    return emit


def send_one_at_a_time(listener: Emit) -> Emit:
    """Wrap a listener so that it may be called from several threads."""
    lock = threading.Lock()

    def emit(event: Event, **fields: Any) -> None:
        with lock:
            listener(event, **fields)

    return emit


def limit_progress(listener: Emit, interval: float) -> Emit:
    """Wrap a listener so that it gets progress at most once in `interval` seconds."""
    last = -interval

    def emit(event: Event, **fields: Any) -> None:
        nonlocal last
        if event == "progress":
            now = time.monotonic()
            if now - last < interval:
                return
            last = now
        listener(event, **fields)

    return emit
