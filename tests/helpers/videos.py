"""Runs of the whole program on videos, with networks that change nothing."""

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import typer
from torch import Tensor, nn

from sr.cli import infer
from sr.inference.options import InferOptions, OutputOptions, RuntimeOptions
from sr.inference.run import run
from sr.inference.run_summary import RunSummary
from sr.inference.shards import Shard
from sr.inference.video_options import VideoOptions
from sr.io.event_log import Event
from sr.io.read_policy import DEFAULT_MAX_PIXELS
from sr.tiling.upscaler import Upscaler

CPU = torch.device("cpu")
LOSSLESS = VideoOptions(codec="ffv1")


class Listener:
    """Keeps all events."""

    def __init__(self) -> None:
        self.events: list[tuple[Event, dict[str, Any]]] = []

    def __call__(self, event: Event, **fields: Any) -> None:
        self.events.append((event, fields))

    def fields(self, event: Event) -> list[dict[str, Any]]:
        """Return the fields of all events of a kind."""
        return [fields for name, fields in self.events if name == event]

    @property
    def warnings(self) -> list[str]:
        """All but those of colors that are guessed."""
        messages = [fields["message"] for fields in self.fields("warning")]
        return [message for message in messages if "unknown, taken as" not in message]


class CountingNetwork(nn.Module):
    """Repeats each pixel `scale` times, and counts how often it is called."""

    def __init__(
        self, scale: int = 1, *, fault_at: int | None = None, seconds: float = 0.0
    ) -> None:
        """fault_at: the call that fails, counted from 0. seconds: that each call takes."""
        super().__init__()
        self.scale = scale
        self.fault_at = fault_at
        self.seconds = seconds
        self.num_calls = 0

    def forward(self, lr: Tensor) -> Tensor:
        time.sleep(self.seconds)
        if self.num_calls == self.fault_at:
            raise MemoryError("no room")
        self.num_calls += 1
        return lr.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)


def make_upscaler(network: nn.Module, scale: int, **options: Any) -> Upscaler:
    """Make one that takes the whole image at once."""
    return Upscaler(
        network, scale=scale, halo=0, tile_size=0, device=CPU, dtype=torch.float32, **options
    )


def upscale(
    source: Path | Sequence[Path],
    output: Path,
    *,
    network: CountingNetwork | None = None,
    upscaler: Upscaler | None = None,
    video: VideoOptions = LOSSLESS,
    listener: Listener | None = None,
    reference: Path | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    shard: Shard | None = None,
    **options: Any,
) -> RunSummary:
    """Run the whole program, by default with an identity network and an encoder without loss.

    options: of `OutputOptions`.
    """
    network = network or CountingNetwork()
    return run(
        InferOptions(
            [source] if isinstance(source, Path) else source,
            OutputOptions(output, **options),
            video=video,
            runtime=RuntimeOptions(max_pixels=max_pixels),
            reference=reference,
            shard=shard,
        ),
        listener or Listener(),
        [upscaler or make_upscaler(network, network.scale)],
    )


def run_slowly(source: str, output: str, frames_per_segment: int) -> None:
    """Do as infer.py, and take 50 ms per frame: a program for tests that interrupt it."""
    # Shells have background programs ignore it, and those that these start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    video = VideoOptions(crf=20, preset="fast", frames_per_segment=frames_per_segment)
    log = Path(source).with_name("log.jsonl")
    options = InferOptions([Path(source)], OutputOptions(Path(output)), video=video, log=log)
    try:
        infer.upscale(options, [make_upscaler(CountingNetwork(seconds=0.05), 1)])
    except typer.Exit as end:
        sys.exit(end.exit_code)
