"""Optical flow by a network: Teed, Deng 2020, "RAFT: Recurrent All-Pairs Field Transforms for
Optical Flow", arXiv 2003.12039, as torchvision has it.

The network finds flow at an eighth of the frame's size and takes no side of less than 128 pixels.
LR frames are small, so they are enlarged first, and the flow found is divided by the factor.

Letters: h, w height and width of the frames, k the factor by which they are enlarged.
"""

import hashlib
import threading
from contextlib import nullcontext
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.device import full_fp32, hold_device
from sr.io.torchvision_weights import download_weights, refuse_misfits
from sr.io.weights_file import read_weights
from sr.motion.methods import RGB8, Flow, check_frames

Size = Literal["small", "large"]
Weights = Path | Literal["torchvision"]

_MIN_SIZE = 128  # pixels per side; the least that the network's pyramid of correlations takes
_MULTIPLE = 8  # pixels; the network halves the frame three times
_MAX_ENLARGEMENT = 8  # narrow frames are padded instead: their length would grow without end
_NUM_UPDATES = 12  # of the flow, as in torchvision's evaluation


class RAFT:
    """Flow by torchvision's raft_small or raft_large.

    Frames whose shorter side is below 128 pixels are enlarged by the least whole number, up to 8,
    that makes it 128 or more, bicubic; then padded, by repeating the border, to a multiple of 8
    and at least 128 pixels per side. Memory grows with the square of a frame's pixels.
    """

    def __init__(self, size: Size, weights: Weights, device: torch.device) -> None:
        """weights: "torchvision", downloaded once into torch's cache; or a local file with the
        same key names. Raises ModelFileError for weights that cannot be had or do not fit.
        """
        self.size: Size = size
        self.weights = weights
        self.device = device
        self.network: nn.Module | None
        self.network, origin = _load(size, weights, device)
        self._gpu_lock = threading.Lock()
        self.name = (
            f"RAFT {size} ({origin}, {_NUM_UPDATES} updates, enlarged to {_MIN_SIZE} px or by "
            f"{_MAX_ENLARGEMENT})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the network: few worker processes need it, and each would hold a GPU for it.

        One that does loads it again.
        """
        return {**self.__dict__, "network": None, "_gpu_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "_gpu_lock": threading.Lock()}

    def __call__(self, a: RGB8, b: RGB8) -> Flow:
        """a, b: (h, w, 3), uint8, of any one size. Returns (h, w, 2)."""
        check_frames(a, b)
        height, width = a.shape[:2]
        factor = min(max(1, ceil(_MIN_SIZE / min(height, width))), _MAX_ENLARGEMENT)
        if self.network is None:
            self.network, _ = _load(self.size, self.weights, self.device)
        # Of the threads that decode clips one at a time uses a GPU, whose memory would not do for
        # all. fp32: else it would be TF32 or not by what other threads do just now, and no run the
        # same again.
        turn = nullcontext() if self.device.type == "cpu" else self._gpu_lock
        with turn, torch.inference_mode(), full_fp32, hold_device(self.device):
            frames = [_prepare(frame, factor, self.device) for frame in (a, b)]
            found: Tensor = self.network(*frames, num_flow_updates=_NUM_UPDATES)[-1]
            found = found[..., : factor * height, : factor * width]  # (1, 2, kh, kw)
            flow = functional.avg_pool2d(found, factor)[0] / factor  # (2, h, w)
            return np.ascontiguousarray(flow.permute(1, 2, 0).cpu().numpy(), np.float32)


def _load(size: Size, weights: Weights, device: torch.device) -> tuple[nn.Module, str]:
    """Return the network with its weights, and where these are from."""
    # Imported here: it takes seconds, and only programs that use RAFT come here.
    from torchvision.models import get_model

    network: nn.Module = get_model(f"raft_{size}", weights=None)
    if weights == "torchvision":
        read, version = download_weights(f"Raft_{size.title()}_Weights.DEFAULT", f"RAFT {size}")
        origin = f"torchvision {version}"
    else:
        read = read_weights(weights)
        origin = f"SHA-256 {_digest(weights)}"
    needed = network.state_dict()
    refuse_misfits(read, needed, needed, f"RAFT {size}: {weights}")
    network.load_state_dict(read)
    return network.to(device).requires_grad_(False).eval(), origin


def _prepare(frame: RGB8, factor: int, device: torch.device) -> Tensor:
    """Turn (h, w, 3) into (1, 3, H, W), in [-1, 1], enlarged and padded to the right and below."""
    x = torch.from_numpy(frame).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
    if factor > 1:
        x = functional.interpolate(x, scale_factor=factor, mode="bicubic").clamp(-1, 1)
    height, width = (max(_MIN_SIZE, _MULTIPLE * ceil(side / _MULTIPLE)) for side in x.shape[-2:])
    return functional.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]), mode="replicate")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
