"""A model file becomes an upscaler with a halo, tiles and a precision that suit its network."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.videos import Listener

from sr.device import DeviceError
from sr.errors import UsageError
from sr.inference.load_upscaler import load_upscalers, make_upscalers
from sr.inference.options import RuntimeOptions
from sr.models.load import load_generator
from sr.motion.frame_window import Window
from sr.tiling.auto_tile_size import MIN_TILE_SIZE
from sr.tiling.self_ensemble import SelfEnsemble
from sr.tiling.upscaler import DEFAULT_TILE_SIZE, Upscaler

CPU = torch.device("cpu")


def load(model: Path, listener: Listener, flow: str = "auto", **runtime: Any) -> Upscaler:
    options = RuntimeOptions(devices=("cpu",), **runtime)
    (upscaler,) = load_upscalers(model, listener, options, flow=flow)
    return upscaler


def make(model: Path, listener: Listener, facts: dict[str, Any], **runtime: Any) -> Upscaler:
    """As `load`, of a file that says something else of its network."""
    generator = replace(load_generator(model), **facts)
    options = RuntimeOptions(**runtime)
    (upscaler,) = make_upscalers([generator], [CPU], listener, options, name=model.name)
    return upscaler


def test_a_model_files_own_halo_is_the_default(model: Path) -> None:
    listener = Listener()
    loaded = load(model, listener, precision="fp32")
    assert (loaded.scale, loaded.halo, loaded.tile_size) == (2, 3, 512)
    assert listener.events == []


def test_a_halo_below_the_networks_reach_is_warned_of(model: Path) -> None:
    listener = Listener()
    loaded = load(model, listener, precision="fp32", halo=2, tile_size=8)
    assert (loaded.halo, loaded.tile_size) == (2, 8)
    assert "--halo 2: the network sees 3 px far" in listener.fields("warning")[0]["message"]


def test_a_model_file_upscales_as_its_network_does(model: Path) -> None:
    tiled = load(model, Listener(), precision="fp32", tile_size=7)
    whole = load(model, Listener(), precision="fp32", tile_size=0)
    lr = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    assert (tiled(lr) - whole(lr)).abs().max() < 1e-5


def test_very_deep_networks_get_a_halo_of_32_or_an_exact_one(model: Path) -> None:
    deep = {"receptive_radius": 80}
    assert make(model, Listener(), deep).halo == 32
    assert make(model, Listener(), deep, exact=True).halo == 80


@pytest.mark.parametrize(
    ("supported", "dtype"),
    [
        ({torch.float16, torch.bfloat16}, torch.float16),
        ({torch.bfloat16}, torch.bfloat16),
        (set(), torch.float32),
    ],
)
def test_auto_is_fp16_where_the_device_and_the_network_are_made_for_it(
    monkeypatch: pytest.MonkeyPatch, model: Path, supported: set[torch.dtype], dtype: torch.dtype
) -> None:
    def resolve(name: str, device: torch.device, *, prefer_fp16: bool = False) -> torch.dtype:
        assert (name, device) == ("auto", CPU)
        return torch.float16 if prefer_fp16 else torch.bfloat16  # as on a GPU

    monkeypatch.setattr("sr.inference.load_upscaler.resolve_precision", resolve)
    facts = {"reduced_precisions": frozenset(supported)}
    assert make(model, Listener(), facts, precision="auto").dtype == dtype


def test_a_network_that_needs_fp32_gets_it_or_says_so(model: Path) -> None:
    facts: dict[str, Any] = {"reduced_precisions": frozenset()}
    assert make(model, Listener(), facts, precision="auto").dtype == torch.float32
    with pytest.raises(DeviceError, match=r"precision: expected fp32 .* got bf16"):
        make(model, Listener(), facts, precision="bf16")


@pytest.mark.parametrize(
    ("tiling", "tile_size", "chosen", "warned"),
    [
        ("internal", None, 0, False),
        ("internal", 64, 64, True),
        ("discouraged", None, DEFAULT_TILE_SIZE, True),
        ("discouraged", 0, 0, False),
    ],
)
def test_the_advice_on_tiles_is_followed(
    tiling: str,
    tile_size: int | None,
    chosen: int,
    warned: bool,
    model: Path,
) -> None:
    listener = Listener()
    facts = {"tiling": tiling}
    upscaler = make(model, listener, facts, precision="fp32", tile_size=tile_size)
    assert upscaler.tile_size == chosen
    assert any("may look farther" in str(event) for event in listener.fields("warning")) == warned


def test_the_self_ensemble_takes_the_networks_place(model: Path) -> None:
    lr = torch.rand(1, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    plain = load(model, Listener(), precision="fp32")
    ensemble = load(model, Listener(), precision="fp32", tta=True)
    with torch.no_grad():
        network = SelfEnsemble(load_generator(model).network)
        torch.testing.assert_close(ensemble(lr), network(lr))
    assert (ensemble(lr) - plain(lr)).abs().max() > 1e-4


def test_every_device_has_a_network_of_its_own(model: Path) -> None:
    upscalers = load_upscalers(model, Listener(), RuntimeOptions(devices=("cpu", "cpu")))
    assert len(upscalers) == 2
    lr = torch.rand(1, 3, 9, 12)
    assert torch.equal(upscalers[0](lr), upscalers[1](lr))


def test_an_unknown_backend_is_refused(model: Path) -> None:
    with pytest.raises(DeviceError, match="backend: expected one of torch, onnxruntime, openvino"):
        load(model, Listener(), backend="tensorrt")


@pytest.mark.skipif(not find_spec("openvino"), reason="needs the extra openvino")
def test_another_backend_runs_the_same_network(model: Path) -> None:
    lr = torch.rand(1, 3, 9, 12)
    theirs = load(model, Listener(), backend="openvino", precision="fp32")
    torch.testing.assert_close(theirs(lr), load(model, Listener(), precision="fp32")(lr))


@pytest.mark.parametrize("tta", [False, True])
def test_a_network_of_several_frames_takes_packed_windows(clip_model: Path, tta: bool) -> None:
    loaded = load(clip_model, Listener(), precision="fp32", tta=tta)
    assert loaded.flow is not None
    assert loaded.window == Window((-1, 1), "reference", "none")
    assert loaded.flow.name.startswith("DIS")
    assert loaded.tile_size >= MIN_TILE_SIZE
    window = torch.rand(1, loaded.num_channels, 6, 8)
    assert loaded.upscale_whole(window, CPU).shape == (1, 3, 12, 16)
    with pytest.raises(ValueError, match="looks at several frames, so it upscales videos"):
        loaded(torch.rand(1, 3, 6, 8))


def test_the_flow_is_the_models_or_the_one_that_is_named(clip_model: Path, model: Path) -> None:
    loaded = load(clip_model, Listener(), flow="farneback")
    assert loaded.flow is not None
    assert loaded.flow.name.startswith("Farneback")
    with pytest.raises(UsageError, match="--flow best: expected auto, dis, farneback, raft or a "):
        load(clip_model, Listener(), flow="best")
    with pytest.raises(UsageError, match=r"--flow dis: expected no flow for tiny\.safetensors"):
        load(model, Listener(), flow="dis")
