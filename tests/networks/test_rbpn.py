import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.networks.rbpn import RBPN

Clip = tuple[Tensor, Tensor, Tensor]  # reference, neighbors, flows


def random_clip(num_frames: int, height: int, width: int, batch_size: int = 1) -> Clip:
    num_neighbors = num_frames - 1
    reference = torch.rand(batch_size, 3, height, width)
    neighbors = torch.rand(batch_size, num_neighbors, 3, height, width)
    return reference, neighbors, torch.randn(batch_size, num_neighbors, 2, height, width)


def tiny(scale: int, num_frames: int = 3, bicubic_skip: bool = False) -> RBPN:
    return RBPN(scale, 8, 4, 2, 1, num_frames, bicubic_skip)


def test_each_neighbor_and_each_flow_changes_the_result() -> None:
    torch.manual_seed(0)
    network = tiny(2, num_frames=5)
    clip = random_clip(5, 6, 6)
    for frames in clip:
        frames.requires_grad_(True)
    network(*clip).square().sum().backward()
    for frames in clip[1:]:
        assert frames.grad is not None
        assert (frames.grad.abs().amax(dim=(0, 2, 3, 4)) > 1e-6).all()


def test_the_order_of_the_neighbors_matters() -> None:
    torch.manual_seed(0)
    network = tiny(2)
    reference, neighbors, flows = random_clip(3, 6, 6)
    with torch.no_grad():
        forward = network(reference, neighbors, flows)
        backward = network(reference, neighbors.flip(1), flows.flip(1))
    assert (forward - backward).abs().max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "size"), [(2, 12), (4, 6), (8, 3)])
def test_an_untrained_network_of_the_published_size_gives_values_near_1(
    scale: int, size: int
) -> None:
    # With the published initialization: 1e5 to 1e10.
    torch.manual_seed(0)
    network = RBPN(scale)
    reference, neighbors, flows = random_clip(7, size, size)
    for flow in (torch.zeros_like(flows), 2 * flows):
        with torch.no_grad():
            sr = network(reference, neighbors, flow)
        assert 1e-2 < sr.std() < 3


def test_without_its_last_convolution_it_is_the_bicubic_enlargement_or_nothing() -> None:
    clip = random_clip(3, 4, 5)
    bicubic = functional.interpolate(clip[0], scale_factor=3.0, mode="bicubic")
    for bicubic_skip, expected in ((True, bicubic), (False, torch.zeros_like(bicubic))):
        network = tiny(3, bicubic_skip=bicubic_skip)
        nn.init.zeros_(network.output.get_parameter("conv.weight"))
        assert torch.equal(network(*clip), expected)


