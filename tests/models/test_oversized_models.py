"""Small files that claim large networks: refused by name, before memory and time are spent."""

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sr.build import build_generator
from sr.errors import UserError
from sr.io.model_file import write_model_file
from sr.models.initial_weights import load_initial_weights
from sr.models.limit_building import NetworkTooLargeError, limit_building
from sr.models.load import load_generator
from sr.networks.compact import Compact
from sr.networks.receptive_radius import MAX_RADIUS
from sr.networks.span import SPAN, add_branches
from sr.options.generator import CompactOptions

TINY = CompactOptions(type="Compact", num_features=4, num_convs=1)


def start_from(path: Path) -> None:
    load_initial_weights(build_generator(TINY, 2), path, TINY, 2)


def write(path: Path, metadata: Mapping[str, Any]) -> Path:
    write_model_file(path, build_generator(TINY, 2).state_dict(), {"scale": 2, **metadata})
    return path


def compact(**options: int) -> dict[str, Any]:
    return {"type": "Compact", "num_features": 4, "num_convs": 1, **options}


@pytest.mark.parametrize(
    "generator",
    [
        compact(num_features=20_000),
        compact(num_features=10**30),
        compact(num_features=3000, num_convs=60),
        compact(num_convs=90_000),
        compact(num_convs=10**9),
        {"type": "SPAN", "num_blocks": 90_000},
        {"type": "RLFN", "num_blocks": 90_000, "num_features": 1},
        {"type": "RRDBNet", "num_features": 90_000},
        {"type": "DBPN", "num_stages": 50_000},
        {"type": "RBPN", "num_frames": 99_999, "num_features": 90_000},
    ],
)
def test_metadata_that_claim_a_huge_network_are_refused(
    generator: dict[str, Any], tmp_path: Path
) -> None:
    path = write(tmp_path / "huge.safetensors", {"generator": generator})
    with pytest.raises(UserError, match=r"huge\.safetensors: "):
        load_generator(path)
    if generator["type"] == "Compact":  # else only the weights count, and they fit
        with pytest.raises(UserError, match=r"huge\.safetensors: "):
            start_from(path)


@pytest.mark.parametrize(
    "weights",
    [
        {"body.0.weight": (64, 3, 3, 3), "body.1.weight": (64,), "body.2.weight": (2,)},
        {"conv_first.weight": (4, 3, 3, 3), "body.0.conv1.weight": (4, 4, 3, 3)}
        | {"upconv1.weight": (16, 4, 3, 3), "conv_hr.weight": (4, 4, 3, 3)},
        {"conv_first.weight": (4, 3, 3, 3), "body.0.conv1.weight": (4, 4, 3, 3)}
        | {"conv_after_body.weight": (4, 4, 3, 3), "upsample.0.weight": (16, 4, 3, 3)},
    ],
)
@pytest.mark.parametrize("load", [load_generator, start_from])
def test_a_tensor_with_a_huge_number_in_its_name_is_refused(
    load: Callable[[Path], object], weights: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    tensors = {name: torch.rand(shape) for name, shape in weights.items()}
    tensors["body.200000000.weight"] = torch.rand(12, 4, 3, 3)
    torch.save(tensors, tmp_path / "many.pth")
    with pytest.raises(UserError, match=r"many\.pth: "):
        load(tmp_path / "many.pth")


def test_a_number_of_thousands_of_digits_in_a_name_is_no_count(tmp_path: Path) -> None:
    tensors = {f"body.{number}.weight": torch.rand(4) for number in (0, 1, 2, "9" * 5000)}
    torch.save(tensors, tmp_path / "odd.pth")
    with pytest.raises(UserError, match=r"odd\.pth: "):
        load_generator(tmp_path / "odd.pth")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(20_000, 20_000, 3, 3),
        torch.empty(0, 10**12),
        torch.empty(64, 3, 3, 3, device="meta"),
        torch.zeros(64, 64).to_sparse(),
    ],
)
def test_a_tensor_that_claims_more_than_it_holds_is_refused(tensor: Tensor, tmp_path: Path) -> None:
    weights = {"body.0.weight": tensor, "body.1.weight": torch.rand(4), "body.2.weight": tensor}
    torch.save(weights, tmp_path / "claims.pth")
    with pytest.raises(UserError, match=r"claims\.pth: expected (dense tensors|as many numbers)"):
        load_generator(tmp_path / "claims.pth")


def test_an_empty_tensor_of_huge_sides_in_safetensors_is_refused(tmp_path: Path) -> None:
    weights = {"body.0.weight": torch.empty(10**12, 0, 3, 3), "body.1.weight": torch.rand(4)}
    save_file(weights, tmp_path / "claims.safetensors")
    with pytest.raises(UserError, match=r"claims\.safetensors: expected as many numbers"):
        load_generator(tmp_path / "claims.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"generator": ' * 200 + "1" + "}" * 200,
        '{"scale": ' + "9" * 5000 + "}",
    ],
)
def test_metadata_that_break_parsers_are_refused(header: str, tmp_path: Path) -> None:
    save_file({"a": torch.rand(1)}, tmp_path / "odd.safetensors", metadata={"sr": header})
    for load in (load_generator, start_from):
        with pytest.raises(UserError, match=r"odd\.safetensors: expected metadata"):
            load(tmp_path / "odd.safetensors")


@pytest.mark.parametrize("radius", [10**6, 10**30])
def test_a_receptive_radius_in_metadata_has_a_bound(radius: int, tmp_path: Path) -> None:
    metadata = {"generator": compact(), "receptive_radius": radius}
    assert load_generator(write(tmp_path / "a.safetensors", metadata)).receptive_radius == (
        MAX_RADIUS
    )


def test_a_fused_kernel_that_would_make_larger_branches_stays_as_it_is() -> None:
    weights = {
        "conv_cat.weight": torch.rand(4, 16, 1, 1),
        "conv_2.eval_conv.weight": torch.rand(50_000, 1, 3, 3),
        "conv_2.eval_conv.bias": torch.rand(50_000),
    }
    assert list(add_branches(weights)) == list(weights)


def test_a_network_that_its_weights_fill_is_built() -> None:
    for network in (Compact(2, 4, 1), SPAN(4, 48, 6)):
        with limit_building(network.state_dict()):
            Compact(2, 4, 1)


def test_only_networks_of_the_same_thread_and_inside_are_limited() -> None:
    built: list[nn.Module] = []
    with limit_building({"a": torch.rand(1)}):
        thread = Thread(target=lambda: built.append(Compact(2, 1, 340)))
        thread.start()
        thread.join()
        with pytest.raises(NetworkTooLargeError, match="file's 1 tensors of 1 numbers"):
            Compact(2, 1, 340)
    built.append(Compact(2, 1, 340))
    assert len(built) == 2
