"""A generator from a file, and what running it needs to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from sr.motion.frame_window import Window
from sr.networks.packed_window import num_packed_channels
from sr.options.flow import FlowOptions

REDUCED_PRECISIONS = frozenset({torch.bfloat16, torch.float16})

Tiling = Literal["exact", "discouraged", "internal"]
"""exact: tiles with a halo equal the whole; discouraged: the network looks at the image as a
whole, or that is not known, so tiles may differ; internal: it splits the image by itself."""


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator in eval mode on the CPU: (1, num_channels, H, W) -> (1, 3, scale*H, scale*W)."""

    network: nn.Module
    scale: int
    receptive_radius: int  # LR pixels; MAX_RADIUS also where it is larger or not known
    architecture: str
    origin: str  # who wrote the file, or who knows its network
    metadata: Mapping[str, Any] = field(default_factory=dict)  # as in the file, for people
    reduced_precisions: frozenset[torch.dtype] = REDUCED_PRECISIONS
    tiling: Tiling = "exact"
    on_cpu_only: bool = False
    size_multiple: int = 1  # LR pixels; the result depends on where lr begins, down to this
    window: Window | None = None  # None: single images; else `network` is a PackedWindow
    flow: FlowOptions | None = None  # what measures the motion within the window

    @property
    def takes_clips(self) -> bool:
        """Whether it looks at several frames, so that it upscales videos only."""
        return self.window is not None

    @property
    def num_channels(self) -> int:
        """Of what the network takes: RGB, or a packed window."""
        return 3 if self.window is None else num_packed_channels(len(self.window.offsets))
