"""Self-ensemble: the mean of a network's results over eight orientations of the image.

R. Timofte, R. Rothe, L. Van Gool 2016, "Seven ways to improve example-based single image super
resolution" (arXiv 1511.02228), the sixth way, "enhanced prediction". Takes eight times as long.

Deviation: for a network whose result depends on where lr begins, lr is first padded to multiples,
so that flipped it begins at one too; else tiles at the image's end would not match.
"""

import torch
from torch import Tensor, nn

from sr.networks.padding import pad_to_multiple

NUM_ORIENTATIONS = 8


class SelfEnsemble(nn.Module):
    """A network's mean over flips and transposes; takes the network's place, in tiles too.

    The halo stays that of the network: its receptive radius is that of all directions.

    multiple: the network's result depends on where lr begins, down to so many LR pixels.
    num_flows: so many pairs of lr's last channels are optical flow, across and down.
    """

    def __init__(self, network: nn.Module, multiple: int = 1, num_flows: int = 0) -> None:
        super().__init__()
        self.network = network
        self.multiple = multiple
        self.num_flows = num_flows

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, C, H, W), as the network takes it: RGB in [0, 1], or more.

        Returns (B, 3, scale*H, scale*W), not clamped.
        """
        h, w = lr.shape[2:]
        whole = pad_to_multiple(lr, self.multiple)  # (B, 3, H', W')
        total = self._part(whole, 0)
        for number in range(1, NUM_ORIENTATIONS):
            total = total + self._part(whole, number)
        scale = total.shape[2] // whole.shape[2]
        return total[:, :, : scale * h, : scale * w] / NUM_ORIENTATIONS

    def _part(self, whole: Tensor, number: int) -> Tensor:
        """(B, 3, s*H', s*W'), float32, since sums need more than the precision of autocast."""
        turned = orient(whole, number)
        if self.num_flows:
            turned = _turn_flows(turned, self.num_flows, number)
        return restore(self.network(turned), number).float()


def orient(x: Tensor, number: int) -> Tensor:
    """Orientation 0 (as it is) to 7 of x, (B, C, H, W): its bits are flips of rows (1), of columns
    (2), then a transpose (4), which gives (B, C, W, H).
    """
    x = x.flip(_find_flipped_dims(number))
    return x.transpose(2, 3) if number & 4 else x


def restore(x: Tensor, number: int) -> Tensor:
    """Undo `orient`."""
    x = x.transpose(2, 3) if number & 4 else x
    return x.flip(_find_flipped_dims(number))


def _turn_flows(x: Tensor, num_flows: int, number: int) -> Tensor:
    """Turn the flows of x, whose pixels are at their places in this orientation already."""
    first = x.shape[1] - 2 * num_flows
    across, down = x[:, first::2], x[:, first + 1 :: 2]  # (B, num_flows, H, W)
    across = -across if number & 2 else across
    down = -down if number & 1 else down
    pair = (down, across) if number & 4 else (across, down)
    return torch.cat((x[:, :first], torch.stack(pair, dim=2).flatten(1, 2)), dim=1)


def _find_flipped_dims(number: int) -> list[int]:
    return [dim for dim, bit in ((2, 1), (3, 2)) if number & bit]
