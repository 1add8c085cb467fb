"""One update of each network: what trains what."""

from collections.abc import Callable

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sr.losses.adversarial import AdversarialTerm
from sr.losses.combined import CombinedLoss, WeightedTerm
from sr.losses.discriminator import DiscriminatorLoss
from sr.losses.pixel import l1
from sr.networks.compact import Compact
from sr.networks.patchgan import PatchGAN
from sr.training.distributed import make_accelerator
from sr.training.state import NetworkState
from sr.training.steps import Batch, discriminator_step, freeze, generator_step


@pytest.fixture
def accelerator() -> Accelerator:
    return make_accelerator(torch.device("cpu"), torch.float32)


def make_generator(clip_norm: float | None = None) -> NetworkState:
    torch.manual_seed(0)
    network = Compact(2, 4, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    return NetworkState(network, optimizer, clip_norm=clip_norm)


def make_discriminator(forward: Callable[[Tensor], Tensor] | None = None) -> NetworkState:
    torch.manual_seed(1)
    network = PatchGAN(num_features=4, num_layers=1, normalisation="none")
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    return NetworkState(network, optimizer, forward=forward)


def batch(size: int = 2, seed: int = 0) -> Batch:
    random = torch.Generator().manual_seed(seed)
    lr = torch.rand(size, 3, 8, 8, generator=random)
    hr = torch.rand(size, 3, 16, 16, generator=random)
    return Batch((lr,), hr, [f"image {index}" for index in range(size)])


def weights(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def changed(network: nn.Module, before: list[Tensor]) -> bool:
    pairs = zip(network.parameters(), before, strict=True)
    return any(not torch.equal(now, then) for now, then in pairs)


def adversarial_loss(discriminator: nn.Module) -> CombinedLoss:
    return CombinedLoss(
        {"adversarial": WeightedTerm(AdversarialTerm("standard", discriminator), 1.0)}
    )


def test_the_adversarial_term_alone_trains_the_generator_and_not_the_discriminator(
    accelerator: Accelerator,
) -> None:
    generator, discriminator = make_generator(), make_discriminator()
    own, theirs = weights(generator.network), weights(discriminator.network)
    with freeze(discriminator.network):
        result, _ = generator_step(
            generator, adversarial_loss(discriminator.network), [batch()], {}, accelerator
        )
    assert result.gradient_norm > 0
    assert changed(generator.network, own)
    assert not changed(discriminator.network, theirs)
    assert all(parameter.grad is None for parameter in discriminator.network.parameters())
    assert all(parameter.requires_grad for parameter in discriminator.network.parameters())


def test_the_discriminators_step_trains_it_and_leaves_the_generator_without_gradient(
    accelerator: Accelerator,
) -> None:
    generator, discriminator = make_generator(), make_discriminator()
    theirs = weights(discriminator.network)
    one = batch()
    sr = generator.network(one.lr)  # with a graph, as a careless caller might have it
    result = discriminator_step(
        discriminator, DiscriminatorLoss("standard"), [one], [sr], 1, accelerator
    )
    assert changed(discriminator.network, theirs)
    assert all(parameter.grad is None for parameter in generator.network.parameters())
    assert {"discriminator", "d_real", "d_sr"} == result.terms.keys()


def test_both_steps_in_turn_work_on_one_forward_pass_of_the_generator(
    accelerator: Accelerator,
) -> None:
    generator, discriminator = make_generator(), make_discriminator()
    calls = []
    generator.network.register_forward_hook(lambda *_: calls.append(1))
    loss = CombinedLoss(
        {
            "l1": WeightedTerm(l1, 1.0),
            "adversarial": WeightedTerm(AdversarialTerm("standard", discriminator.network), 0.1),
        }
    )
    for _ in range(3):
        with freeze(discriminator.network):
            result, images = generator_step(generator, loss, [batch()], {}, accelerator)
        assert not any(image.requires_grad for image in images)
        discriminator_step(
            discriminator, DiscriminatorLoss("standard"), [batch()], images, 1, accelerator
        )
        assert result.finite
    assert len(calls) == 3


@pytest.mark.parametrize("kind", ["standard", "least_squares", "hinge", "wasserstein"])
def test_two_batches_of_8_update_like_one_of_16(kind: str, accelerator: Accelerator) -> None:
    whole = batch(16)
    halves = [
        Batch((whole.lr[part],), whole.hr[part], whole.names[part])
        for part in (slice(0, 8), slice(8, 16))
    ]
    results = []
    for batches in ([whole], halves):
        generator, discriminator = make_generator(), make_discriminator()
        loss = CombinedLoss(
            {
                "l1": WeightedTerm(l1, 1.0),
                "adversarial": WeightedTerm(AdversarialTerm(kind, discriminator.network), 0.1),  # type: ignore[arg-type]  # parametrized
            }
        )
        with freeze(discriminator.network):
            result, images = generator_step(generator, loss, batches, {}, accelerator)
        second = discriminator_step(
            discriminator,
            DiscriminatorLoss(kind, r1_weight=1.0),  # type: ignore[arg-type]  # parametrized
            batches,
            images,
            1,
            accelerator,
        )
        numbers = [result.loss, result.gradient_norm, second.loss, second.gradient_norm]
        results.append((weights(generator.network) + weights(discriminator.network), numbers))
    for one, other in zip(results[0][0], results[1][0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-5)


def test_gradients_longer_than_the_limit_are_scaled_down(accelerator: Accelerator) -> None:
    generator = make_generator(clip_norm=1e-3)
    before = weights(generator.network)
    loss = CombinedLoss({"l1": WeightedTerm(l1, 1.0)})
    result, _ = generator_step(generator, loss, [batch()], {}, accelerator)
    assert result.gradient_norm > 1e-2
    moved = [now - then for now, then in zip(weights(generator.network), before, strict=True)]
    length = torch.cat([move.flatten() for move in moved]).norm().item()
    assert length == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("breaks", [lambda value: value * float("nan"), lambda value: value / 0])
def test_nothing_is_updated_by_a_gradient_that_is_not_finite(
    breaks: Callable[[Tensor], Tensor], accelerator: Accelerator
) -> None:
    generator = make_generator()
    before = weights(generator.network)
    loss = CombinedLoss({"broken": WeightedTerm(lambda sr, hr: breaks(l1(sr, hr)), 1.0)})
    result, _ = generator_step(generator, loss, [batch()], {}, accelerator)
    assert not result.finite
    assert not changed(generator.network, before)


def test_an_infinite_loss_is_not_finite_though_its_gradient_is(accelerator: Accelerator) -> None:
    generator = make_generator()
    before = weights(generator.network)

    def infinite(sr: Tensor, hr: Tensor) -> Tensor:
        return l1(sr, hr) + float("inf")

    loss = CombinedLoss({"broken": WeightedTerm(infinite, 1.0)})
    result, _ = generator_step(generator, loss, [batch()], {}, accelerator)
    assert not result.finite
    assert not changed(generator.network, before)


def test_r1_goes_through_the_network_without_wrappers(accelerator: Accelerator) -> None:
    calls = []

    def wrapped(images: Tensor) -> Tensor:
        calls.append(1)
        logits: Tensor = discriminator.network(images)
        return logits

    discriminator = make_discriminator(wrapped)

    loss = DiscriminatorLoss("standard", r1_weight=1.0, r1_interval=2)
    one = batch()
    for update_index, with_r1 in ((1, False), (2, True)):
        result = discriminator_step(discriminator, loss, [one], [one.hr], update_index, accelerator)
        assert ("r1" in result.terms) is with_r1
    assert len(calls) == 4  # hr and sr, twice


def test_a_term_of_factor_zero_is_not_computed(accelerator: Accelerator) -> None:
    def fails(_sr: Tensor, _hr: Tensor) -> Tensor:
        raise AssertionError("computed all the same")

    loss = CombinedLoss({"l1": WeightedTerm(l1, 1.0), "off": WeightedTerm(fails, 1.0)})
    result, _ = generator_step(make_generator(), loss, [batch()], {"off": 0.0}, accelerator)
    assert result.terms.keys() == {"l1"}
