import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision.models import alexnet, vgg16, vgg19

from sr.errors import ModelFileError
from sr.losses.imagenet_features import Architecture, ImageNetFeatures, list_layers

ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)
REFERENCES = {"AlexNet": alexnet, "VGG16": vgg16, "VGG19": vgg19}
SMALL = ("conv1_1", "relu1_1", "conv1_2", "relu1_2")


def small_weights() -> dict[str, Tensor]:
    """The keys that the layers up to relu1_2 need."""
    return {
        "features.0.weight": torch.randn(64, 3, 3, 3) / 5,
        "features.0.bias": torch.randn(64) / 5,
        "features.2.weight": torch.randn(64, 64, 3, 3) / 20,
        "features.2.bias": torch.randn(64) / 5,
    }


def saved(weights: dict[str, Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


@each_architecture
def test_all_named_layers_equal_torchvisions(architecture: Architecture) -> None:
    names = list_layers(architecture)
    features = ImageNetFeatures(architecture, names, "random")
    with torch.device("meta"):  # without the weights of its classifier
        reference = REFERENCES[architecture](weights=None).features
    reference.load_state_dict(
        {key.removeprefix("features."): tensor for key, tensor in features.state_dict().items()},
        assign=True,
    )
    x = torch.rand(1, 3, 31, 35)
    expected = []
    y = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    for layer in reference[:-1]:  # nothing is named after the last pooling
        y = layer(y.clone())
        if not isinstance(layer, torch.nn.MaxPool2d):
            expected.append(y.clone())
    maps = features(x)
    assert tuple(maps) == names
    torch.testing.assert_close(list(maps.values()), expected)


def test_layer_names_count_the_convolutions_of_the_papers() -> None:
    assert [len(list_layers(architecture)) for architecture in ARCHITECTURES] == [
        2 * 5,
        2 * 13,
        2 * 16,
    ]
    assert list_layers("VGG19")[-2:] == ("conv5_4", "relu5_4")
    assert list_layers("AlexNet")[-2:] == ("conv5", "relu5")
    assert list_layers("VGG16")[:3] == ("conv1_1", "relu1_1", "conv1_2")


def test_a_map_before_the_relu_is_not_changed_by_it() -> None:
    maps = ImageNetFeatures("VGG16", SMALL, "random")(torch.rand(1, 3, 8, 8))
    assert (maps["conv1_2"] < 0).any()
    assert torch.equal(maps["conv1_2"].relu(), maps["relu1_2"])


def test_the_stack_ends_with_the_last_layer_asked_for() -> None:
    features = ImageNetFeatures("VGG19", ["conv2_1", "conv1_1"], "random")
    assert len(features.features) == 6  # conv, relu, conv, relu, pool, conv
    assert set(features(torch.rand(1, 3, 4, 4))) == {"conv1_1", "conv2_1"}


def test_it_is_frozen_and_stays_in_eval_mode_but_the_image_gets_a_gradient() -> None:
    features = ImageNetFeatures("VGG16", ["conv2_2"], "random").train()
    assert not any(module.training for module in features.modules())
    assert not any(parameter.requires_grad for parameter in features.parameters())
    x = torch.rand(1, 3, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(features(x)["conv2_2"].square().sum(), x)
    assert (gradient != 0).all()


def test_the_normalization_is_not_in_the_state_dict() -> None:
    assert set(ImageNetFeatures("VGG16", SMALL, "random").state_dict()) == set(small_weights())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_loads_and_its_classifier_is_ignored(suffix: str, tmp_path: Path) -> None:
    weights = small_weights()
    path = saved(weights | {"classifier.0.weight": torch.rand(2)}, tmp_path / f"vgg{suffix}")
    features = ImageNetFeatures("VGG16", SMALL, path)
    assert all(torch.equal(weights[key], value) for key, value in features.state_dict().items())
    assert not any(parameter.requires_grad for parameter in features.parameters())


def test_a_file_in_half_precision_computes_in_float32(tmp_path: Path) -> None:
    weights = {key: tensor.half() for key, tensor in small_weights().items()}
    features = ImageNetFeatures("VGG16", SMALL, saved(weights, tmp_path / "vgg.safetensors"))
    assert all(tensor.dtype == torch.float32 for tensor in features.state_dict().values())
    assert features(torch.rand(1, 3, 4, 4))["conv1_2"].dtype == torch.float32


def test_loading_a_file_draws_no_random_numbers(tmp_path: Path) -> None:
    path = saved(small_weights(), tmp_path / "vgg.safetensors")
    before = torch.get_rng_state()
    ImageNetFeatures("VGG16", SMALL, path)
    assert torch.equal(torch.get_rng_state(), before)


def without_a_key(weights: dict[str, Tensor]) -> str:
    del weights["features.2.bias"]
    return "features.2.bias is missing"


def of_another_shape(weights: dict[str, Tensor]) -> str:
    weights["features.0.weight"] = torch.rand(64, 1, 3, 3)
    return r"features.0.weight has shape \(64, 1, 3, 3\), expected \(64, 3, 3, 3\)"


def of_another_architecture(weights: dict[str, Tensor]) -> str:
    weights["features.16.weight"] = torch.rand(512, 256, 3, 3)
    return "features.16.weight is not of this network"


@pytest.mark.parametrize("spoil", [without_a_key, of_another_shape, of_another_architecture])
def test_a_file_that_does_not_fit_is_refused(
    spoil: Callable[[dict[str, Tensor]], str], tmp_path: Path
) -> None:
    weights = small_weights()
    fault = spoil(weights)
    path = saved(weights, tmp_path / "vgg.safetensors")
    with pytest.raises(ModelFileError, match=f"VGG16: {re.escape(str(path))}: .*; {fault}"):
        ImageNetFeatures("VGG16", SMALL, path)


@pytest.mark.parametrize("name", ["vgg.safetensors", "vgg.pth"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 cut"])
def test_a_broken_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=re.escape(str(path))):
        ImageNetFeatures("VGG16", SMALL, path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"vgg\.pth: no such model file"):
        ImageNetFeatures("VGG16", SMALL, tmp_path / "vgg.pth")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vgg.pth"
    torch.save({"step": 3}, path)
    with pytest.raises(ModelFileError, match="as in a state dict, got step"):
        ImageNetFeatures("VGG16", SMALL, path)


def test_torchvisions_weights_are_taken_from_torchs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    weights = small_weights()
    saved(weights, tmp_path / "checkpoints" / "vgg16-397923af.pth")
    features = ImageNetFeatures("VGG16", SMALL, "torchvision")
    assert all(torch.equal(weights[key], value) for key, value in features.state_dict().items())


def test_without_a_network_the_error_says_what_was_tried(no_connection: Path) -> None:
    with pytest.raises(
        ModelFileError,
        match=f"VGG19.*{re.escape(str(no_connection))}.*vgg19-.*no route to host.*`weights: PATH`",
    ):
        ImageNetFeatures("VGG19", SMALL, "torchvision")


@pytest.mark.parametrize(("layer", "size"), [("relu1_2", 1), ("conv2_1", 2), ("relu5_3", 16)])
def test_an_image_that_the_poolings_would_leave_empty_is_refused(layer: str, size: int) -> None:
    features = ImageNetFeatures("VGG16", [layer], "random")
    assert features.min_size == size
    assert features(torch.rand(1, 3, size, size + 1))[layer].shape[-2:] == (
        1,
        2 if size == 1 else 1,
    )
    with pytest.raises(ValueError, match=f"{layer}: expected .* {size} x {size} px, .* width 0"):
        features(torch.rand(1, 3, size, 0))


def test_the_smallest_image_for_alexnet_leaves_one_value() -> None:
    features = ImageNetFeatures("AlexNet", ["relu5"], "random")
    assert features.min_size == 31
    assert features(torch.rand(1, 3, 31, 31))["relu5"].shape == (1, 256, 1, 1)


def test_an_unknown_layer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"VGG16 has no layer 'conv5_4'; did you mean conv5_3\?"):
        ImageNetFeatures("VGG16", ["conv5_4"], "random")
    with pytest.raises(ValueError, match=r"no layer 'x'; expected one of conv1_1, relu1_1"):
        ImageNetFeatures("VGG16", ["x"], "random")
    with pytest.raises(ValueError, match="at least one layer"):
        ImageNetFeatures("VGG16", [], "random")


def test_the_local_imagenet_file_loads(shared_data: Path) -> None:
    path = shared_data / "weights" / "vgg16_features_imagenet.safetensors"
    if not path.is_file():
        pytest.skip("needs ../shared/data/weights/vgg16_features_imagenet.safetensors")
    features = ImageNetFeatures("VGG16", ["conv1_1", "relu5_3"], path)
    torch.testing.assert_close(
        features.state_dict()["features.28.bias"], load_file(path)["features.28.bias"].float()
    )
    maps = features(torch.rand(1, 3, 16, 16))
    assert maps["relu5_3"].shape == (1, 512, 1, 1)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_weights_held_in_autocasts_type_give_the_same_maps(layout: torch.memory_format) -> None:
    image = torch.rand(2, 3, 24, 16, generator=torch.Generator().manual_seed(0))
    image = image.contiguous(memory_format=layout)
    layers = ("relu1_2", "conv2_1")
    torch.manual_seed(0)
    plain = ImageNetFeatures("VGG19", layers, "random")
    torch.manual_seed(0)
    held = ImageNetFeatures("VGG19", layers, "random").hold_as(torch.bfloat16, layout)
    with torch.autocast("cpu", torch.bfloat16):
        expected, maps = plain(image), held(image)
    for name in layers:
        torch.testing.assert_close(maps[name], expected[name])
    for weight in held.parameters():
        assert weight.dtype == torch.bfloat16
        assert weight.ndim == 1 or weight.is_contiguous(memory_format=layout)
    assert held.mean.dtype == held.std.dtype == torch.float32
