import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.networks.span import SPAN, Conv3XC, add_branches
from sr.optim.ema import Ema
from sr.tiling.runner import prepare_network, run_network


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def shaken(network: nn.Module) -> nn.Module:
    """All parameters moved, biases too, as training does."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def by_branches(layer: Conv3XC, x: Tensor) -> Tensor:
    """What the fused kernel must equal, with the borders of the published code."""
    branches: Tensor = layer.conv(functional.pad(x, (1, 1, 1, 1))) + layer.sk(x)
    return branches


@contextmanager
def branches_compute() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conv3XC, "forward", by_branches)
        yield


def both_forms(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """(computed by the branches, computed by the fused kernels)."""
    with torch.no_grad():
        with branches_compute():
            branches = network(x)
        return branches, network(x)


def difference(x: Tensor, y: Tensor) -> float:
    """The largest one, in units of the largest value."""
    return float((x - y).abs().max() / y.abs().max())


@pytest.mark.parametrize(
    ("scale", "num_features", "count"),
    [
        (2, 48, 410_700),
        (3, 48, 417_195),
        (4, 48, 426_288),
        (8, 48, 488_640),
        (4, 28, 150_688),
        (4, 52, 498_208),
    ],
)
def test_the_published_sizes_fuse_to_these_many_weights(
    scale: int, num_features: int, count: int
) -> None:
    """Of the weights that are left when every Conv3XC is one convolution."""
    weights = SPAN(scale, num_features).state_dict()
    names = [n for n in weights if "eval_conv" in n or n.startswith(("conv_cat", "upsampler"))]
    assert sum(weights[name].numel() for name in names) == count


@pytest.mark.parametrize("num_features", [1, 2, 3])
def test_it_can_have_fewer_features_than_colors(num_features: int) -> None:
    assert SPAN(2, num_features, 1)(torch.rand(1, 3, 4, 4)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5)])
def test_a_fused_convolution_equals_its_branches_at_the_borders_too(size: tuple[int, int]) -> None:
    layer = Conv3XC(5, 7)
    with torch.no_grad():
        for parameter in layer.parameters():  # biases, too
            parameter.normal_(std=0.3)
    branches, fused = both_forms(layer, torch.randn(2, 5, *size))
    assert branches.std() > 0.1
    assert (branches - fused).abs().max() < 1e-5


@pytest.mark.parametrize("normalise", [True, False])
def test_the_fused_network_equals_the_trained_one(normalise: bool) -> None:
    network = shaken(SPAN(2, 8, 3, normalise))
    branches, fused = both_forms(network, torch.rand(2, 3, 9, 13))
    assert difference(fused, branches) < 1e-5


def test_for_inference_the_kernels_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network, lr = shaken(SPAN(2, 8, 2)).eval(), torch.rand(1, 3, 9, 7)
    keys = list(network.state_dict())
    with torch.no_grad():
        expected = network(lr)
    prepared = prepare_network(network, torch.device("cpu"))
    monkeypatch.delattr(Conv3XC, "fuse")
    for dtype in (torch.float32, torch.bfloat16):
        sr = run_network(prepared, lr, dtype).float()
        assert difference(sr, expected) < (1e-6 if dtype == torch.float32 else 0.05)
    assert sum(isinstance(layer, nn.Conv2d) for layer in prepared.modules()) == 10
    monkeypatch.undo()
    assert list(network.state_dict()) == keys  # for saving, exporting and training
    assert any(isinstance(layer, Conv3XC) for layer in network.modules())


def test_a_network_without_layers_to_fuse_is_not_copied() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1))
    assert prepare_network(network, torch.device("cpu")) is network


def test_both_forms_have_the_same_gradients() -> None:
    network = SPAN(2, 8, 2)
    lr, hr = torch.rand(1, 3, 7, 6), torch.rand(1, 3, 14, 12)
    gradients = []
    for form in (branches_compute(), nullcontext()):
        with form:
            loss = (network(lr) - hr).square().mean()
        gradients.append(torch.autograd.grad(loss, list(network.parameters())))
    for branches, fused in zip(*gradients, strict=True):
        torch.testing.assert_close(branches, fused, rtol=1e-3, atol=1e-6)


def test_a_convolution_in_bf16_autocast_is_fused_to_bf16_precision() -> None:
    layer, x = Conv3XC(8, 8).eval(), torch.randn(1, 8, 6, 6)
    with torch.no_grad():
        exact = layer(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = layer(x)
    assert rounded.dtype == torch.bfloat16
    assert difference(rounded, exact) < 0.02


def change_by_optimizer(network: nn.Module) -> None:
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    network(torch.rand(1, 3, 4, 4)).square().mean().backward()
    optimizer.step()


def change_by_loading(network: nn.Module) -> None:
    network.load_state_dict(shaken(copy.deepcopy(network)).state_dict())


def change_by_assigning(network: nn.Module) -> None:
    network.load_state_dict(shaken(copy.deepcopy(network)).state_dict(), assign=True)


@pytest.mark.parametrize("change", [change_by_optimizer, change_by_loading, change_by_assigning])
def test_a_change_of_the_branches_is_seen_at_once(
    change: Callable[[nn.Module], None],
) -> None:
    network, lr = SPAN(2, 6, 2), torch.rand(1, 3, 6, 7)
    with torch.no_grad():
        before = network(lr)
    change(network)
    with torch.no_grad():
        after = network(lr)
    assert (after - before).abs().max() > 1e-3
    branches, fused = both_forms(network, lr)
    assert torch.equal(fused, after)
    assert difference(fused, branches) < 1e-5


def test_a_mean_of_weights_computes_with_the_mean() -> None:
    network, lr = SPAN(2, 6, 1), torch.rand(1, 3, 5, 5)
    ema = Ema(network, decay=0.5)
    shaken(network)
    ema.update(network, num_updates=100)
    with torch.no_grad():
        mean = ema.network(lr)
        with branches_compute():
            branches = ema.network(lr)
        assert difference(mean, branches) < 1e-5
        assert (mean - network.eval()(lr)).abs().max() > 1e-3


def test_a_copy_changes_alone() -> None:
    network, lr = SPAN(2, 6, 2).eval(), torch.rand(1, 3, 6, 7)
    with torch.no_grad():
        before = network(lr)
        twin = copy.deepcopy(network)
        assert torch.equal(twin(lr), before)
        shaken(twin)
        assert (twin(lr) - before).abs().max() > 1e-3
        assert torch.equal(network(lr), before)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_state_dict_has_the_published_keys_and_shapes(normalise: bool) -> None:
    layers = {"conv_1": 3, "conv_2": 8}  # with their input channels
    layers |= {f"block_{block}.c{conv}_r": 8 for block in (1, 2, 3) for conv in (1, 2, 3)}
    expected = {"conv_cat.weight": (8, 32, 1, 1), "conv_cat.bias": (8,)}
    expected |= {"upsampler.0.weight": (48, 8, 3, 3), "upsampler.0.bias": (48,)}
    for name, num_inputs in layers.items():
        for part, shape in (
            ("sk", (8, num_inputs, 1, 1)),
            ("conv.0", (2 * num_inputs, num_inputs, 1, 1)),
            ("conv.1", (16, 2 * num_inputs, 3, 3)),
            ("conv.2", (8, 16, 1, 1)),
            ("eval_conv", (8, num_inputs, 3, 3)),
        ):
            expected[f"{name}.{part}.weight"] = shape
            expected[f"{name}.{part}.bias"] = shape[:1]
    if not normalise:
        expected["no_norm"] = (1,)
    network = SPAN(4, num_features=8, num_blocks=3, normalise=normalise)
    found = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert found == expected


@pytest.mark.parametrize(("scale", "normalise"), [(4, True), (3, False)])
def test_spandrel_takes_the_weights_and_computes_the_same(scale: int, normalise: bool) -> None:
    from spandrel import ModelLoader

    network, lr = shaken(SPAN(scale, 8, normalise=normalise)), torch.rand(1, 3, 6, 9)
    weights = network.state_dict()
    described = ModelLoader().load_from_state_dict(copy.deepcopy(weights))
    assert (described.architecture.id, described.scale) == ("SPAN", scale)
    theirs = described.model
    for training in (True, False):
        with torch.no_grad():
            assert difference(network(lr), theirs.train(training)(lr)) < 1e-5
    for name, weight in theirs.state_dict().items():  # fused by them in their last forward pass
        torch.testing.assert_close(weights[name], weight, msg=name)
    SPAN(scale, 8, normalise=normalise).load_state_dict(theirs.state_dict(), strict=True)


def test_fused_kernels_of_a_file_are_not_needed_and_not_believed() -> None:
    network = SPAN(2, 4, 1)
    weights = network.state_dict()
    fused = [name for name in weights if "eval_conv" in name]
    stale = {**weights, **{name: torch.full_like(weights[name], 9.0) for name in fused}}
    without = {name: weight for name, weight in weights.items() if name not in fused}
    for given in (stale, without):
        other = SPAN(2, 4, 1)
        other.load_state_dict(given, strict=True)
        for name, weight in other.state_dict().items():
            assert torch.equal(weight, weights[name]), name


def keep_fused(network: nn.Module) -> dict[str, Tensor]:
    """A state dict without branches."""
    weights = network.state_dict().items()
    return {name: x for name, x in weights if ".sk." not in name and ".conv." not in name}


@pytest.mark.parametrize("normalise", [True, False])
def test_branches_made_of_fused_kernels_fuse_to_exactly_them(normalise: bool) -> None:
    theirs, ours = shaken(SPAN(2, 5, 2, normalise)), SPAN(2, 5, 2, normalise)
    fused = keep_fused(theirs)
    ours.load_state_dict(add_branches(fused), strict=True)
    for name, weight in keep_fused(ours).items():
        assert torch.equal(weight, fused[name]), name


def test_all_branches_made_of_fused_kernels_are_trained() -> None:
    network = SPAN(2, 5, 1)
    network.load_state_dict(add_branches(keep_fused(SPAN(2, 5, 1))))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    for _ in range(2):
        optimizer.zero_grad()
        (network(torch.rand(1, 3, 8, 8)) - torch.rand(1, 3, 16, 16)).square().mean().backward()
        optimizer.step()
    for name, weight in network.named_parameters():
        assert (weight != before[name]).all(), name


def test_branches_of_a_file_stay_as_they_are() -> None:
    weights = SPAN(2, 4, 1).state_dict()
    complete = add_branches(weights)
    assert complete.keys() == weights.keys()
    assert all(complete[name] is weights[name] for name in weights)


@pytest.mark.parametrize("odd", [torch.zeros(()), torch.zeros(3), torch.zeros(0, 0, 0, 0)])
def test_no_branches_are_made_of_odd_shapes_and_of_other_networks(odd: Tensor) -> None:
    fused = keep_fused(SPAN(2, 4, 1))
    for name in ("conv_1.eval_conv.weight", "conv_1.eval_conv.bias"):
        assert "conv_1.sk.weight" not in add_branches({**fused, name: odd})
    del fused["conv_cat.weight"]
    assert add_branches(fused) == fused


@pytest.mark.parametrize(
    ("normalise", "num_blocks"), [(False, 2), (True, 1)], ids=["normalisation", "blocks"]
)
def test_weights_of_another_network_are_refused(normalise: bool, num_blocks: int) -> None:
    with pytest.raises(RuntimeError, match=r"no_norm|block_2"):
        SPAN(2, 4, 2).load_state_dict(SPAN(2, 4, num_blocks, normalise).state_dict())


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_an_untrained_network_is_already_near_the_nearest_neighbor(
    scale: int, normalise: bool
) -> None:
    lr = torch.rand(1, 3, 24, 24)
    nearest = functional.interpolate(lr, scale_factor=float(scale), mode="nearest")
    with torch.no_grad():
        sr = SPAN(scale, normalise=normalise)(lr)
    assert (sr - nearest).abs().mean() < 0.25
