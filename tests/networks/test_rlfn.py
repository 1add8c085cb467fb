from typing import Literal

import pytest
import torch
from torch.nn import functional

from sr.networks.rlfn import ESA, MIN_SIZE, RLFN


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_a_small_image_is_continued_by_its_edge() -> None:
    network, lr = RLFN(2, 4, 1), torch.rand(1, 3, 9, 12)
    continued = functional.pad(lr, (0, MIN_SIZE - 12, 0, MIN_SIZE - 9), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(network(lr), network(continued)[..., :18, :24])


def test_attention_of_zero_weights_halves_its_input() -> None:
    attention, x = ESA(4, 2), torch.rand(1, 4, 16, 20)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.zero_()
        assert torch.equal(attention(x), x / 2)


def test_the_state_dict_has_the_published_keys_and_shapes() -> None:
    expected = {"conv_1.weight": (8, 3, 3, 3), "conv_2.weight": (8, 8, 3, 3)}
    expected["upsampler.0.weight"] = (48, 8, 3, 3)
    for block in ("block_1", "block_2"):
        expected |= {
            f"{block}.c1_r.weight": (6, 8, 3, 3),
            f"{block}.c2_r.weight": (6, 6, 3, 3),
            f"{block}.c3_r.weight": (8, 6, 3, 3),
            f"{block}.c5.weight": (8, 8, 1, 1),
            f"{block}.esa.conv1.weight": (5, 8, 1, 1),
            f"{block}.esa.conv_f.weight": (5, 5, 1, 1),
            f"{block}.esa.conv2.weight": (5, 5, 3, 3),
            f"{block}.esa.conv3.weight": (5, 5, 3, 3),
            f"{block}.esa.conv4.weight": (8, 5, 1, 1),
        }
    biases = {name.replace("weight", "bias"): shape[:1] for name, shape in expected.items()}
    network = RLFN(4, 8, 2, 6, 5, value_range=255)
    found = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert found == {**expected, **biases}


def test_values_up_to_255_are_the_same_network_with_other_first_and_last_weights() -> None:
    unit, wide = RLFN(2, 6, 2), RLFN(2, 6, 2, value_range=255)
    weights = {name: x for name, x in unit.state_dict().items() if name != "value_range"}
    weights["conv_1.weight"] = weights["conv_1.weight"] / 255
    for name in ("upsampler.0.weight", "upsampler.0.bias"):
        weights[name] = weights[name] * 255
    wide.load_state_dict(weights, strict=True)
    lr = torch.rand(1, 3, 16, 18)
    with torch.no_grad():
        torch.testing.assert_close(wide(lr), unit(lr))


@pytest.mark.parametrize(("ours", "theirs"), [(1, 255), (255, 1)])
def test_weights_for_another_range_are_refused(
    ours: Literal[1, 255], theirs: Literal[1, 255]
) -> None:
    weights = RLFN(2, 4, 1, value_range=theirs).state_dict()
    with pytest.raises(RuntimeError, match="value_range"):
        RLFN(2, 4, 1, value_range=ours).load_state_dict(weights)


def test_what_it_adds_depends_on_the_size_of_the_image() -> None:
    network, lr = RLFN(2, 8, 1), torch.rand(1, 3, 400, 400)
    with torch.no_grad():
        whole = network(lr)[..., 200:240, 200:240]
        tile = network(lr[..., :300, :300])[..., 200:240, 200:240]  # 180 LR pixels of halo
    assert (whole - tile).abs().max() > 1e-6
