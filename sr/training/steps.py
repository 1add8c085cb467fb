"""One update of the generator and one of the discriminator, as functions of their arguments."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from sr.losses.combined import CombinedLoss, select_with_original
from sr.losses.discriminator import DiscriminatorLoss
from sr.training.distributed import any_process

Forward = Callable[..., Tensor]


@dataclass(frozen=True)
class Batch:
    """What one backward pass works with, on the device; images in RGB, [0, 1]."""

    inputs: tuple[Tensor, ...]
    """The generator's arguments: lr, (B, 3, h, w); of a generator that sees several frames also
    their neighbors and the flow to them, (B, n, 3, h, w) and (B, n, 2, h, w)."""
    hr: Tensor  # (B, 3, scale*h, scale*w)
    names: Sequence[str]
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
class Update:
    """What one update has to tell; means over its batches."""

    loss: float  # weighted total
    terms: dict[str, float]  # unweighted
    gradient_norm: float  # before clipping
    finite: bool  # where not, nothing was updated


@dataclass(frozen=True)
class Trained:
    """One network in training: how it is called and how it is updated."""

    network: nn.Module  # without wrappers
    forward: nn.Module | Forward  # compiled, over several processes, or the network itself
    optimizer: Optimizer
    clip_norm: float | None


def generator_step(
    generator: Trained,
    loss: CombinedLoss,
    batches: Sequence[Batch],
    factors: Mapping[str, float],
    accelerator: Accelerator,
) -> tuple[Update, list[Tensor]]:
    """Predict, compare, update the generator once with the mean gradient of the batches.

    factors: of terms whose weight differs from the options' now; see `CombinedLoss`. The networks
    run in the accelerator's precision, the losses in fp32.
    Returns the update and each batch's sr of lr, (B, 3, scale*h, scale*w), detached.
    """
    generator.optimizer.zero_grad()
    totals, all_terms, images = [], [], []
    for count, batch in enumerate(batches, start=1):
        with _gradients_shared(generator, accelerator, last=count == len(batches)):
            inputs = batch.all_inputs
            with accelerator.autocast():
                sr = generator.forward(*inputs)
            sr = sr.float()
            total, terms = loss(sr, batch.hr, factors, batch.motion, inputs[0])
            accelerator.backward(total / len(batches))
        totals.append(total.detach())
        all_terms.append(terms)
        images.append(select_with_original(sr.detach(), batch.hr))
    return _update(generator, totals, all_terms, accelerator), images


def discriminator_step(
    discriminator: Trained,
    loss: DiscriminatorLoss,
    batches: Sequence[Batch],
    images: Sequence[Tensor],
    number: int,
    accelerator: Accelerator,
) -> Update:
    """Judge hr and sr, update the discriminator once with the mean gradient of the batches.

    images: sr of each batch, without a graph: the generator does not learn here. number: of the
    step among those in which the discriminator learns, counted from 1. The terms also hold the mean
    logits `d_real` and `d_sr`.
    """
    discriminator.optimizer.zero_grad()
    totals, all_terms = [], []
    for count, (batch, sr) in enumerate(zip(batches, images, strict=True), start=1):
        with _gradients_shared(discriminator, accelerator, last=count == len(batches)):
            total, terms = loss(
                discriminator.forward,
                discriminator.network,
                batch.hr,
                sr.detach(),
                number,
                accelerator.autocast,
            )
            accelerator.backward(total / len(batches))
        totals.append(total.detach())
        all_terms.append(terms)
    return _update(discriminator, totals, all_terms, accelerator)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through the network, but its parameters get none.

    Under `torch.no_grad` instead, nothing would come through to the generator either.
    """
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def snapshot_of_buffers(networks: Sequence[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    """What batch and spectral normalisation remember: each buffer and a copy of it."""
    return [(buffer, buffer.clone()) for network in networks for buffer in network.buffers()]


def restore_buffers(snapshot: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Put the copies back."""
    with torch.no_grad():
        for buffer, value in snapshot:
            buffer.copy_(value)


def set_learning_rates(optimizer: Optimizer, base: Sequence[float], factor: float) -> None:
    """Give each parameter group its base learning rate times `factor`."""
    for group, learning_rate in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = learning_rate * factor


def to_device(tensor: Tensor, device: torch.device, channels_last: bool) -> Tensor:
    """A batch on the device, in the layout of the networks."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return tensor.to(device, non_blocking=True).contiguous(memory_format=layout)


@contextmanager
def _gradients_shared(trained: Trained, accelerator: Accelerator, last: bool) -> Iterator[None]:
    """Several processes exchange gradients in the last of the backward passes only."""
    if last or not isinstance(trained.forward, nn.Module):
        yield
        return
    with accelerator.no_sync(trained.forward):
        yield


def _update(
    trained: Trained,
    totals: Sequence[Tensor],
    terms: Sequence[Mapping[str, Tensor]],
    accelerator: Accelerator,
) -> Update:
    """Clip the gradients that have been summed up, and step if they and the loss are finite.

    All processes step or none does.
    """
    loss = torch.stack(list(totals)).mean().item()
    accelerator.unscale_gradients(trained.optimizer)
    parameters = list(trained.network.parameters())
    limit = math.inf if trained.clip_norm is None else trained.clip_norm
    norm = float(nn.utils.clip_grad_norm_(parameters, limit))
    finite = not any_process(not math.isfinite(norm + loss), accelerator)
    if finite:
        trained.optimizer.step()
    else:
        trained.optimizer.zero_grad()
        if accelerator.scaler is not None:
            accelerator.scaler.update()  # lowers its factor where gradients overflow
    names = terms[0].keys()
    return Update(
        loss=loss,
        terms={name: torch.stack([part[name] for part in terms]).mean().item() for name in names},
        gradient_norm=norm,
        finite=finite,
    )
