"""Runs with terms that draw at random, learn weights, or look at other networks of the run."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from sr.options.schema import Options
from sr.training.checkpoint import read_state
from sr.training.run import CatchInterruption, train

LOSSES = (
    "losses.s3im={weight: 0.1, repeats: 2}",
    "losses.frequency={type: L1}",
    "losses.color={pool_size: 4}",
    "losses.ldl={}",
    "losses.contrastive={weight: 0.1, samples: 1, layer: 1}",
    "losses.uncertainty={learning_rate: 0.05}",
)


def read_steps(options: Options) -> list[dict[str, Any]]:
    log = options.log.folder / options.name / "log.jsonl"
    entries = map(json.loads, log.read_text().splitlines())
    return [entry for entry in entries if "loss_s3im" in entry]


def read_last(options: Options) -> dict[str, Any]:
    return read_state(options.log.folder / options.name / "checkpoints" / "step_000000006.state")


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    gan_options: Callable[..., Options], stop_after: Callable[[int], CatchInterruption]
) -> None:
    whole, broken = gan_options(*LOSSES), gan_options("name=broken", *LOSSES)
    assert train(whole)
    assert not train(broken, catch_interruption=stop_after(3))
    assert train(broken)
    first, second = read_last(whole), read_last(broken)
    for network in ("generator", "ema"):
        for name, weights in first[network].items():
            assert torch.equal(weights, second[network][name]), name
    assert torch.equal(
        first["uncertainty"]["log_variances"], second["uncertainty"]["log_variances"]
    )
    assert [entry["loss_s3im"] for entry in read_steps(whole)] == [
        entry["loss_s3im"] for entry in read_steps(broken)
    ]


def test_learned_weights_are_logged_and_count(gan_options: Callable[..., Options]) -> None:
    options = gan_options(*LOSSES)
    assert train(options)
    steps = read_steps(options)
    assert steps[0]["log_variance_l1"] == 0
    assert steps[0]["weighted_l1"] == pytest.approx(steps[0]["loss_l1"])
    assert steps[0]["weighted_s3im"] == pytest.approx(0.1 * steps[0]["loss_s3im"])
    last = steps[-1]
    assert last["log_variance_l1"] < -0.1  # the term is far below 1
    factor = torch.tensor(-last["log_variance_l1"]).exp().item()
    assert last["weighted_l1"] == pytest.approx(factor * last["loss_l1"], rel=1e-5)
    assert last["weighted_s3im"] == pytest.approx(0.1 * last["loss_s3im"])


def test_weights_can_be_learned_from_the_middle_of_a_run_on(
    tiny_options: Callable[..., Options], stop_after: Callable[[int], CatchInterruption]
) -> None:
    terms = ("losses.s3im={}", "losses.frequency={}")
    assert not train(tiny_options(*terms), catch_interruption=stop_after(3))
    options = tiny_options(*terms, "losses.uncertainty={learning_rate: 0.1}")
    assert train(options)
    assert read_last(options)["uncertainty"]["names"] == ["l1", "frequency"]
    assert read_steps(options)[-1]["log_variance_l1"] < 0


def test_the_contrastive_term_comes_in_with_the_adversarial_one(
    gan_options: Callable[..., Options],
) -> None:
    options = gan_options(
        "losses.adversarial.weight=0",
        "losses.s3im={}",
        "losses.contrastive={weight: 0.1, layer: 1}",
        "train.gan.start_step=2",
        "train.gan.lead_steps=1",
    )
    assert train(options)
    steps = read_steps(options)
    assert ["loss_contrastive" in entry for entry in steps] == [False, False, *[True] * 4]
    assert not any("loss_adversarial" in entry for entry in steps)
    assert all("discriminator_loss" in entry for entry in steps[1:])
