"""One update of the generator and those of the discriminator, as functions of their arguments."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sr.losses.combined import CombinedLoss, select_with_original
from sr.losses.discriminator import DiscriminatorLoss
from sr.optim.tensor_lists import clone_tensors, copy_tensors
from sr.training.distributed import average_over_processes
from sr.training.state import GANState, NetworkState, TrainState


@dataclass(frozen=True)
class Batch:
    """What one backward pass works with, on the device; images in RGB, [0, 1]."""

    inputs: tuple[Tensor, ...]
    """The generator's arguments: lr, (B, 3, h, w); of a generator that sees several frames also
    their neighbors and the flow to them, (B, n, 3, h, w) and (B, n, 2, h, w)."""
    hr: Tensor  # (B, 3, scale*h, scale*w)
    names: Sequence[str]
    target: Tensor | None = None
    """As hr, sharpened: what terms compare with that do not discriminate; None: hr."""
    motion: Tensor | None = None
    """Of clips with two references each, side by side in the batch: the flow from the first to
    the second, (B/2, 2, scale*h, scale*w), in HR pixels."""
    zoomed: Tensor | None = None
    """Further inputs, of which there is no hr: parts of hr of lr's size, (B, 3, h, w)."""

    @property
    def lr(self) -> Tensor:
        """(B, 3, h, w)."""
        return self.inputs[0]

    @property
    def all_inputs(self) -> tuple[Tensor, ...]:
        """The generator's arguments, zoomed crops after lr: one pass, also over processes."""
        if self.zoomed is None:
            return self.inputs
        return (torch.cat([self.lr, self.zoomed]),)  # (2B, 3, h, w)


@dataclass(frozen=True)
class StepResult:
    """Numbers of one update, means over its batches."""

    loss: float  # weighted total
    terms: dict[str, float]  # unweighted
    gradient_norm: float  # before clipping
    finite: bool  # where not, nothing was updated
    averages: dict[str, float] = field(default_factory=dict)
    """Terms, and drift where it was measured, over all processes."""
    overflowed: bool = False  # only gradients, in fp16; the next ones are scaled less


def generator_step(
    generator: NetworkState,
    loss: CombinedLoss,
    batches: Sequence[Batch],
    factors: Mapping[str, float],
    accelerator: Accelerator,
    step: int = 1,
    *,
    measure_drift: bool = False,
) -> tuple[StepResult, list[Tensor]]:
    """Predict, compare, update the generator once with the mean gradient of the batches.

    factors: of terms whose weight differs from the options' now; see `CombinedLoss`, also for the
    step. The networks run in the accelerator's precision, the losses in fp32. measure_drift: of
    color, see `GANMonitor`.
    Returns the result and each batch's sr of lr, (B, 3, scale*h, scale*w), detached.
    """
    generator.optimizer.zero_grad()
    losses, all_terms, images = [], [], []
    for count, batch in enumerate(batches, start=1):
        with _share_gradients(generator, accelerator, last=count == len(batches)):
            inputs = batch.all_inputs
            with accelerator.autocast():
                sr = generator.forward(*inputs)
            sr = sr.float()
            total, terms = loss(sr, batch.hr, factors, batch.motion, inputs, step, batch.target)
            accelerator.backward(total / len(batches))
        losses.append(total.detach())
        all_terms.append(terms)
        images.append(select_with_original(sr.detach(), batch.hr))
    drift = _measure_drift(batches, images) if measure_drift else {}
    return _update_network(generator, losses, all_terms, accelerator, drift), images


def discriminator_step(
    discriminator: NetworkState,
    loss: DiscriminatorLoss,
    batches: Sequence[Batch],
    images: Sequence[Tensor],
    update_index: int,
    accelerator: Accelerator,
) -> StepResult:
    """Discriminate hr and sr, update the discriminator once with the batches' mean gradient.

    images: sr of each batch, without a graph: the generator gets no gradient here. update_index:
    see `GANState`. The terms also hold the mean logits `d_real` and `d_sr`.
    """
    discriminator.optimizer.zero_grad()
    losses, all_terms = [], []
    for count, (batch, sr) in enumerate(zip(batches, images, strict=True), start=1):
        with _share_gradients(discriminator, accelerator, last=count == len(batches)):
            total, terms = loss(
                discriminator.forward,
                discriminator.network,
                batch.hr,
                sr.detach(),
                update_index,
                accelerator.autocast,
            )
            accelerator.backward(total / len(batches))
        losses.append(total.detach())
        all_terms.append(terms)
    return _update_network(discriminator, losses, all_terms, accelerator)


