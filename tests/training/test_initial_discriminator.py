"""Discriminators that start from files, and files that are missed before images are opened."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.runs import find_model, load_state, run_folder

from sr.errors import ModelFileError, UserError
from sr.networks.patchgan import PatchGAN
from sr.networks.srgan_discriminator import SRGANDiscriminator
from sr.networks.unet_discriminator import UNetDiscriminator
from sr.options.read_yaml import OptionsError
from sr.options.schema import Options
from sr.training import run
from sr.training.dry_run import dry_run
from sr.training.initial_discriminator import load_initial_discriminator

MakeOptions = Callable[..., Options]
KEY = "train.gan.initial_discriminator"
CONTEXTUAL = "losses.contextual={{type: VGG16, layers: {{conv1_1: 1}}, weights: {}}}"


@pytest.mark.parametrize(
    "make",
    [
        lambda: UNetDiscriminator(4),
        lambda: PatchGAN(4, num_layers=2, normalisation="spectral"),
        lambda: SRGANDiscriminator(32, 2),
    ],
    ids=["UNet", "PatchGAN", "SRGAN"],
)
def test_published_weights_of_a_discriminator_arrive(
    make: Callable[[], torch.nn.Module], tmp_path: Path
) -> None:
    theirs, ours = make(), make()
    torch.save({"params": theirs.state_dict()}, tmp_path / "net_d.pth")
    assert load_initial_discriminator(ours, tmp_path / "net_d.pth") == ()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


def test_a_part_of_the_weights_is_taken_where_it_is_asked_for(tmp_path: Path) -> None:
    theirs, ours = UNetDiscriminator(4), UNetDiscriminator(4, spectral_norm=False)
    file = tmp_path / "net_d.pth"
    torch.save({"params": theirs.state_dict()}, file)
    with pytest.raises(
        ModelFileError, match=r"the discriminator: conv1\.weight is missing; .*; \.\.\.$"
    ):
        load_initial_discriminator(ours, file)
    missing = load_initial_discriminator(ours, file, partial=True)
    assert missing == tuple(f"conv{number}.weight" for number in range(1, 9))
    assert torch.equal(ours.conv0.weight, theirs.conv0.weight)
    with pytest.raises(ModelFileError, match=r"no tensor fits by name and shape; .*discriminator"):
        load_initial_discriminator(PatchGAN(4), file, partial=True)


def test_a_run_goes_on_from_the_discriminator_of_another(
    gan_options: MakeOptions, capfd: pytest.CaptureFixture[str]
) -> None:
    first = gan_options("train.steps=2")
    assert run.train(first)
    state = run_folder(first) / "checkpoints" / "step_000000002.state"
    still = "train.gan.optimizer={type: Adam, learning_rate: 1e-12}"
    second = gan_options("name=second", "train.steps=2", still, f"{KEY}={state}")
    assert run.train(second)
    assert f"discriminator from {state}" in capfd.readouterr().err.replace("\n", "")
    theirs = load_state(first, 2)["adversarial"]["discriminator"]
    for name, tensor in load_state(second, 2)["adversarial"]["discriminator"].items():
        if name.endswith(("_u", "_v")):  # power iterations go on
            continue
        torch.testing.assert_close(tensor, theirs[name], msg=name)
    state.unlink()  # no longer needed: the run has a state of its own
    assert run.train(gan_options("name=second", "train.steps=3", still, f"{KEY}={state}"))
    with pytest.raises(ModelFileError, match="got a generator; the discriminator of a run is in"):
        load_initial_discriminator(UNetDiscriminator(4), find_model(first, 2))


def test_the_state_of_another_run_has_no_discriminator(tiny_options: MakeOptions) -> None:
    options = tiny_options("train.steps=2")
    assert run.train(options)
    state = run_folder(options) / "checkpoints" / "step_000000002.state"
    with pytest.raises(ModelFileError, match="expected the state of an adversarial run"):
        load_initial_discriminator(UNetDiscriminator(4), state)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.initial_generator={}", r"train\.initial_generator: .*none\.pth: no such model"),
        (KEY + "={}", r"train\.gan\.initial_discriminator: .*none\.pth: no such model file"),
        ("losses.teacher={{model: {}}}", r"losses\.teacher\.model: .*none\.pth: no such model"),
        ("validate.lpips={{weights: {}}}", r"validate\.lpips\.weights: .*none\.pth: no such"),
        (
            "losses.dists={{weight: 1, weights: {}}}",
            r"losses\.dists\.weights: .*none\.pth: no such",
        ),
        (CONTEXTUAL, r"losses\.contextual\.weights: .*none\.pth: no such"),
    ],
)
def test_a_missing_file_is_reported_before_any_image_is_opened(
    override: str, message: str, gan_options: MakeOptions, photographs: Path, tmp_path: Path
) -> None:
    (photographs / "image_1.png").write_bytes(b"broken")
    options = gan_options(override.format(tmp_path / "none.pth"))
    for start in (run.train, lambda options: dry_run(options, print)):
        with pytest.raises(UserError, match=message):
            start(options)
    assert not options.log.folder.exists()


def test_basicsr_is_missed_before_any_image_is_opened(
    tiny_options: MakeOptions, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "basicsr", None)
    monkeypatch.delitem(sys.modules, "basicsr.archs", raising=False)
    (photographs / "image_1.png").write_bytes(b"broken")
    options = tiny_options("generator={type: BasicSR, arch: ECBSR}")
    with pytest.raises(UserError, match=r"generator\.type: BasicSR cannot be imported"):
        run.train(options)


def test_a_part_of_no_file_is_refused(gan_options: MakeOptions) -> None:
    with pytest.raises(OptionsError, match="initial_partial: expected initial_discriminator"):
        gan_options("train.gan.initial_partial=true")
