"""The engine: every picture is upscaled, or said to have failed; nothing is half done."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import torch
from torch import Tensor, nn

from sr.devices import DeviceError
from sr.inference import engine
from sr.inference.engine import load_upscaler, run
from sr.inference.plan import NoInputError, Request, UsageError
from sr.inference.upscaler import DEFAULT_TILE_SIZE, Upscaler
from sr.io.event_log import Event
from sr.io.image import read_rgb8, write_rgb8
from sr.io.model_file import write_model_file
from sr.networks.compact import Compact

CPU = torch.device("cpu")


class Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[Event, dict[str, Any]]] = []

    def __call__(self, event: Event, **fields: Any) -> None:
        self.heard.append((event, fields))

    def fields(self, event: Event) -> list[dict[str, Any]]:
        return [fields for name, fields in self.heard if name == event]


class Fault(nn.Module):
    """Enlarges by nearest neighbour, and raises at pictures that are `width` pixels wide."""

    def __init__(self, width: int, error: BaseException) -> None:
        super().__init__()
        self.width = width
        self.error = error

    def forward(self, lr: Tensor) -> Tensor:
        if lr.shape[-1] == self.width:
            raise self.error
        return lr.repeat_interleave(2, 2).repeat_interleave(2, 3)


def upscaler(network: nn.Module | None = None, dtype: torch.dtype = torch.float32) -> Upscaler:
    network = nn.Upsample(scale_factor=2, mode="nearest") if network is None else network
    return Upscaler(network, scale=2, halo=1, tile_size=16, device=CPU, dtype=dtype)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures, 30 to 32 pixels wide and 24 high."""
    folder = tmp_path / "in"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, width in (("a", 30), ("b", 31), ("c", 32)):
        write_rgb8(folder / f"{name}.png", random.integers(0, 256, (24, width, 3), dtype=np.uint8))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def enlarged(path: Path) -> np.ndarray[Any, Any]:
    return read_rgb8(path).repeat(2, 0).repeat(2, 1)


def test_all_pictures_are_upscaled_exactly(pictures: Path, tmp_path: Path) -> None:
    listener, output = Listener(), tmp_path / "new" / "out"
    outcome = run(upscaler(), Request([pictures], output), listener)
    assert (outcome.num_done, outcome.exit_code) == (3, 0)
    assert names(output) == ["a_x2.png", "b_x2.png", "c_x2.png"]
    np.testing.assert_array_equal(read_rgb8(output / "a_x2.png"), enlarged(pictures / "a.png"))


def test_events_tell_the_whole_run(pictures: Path, tmp_path: Path) -> None:
    listener = Listener()
    run(upscaler(), Request([pictures], tmp_path / "out"), listener, model="nearest")
    (start,), (done,) = listener.fields("start"), listener.fields("done")
    assert (start["pictures"], start["model"], start["scale"]) == (3, "nearest", 2)
    assert (start["tile_size"], start["halo"], start["precision"]) == (16, 1, "fp32")
    assert [fields["tile"] for fields in listener.fields("progress")] == [1, 2, 3, 4] * 3
    item = listener.fields("item_done")[1]
    assert (item["picture"], item["source"]) == (2, pictures / "b.png")
    assert (item["lr_size"], item["sr_size"], item["tiles"]) == ((31, 24), (62, 48), 4)
    assert (done["done"], done["skipped"], done["failed"], done["interrupted"]) == (3, 0, 0, False)


@pytest.mark.parametrize(("outscale", "size"), [(3.0, (72, 90)), (1.5, (36, 45)), (0.01, (1, 1))])
def test_other_scales_are_reached_by_resampling(
    pictures: Path, tmp_path: Path, outscale: float, size: tuple[int, int]
) -> None:
    run(upscaler(), Request([pictures / "a.png"], tmp_path / "o.png", outscale), Listener())
    assert read_rgb8(tmp_path / "o.png").shape[:2] == size


def test_a_bad_picture_does_not_keep_the_others(pictures: Path, tmp_path: Path) -> None:
    (pictures / "b.png").write_text("only words")
    listener = Listener()
    outcome = run(upscaler(), Request([pictures], tmp_path / "out"), listener)
    assert (outcome.num_done, outcome.exit_code) == (2, 3)
    assert list(outcome.failures) == [pictures / "b.png"]
    assert listener.fields("item_failed")[0]["error"].startswith(f"{pictures / 'b.png'}: expected")
    assert names(tmp_path / "out") == ["a_x2.png", "c_x2.png"]


def test_only_bad_pictures_are_no_usable_input(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("only words")
    outcome = run(upscaler(), Request([tmp_path / "a.png"], tmp_path / "out"), Listener())
    assert outcome.exit_code == 4


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 bytes"),
    ],
)
def test_a_picture_too_large_for_the_memory_fails_with_advice(
    pictures: Path, tmp_path: Path, error: Exception
) -> None:
    network = Fault(width=17, error=error)  # b's left tile and its halo
    outcome = run(upscaler(network), Request([pictures], tmp_path / "out"), Listener())
    assert set(outcome.failures) >= {pictures / "b.png"}
    assert "not enough memory; try less than 16 with -t" in outcome.failures[pictures / "b.png"]


