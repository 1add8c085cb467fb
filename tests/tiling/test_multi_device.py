"""Several upscalers share the tiles of one image."""

import threading
import time

import pytest
import torch
from torch import Tensor, nn

from sr.tiling.multi_device import upscale_on_devices
from sr.tiling.runner import NetworkError
from sr.tiling.tiles import Box
from sr.tiling.upscaler import Upscaler

CPU = torch.device("cpu")


class Doubling(nn.Module):
    """Nearest enlargement; counts its calls and fails at the given one."""

    def __init__(self, fails_at: int = 0) -> None:
        super().__init__()
        self.num_calls = 0
        self.fails_at = fails_at

    def forward(self, lr: Tensor) -> Tensor:
        self.num_calls += 1
        if self.num_calls == self.fails_at:
            raise ValueError("broken device")
        time.sleep(0.005)
        return lr.repeat_interleave(2, 2).repeat_interleave(2, 3)


def upscaler(network: nn.Module, tile_size: int = 8) -> Upscaler:
    return Upscaler(network, scale=2, halo=1, tile_size=tile_size, device=CPU, dtype=torch.float32)


@pytest.mark.parametrize("num_devices", [1, 2, 3])
def test_every_tile_is_done_once_whoever_does_it(num_devices: int) -> None:
    lr = torch.rand(1, 3, 40, 50)
    counts = torch.zeros(80, 100)
    sr = torch.zeros(1, 3, 80, 100)
    networks = [Doubling() for _ in range(num_devices)]
    reported: list[tuple[int, int]] = []

    def write(box: Box, part: Tensor) -> None:
        counts[box.rows, box.columns] += 1
        sr[:, :, box.rows, box.columns] = part

    upscale_on_devices(
        [upscaler(network) for network in networks],
        40,
        50,
        lambda box: lr[:, :, box.rows, box.columns],
        write,
        lambda tile, tiles: reported.append((tile, tiles)),
    )
    assert (counts == 1).all()
    assert torch.equal(sr, Doubling()(lr))
    assert reported == [(number, 35) for number in range(1, 36)]
    assert all(network.num_calls > 3 for network in networks)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sr-")]


def test_a_fault_of_one_ends_the_others() -> None:
    healthy, broken = Doubling(), Doubling(fails_at=2)
    lr = torch.rand(1, 3, 40, 50)
    with pytest.raises(NetworkError, match="broken device"):
        upscale_on_devices(
            [upscaler(healthy), upscaler(broken)],
            40,
            50,
            lambda box: lr[:, :, box.rows, box.columns],
            lambda *_: None,
            lambda *_: None,
        )
    assert healthy.num_calls < 30
