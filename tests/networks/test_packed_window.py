import pytest
import torch

from sr.networks.packed_window import PackedWindow, num_packed_channels, pack_window
from sr.networks.rbpn import RBPN
from sr.networks.receptive_radius import measure_receptive_radius


@pytest.mark.parametrize("num_frames", [3, 5])
def test_the_result_is_that_of_the_network_itself(num_frames: int) -> None:
    torch.manual_seed(0)
    network = RBPN(2, 4, 4, 1, 1, num_frames).eval()
    n = num_frames - 1
    references = torch.rand(2, 3, 6, 9)
    neighbors, flows = torch.rand(2, n, 3, 6, 9), torch.randn(2, n, 2, 6, 9)
    window = torch.cat(
        [pack_window(references[b : b + 1], neighbors[b], flows[b]) for b in range(len(references))]
    )
    wrapped = PackedWindow(network)
    assert window.shape == (2, wrapped.num_channels, 6, 9)
    assert wrapped.num_channels == num_packed_channels(n) == 3 + 5 * n
    with torch.no_grad():
        expected = network(references, neighbors, flows)
        assert torch.equal(wrapped(window), expected)
        channels_last = window.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(wrapped(channels_last), expected)


def test_neighbors_and_flows_lie_behind_the_reference_in_their_order() -> None:
    reference, neighbors = torch.zeros(1, 3, 1, 1), torch.arange(1.0, 7).view(2, 3, 1, 1)
    flows = torch.arange(7.0, 11).view(2, 2, 1, 1)
    assert pack_window(reference, neighbors, flows).flatten().tolist() == [0, 0, 0, *range(1, 11)]


@pytest.mark.parametrize(("scale", "num_frames", "radius"), [(4, 3, 9), (2, 3, 13), (4, 4, 13)])
def test_the_receptive_radius_grows_with_the_neighbors(
    scale: int, num_frames: int, radius: int
) -> None:
    window = PackedWindow(RBPN(scale, 1, 1, 1, 1, num_frames))
    assert measure_receptive_radius(window, num_channels=window.num_channels) == radius
