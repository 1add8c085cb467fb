"""Model files in other formats: nothing is lost on the way, nothing broken is left."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sr.errors import ModelFileError
from sr.io.model_file import read_model_file, write_model_file
from sr.models.convert import convert_model
from sr.models.describe import describe_model, measure_mflop_per_pixel
from sr.models.load import load_generator
from sr.networks.compact import Compact
from sr.networks.edsr import EDSR
from sr.networks.rrdb import RRDBNet
from sr.networks.srresnet import SRResNet

SMALL: dict[str, tuple[nn.Module, dict[str, Any]]] = {
    "compact": (Compact(4, 8, 2), {"type": "Compact", "num_features": 8, "num_convs": 2}),
    "rrdb": (
        RRDBNet(2, 64, 1, 32),  # spandrel takes these widths for granted
        {"type": "RRDBNet", "num_features": 64, "num_blocks": 1, "num_growth": 32},
    ),
}


@pytest.fixture(params=SMALL)
def ours(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small model as train.py writes it."""
    network, options = SMALL[request.param]
    path = tmp_path / f"{request.param}.safetensors"
    metadata = {
        "generator": options,
        "scale": network.scale,
        "step": 7,
        "ema": True,
        "licence": "CC0-1.0",
        "training_data": "two photographs",
    }
    write_model_file(path, network.state_dict(), metadata)
    return path


def assert_same_result(a: Path, b: Path, tolerance: float = 0) -> None:
    lr = torch.rand(1, 3, 12, 15)
    first, second = (load_generator(path).network(lr) for path in (a, b))
    assert (first - second).abs().max() <= tolerance


def test_a_round_trip_through_pth_changes_no_weight(ours: Path, tmp_path: Path) -> None:
    convert_model(ours, tmp_path / "theirs.pth")
    convert_model(tmp_path / "theirs.pth", tmp_path / "back.safetensors")
    before, after = read_model_file(ours), read_model_file(tmp_path / "back.safetensors")
    assert before.state_dict.keys() == after.state_dict.keys()
    for name, tensor in before.state_dict.items():
        assert torch.equal(after.state_dict[name], tensor)
    assert after.metadata["generator"] == before.metadata["generator"]
    assert_same_result(ours, tmp_path / "back.safetensors")


def test_what_a_file_says_of_itself_is_kept(ours: Path, tmp_path: Path) -> None:
    convert_model(ours, tmp_path / "copy.safetensors")
    facts = read_model_file(tmp_path / "copy.safetensors").metadata
    assert (facts["step"], facts["licence"]) == (7, "CC0-1.0")


def test_spandrel_reads_what_is_written_for_others(ours: Path, tmp_path: Path) -> None:
    spandrel = pytest.importorskip("spandrel")
    convert_model(ours, tmp_path / "theirs.pth")
    model = spandrel.ModelLoader().load_from_file(tmp_path / "theirs.pth")
    loaded = load_generator(ours)
    assert model.scale == loaded.scale
    lr = torch.rand(1, 3, 12, 16)
    with torch.no_grad():
        expected = loaded.network(lr).clamp(0, 1)
    torch.testing.assert_close(model(lr), expected, rtol=0, atol=1e-5)


def test_half_the_size_where_asked(ours: Path, tmp_path: Path) -> None:
    convert_model(ours, tmp_path / "half.pth", half=True)
    weights = torch.load(tmp_path / "half.pth", weights_only=True)["params_ema"]
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert_same_result(ours, tmp_path / "half.pth", tolerance=0.01)
    convert_model(ours, tmp_path / "half.safetensors", half=True)
    assert_same_result(ours, tmp_path / "half.safetensors", tolerance=0.01)


@pytest.mark.parametrize(
    ("network", "options", "told_apart"),
    [
        (
            EDSR(2, 8, 1, 0.5),
            {"type": "EDSR", "num_features": 8, "num_blocks": 1},
            "residual_scale",
        ),
        (SRResNet(2, 4, 1), {"type": "SRResNet", "num_features": 4, "num_blocks": 1}, "SRResNet"),
    ],
)
def test_a_pth_that_nobody_could_read_right_is_refused(
    network: nn.Module, options: dict[str, Any], told_apart: str, tmp_path: Path
) -> None:
    if isinstance(network, EDSR):
        options["residual_scale"] = 0.5
    ours = tmp_path / "a.safetensors"
    write_model_file(ours, network.state_dict(), {"generator": options, "scale": 2})
    with pytest.raises(ModelFileError, match=rf"b\.pth: .*{told_apart}.* cannot be detected"):
        convert_model(ours, tmp_path / "b.pth")
    assert not (tmp_path / "b.pth").exists()


