"""State dicts of our networks, whose key names are the published ones, are detected."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from sr.build import build_generator
from sr.errors import ModelFileError
from sr.models.detect_published import detect_published
from sr.models.load import load_generator
from sr.networks.compact import Compact
from sr.options.generator import SCALES, GeneratorOptions

SMALL: list[dict[str, Any]] = [
    {"type": "MSRResNet", "num_features": 6, "num_blocks": 3},
    {"type": "EDSR", "num_features": 6, "num_blocks": 12},
    {"type": "EDSR", "num_features": 256, "num_blocks": 1, "residual_scale": 0.1},
    {"type": "RRDBNet", "num_features": 6, "num_blocks": 2, "num_growth": 4},
    {"type": "Compact", "num_features": 6, "num_convs": 3},
    {"type": "SPAN", "num_features": 6, "num_blocks": 4},
    {"type": "SPAN", "num_features": 6, "num_blocks": 6, "normalise": False},
    {"type": "RLFN", "num_features": 6, "num_blocks": 3},
    {
        "type": "RLFN",
        "num_features": 6,
        "num_blocks": 2,
        "num_inner_features": 8,
        "num_esa_features": 4,
        "value_range": 255,
    },
    {"type": "DBPN", "num_shallow_features": 8, "num_features": 6, "num_stages": 3},
    {"type": "RBPN", "num_shallow_features": 8, "num_features": 6, "num_res_blocks": 2},
    {
        "type": "RBPN",
        "num_shallow_features": 6,
        "num_features": 8,
        "num_stages": 1,
        "num_res_blocks": 1,
        "num_frames": 3,
    },
    {"type": "ISeeBetterSRResNet", "num_features": 6},
]


@pytest.mark.parametrize(
    ("tree", "scale"),
    [(tree, scale) for tree in SMALL for scale in SCALES.get(tree["type"], (2, 3, 4, 8))],
)
def test_options_and_scale_are_read_off_the_weights(tree: dict[str, Any], scale: int) -> None:
    options: GeneratorOptions = TypeAdapter(GeneratorOptions).validate_python(tree)
    with torch.device("meta"):
        state_dict = build_generator(options, scale).state_dict()
    assert detect_published(state_dict) == (options, scale)


def test_networks_without_published_names_are_not_detected() -> None:
    options: GeneratorOptions = TypeAdapter(GeneratorOptions).validate_python(
        {"type": "SRResNet", "num_features": 4, "num_blocks": 1}
    )
    assert detect_published(build_generator(options, 4).state_dict()) is None
    assert detect_published({"a": torch.rand(1)}) is None


def test_another_activation_than_prelu_is_left_to_others() -> None:
    weights = {f"body.{n}.weight": torch.rand(4, 4, 3, 3) for n in (0, 2, 4)}
    assert detect_published({**weights, "body.0.weight": torch.rand(4, 3, 3, 3)}) is None


@pytest.mark.parametrize("tree", SMALL[:-1], ids=lambda tree: str(tree["type"]))
def test_missing_and_odd_weights_are_no_fault_of_the_program(tree: dict[str, Any]) -> None:
    options: GeneratorOptions = TypeAdapter(GeneratorOptions).validate_python(tree)
    with torch.device("meta"):
        state_dict = build_generator(options, 4).state_dict()
    for name in state_dict:
        detect_published({key: tensor for key, tensor in state_dict.items() if key != name})
        for odd in (torch.zeros(()), torch.zeros(3), torch.zeros(0, 0, 0, 0)):
            detect_published({**state_dict, name: odd})


def test_a_file_with_odd_shapes_is_refused_without_a_traceback(tmp_path: Path) -> None:
    weights = {f"body.{place}.weight": torch.zeros(()) for place in range(3)}
    torch.save(weights, tmp_path / "odd.pth")
    with pytest.raises(ModelFileError, match=r"odd\.pth"):
        load_generator(tmp_path / "odd.pth")


def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    weights = {name: (100 * x).to(torch.int8) for name, x in Compact(2, 4, 1).state_dict().items()}
    torch.save(weights, tmp_path / "odd.pth")
    with pytest.raises(ModelFileError, match=r"body\.0\.weight is torch\.int8"):
        load_generator(tmp_path / "odd.pth")
