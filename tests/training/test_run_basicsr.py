"""A network of BasicSR through our loop; skipped where BasicSR is not installed."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sr.models.convert import convert_model
from sr.models.load import load_generator
from sr.networks.basicsr_network import BasicSRNetwork, networks_of_basicsr
from sr.options.schema import Options
from sr.training import run

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("basicsr") is None, reason="needs BasicSR, see the README"
)

MakeOptions = Callable[..., Options]
SWINIR = (
    "generator={type: BasicSR, arch: SwinIR, options: {img_size: 8, window_size: 4, depths: [2], "
    "embed_dim: 8, num_heads: [2], mlp_ratio: 2, upsampler: pixelshuffledirect}}"
)


def test_it_trains_validates_and_comes_back_from_its_file(
    tiny_options: MakeOptions, tmp_path: Path
) -> None:
    options = tiny_options(SWINIR)
    assert run.train(options)
    file = tmp_path / "runs" / "tiny" / "checkpoints" / "step_000000006.safetensors"
    loaded = load_generator(file)
    assert isinstance(loaded.network, BasicSRNetwork)
    assert (loaded.size_multiple, loaded.receptive_radius) == (4, 32)
    lr = torch.rand(1, 3, 5, 7)
    assert loaded.network(lr).shape == (1, 3, 10, 14)

    convert_model(file, tmp_path / "theirs.pth")
    weights = torch.load(tmp_path / "theirs.pth", weights_only=True)["params_ema"]
    assert options.generator.type == "BasicSR"
    theirs = networks_of_basicsr()["SwinIR"](upscale=2, **options.generator.options)
    theirs.load_state_dict(weights, strict=True)
    whole = torch.rand(1, 3, 8, 12)
    assert torch.equal(theirs.eval()(whole), loaded.network(whole))


def test_it_goes_on_from_weights_of_basicsr(tiny_options: MakeOptions, tmp_path: Path) -> None:
    generator = tiny_options(SWINIR).generator
    assert generator.type == "BasicSR"
    theirs = networks_of_basicsr()["SwinIR"](upscale=2, **generator.options)
    torch.save({"params": theirs.state_dict()}, tmp_path / "theirs.pth")
    still = "train.optimizer={type: AdamW, learning_rate: 1e-12}"
    initial = f"train.initial_generator={tmp_path / 'theirs.pth'}"
    assert run.train(tiny_options(SWINIR, still, initial))
    file = tmp_path / "runs" / "tiny" / "checkpoints" / "step_000000006.safetensors"
    for name, weight in load_generator(file).network.state_dict().items():
        torch.testing.assert_close(weight, theirs.state_dict()[name], msg=name)
