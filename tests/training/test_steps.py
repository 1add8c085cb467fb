"""One update of each network: who learns from what."""

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
from sr.training.steps import Batch, Trained, discriminator_step, frozen, generator_step


@pytest.fixture
def accelerator() -> Accelerator:
    return make_accelerator(torch.device("cpu"), torch.float32)


def in_training(network: nn.Module, clip_norm: float | None = None) -> Trained:
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    return Trained(network, network, optimizer, clip_norm)


def generator() -> Trained:
    torch.manual_seed(0)
    return in_training(Compact(2, 4, 2))


def discriminator() -> Trained:
    torch.manual_seed(1)
    return in_training(PatchGAN(num_features=4, num_layers=1, normalisation="none"))


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


def adversarial_loss(judge: nn.Module) -> CombinedLoss:
    return CombinedLoss({"adversarial": WeightedTerm(AdversarialTerm("standard", judge), 1.0)})


def test_the_adversarial_term_alone_trains_the_generator_and_not_the_discriminator(
    accelerator: Accelerator,
) -> None:
    learner, judge = generator(), discriminator()
    own, theirs = weights(learner.network), weights(judge.network)
    with frozen(judge.network):
        update, _ = generator_step(
            learner, adversarial_loss(judge.network), [batch()], {}, accelerator
        )
    assert update.gradient_norm > 0
    assert changed(learner.network, own)
    assert not changed(judge.network, theirs)
    assert all(parameter.grad is None for parameter in judge.network.parameters())
    assert all(parameter.requires_grad for parameter in judge.network.parameters())


def test_the_discriminators_step_trains_it_and_leaves_the_generator_without_gradient(
    accelerator: Accelerator,
) -> None:
    learner, judge = generator(), discriminator()
    theirs = weights(judge.network)
    one = batch()
    sr = learner.network(one.lr)  # with a graph, as a careless caller might have it
    update = discriminator_step(judge, DiscriminatorLoss("standard"), [one], [sr], 1, accelerator)
    assert changed(judge.network, theirs)
    assert all(parameter.grad is None for parameter in learner.network.parameters())
    assert {"discriminator", "d_real", "d_sr"} == update.terms.keys()


def test_both_steps_in_turn_work_on_one_forward_pass_of_the_generator(
    accelerator: Accelerator,
) -> None:
    learner, judge = generator(), discriminator()
    calls = []
    learner.network.register_forward_hook(lambda *_: calls.append(1))
    loss = CombinedLoss(
        {
            "l1": WeightedTerm(l1, 1.0),
            "adversarial": WeightedTerm(AdversarialTerm("standard", judge.network), 0.1),
        }
    )
    for _ in range(3):
        with frozen(judge.network):
            update, images = generator_step(learner, loss, [batch()], {}, accelerator)
        assert not any(image.requires_grad for image in images)
        discriminator_step(judge, DiscriminatorLoss("standard"), [batch()], images, 1, accelerator)
        assert update.finite
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
        learner, judge = generator(), discriminator()
        loss = CombinedLoss(
            {
                "l1": WeightedTerm(l1, 1.0),
                "adversarial": WeightedTerm(AdversarialTerm(kind, judge.network), 0.1),  # type: ignore[arg-type]  # parametrized
            }
        )
        with frozen(judge.network):
            update, images = generator_step(learner, loss, batches, {}, accelerator)
        judged = discriminator_step(
            judge,
            DiscriminatorLoss(kind, r1_weight=1.0),  # type: ignore[arg-type]  # parametrized
            batches,
            images,
            1,
            accelerator,
        )
        numbers = [update.loss, update.gradient_norm, judged.loss, judged.gradient_norm]
        results.append((weights(learner.network) + weights(judge.network), numbers))
    for one, other in zip(results[0][0], results[1][0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-5)


def test_gradients_longer_than_the_limit_are_scaled_down(accelerator: Accelerator) -> None:
    torch.manual_seed(0)
    learner = in_training(Compact(2, 4, 2), clip_norm=1e-3)
    before = weights(learner.network)
    loss = CombinedLoss({"l1": WeightedTerm(l1, 1.0)})
    update, _ = generator_step(learner, loss, [batch()], {}, accelerator)
    assert update.gradient_norm > 1e-2
    moved = [now - then for now, then in zip(weights(learner.network), before, strict=True)]
    length = torch.cat([move.flatten() for move in moved]).norm().item()
    assert length == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("breaks", [lambda value: value * float("nan"), lambda value: value / 0])
def test_nothing_is_updated_by_a_gradient_that_is_not_finite(
    breaks: Callable[[Tensor], Tensor], accelerator: Accelerator
) -> None:
    learner = generator()
    before = weights(learner.network)
    loss = CombinedLoss({"broken": WeightedTerm(lambda sr, hr: breaks(l1(sr, hr)), 1.0)})
    update, _ = generator_step(learner, loss, [batch()], {}, accelerator)
    assert not update.finite
    assert not changed(learner.network, before)


def test_an_infinite_loss_is_not_finite_though_its_gradient_is(accelerator: Accelerator) -> None:
    learner = generator()
    before = weights(learner.network)

    def infinite(sr: Tensor, hr: Tensor) -> Tensor:
        return l1(sr, hr) + float("inf")

    loss = CombinedLoss({"broken": WeightedTerm(infinite, 1.0)})
    update, _ = generator_step(learner, loss, [batch()], {}, accelerator)
    assert not update.finite
    assert not changed(learner.network, before)


def test_r1_goes_through_the_network_without_wrappers(accelerator: Accelerator) -> None:
    judge, calls = discriminator(), []

    def wrapped(images: Tensor) -> Tensor:
        calls.append(1)
        logits: Tensor = judge.network(images)
        return logits

    loss = DiscriminatorLoss("standard", r1_weight=1.0, r1_interval=2)
    trained = Trained(judge.network, wrapped, judge.optimizer, None)
    one = batch()
    for number, with_r1 in ((1, False), (2, True)):
        update = discriminator_step(trained, loss, [one], [one.hr], number, accelerator)
        assert ("r1" in update.terms) is with_r1
    assert len(calls) == 4  # hr and sr, twice


def test_a_term_of_factor_zero_is_not_computed(accelerator: Accelerator) -> None:
    def fails(_sr: Tensor, _hr: Tensor) -> Tensor:
        raise AssertionError("computed all the same")

    loss = CombinedLoss({"l1": WeightedTerm(l1, 1.0), "off": WeightedTerm(fails, 1.0)})
    update, _ = generator_step(generator(), loss, [batch()], {"off": 0.0}, accelerator)
    assert update.terms.keys() == {"l1"}
