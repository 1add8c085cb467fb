"""A network that takes a window of frames, behind the shapes of one that takes an image.

All that the network takes of one frame's window is one tensor, so that it is cut into tiles, padded
and batched as an image is. Its channels: the reference's 3, then 3 of each neighbor, then 2 of
the flow to each neighbor.

Letters: n number of neighbors.
"""

import torch
from torch import Tensor, nn

from sr.networks.rbpn import RBPN


class PackedWindow(nn.Module):
    """RBPN, or a network of the same arguments, on packed windows."""

    def __init__(self, network: RBPN) -> None:
        super().__init__()
        self.network = network
        self.scale = network.scale
        self.num_neighbors = network.num_frames - 1

    @property
    def num_channels(self) -> int:
        """Of a packed window."""
        return num_packed_channels(self.num_neighbors)

    def forward(self, window: Tensor) -> Tensor:
        """window: (B, 3 + 5n, H, W). Returns (B, 3, scale*H, scale*W), not clamped."""
        b, _, h, w = window.shape
        n = self.num_neighbors
        neighbors = window[:, 3 : 3 + 3 * n].view(b, n, 3, h, w)
        flows = window[:, 3 + 3 * n :].view(b, n, 2, h, w)
        sr: Tensor = self.network(window[:, :3], neighbors, flows)
        return sr


def pack_window(reference: Tensor, neighbors: Tensor, flows: Tensor) -> Tensor:
    """Return what a PackedWindow takes: (1, 3 + 5n, h, w).

    reference: (1, 3, h, w). neighbors: (n, 3, h, w). flows: (n, 2, h, w), from the reference.
    """
    parts = (reference, neighbors.flatten(0, 1)[None], flows.flatten(0, 1)[None])
    return torch.cat(parts, dim=1)


def num_packed_channels(num_neighbors: int) -> int:
    """Return the number of channels of a packed window."""
    return 3 + 5 * num_neighbors
