"""Runs on clips as a whole: options to checkpoints."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.runs import (
    assert_a_resumed_run_equals_an_unbroken_one,
    assert_equal,
    find_model,
    load_state,
    read_events,
    read_progress,
)
from torch import Tensor

from sr.build_data import build_window, find_training_sources, find_validation_sources
from sr.data.clips import Clip, ClipArrays, find_scene, load_samples
from sr.io.model_file import read_model_file
from sr.io.rgb8 import read_rgb8, write_rgb8
from sr.metrics.psnr import psnr
from sr.models.load import load_generator
from sr.motion.frame_window import gather_window
from sr.networks.compact import Compact
from sr.networks.rbpn import RBPN
from sr.options.schema import Options
from sr.training import run
from sr.training.dry_run import dry_run, write_data_preview
from sr.training.run import CatchInterruption
from sr.training.validate import validate

MakeOptions = Callable[..., Options]

RBPN_3 = (
    "generator={type: RBPN, num_shallow_features: 8, num_features: 4, num_stages: 1,"
    " num_res_blocks: 1, num_frames: 3, bicubic_skip: true}"
)
TEMPORAL = "losses.temporal={weight: 0.5}"
NO_WINDOW = "datasets.window=null"
CPU = torch.device("cpu")
NUM_FRAMES = 4


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two clips of 40x48, a smooth image that moves by whole LR pixels."""
    folder = tmp_path / "clips"
    for seed, name in enumerate(("a", "b")):
        (folder / name).mkdir(parents=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (9, 10, 3))
        image = np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)
        for number in range(NUM_FRAMES):
            top, left = 2 * number, 4 * number
            frame = np.ascontiguousarray(image[top : top + 40, left : left + 48])
            write_rgb8(folder / name / f"{number}.png", frame)
    return folder


@pytest.fixture
def clip_options(tiny_options: MakeOptions, clips: Path, tmp_path: Path) -> Callable[..., Options]:
    """Options of a tiny RBPN x2 on clips; arguments are overrides."""
    source = f"{{type: FrameFolders, hr: [{clips}]}}"
    overrides = (
        f"datasets.train.source={source}",
        f"datasets.validation=[{{name: same, source: {source}}}]",
        f"datasets.cache_folder={tmp_path / 'cache'}",
        "datasets.train.batch_size=2",
        "datasets.window={alignment: nearest}",
        "train.steps=4",
        RBPN_3,
    )
    return lambda *others: tiny_options(*overrides, *others)


@pytest.fixture
def compact_options(clip_options: MakeOptions) -> MakeOptions:
    """The same with a network that sees one frame, and a window only where it is given."""
    compact = "generator={type: Compact, num_features: 4, num_convs: 2}"
    return lambda *others: clip_options(compact, NO_WINDOW, *others)


@pytest.mark.parametrize(
    "overrides",
    [
        ("datasets.window={order: time, edge: reflect, whole_windows: true}",),
        (TEMPORAL, "train.accumulation=2"),
    ],
    ids=["whole-windows", "temporal-accumulation"],
)
def test_k_steps_and_resume_and_k_steps_equal_2k_steps(
    clip_options: MakeOptions,
    stop_after: Callable[[int], CatchInterruption],
    overrides: tuple[str, ...],
) -> None:
    assert_a_resumed_run_equals_an_unbroken_one(
        clip_options, *overrides, interruption=stop_after(2)
    )


