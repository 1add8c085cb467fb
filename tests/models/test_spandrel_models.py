"""Networks that spandrel knows, behind the shapes of ours."""

from pathlib import Path

import pytest
import torch
from torch import nn

from sr.errors import ModelFileError
from sr.models.convert import convert_model
from sr.models.load import load_generator

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")  # spandrel's SwinIR


def dncnn(channels: int) -> dict[str, torch.Tensor]:
    """Weights of a network for denoising that spandrel recognizes: a chain of convolutions."""
    from spandrel.architectures.DnCNN import DnCNN

    network = DnCNN(in_nc=channels, out_nc=channels, nc=8, nb=20)
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def swinir() -> dict[str, torch.Tensor]:
    from spandrel.architectures.SwinIR import SwinIR

    network = SwinIR(
        upscale=2,
        img_size=8,
        window_size=4,
        depths=[1],
        embed_dim=12,
        num_heads=[2],
        mlp_ratio=2,
        upsampler="pixelshuffledirect",
    )
    return dict(network.state_dict())


def saved(weights: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    torch.save({"params": weights}, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_for_gray_or_rgb_takes_rgb(channels: int, tmp_path: Path) -> None:
    loaded = load_generator(saved(dncnn(channels), tmp_path))
    assert loaded.origin == "recognized by spandrel"
    assert loaded.scale == 1
    with torch.inference_mode():
        assert loaded.network(torch.rand(1, 3, 9, 13)).shape == (1, 3, 9, 13)


def test_sizes_that_do_not_fit_are_padded_and_cut(tmp_path: Path) -> None:
    loaded = load_generator(saved(swinir(), tmp_path))
    assert loaded.scale == 2
    assert loaded.architecture.startswith("SwinIR")
    assert loaded.receptive_radius == 32
    for size in ((1, 1), (3, 10), (8, 8)):
        with torch.inference_mode():
            sr = loaded.network(torch.rand(1, 3, *size))
        assert sr.shape == (1, 3, 2 * size[0], 2 * size[1])


def test_precisions_are_those_that_the_network_bears(tmp_path: Path) -> None:
    from spandrel import ModelLoader

    path = saved(swinir(), tmp_path)
    model, loaded = ModelLoader().load_from_file(path), load_generator(path)
    assert (torch.float16 in loaded.reduced_precisions) == model.supports_half
    assert (torch.bfloat16 in loaded.reduced_precisions) == model.supports_bfloat16
    assert loaded.size_multiple == model.size_requirements.multiple_of


def test_a_network_with_other_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"theirs\.pth: DnCNN takes 2 channels"):
        load_generator(saved(dncnn(2), tmp_path))


def test_weights_that_only_look_like_a_network_are_refused(tmp_path: Path) -> None:
    weights = swinir()
    weights["layers.0.residual_group.blocks.0.mlp.fc1.weight"] = nn.Parameter(torch.rand(1, 1))
    with pytest.raises(ModelFileError, match=r"theirs\.pth: spandrel takes it for .* cannot build"):
        load_generator(saved(weights, tmp_path))


def test_a_network_of_others_has_no_counterpart_here(tmp_path: Path) -> None:
    path = saved(swinir(), tmp_path)
    with pytest.raises(
        ModelFileError, match=r"SwinIR.* has no counterpart here.* \.onnx and \.param only"
    ):
        convert_model(path, tmp_path / "ours.safetensors")