def test_the_state_dict_has_the_published_key_names() -> None:
    with torch.device("meta"):
        state_dict = RBPN(4).state_dict()
    shapes = {name: tuple(weights.shape) for name, weights in state_dict.items()}
    parts = {"feat0", "feat1", "DBPN", "res_feat1", "res_feat2", "res_feat3", "output"}
    assert {name.split(".")[0] for name in shapes} == parts
    single = {name.split(".")[1] for name in shapes if name.startswith("DBPN.")}
    assert single == {"feat1", "up1", "down1", "up2", "down2", "up3", "output"}
    expected = {
        "feat0.conv.weight": (256, 3, 3, 3),
        "feat1.conv.weight": (256, 8, 3, 3),
        "feat1.act.weight": (1,),
        "DBPN.feat1.conv.weight": (64, 256, 1, 1),
        "DBPN.up1.up_conv1.deconv.weight": (64, 64, 8, 8),
        "DBPN.down2.down_conv3.act.weight": (1,),
        "DBPN.output.conv.weight": (64, 192, 1, 1),
        "res_feat1.0.conv1.weight": (256, 256, 3, 3),
        "res_feat1.4.act.weight": (1,),
        "res_feat1.5.deconv.weight": (256, 64, 8, 8),
        "res_feat2.4.conv2.bias": (64,),
        "res_feat2.5.conv.weight": (64, 64, 3, 3),
        "res_feat3.5.conv.weight": (256, 64, 8, 8),
        "output.conv.weight": (3, 384, 3, 3),
    }
    assert expected.items() <= shapes.items()
    assert "DBPN.up3.conv.conv.weight" not in shapes
    assert "DBPN.output.act.weight" not in shapes
    assert "output.act.weight" not in shapes


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ((3, 3, 4, 5), r"neighbors of shape \(2, 4, 3, 4, 5\), got \(2, 2, 3, 4, 5\)"),
        ((5, 3, 4, 6), r"neighbors of shape \(2, 4, 3, 4, 5\), got \(2, 4, 3, 4, 6\)"),
        ((5, 1, 4, 5), r"neighbors of shape \(2, 4, 3, 4, 5\), got \(2, 4, 1, 4, 5\)"),
    ],
)
def test_neighbors_of_another_number_or_shape_are_refused(
    wrong: tuple[int, int, int, int], message: str
) -> None:
    num_frames, channels, height, width = wrong
    reference, _, flows = random_clip(5, 4, 5, batch_size=2)
    neighbors = torch.rand(2, num_frames - 1, channels, height, width)
    with pytest.raises(ValueError, match=f"RBPN: expected {message}"):
        tiny(2, num_frames=5)(reference, neighbors, flows)


def test_flows_and_references_of_another_shape_are_refused() -> None:
    network = tiny(2)
    reference, neighbors, flows = random_clip(3, 4, 5)
    message = r"flows of shape \(1, 2, 2, 4, 5\), got \(1, 1, 2, 4, 5\)"
    with pytest.raises(ValueError, match=f"RBPN: expected {message}"):
        network(reference, neighbors, flows[:, :1])
    message = r"a reference of shape \(B, 3, H, W\), got \(3, 4, 5\)"
    with pytest.raises(ValueError, match=f"RBPN: expected {message}"):
        network(reference[0], neighbors, flows)


def test_a_clip_without_two_neighbors_and_a_scale_without_a_kernel_are_refused() -> None:
    with pytest.raises(ValueError, match="RBPN: expected num_frames of at least 3, got 2"):
        RBPN(4, num_frames=2)
    with pytest.raises(ValueError, match="RBPN: expected a scale of 2, 3, 4 or 8, got 5"):
        RBPN(5)


@pytest.mark.slow
@pytest.mark.parametrize(("bicubic_skip", "motion"), [(False, 1), (True, 0)])
def test_a_tiny_network_overfits_one_clip_moving_or_still(bicubic_skip: bool, motion: int) -> None:
    torch.manual_seed(0)
    frames = [functional.avg_pool2d(waves(12, 2 * shift), 2) for shift in (-motion, 0, motion)]
    neighbors = torch.stack((frames[0], frames[2]), dim=1)
    flows = torch.zeros(1, 2, 2, 6, 6)
    flows[:, 0, 0], flows[:, 1, 0] = motion, -motion
    hr = waves(12, 0)
    network = RBPN(2, 16, 16, 2, 1, 3, bicubic_skip)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    best = torch.tensor(1.0)
    for _ in range(250):
        optimizer.zero_grad()
        error = (network(frames[1], neighbors, flows) - hr).square().mean()
        best = torch.minimum(best, error.detach())
        if best < 1e-4:
            break
        error.backward()
        optimizer.step()
    assert best < 1e-4  # 40 dB


def waves(size: int, shift: int) -> Tensor:
    """(1, 3, size, size) in [0, 1], moved left by `shift` pixels."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size) + shift, indexing="ij")
    y, x = y / size, x / size
    diagonal = 0.5 + 0.4 * torch.sin(9 * x + 4 * y)
    disc = 0.1 + 0.8 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1).float()
    chirp = 0.5 + 0.3 * torch.cos(14 * x * y)
    return torch.stack((diagonal, disc, chirp))[None]
