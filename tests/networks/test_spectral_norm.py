from collections.abc import Callable

import pytest
import torch
from torch import nn

from sr.networks.spectral_norm import normalize_spectrally

LAYERS: list[Callable[[], nn.Module]] = [
    lambda: nn.Conv2d(4, 6, 3, bias=False),
    lambda: nn.Conv2d(3, 2, 4, stride=2),
    lambda: nn.Linear(72, 5),
]

every_layer = pytest.mark.parametrize("make", LAYERS)


def norm_of(layer: nn.Module) -> float:
    """Largest singular value of the weight that the layer computes with."""
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    return float(torch.linalg.matrix_norm(weight.detach().flatten(1), ord=2))


def run(layer: nn.Module) -> None:
    shape = (1, layer.in_channels, 8, 8) if isinstance(layer, nn.Conv2d) else (1, 72)
    layer(torch.rand(*shape))


@every_layer
@pytest.mark.parametrize("seed", range(5))
def test_an_untrained_layer_has_norm_1_in_eval_mode(
    make: Callable[[], nn.Module], seed: int
) -> None:
    torch.manual_seed(seed)
    layer = normalize_spectrally(make()).eval()
    run(layer)
    assert norm_of(layer) == pytest.approx(1, abs=0.1)


@every_layer
def test_the_normalized_weight_is_a_positive_multiple_of_the_layers(
    make: Callable[[], nn.Module],
) -> None:
    torch.manual_seed(0)
    plain = make()
    before = plain.get_parameter("weight").detach().clone()
    layer = normalize_spectrally(plain).eval()
    run(layer)
    assert isinstance(layer.weight, torch.Tensor)
    factor = layer.weight.detach() / before
    torch.testing.assert_close(factor, factor.flatten()[0].expand_as(factor))
    assert factor.min() > 0


@every_layer
def test_passes_in_train_mode_follow_a_weight_that_changes(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    layer = normalize_spectrally(make())
    nn.init.normal_(layer.get_parameter("weight_orig"), std=3.0)
    run(layer.eval())
    assert abs(norm_of(layer) - 1) > 0.5
    layer.train()
    for _ in range(60):
        run(layer)
    assert norm_of(layer) == pytest.approx(1, abs=0.02)


def test_the_state_has_the_keys_of_published_discriminators() -> None:
    layer = normalize_spectrally(nn.Conv2d(4, 6, 3))
    assert set(layer.state_dict()) == {"bias", "weight_orig", "weight_u", "weight_v"}
    assert {name for name, _ in layer.named_parameters()} == {"bias", "weight_orig"}
