import pytest
import torch
from torch import nn
from torch.nn import functional

from sr.networks.dbpn import DBPN


def test_without_its_last_convolution_it_is_the_bicubic_enlargement_or_nothing() -> None:
    lr = torch.rand(1, 3, 4, 5)
    bicubic = functional.interpolate(lr, scale_factor=3.0, mode="bicubic")
    for bicubic_skip, expected in ((True, bicubic), (False, torch.zeros_like(bicubic))):
        network = DBPN(3, 4, 4, num_stages=2, bicubic_skip=bicubic_skip)
        nn.init.zeros_(network.output_conv.get_parameter("conv.weight"))
        assert torch.equal(network(lr), expected)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_an_untrained_network_of_the_published_size_gives_values_near_1(scale: int) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        sr = DBPN(scale)(torch.rand(1, 3, 6, 6))
    assert 1e-3 < sr.std() < 2


def test_the_state_dict_has_the_published_key_names() -> None:
    with torch.device("meta"):
        state_dict = DBPN(4).state_dict()
    shapes = {name: tuple(weights.shape) for name, weights in state_dict.items()}
    groups = {name.split(".")[0] for name in shapes}
    ups = {f"up{stage}" for stage in range(1, 8)}
    downs = {f"down{stage}" for stage in range(1, 7)}
    assert groups == {"feat0", "feat1", "output_conv"} | ups | downs
    expected = {
        "feat0.conv.weight": (256, 3, 3, 3),
        "feat0.act.weight": (1,),
        "feat1.conv.weight": (64, 256, 1, 1),
        "up1.up_conv1.deconv.weight": (64, 64, 8, 8),
        "up1.up_conv2.conv.bias": (64,),
        "down1.down_conv2.deconv.weight": (64, 64, 8, 8),
        "down2.conv.conv.weight": (64, 128, 1, 1),
        "up3.conv.conv.weight": (64, 128, 1, 1),
        "down6.conv.conv.weight": (64, 384, 1, 1),
        "up7.conv.act.weight": (1,),
        "up7.up_conv3.act.weight": (1,),
        "output_conv.conv.weight": (3, 448, 3, 3),
    }
    assert expected.items() <= shapes.items()
    for single in ("up1", "up2", "down1"):
        assert f"{single}.conv.conv.weight" not in shapes
    assert "output_conv.act.weight" not in shapes


def test_the_newest_map_comes_first() -> None:
    torch.manual_seed(0)
    network = DBPN(2, 4, 4, num_stages=3)
    taken: dict[str, torch.Tensor] = {}
    made: dict[str, torch.Tensor] = {}

    def record(name: str, layer: nn.Module) -> None:
        def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            taken[name], made[name] = inputs[0], output

        layer.register_forward_hook(keep)

    for name, layer in network.named_children():
        record(name, layer)
    network(torch.rand(1, 3, 3, 3))
    highs = [made["up3"], made["up2"], made["up1"]]
    assert torch.equal(taken["output_conv"], torch.cat(highs, dim=1))
    assert torch.equal(taken["down2"], torch.cat(highs[1:], dim=1))
    assert torch.equal(taken["up3"], torch.cat((made["down2"], made["down1"]), dim=1))
    assert torch.equal(taken["up2"], made["down1"])