def test_faults_of_ours_are_not_taken_for_the_pictures(pictures: Path, tmp_path: Path) -> None:
    network = Fault(width=16, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        run(upscaler(network), Request([pictures], tmp_path / "out"), Listener())


def test_values_that_are_not_finite_fail_the_picture(pictures: Path, tmp_path: Path) -> None:
    class NotFinite(Fault):
        def forward(self, lr: Tensor) -> Tensor:
            return super().forward(lr) * float("nan")

    network = NotFinite(width=-1, error=ValueError())
    outcome = run(upscaler(network), Request([pictures], tmp_path / "out"), Listener())
    assert len(outcome.failures) == 3
    assert names(tmp_path / "out") == []


def test_an_interrupt_leaves_only_whole_files(pictures: Path, tmp_path: Path) -> None:
    network, listener = Fault(width=31, error=KeyboardInterrupt()), Listener()
    upscale = Upscaler(network, scale=2, halo=0, tile_size=0, device=CPU, dtype=torch.float32)
    with pytest.raises(KeyboardInterrupt):
        run(upscale, Request([pictures], tmp_path / "out"), listener)
    assert names(tmp_path / "out") == ["a_x2.png"]
    (done,) = listener.fields("done")
    assert (done["done"], done["interrupted"]) == (1, True)


def test_existing_results_are_kept_or_replaced_as_asked(pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    old = np.zeros((48, 60, 3), np.uint8)
    write_rgb8(output / "a_x2.png", old)
    with pytest.raises(UsageError, match=r"a_x2\.png already exists"):
        run(upscaler(), Request([pictures], output), Listener())
    assert names(output) == ["a_x2.png"]
    outcome = run(upscaler(), Request([pictures], output, existing="skip"), Listener())
    assert (outcome.num_skipped, outcome.num_done, outcome.exit_code) == (1, 2, 0)
    np.testing.assert_array_equal(read_rgb8(output / "a_x2.png"), old)
    run(upscaler(), Request([pictures], output, existing="overwrite"), Listener())
    np.testing.assert_array_equal(read_rgb8(output / "a_x2.png"), enlarged(pictures / "a.png"))


def test_nothing_is_made_when_the_request_is_refused(pictures: Path, tmp_path: Path) -> None:
    refused = Request([pictures], tmp_path / "out", reference=tmp_path / "none")
    with pytest.raises(UsageError, match=r"--reference .*none: expected a folder"):
        run(upscaler(), refused, Listener())
    with pytest.raises(NoInputError):
        run(upscaler(), Request([tmp_path / "none"], tmp_path / "out"), Listener())
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="no folder can be made"):
        run(upscaler(), Request([pictures], tmp_path / "file" / "out"), Listener())
    assert names(tmp_path) == ["file", "in"]


def test_sizes_that_the_format_cannot_hold_fail_before_the_work(tmp_path: Path) -> None:
    write_rgb8(tmp_path / "a.png", np.zeros((1, 9000, 3), np.uint8))
    listener = Listener()
    outcome = run(upscaler(), Request([tmp_path / "a.png"], tmp_path / "o.webp"), listener)
    assert "at most 16383 pixels" in outcome.failures[tmp_path / "a.png"]
    assert listener.fields("progress") == []


@pytest.fixture
def originals(pictures: Path, tmp_path: Path) -> Path:
    """Originals that nearest enlargement reaches exactly."""
    folder = tmp_path / "hr"
    folder.mkdir()
    for path in pictures.iterdir():
        write_rgb8(folder / path.name, enlarged(path))
    return folder


def test_scores_are_told_and_saved(pictures: Path, originals: Path, tmp_path: Path) -> None:
    listener, output = Listener(), tmp_path / "out"
    request = Request([pictures], output, reference=originals)
    outcome = run(upscaler(), request, listener)
    assert [score.psnr_y for score in outcome.scores.values()] == [float("inf")] * 3
    assert listener.fields("item_done")[0]["scores"]["ssim_y"] == 1
    assert listener.fields("done")[0]["scores"]["psnr_y"] == "inf"
    saved = json.loads((output / "scores.json").read_text())
    assert list(saved["pictures"]) == [str(pictures / f"{name}.png") for name in "abc"]
    with pytest.raises(UsageError, match=r"scores\.json"):
        run(upscaler(), Request([pictures], output, reference=originals), Listener())


def test_skipped_pictures_are_scored_too(pictures: Path, originals: Path, tmp_path: Path) -> None:
    request = Request([pictures], tmp_path / "out", reference=originals, existing="skip")
    run(upscaler(), Request([pictures / "a.png"], tmp_path / "out"), Listener())
    outcome = run(upscaler(), request, Listener())
    assert (outcome.num_skipped, outcome.num_done, len(outcome.scores)) == (1, 2, 3)


def test_a_missing_original_fails_its_picture(
    pictures: Path, originals: Path, tmp_path: Path
) -> None:
    (originals / "b.png").unlink()
    outcome = run(
        upscaler(), Request([pictures], tmp_path / "out", reference=originals), Listener()
    )
    assert outcome.exit_code == 3
    assert "b.png: expected one original named b" in outcome.failures[pictures / "b.png"]
    assert len(outcome.scores) == 2


def test_grey_inputs_are_upscaled_only_when_scored(tmp_path: Path) -> None:
    grey = np.full((20, 20), 7, np.uint8)
    source = tmp_path / "a.png"
    pyvips.Image.new_from_array(grey).copy(interpretation="b-w").pngsave(str(source))
    (tmp_path / "hr").mkdir()
    write_rgb8(tmp_path / "hr" / "a.png", np.full((40, 40, 3), 7, np.uint8))
    alone = run(upscaler(), Request([source], tmp_path / "1"), Listener())
    scored = run(
        upscaler(), Request([source], tmp_path / "2", reference=tmp_path / "hr"), Listener()
    )
    assert (alone.exit_code, scored.exit_code) == (4, 0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = Compact(2, num_features=4, num_convs=1)
    generator = {"type": "Compact", "num_features": 4, "num_convs": 1}
    path = tmp_path / "tiny.safetensors"
    metadata = {"generator": generator, "scale": 2, "receptive_radius": 3}
    write_model_file(path, network.state_dict(), metadata)
    return path


def test_a_model_files_own_halo_is_the_default(model: Path) -> None:
    listener = Listener()
    loaded = load_upscaler(model, listener, device=CPU, precision="fp32")
    assert (loaded.scale, loaded.halo, loaded.tile_size) == (2, 3, 512)
    assert listener.heard == []


def test_a_halo_below_the_networks_reach_is_warned_of(model: Path) -> None:
    listener = Listener()
    load = load_upscaler(model, listener, device=CPU, precision="fp32", halo=2, tile_size=8)
    assert (load.halo, load.tile_size) == (2, 8)
    assert "--halo 2: the network sees 3 px far" in listener.fields("warning")[0]["message"]


def test_a_model_file_upscales_as_its_network_does(
    model: Path, pictures: Path, tmp_path: Path
) -> None:
    tiled = load_upscaler(model, Listener(), device=CPU, precision="fp32", tile_size=7)
    whole = load_upscaler(model, Listener(), device=CPU, precision="fp32", tile_size=0)
    lr = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    assert (tiled(lr) - whole(lr)).abs().max() < 1e-5
    outcome = run(tiled, Request([pictures], tmp_path / "out"), Listener())
    assert outcome.exit_code == 0


def test_very_deep_networks_get_a_halo_of_32(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load: Callable[[Path], Any] = engine.load_generator

    def deep(path: Path) -> Any:
        loaded = load(path)
        return dataclasses.replace(loaded, receptive_radius=80)

    monkeypatch.setattr(engine, "load_generator", deep)
    assert load_upscaler(model, Listener(), device=CPU, precision="fp32").halo == 32


def test_a_network_that_needs_fp32_gets_it_or_says_so(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = engine.load_generator
    monkeypatch.setattr(
        engine,
        "load_generator",
        lambda path: dataclasses.replace(load(path), reduced_precisions=frozenset()),
    )
    monkeypatch.setattr(engine, "resolve_precision", lambda *_: torch.bfloat16)
    upscaler = load_upscaler(model, Listener(), device=CPU, precision="auto")
    assert upscaler.dtype == torch.float32
    with pytest.raises(DeviceError, match=r"precision bf16: .* needs fp32"):
        load_upscaler(model, Listener(), device=CPU, precision="bf16")


@pytest.mark.parametrize(
    ("tiling", "tile_size", "chosen", "warned"),
    [
        ("internal", None, 0, False),
        ("internal", 64, 64, True),
        ("discouraged", None, DEFAULT_TILE_SIZE, True),
        ("discouraged", 0, 0, False),
    ],
)
def test_the_advice_on_tiles_is_heeded(
    tiling: str,
    tile_size: int | None,
    chosen: int,
    warned: bool,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = engine.load_generator
    monkeypatch.setattr(
        engine, "load_generator", lambda path: dataclasses.replace(load(path), tiling=tiling)
    )
    listener = Listener()
    upscaler = load_upscaler(model, listener, device=CPU, precision="fp32", tile_size=tile_size)
    assert upscaler.tile_size == chosen
    assert any("as a whole" in str(event) for event in listener.fields("warning")) == warned
