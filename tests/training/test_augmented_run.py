from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.runs import assert_a_resumed_run_equals_an_unbroken_one, load_state

from sr.build_data import find_training_sources
from sr.data.cache import SourceCache
from sr.options.schema import Options
from sr.training import run, steps
from sr.training.data_loader import load_crops, load_first_batches
from sr.training.distributed import make_accelerator
from sr.training.run import CatchInterruption

MakeOptions = Callable[..., Options]
DEGRADED = "datasets.train.degradation={type: Light}"
AUGMENTED = (
    "datasets.train.augmentation={probability: 1, rgb: 1, blend: 1, mixup: 1, cutmix: 1, "
    "cutmixup: 1, cutblur: 1}"
)
SHARPENED = "datasets.train.sharpening={kernel_size: 5, amount: 2, threshold: 1}"


@pytest.mark.parametrize(
    "further",
    [
        (DEGRADED,),
        (
            "datasets.train.degradation={type: Light, on_device: true}",
            "datasets.train.pool={size: 6, uses: 2}",
        ),
    ],
)
def test_a_resumed_run_equals_an_unbroken_one_with_augmentation_and_sharpening(
    gan_options: MakeOptions,
    stop_after: Callable[[int], CatchInterruption],
    further: tuple[str, ...],
) -> None:
    assert_a_resumed_run_equals_an_unbroken_one(
        gan_options, AUGMENTED, *further, SHARPENED, interruption=stop_after(3)
    )


def test_batches_are_augmented_if_the_options_say_so(tiny_options: MakeOptions) -> None:
    crops = {}
    for name, overrides in {"plain": (DEGRADED,), "augmented": (DEGRADED, AUGMENTED)}.items():
        options = tiny_options(*overrides)
        sources = find_training_sources(options, torch.device("cpu"))
        crops[name] = next(
            load_crops(
                options, SourceCache(sources, Path(), []), torch.device("cpu"), num_workers=0
            )
        )
    for key in ("lr", "hr"):
        assert crops["plain"][key].shape == crops["augmented"][key].shape
        assert not torch.equal(crops["plain"][key], crops["augmented"][key])


@pytest.mark.parametrize("targets", ["all", "all_but_adversarial"])
def test_terms_compare_with_sharpened_hr_and_the_discriminator_sees_what_was_asked_for(
    gan_options: MakeOptions, targets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    discriminate = steps.discriminator_step

    def spy(network: object, loss: object, batches: list[steps.Batch], *rest: object) -> object:
        seen.extend(batch.hr for batch in batches)
        return discriminate(network, loss, batches, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(steps, "discriminator_step", spy)
    plain = gan_options(DEGRADED)
    sharpened = gan_options(DEGRADED, SHARPENED, f"datasets.train.sharpening.targets={targets}")
    accelerator = make_accelerator(torch.device("cpu"), torch.float32)
    cached = SourceCache(find_training_sources(plain, torch.device("cpu")), Path(), [])
    (batch,) = load_first_batches(plain, cached, accelerator, 1)
    (sharp,) = load_first_batches(sharpened, cached, accelerator, 1)
    assert (sharp.target is None) == (targets == "all")
    assert torch.equal(sharp.hr, batch.hr) == (targets == "all_but_adversarial")
    run.train(sharpened)
    assert torch.equal(seen[0], sharp.hr)


def test_the_target_reaches_the_pixel_loss(tiny_options: MakeOptions) -> None:
    found = {}
    for name, targets in {"a": "all", "b": "all_but_adversarial"}.items():
        options = tiny_options(
            f"name={name}",
            DEGRADED,
            SHARPENED,
            f"datasets.train.sharpening.targets={targets}",
            "train.steps=2",
        )
        run.train(options)
        found[name] = load_state(options, 2)["generator"]["body.0.weight"]
    assert torch.equal(found["a"], found["b"])  # without a discriminator it is the same
