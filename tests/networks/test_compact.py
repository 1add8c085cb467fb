from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from sr.networks.compact import Compact


def test_without_its_last_layer_it_is_the_nearest_neighbor() -> None:
    network = Compact(3, num_features=4, num_convs=2)
    nn.init.zeros_(network.body[-1].weight)  # type: ignore[arg-type]  # a Conv2d
    lr = torch.rand(1, 3, 4, 5)
    nearest = functional.interpolate(lr, scale_factor=3.0, mode="nearest")
    assert torch.equal(network(lr), nearest)


def test_an_untrained_network_is_already_near_the_nearest_neighbor() -> None:
    torch.manual_seed(0)
    network = Compact(4)
    lr = torch.rand(1, 3, 24, 24)
    nearest = functional.interpolate(lr, scale_factor=4.0, mode="nearest")
    with torch.no_grad():
        sr = network(lr)
    assert torch.isfinite(sr).all()
    assert (sr - nearest).abs().mean() < 0.25


def test_the_state_dict_has_the_published_key_names() -> None:
    expected = set()
    for index in range(0, 35, 2):  # convolutions at even places, activations between them
        expected |= {f"body.{index}.weight", f"body.{index}.bias"}
        if index < 34:
            expected.add(f"body.{index + 1}.weight")
    assert set(Compact(4).state_dict()) == expected


def test_published_weights_load_and_upscale(shared_data: Path) -> None:
    path = shared_data / "weights" / "realesr-animevideov3.pth"
    weights = torch.load(path, map_location="cpu", weights_only=True)["params"]
    network = Compact(4)
    network.load_state_dict(weights, strict=True)
    network.eval()
    ramp = torch.linspace(0.1, 0.9, 16).expand(1, 3, 16, 16)
    with torch.no_grad():
        sr = network(ramp)
    enlarged = functional.interpolate(ramp, scale_factor=4.0, mode="bilinear")
    assert (sr - enlarged).abs().mean() < 0.03
