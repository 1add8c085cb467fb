"""Terms that would train nothing are found before the first step."""

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sr.errors import UserError
from sr.losses.adversarial import AdversarialTerm, generator_loss
from sr.losses.combined import CombinedLoss, Term, WeightedTerm
from sr.losses.pixel import l1, mse
from sr.losses.total_variation import measure_squared
from sr.networks.patchgan import PatchGAN
from sr.networks.srresnet import SRResNet
from sr.networks.unet_discriminator import UNetDiscriminator
from sr.training.distributed import make_accelerator
from sr.training.gradient_check import (
    GradientShare,
    ZeroGradientError,
    format_gradients,
    measure_gradients,
)
from sr.training.steps import Batch


@pytest.fixture
def accelerator() -> Accelerator:
    return make_accelerator(torch.device("cpu"), torch.float32)


BATCH = Batch(
    (torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)),),
    torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)),
    ["a", "b"],
)


def measure(
    accelerator: Accelerator,
    discriminator: nn.Module | None = None,
    generator: nn.Module | None = None,
    **terms: WeightedTerm,
) -> list[GradientShare]:
    networks = [SRResNet(2, 4, 1) if generator is None else generator]
    networks += [] if discriminator is None else [discriminator]
    return measure_gradients(networks, CombinedLoss(terms), BATCH, accelerator)


def refuse(term: Term, accelerator: Accelerator) -> str:
    with pytest.raises(ZeroGradientError) as caught:
        measure(accelerator, l1=WeightedTerm(l1, 1.0), suspect=WeightedTerm(term, 1.0))
    return str(caught.value)


def test_shares_are_those_of_the_weighted_gradients(accelerator: Accelerator) -> None:
    torch.manual_seed(0)
    network = SRResNet(2, 4, 1)
    one, ten = WeightedTerm(mse, 1.0), WeightedTerm(mse, 3.0)
    shares = measure(accelerator, generator=network, one=one, ten=ten)
    assert [part.share for part in shares] == pytest.approx([0.25, 0.75])
    loss = mse(network(BATCH.lr), BATCH.hr)
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
    assert shares[0].gradient_norm == pytest.approx(norm, rel=1e-4)
    assert shares[0].value == pytest.approx(loss.item(), rel=1e-5)


def test_an_adversarial_term_under_inference_mode_is_refused(accelerator: Accelerator) -> None:
    discriminator = PatchGAN(4, 1, "none")

    def without_gradient(sr: Tensor, _hr: Tensor) -> Tensor:
        with torch.inference_mode():
            logits = discriminator(sr)
        return generator_loss("standard", None, logits.clone())

    assert "suspect: its gradient is zero" in refuse(without_gradient, accelerator)


def test_a_detached_perceptual_term_is_refused(accelerator: Accelerator) -> None:
    assert "suspect: its gradient is zero" in refuse(
        lambda sr, hr: mse(sr.detach(), hr), accelerator
    )


def test_a_saturated_term_is_refused(accelerator: Accelerator) -> None:
    assert "suspect: its gradient is zero" in refuse(
        lambda sr, _hr: (sr * 1e4 + 1e6).sigmoid().mean(), accelerator
    )


def test_a_gradient_that_is_not_finite_is_refused(accelerator: Accelerator) -> None:
    message = refuse(lambda sr, _hr: (sr - sr.detach()).abs().sum().sqrt(), accelerator)
    assert "suspect: its gradient is nan" in message
    assert "l1" not in message


def test_the_published_weight_of_total_variation_is_seen_for_what_it_is(
    accelerator: Accelerator,
) -> None:
    shares = measure(
        accelerator,
        mse=WeightedTerm(mse, 1.0),
        total_variation=WeightedTerm(lambda sr, _hr: measure_squared(sr), 2e-8),
    )
    assert 0 < shares[1].share < 1e-5


def test_nothing_is_changed_by_measuring(accelerator: Accelerator) -> None:
    torch.manual_seed(0)
    network, discriminator = SRResNet(2, 4, 1), UNetDiscriminator(4)
    before = [
        {name: value.clone() for name, value in part.state_dict().items()}
        for part in (network, discriminator)
    ]
    measure(
        accelerator,
        discriminator,
        network,
        l1=WeightedTerm(l1, 1.0),
        adversarial=WeightedTerm(AdversarialTerm("standard", discriminator), 1.0),
    )
    for part, kept in zip((network, discriminator), before, strict=True):
        for name, value in part.state_dict().items():
            assert torch.equal(value, kept[name]), name
        assert all(p.grad is None and p.requires_grad for p in part.parameters())


def test_the_table_has_a_line_for_every_term(accelerator: Accelerator) -> None:
    lines = format_gradients(
        [GradientShare("l1", 0.03, 1.0, 0.2, 0.75), GradientShare("tv", 0.1, 2e-8, 0.1, 0.25)]
    )
    assert len(lines) == 3
    assert lines[1].split() == ["l1", "0.03", "1", "0.2", "75.00%"]


def test_parameters_that_the_result_does_not_depend_on_are_refused_with_several_processes(
    accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = SRResNet(2, 4, 1)
    network.extra = nn.Linear(2, 2)
    assert measure(accelerator, generator=network, l1=WeightedTerm(l1, 1.0))
    monkeypatch.setattr(Accelerator, "num_processes", 2)
    assert measure(accelerator, l1=WeightedTerm(l1, 1.0))
    with pytest.raises(UserError, match=r"does not depend on extra\.weight, extra\.bias$"):
        measure(accelerator, generator=network, l1=WeightedTerm(l1, 1.0))
