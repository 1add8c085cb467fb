"""Models put together: a chain equals the runs one after the other, a blend their mean."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.images import noise
from helpers.models import write_compact
from helpers.videos import Listener

from sr import Upscaler
from sr.errors import ModelFileError
from sr.inference.load_upscaler import load_upscalers
from sr.inference.named_files import ModelFiles
from sr.inference.options import RuntimeOptions
from sr.models.backends import use_backend
from sr.models.composite import (
    blend_generators,
    chain_generators,
    chain_radii,
    limit_radius,
    make_resampler,
)
from sr.models.describe import describe_chain
from sr.models.fingerprint import fingerprint_network
from sr.models.load import load_generator
from sr.networks.receptive_radius import measure_receptive_radius

CPU = torch.device("cpu")
FP32: dict[str, Any] = {"device": "cpu", "precision": "fp32"}

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="needs openvino")


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """Of scale 1 and of scale 2."""
    clean = write_compact(tmp_path / "clean.safetensors", 1, num_convs=2, seed=1)
    return [clean, write_compact(tmp_path / "enlarge.safetensors", 2, seed=2)]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("tile_size", [0, 8])
def test_a_chain_equals_its_models_one_after_the_other(
    models: list[Path], order: int, tile_size: int
) -> None:
    lr = noise(21, 26, 3).astype(np.float32) / 255
    files = models[::order]
    expected = lr
    for file in files:
        expected = Upscaler.load(file, **FP32, tile_size=0)(expected)
    chain = Upscaler.load(files, **FP32, tile_size=tile_size)
    assert chain.scale == 2
    np.testing.assert_allclose(chain(lr), expected, rtol=0, atol=1e-6)


def test_the_radius_of_a_chain_is_as_measured(models: list[Path], tmp_path: Path) -> None:
    files = [models[1], write_compact(tmp_path / "third.safetensors", 3, num_convs=3), models[0]]
    chain = chain_generators([load_generator(file) for file in files])
    assert chain.scale == 6
    assert chain.receptive_radius == 7 == measure_receptive_radius(chain.network)


def test_radii_are_rounded_up_at_each_scale() -> None:
    assert chain_radii([4, 3], [1, 2]) == 7
    assert chain_radii([3, 4], [2, 1]) == 5
    assert chain_radii([3, 5, 1], [4, 4, 2]) == 3 + 2


def test_the_usual_halo_limits_each_model_and_not_the_chain(models: list[Path]) -> None:
    deep = replace(load_generator(models[0]), receptive_radius=90)
    chain = chain_generators([deep, load_generator(models[1])])
    assert chain.receptive_radius == 93
    assert limit_radius(chain, 32) == 35


def test_tiles_of_a_chain_begin_where_each_model_needs_it(models: list[Path]) -> None:
    first, second = map(load_generator, models[::-1])
    second = replace(second, size_multiple=8)
    assert chain_generators([first, second]).size_multiple == 4
    first = replace(first, size_multiple=3)
    assert chain_generators([first, second]).size_multiple == 12


def test_a_chain_has_the_worst_properties_of_its_parts(models: list[Path]) -> None:
    first, second = map(load_generator, models)
    second = replace(second, tiling="discouraged", reduced_precisions=frozenset({torch.bfloat16}))
    chain = chain_generators([first, second])
    assert chain.tiling == "discouraged"
    assert chain.reduced_precisions == {torch.bfloat16}


@needs_openvino
def test_other_back_ends_run_each_part_of_a_chain(models: list[Path]) -> None:
    parts = [load_generator(file) for file in models]
    parts = [blend_generators(parts[0], make_resampler(1, "bicubic"), 0.5), parts[1]]
    chain = chain_generators(parts)
    lr = torch.rand(1, 3, 9, 14)
    loaded = use_backend(chain, "openvino", device=CPU, precision=torch.float32)
    assert loaded.on_cpu_only
    assert type(loaded.parts[1].network) is not type(parts[1].network)
    torch.testing.assert_close(loaded.network(lr), chain.network(lr), rtol=0, atol=1e-4)


@needs_openvino
def test_a_chain_in_another_runtime_has_tiles_that_fit_each_model(models: list[Path]) -> None:
    files = ModelFiles((models[1], models[0]))
    options = RuntimeOptions(devices=("cpu",), backend="openvino")
    (upscaler,) = load_upscalers(files, Listener(), options)
    assert upscaler.tile_size == 256  # half of what is taken for one


def test_a_model_of_several_frames_is_the_first_of_a_chain_only(
    models: list[Path], clip_model: Path
) -> None:
    clips, one = load_generator(clip_model), load_generator(models[0])
    chain = chain_generators([clips, one])
    assert chain.takes_clips
    assert chain.network(torch.rand(1, chain.num_channels, 8, 9)).shape == (1, 3, 16, 18)
    with pytest.raises(ModelFileError, match=r"expected to be the first of a chain"):
        chain_generators([one, clips])


def test_scales_that_no_memory_holds_are_refused(models: list[Path]) -> None:
    one = load_generator(models[1])
    with pytest.raises(ModelFileError, match="at most 256, got 2 \\* 2"):
        chain_generators([one] * 9)


def test_a_chain_is_described_with_its_radius_and_cost(models: list[Path]) -> None:
    facts = describe_chain(models)
    assert facts["chain"] == "clean.safetensors, then enlarge.safetensors"
    assert facts["receptive radius"] == "7 LR pixels"
    parts = [describe_chain([file])["cost"] for file in models]
    costs = [float(text.split()[0]) for text in (*parts, facts["cost"])]
    assert costs[2] == pytest.approx(costs[0] + costs[1], rel=0.01)
    assert "license" not in facts


@pytest.mark.parametrize("tile_size", [0, 8])
def test_a_blend_is_the_mean_with_bicubic_interpolation(models: list[Path], tile_size: int) -> None:
    lr = torch.rand(1, 3, 21, 26, generator=torch.Generator().manual_seed(0))
    options = {**FP32, "tile_size": tile_size}
    sr = Upscaler.load(models[1], **options)(lr)
    plain = Upscaler.load(models[1], **options, strength=0)(lr)
    half = Upscaler.load(models[1], **options, strength=0.25)(lr)
    torch.testing.assert_close(plain, make_resampler(2, "bicubic").network(lr), rtol=0, atol=1e-6)
    torch.testing.assert_close(half, 0.25 * sr + 0.75 * plain, rtol=0, atol=1e-6)


def test_a_blend_is_the_mean_with_another_model_of_the_same_scale(
    models: list[Path], tmp_path: Path
) -> None:
    other = write_compact(tmp_path / "other.safetensors", 2, num_convs=3, seed=5)
    lr = torch.rand(1, 3, 12, 9)
    first, second = (Upscaler.load(file, **FP32)(lr) for file in (models[1], other))
    blend = Upscaler.load(models[1], **FP32, strength=0.7, strength_with=other)(lr)
    torch.testing.assert_close(blend, 0.7 * first + 0.3 * second, rtol=0, atol=1e-6)
    with pytest.raises(ModelFileError, match="expected a model of scale 2, as that of -m"):
        Upscaler.load(models[1], **FP32, strength=0.7, strength_with=models[0])


def test_full_strength_loads_the_model_alone(models: list[Path]) -> None:
    (upscaler,) = load_upscalers(ModelFiles((models[1],), 1.0), Listener())
    assert upscaler.halo == 3


def test_what_is_put_together_of_other_files_has_another_fingerprint(models: list[Path]) -> None:
    first, second = map(load_generator, models)
    plain = make_resampler(1, "bicubic")
    made = [
        first,
        chain_generators([first, second]),
        chain_generators([second, first]),
        blend_generators(first, plain, 0.5),
        blend_generators(first, plain, 0.4),
        make_resampler(2, "nearest"),
        make_resampler(2, "bicubic"),
    ]
    assert len(set(map(fingerprint_network, made))) == len(made)
