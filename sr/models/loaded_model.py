"""A generator from a file, and what running it needs to know."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sr.errors import ModelFileError
from sr.motion.frame_window import Window
from sr.networks.packed_window import num_packed_channels
from sr.options.flow import FlowOptions

COMPARED_SIZES = ((1, 3, 37, 26), (1, 3, 19, 50))  # other batch and sizes than were exported
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
    flow: FlowOptions | None = None  # what measures the motion to the window's frames
    # Of what is put together of several (`sr.models.composite`): those, how many times as fine as
    # LR pixels the input of each is, and what puts others in their place together.
    parts: tuple["LoadedGenerator", ...] = ()
    input_scales: tuple[int, ...] = ()
    assemble: "Callable[[Sequence[LoadedGenerator]], LoadedGenerator] | None" = None

    @property
    def takes_clips(self) -> bool:
        """Whether it upscales videos only."""
        return self.window is not None

    @property
    def num_channels(self) -> int:
        """Of what the network takes: RGB, or a packed window."""
        return 3 if self.window is None else num_packed_channels(len(self.window.offsets))


def measure_difference(
    network: nn.Module, reference: nn.Module, name: str, dtype: torch.dtype = torch.float32
) -> float:
    """Return the largest difference of two networks' results, in units of the [0, 1] range.

    Of a dark image and a bright one. name: what messages call the network. dtype: for autocast of
    it alone. Raises ModelFileError where it gives nothing, or another size than the reference.
    """
    differences = []
    for number, size in enumerate(COMPARED_SIZES):
        lr = torch.rand(size, generator=torch.Generator().manual_seed(number))
        lr = 0.6 * lr + 0.4 * number
        with torch.inference_mode():
            expected: Tensor = reference(lr.clone())  # some networks change their input
            try:
                with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                    sr: Tensor = network(lr)
            except MemoryError:  # which so small an image does not lack
                raise ModelFileError(f"{name}: gives nothing for {tuple(lr.shape)}") from None
        if sr.shape != expected.shape:
            raise ModelFileError(
                f"{name}: expected {tuple(expected.shape)} for {size} as from torch, "
                f"got {tuple(sr.shape)}"
            )
        differences.append((sr - expected).abs().max())
    return float(torch.stack(differences).max())  # NaN if one is
