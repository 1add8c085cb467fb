"""Fixtures for the generators."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

Overfit = Callable[[nn.Module, int, float], float]


@pytest.fixture
def overfit() -> Overfit:
    """Train on one crop of waves and an edge, 12x12 in HR; returns the highest PSNR on the way, dB.

    Takes the network, the largest number of steps and the learning rate; ends above 40 dB.
    """

    def train(network: nn.Module, num_steps: int, learning_rate: float) -> float:
        y, x = torch.meshgrid(torch.arange(12) / 12, torch.arange(12) / 12, indexing="ij")
        waves, edge = 0.5 + 0.4 * torch.sin(25 * x * y), 0.1 + 0.8 * (x + y > 0.9)
        hr = torch.stack([waves, edge, 0.5 + 0.4 * torch.cos(18 * (x - y))])[None]
        assert isinstance(network.scale, int)
        lr = functional.avg_pool2d(hr, network.scale)
        optimizer = torch.optim.Adam(network.parameters(), learning_rate)
        lowest = float("inf")
        for _ in range(num_steps):
            optimizer.zero_grad()
            mse = (network(lr) - hr).square().mean()
            mse.backward()
            optimizer.step()
            lowest = min(lowest, mse.item())
            if lowest < 1e-4:  # 40 dB
                break
        return -10 * math.log10(lowest)

    return train