def test_weights_too_large_for_float16_are_refused(tmp_path: Path) -> None:
    network = Compact(2, 4, 1)
    network.get_parameter("body.0.weight").data[0] = 1e6
    torch.save(network.state_dict(), tmp_path / "a.pth")
    for name in ("b.pth", "b.safetensors"):
        with pytest.raises(ModelFileError, match=r"body\.0\.weight has values too large"):
            convert_model(tmp_path / "a.pth", tmp_path / name, half=True)


def test_an_unknown_format_is_refused_with_the_known_ones(ours: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"a\.bin: expected .*\.safetensors: .*\.onnx: "):
        convert_model(ours, tmp_path / "a.bin")


def test_a_failed_conversion_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"")
    with pytest.raises(ModelFileError):
        convert_model(tmp_path / "a.pth", tmp_path / "b.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_a_file_is_described(ours: Path) -> None:
    facts = describe_model(ours)
    assert facts["parameters"].replace(",", "").isdigit()
    assert facts["license"] == "CC0-1.0"
    assert facts["training data"] == "two photographs"
    assert facts["step"] == "7, averaged weights"
    assert facts["network"].endswith("(train.py)")
    assert facts["precisions"] == "float32, bfloat16, float16"
    assert facts["cost"].endswith("MFLOP per LR pixel")


def test_flops_are_two_a_weight_and_pixel() -> None:
    # 4 convolutions of 3x3 at LR size, without biases and slopes: 2 * 9 * (3*8 + 8*8*2 + 8*48).
    assert measure_mflop_per_pixel(Compact(4, 8, 2)) == pytest.approx(2 * 9 * 536 / 1e6)


def test_batch_normalization_survives(tmp_path: Path) -> None:
    network = SRResNet(2, 4, 1)
    network(torch.rand(2, 3, 8, 8))  # moves its statistics
    options = {"type": "SRResNet", "num_features": 4, "num_blocks": 1}
    path = tmp_path / "a.safetensors"
    write_model_file(path, network.state_dict(), {"generator": options, "scale": 2})
    convert_model(path, tmp_path / "b.safetensors", half=False)
    assert_same_result(path, tmp_path / "b.safetensors")


def write_compact(path: Path, seed: int, num_features: int = 4, scale: int = 2) -> Path:
    torch.manual_seed(seed)
    generator = {"type": "Compact", "num_features": num_features, "num_convs": 1}
    weights = Compact(scale, num_features, 1).state_dict()
    write_model_file(path, weights, {"generator": generator, "scale": scale, "step": seed})
    return path


def test_a_blend_is_the_weighted_mean_of_the_weights(tmp_path: Path) -> None:
    paths = [write_compact(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2)]
    target = tmp_path / "blend.safetensors"
    convert_model(paths[0], target, blend=(paths[1], 0.25))
    first, second = (load_generator(path).network.state_dict() for path in paths)
    blend = load_generator(target)
    for name, tensor in blend.network.state_dict().items():
        torch.testing.assert_close(tensor, 0.75 * first[name] + 0.25 * second[name])
    assert blend.metadata["blended_with"] == {"step": 2, "share": 0.25}


@pytest.mark.parametrize("other", [{"num_features": 3}, {"scale": 4}])
def test_models_of_different_networks_cannot_be_blended(
    tmp_path: Path, other: dict[str, int]
) -> None:
    first = write_compact(tmp_path / "first.safetensors", 1)
    second = write_compact(tmp_path / "second.safetensors", 2, **other)
    with pytest.raises(ModelFileError, match=r"second\.safetensors: expected another Compact x2"):
        convert_model(first, tmp_path / "blend.safetensors", blend=(second, 0.5))
    assert not (tmp_path / "blend.safetensors").exists()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_leaves_nothing_to_blend_is_refused(tmp_path: Path, share: float) -> None:
    first = write_compact(tmp_path / "first.safetensors", 1)
    with pytest.raises(ModelFileError, match="expected a share of the blend between 0 and 1"):
        convert_model(first, tmp_path / "blend.safetensors", blend=(first, share))
