"""The self-ensemble: eight different orientations, and nothing moved."""

import pytest
import torch
from torch import Tensor, nn

from sr.networks.rrdb import RRDBNet
from sr.tiling.self_ensemble import NUM_ORIENTATIONS, SelfEnsemble, orient, restore
from sr.tiling.upscaler import Upscaler

SIZES = [(12, 12), (9, 14), (20, 7)]


def random_network(scale: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.PReLU(8),
        nn.Conv2d(8, 3 * scale**2, 5, padding=2),
        nn.PixelShuffle(scale),
    ).eval()


def image(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def tiled(network: nn.Module, lr: Tensor, tile_size: int, halo: int, multiple: int = 1) -> Tensor:
    upscaler = Upscaler(
        network,
        scale=2,
        halo=halo,
        tile_size=tile_size,
        device=torch.device("cpu"),
        dtype=torch.float32,
        multiple=multiple,
    )
    return upscaler(lr)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_an_equivariant_network_gives_the_same(height: int, width: int) -> None:
    network = nn.Upsample(scale_factor=3, mode="bicubic")
    lr = image(height, width, batch=2)
    assert (SelfEnsemble(network)(lr) - network(lr)).abs().max() < 1e-5


class FollowingFlow(nn.Module):
    """Of packed windows, the mean of the neighbors' pixels that whole flows point to."""

    def forward(self, window: Tensor) -> Tensor:
        _, channels, height, width = window.shape
        n = (channels - 3) // 5
        total = torch.zeros_like(window[:, :3])
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        for place in range(n):
            neighbor = window[0, 3 * (place + 1) : 3 * (place + 2)]
            across, down = window[0, 3 + 3 * n + 2 * place : 5 + 3 * n + 2 * place].long()
            y, x = (rows + down).clamp(0, height - 1), (columns + across).clamp(0, width - 1)
            total = total + neighbor[:, y, x]
        return total / n


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_flows_are_turned_with_the_frames(height: int, width: int) -> None:
    random = torch.Generator().manual_seed(0)
    flows = torch.randint(-3, 4, (1, 4, height, width), generator=random)
    window = torch.cat([torch.rand(1, 9, height, width), flows], dim=1)
    network = FollowingFlow()
    expected = network(window)
    assert (SelfEnsemble(network, num_flows=2)(window) - expected).abs().max() < 1e-6
    assert (SelfEnsemble(network)(window) - expected).abs().max() > 0.1


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_eight_orientations_are_different_and_can_be_undone(height: int, width: int) -> None:
    lr = image(height, width)
    seen = [orient(lr, number) for number in range(NUM_ORIENTATIONS)]
    for number, x in enumerate(seen):
        assert torch.equal(restore(x, number), lr)
        assert not any(x.shape == y.shape and torch.equal(x, y) for y in seen[:number])


@torch.no_grad()
def test_a_random_network_gives_eight_different_results_and_their_mean() -> None:
    lr, network = image(9, 14), random_network(2)
    hand_made = [
        network(lr),
        network(lr.flip(2)).flip(2),
        network(lr.flip(3)).flip(3),
        network(lr.rot90(2, (2, 3))).rot90(-2, (2, 3)),
        network(lr.rot90(1, (2, 3))).rot90(-1, (2, 3)),
        network(lr.rot90(-1, (2, 3))).rot90(1, (2, 3)),
        network(lr.transpose(2, 3)).transpose(2, 3),
        network(lr.rot90(1, (2, 3)).flip(3)).flip(3).rot90(-1, (2, 3)),
    ]
    for index, result in enumerate(hand_made):
        assert all((result - other).abs().max() > 1e-3 for other in hand_made[:index])
    mean = torch.stack(hand_made).mean(0)
    assert (SelfEnsemble(network)(lr) - mean).abs().max() < 1e-6


@pytest.mark.parametrize(("height", "width"), [(30, 30), (25, 41)])
def test_tiles_of_an_ensemble_are_those_of_the_whole(height: int, width: int) -> None:
    ensemble, lr = SelfEnsemble(random_network(2)), image(height, width)
    with torch.no_grad():
        whole = ensemble(lr)
    assert whole.shape == (1, 3, 2 * height, 2 * width)
    assert (tiled(ensemble, lr, tile_size=11, halo=3) - whole).abs().max() < 1e-6


@pytest.mark.parametrize(("height", "width"), [(24, 24), (23, 29)])
def test_tiles_match_where_the_network_depends_on_where_lr_begins(height: int, width: int) -> None:
    torch.manual_seed(0)
    network = RRDBNet(2, num_features=4, num_blocks=1, num_growth=2).eval()
    assert network.size_multiple == 2
    lr = image(height, width)

    def difference(ensemble: SelfEnsemble) -> float:
        with torch.no_grad():
            whole = ensemble(lr)
        assert whole.shape == (1, 3, 2 * height, 2 * width)
        # The network sees 38 px far, but hardly so far with initial weights.
        parts = tiled(ensemble, lr, tile_size=8, halo=12, multiple=2)
        return float((parts - whole).abs().max())

    assert difference(SelfEnsemble(network, multiple=2)) < 1e-5
    if height % 2:
        assert difference(SelfEnsemble(network)) > 1e-3