def test_the_model_of_a_run_has_its_window_in_the_metadata(
    clip_options: MakeOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    options = clip_options("datasets.window.flow={type: Farneback}")
    assert run.train(options)
    metadata = read_model_file(find_model(options, 4)).metadata
    assert metadata["clips"] == {
        "offsets": [-1, 1],
        "edge": "reference",
        "alignment": "nearest",
        "flow": {"type": "Farneback"},
    }
    assert (metadata["generator"]["type"], metadata["scale"]) == ("RBPN", 2)
    assert metadata["receptive_radius"] > 3
    shown = "".join(capsys.readouterr().err.split("\n"))
    assert "tiny: RBPN x2, 7,059 parameters, 2 clips, from scratch to 4, on cpu, fp32" in shown
    loaded = load_generator(find_model(options, 4))
    assert loaded.scale == 2


def test_a_network_of_single_frames_learns_from_clips_without_measuring_flow(
    compact_options: MakeOptions, tmp_path: Path
) -> None:
    options = compact_options()
    assert run.train(options)
    path = find_model(options, 4)
    assert "clips" not in read_model_file(path).metadata
    assert not (tmp_path / "cache").exists()
    scores = read_events(options, item="validation")
    assert scores[-1]["scores"]["same"]["psnr_y"] > 10


@pytest.mark.parametrize("generator", ["RBPN", "Compact"])
def test_the_temporal_term_trains_both_kinds_of_networks(
    clip_options: MakeOptions, compact_options: MakeOptions, generator: str
) -> None:
    make = clip_options if generator == "RBPN" else compact_options
    options = make("datasets.window={}", TEMPORAL)
    assert run.train(options)
    shares = read_events(options, item="liveness")[0]
    by_name = {term["name"]: term for term in shares["terms"]}
    assert by_name.keys() == {"l1", "temporal"}
    assert by_name["temporal"]["share"] > 0
    for event in read_progress(options):
        assert event["loss_temporal"] > 0
        assert event["weighted_temporal"] == pytest.approx(0.5 * event["loss_temporal"])
        assert event["loss"] == pytest.approx(event["loss_l1"] + event["weighted_temporal"])


def test_a_teacher_of_single_images_teaches_both_kinds_of_networks(
    clip_options: MakeOptions, compact_options: MakeOptions
) -> None:
    teacher = "losses.teacher={model: compact_x2, inputs: [%s]}"
    of_frames = compact_options(
        teacher % "lr, zoomed", "losses.temporal={weight: 0.1}", "datasets.window={}", "name=one"
    )
    of_clips = clip_options(teacher % "lr", "name=several")
    for options in (of_frames, of_clips):
        assert run.train(options)
        assert read_progress(options)[-1]["loss_teacher"] > 0


def test_the_temporal_term_changes_what_is_learned(compact_options: MakeOptions) -> None:
    weights = []
    for weight in (1e-3, 1.0):
        options = compact_options(
            f"name=w{weight}", "datasets.window={}", f"losses.temporal={{weight: {weight}}}"
        )
        run.train(options)
        weights.append(load_state(options, 4)["generator"]["body.0.weight"])
    assert not torch.equal(*weights)


def test_validation_is_that_of_calling_the_network_frame_by_frame(
    clip_options: MakeOptions,
) -> None:
    options = clip_options()
    sets, window = find_validation_sources(options, CPU), build_window(options)
    assert window is not None
    torch.manual_seed(0)
    network = RBPN(2, 8, 4, 1, 1, 3).eval()
    shown: list[tuple[int, Tensor]] = []
    scores = validate(
        network,
        sets,
        2,
        CPU,
        contextlib.nullcontext,
        lambda _name, index, _lr, sr, _hr: shown.append((index, sr)),
        window=window,
    )
    expected: list[float] = []
    for source in sets["same"]:
        arrays: ClipArrays = source.load()
        for number in range(NUM_FRAMES):
            neighbors, flows = gather_window(window, find_scene(arrays, number), number)
            lr, hr = (
                torch.from_numpy(frames[number]).permute(2, 0, 1)[None] / 255
                for frames in (arrays.lr, arrays.hr)
            )
            with torch.no_grad():
                sr = network(lr, neighbors[None] / 255, flows[None])
            torch.testing.assert_close(shown[len(expected)][1], sr)
            expected.append(psnr(sr, hr, border=2, channel="y"))
    assert [index for index, _ in shown] == list(range(2 * NUM_FRAMES))
    assert scores["same"]["psnr_y"] == pytest.approx(sum(expected) / len(expected), rel=1e-4)


def test_a_network_of_single_frames_is_validated_on_every_frame(
    compact_options: MakeOptions,
) -> None:
    sets = find_validation_sources(compact_options(), CPU)
    seen: list[tuple[int, ...]] = []
    validate(
        Compact(2, 4, 1),
        sets,
        2,
        CPU,
        contextlib.nullcontext,
        lambda _name, _index, lr, _sr, _hr: seen.append(tuple(lr.shape)),
    )
    assert seen == [(1, 3, 20, 24)] * (2 * NUM_FRAMES)


def test_the_loss_falls_where_one_clip_is_learned_by_heart(
    clip_options: MakeOptions, clips: Path
) -> None:
    options = clip_options(
        f"datasets.train.source.hr=[{clips / 'a'}]",
        "datasets.validation=[]",
        "datasets.train.crop_size=24",
        "datasets.train.flips=false",
        "datasets.train.transposes=false",
        "train.steps=30",
        "train.checkpoint_interval=30",
        "generator.bicubic_skip=false",
        "train.optimizer.learning_rate=3e-3",
    )
    run.train(options)
    losses = [event["loss"] for event in read_progress(options)]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_an_adversarial_run_of_rbpn_updates_both_networks(clip_options: MakeOptions) -> None:
    options = clip_options(
        "discriminator={type: SRGAN, num_features: 4, head: pooled}",
        "losses.adversarial={type: standard, weight: 0.01}",
        "train.gan={optimizer: {type: Adam, learning_rate: 1e-3}}",
        TEMPORAL,
    )
    assert run.train(options)
    for event in read_progress(options):
        assert event["gradient_norm"] > 0
        assert event["discriminator_gradient_norm"] > 0
    first, last = load_state(options, 2), load_state(options, 4)
    for state in (first, last):
        state["discriminator"] = state["adversarial"]["discriminator"]
    for network in ("generator", "discriminator"):
        with pytest.raises(AssertionError):
            assert_equal(first[network], last[network])


def test_flow_is_kept_for_the_next_run(clip_options: MakeOptions, tmp_path: Path) -> None:
    def find_flow() -> dict[Path, int]:
        files = (tmp_path / "cache" / "flow").rglob("*.npz")
        return {file: file.stat().st_mtime_ns for file in files}

    run.train(clip_options("train.steps=1"))
    kept = find_flow()
    assert len(kept) == 2  # of validation, the same clips, no second time
    assert run.train(clip_options("name=second", "train.steps=1", "scale=2"))
    assert find_flow() == kept  # measured again, it would be written again


def test_a_dry_run_rehearses_a_run_on_clips(clip_options: MakeOptions) -> None:
    lines: list[str] = []
    dry_run(clip_options(TEMPORAL), lines.append)
    text = "\n".join(lines)
    assert "to train on 2, to validate on 2; all can be read" in text
    assert "generator: RBPN x2" in text
    assert "temporal" in text


def test_a_preview_shows_both_references_of_each_draw(
    clip_options: MakeOptions, tmp_path: Path
) -> None:
    for name, overrides in (("one", ()), ("two", (TEMPORAL,))):
        path = write_data_preview(clip_options(f"name={name}", *overrides), tmp_path / "sheets")
        assert read_rgb8(path).std() > 20


def test_a_network_of_more_frames_is_given_more_neighbors(clip_options: MakeOptions) -> None:
    options = clip_options("generator.num_frames=5")
    sources = find_training_sources(options, CPU)
    assert all(isinstance(source, Clip) for source in sources)
    (inputs, _), *_ = load_samples(sources[0], build_window(options))
    assert [tuple(each.shape) for each in inputs] == [
        (1, 3, 20, 24),
        (1, 4, 3, 20, 24),
        (1, 4, 2, 20, 24),
    ]