def train_step(
    state: TrainState,
    loss: CombinedLoss,
    batches: Sequence[Batch],
    step: int,
    accelerator: Accelerator,
) -> dict[str, StepResult]:
    """Update the generator once, and the discriminator as often as is due.

    batches: those of the generator's update, then those of the discriminator's further ones.
    Returns the results by network.
    """
    gan = state.gan
    copies = copy_buffers(state.networks)
    own = batches[: len(batches) // (1 if gan is None else gan.updates)]
    state.generator.set_learning_rates(step)
    with freeze(*state.networks[1:]):
        result, images = generator_step(
            state.generator,
            loss,
            own,
            state.loss_factors(step),
            accelerator,
            step,
            measure_drift=gan is not None,
        )
    results = {"generator": result}
    if gan is not None and gan.updates_at(step):
        results["discriminator"] = _train_discriminator(
            gan, state.generator.network, batches, images, step, accelerator
        )
    if not all(result.finite for result in results.values()):
        restore_buffers(copies)  # what was infinite is in the statistics of batches, too
    return results


def _train_discriminator(
    gan: GANState,
    generator: nn.Module,
    batches: Sequence[Batch],
    images: Sequence[Tensor],
    step: int,
    accelerator: Accelerator,
) -> StepResult:
    """Make all updates of a step: on the first batches with their images, then on the others.

    Returns the last result, or the last that was not finite.
    """
    gan.discriminator.set_learning_rates(step)
    size, results = len(images), []
    for first in range(0, len(batches), size):
        part = batches[first : first + size]
        if first:
            with torch.no_grad(), accelerator.autocast():
                images = [generator(*batch.inputs).float() for batch in part]
        results.append(
            discriminator_step(
                gan.discriminator, gan.loss, part, images, gan.update_index(step), accelerator
            )
        )
    return next((result for result in reversed(results) if not result.finite), results[-1])


@contextmanager
def freeze(*networks: nn.Module) -> Iterator[None]:
    """Let gradients pass through the networks, but give their parameters none.

    Under `torch.no_grad` instead, nothing would come through to the generator either.
    """
    trainable = [p for network in networks for p in network.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def copy_buffers(networks: Sequence[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    """Return each buffer, of batch and spectral normalization, with a copy of it."""
    buffers = [buffer for network in networks for buffer in network.buffers()]
    return list(zip(buffers, clone_tensors(buffers), strict=True))


def restore_buffers(copies: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Put back what `copy_buffers` returned."""
    with torch.no_grad():
        copy_tensors([buffer for buffer, _ in copies], [value for _, value in copies])


@contextmanager
def _share_gradients(state: NetworkState, accelerator: Accelerator, last: bool) -> Iterator[None]:
    """Have several processes exchange gradients in the last of the backward passes only."""
    if last or not isinstance(state.forward, nn.Module):
        yield
        return
    with accelerator.no_sync(state.forward):
        yield


def _update_network(
    state: NetworkState,
    losses: Sequence[Tensor],
    terms: Sequence[Mapping[str, Tensor]],
    accelerator: Accelerator,
    drift: Mapping[str, Tensor] | None = None,
) -> StepResult:
    """Clip the gradients that have been summed up, and step if they and the loss are finite.

    All processes step or none does. drift: further numbers, for the averages.
    """
    accelerator.unscale_gradients(state.optimizer)
    limit = math.inf if state.clip_norm is None else state.clip_norm
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), limit)
    means = {name: torch.stack([part[name] for part in terms]).mean() for name in terms[0]}
    # The only numbers that the CPU waits for, in one piece: it would wait for each.
    numbers = [torch.stack(list(losses)).mean(), norm, *means.values(), *(drift or {}).values()]
    own, averages = average_over_processes(numbers, accelerator)
    finite = math.isfinite(averages[0] + averages[1])
    overflowed = False
    if finite:
        state.optimizer.step()
    else:
        state.optimizer.zero_grad()
        if accelerator.scaler is not None:
            overflowed = math.isfinite(averages[0]) and accelerator.scaler.get_scale() > 1
            accelerator.scaler.update()  # lowers its factor where gradients overflow
    return StepResult(
        loss=own[0],
        terms=dict(zip(means, own[2:], strict=False)),
        gradient_norm=own[1],
        finite=finite,
        averages=dict(zip([*means, *(drift or {})], averages[2:], strict=True)),
        overflowed=overflowed,
    )


def _measure_drift(batches: Sequence[Batch], images: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return how far sr's mean of each channel is from lr's, which that of downscaled sr equals."""
    means = [
        sr.mean((0, 2, 3)) - batch.lr.mean((0, 2, 3))
        for batch, sr in zip(batches, images, strict=True)
    ]
    drift = torch.stack(means).mean(0)
    return dict(zip(("drift_red", "drift_green", "drift_blue"), drift, strict=True))
