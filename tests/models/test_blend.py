from pathlib import Path

import pytest
import torch

from sr.io.model_file import ModelFileError, write_model_file
from sr.models.convert import convert_model
from sr.models.load import load_generator
from sr.networks.compact import Compact


def a_model(path: Path, seed: int, num_features: int = 4, scale: int = 2) -> Path:
    torch.manual_seed(seed)
    generator = {"type": "Compact", "num_features": num_features, "num_convs": 1}
    weights = Compact(scale, num_features, 1).state_dict()
    write_model_file(path, weights, {"generator": generator, "scale": scale, "step": seed})
    return path


def test_a_blend_is_the_weighted_mean_of_the_weights(tmp_path: Path) -> None:
    paths = [a_model(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2)]
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
    first = a_model(tmp_path / "first.safetensors", 1)
    second = a_model(tmp_path / "second.safetensors", 2, **other)
    with pytest.raises(ModelFileError, match=r"second\.safetensors: expected another Compact x2"):
        convert_model(first, tmp_path / "blend.safetensors", blend=(second, 0.5))
    assert not (tmp_path / "blend.safetensors").exists()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_leaves_nothing_to_blend_is_refused(tmp_path: Path, share: float) -> None:
    first = a_model(tmp_path / "first.safetensors", 1)
    with pytest.raises(ModelFileError, match="must be between 0 and 1"):
        convert_model(first, tmp_path / "blend.safetensors", blend=(first, share))
