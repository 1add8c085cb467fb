"""Options of clips and of the window around a frame, and the rules that tie them to the others."""

from pathlib import Path

import pytest

from sr.options.clips import FrameFolders, MovingPhotos, VideoFiles, Vimeo90K, WindowOptions
from sr.options.flow import DISOptions, FarnebackOptions
from sr.options.generator import RBPNOptions
from sr.options.image_sources import HRFolders
from sr.options.load import dump_options, load_options
from sr.options.read_yaml import OptionsError

CLIPS = """
name: a_run
scale: 4
generator: {type: RBPN, num_frames: 5}
losses:
  pixel: {type: L1}
datasets:
  window: {}
  train:
    source: {type: FrameFolders, hr: [clips]}
train:
  steps: 10
  optimizer: {type: Adam}
  schedule: {type: cosine}
"""
SINGLE = "generator={type: Compact}"
NO_WINDOW = "datasets.window=null"
TEMPORAL = "losses.temporal={weight: 0.1}"
IMAGES = "{type: HRFolders, hr: [photos]}"
WHOLE = "datasets.window.whole_windows=true"
PHOTOS = "datasets.train.source={type: MovingPhotos, photos: [a], num_frames: %d}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "options.yml"
    path.write_text(CLIPS, encoding="utf-8")
    return path


def fault_of(file: Path, *overrides: str) -> str:
    """The one line below the error's first one."""
    with pytest.raises(OptionsError) as caught:
        load_options(file, overrides)
    _, fault = str(caught.value).splitlines()
    return fault.strip()


def test_a_window_has_the_documented_defaults(file: Path) -> None:
    options = load_options(file)
    assert options.generator == RBPNOptions(type="RBPN", num_frames=5)
    assert options.datasets.window == WindowOptions(
        order="nearest",
        edge="reference",
        alignment="none",
        flow=DISOptions(type="DIS"),
        whole_windows=False,
        reversal=True,
    )
    assert options.datasets.all_clips
    assert options.datasets.cache_folder == Path("datasets/cache")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{type: FrameFolders, hr: [a]}", FrameFolders(type="FrameFolders", hr=(Path("a"),))),
        (
            "{type: FrameFolders, hr: [a, b], only: [x*], exclude: ['000'], subfolder: truth,"
            " clip_frames: 30, downscale: [1, 0.5], blur_sigma: 1.6}",
            FrameFolders(
                type="FrameFolders",
                hr=(Path("a"), Path("b")),
                only=("x*",),
                exclude=("000",),
                subfolder="truth",
                clip_frames=30,
                downscale=(1.0, 0.5),
                blur_sigma=1.6,
            ),
        ),
        (
            "{type: Vimeo90K, root: v, list_file: v/sep.txt}",
            Vimeo90K(type="Vimeo90K", root=Path("v"), list_file=Path("v/sep.txt")),
        ),
        (
            "{type: VideoFiles, videos: [a.mp4, b]}",
            VideoFiles(type="VideoFiles", videos=(Path("a.mp4"), Path("b")), clip_frames=15),
        ),
        (
            "{type: MovingPhotos, photos: [p], speed: 3}",
            MovingPhotos(
                type="MovingPhotos",
                photos=(Path("p"),),
                clips_per_photo=8,
                num_frames=7,
                frame_size=(448, 256),
                speed=3.0,
            ),
        ),
    ],
)
def test_the_type_selects_the_source_of_clips(
    file: Path, source: str, expected: FrameFolders | Vimeo90K | VideoFiles | MovingPhotos
) -> None:
    overrides = [f"datasets.train.source={source}", "datasets.train.flips=false"]
    options = load_options(file, overrides)
    assert options.datasets.train.source == expected


def test_dumped_options_of_clips_load_to_the_same_options(file: Path, tmp_path: Path) -> None:
    overrides = ["datasets.window={order: time, edge: reflect, flow: {type: Farneback}}", TEMPORAL]
    options = load_options(file, overrides)
    assert options.datasets.window is not None
    assert options.datasets.window.flow == FarnebackOptions(type="Farneback")
    dumped = tmp_path / "dumped.yml"
    dumped.write_text(dump_options(options))
    assert load_options(dumped) == options


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("generator.num_frames=4", "generator.num_frames: expected an odd number, .* got 4"),
        ("generator.num_frames=1", "generator.num_frames: .* greater than or equal to 3, got 1"),
        ("datasets.window.order=past", "datasets.window.order: .*'time' or 'nearest', got 'past'"),
        ("datasets.window.edge=mirror", "datasets.window.edge: .*'reference', 'replicate' or "),
        ("datasets.window.alignment=bilinear", "datasets.window.alignment: .*'none' or 'nearest'"),
        ("datasets.window.flow.type=SPyNet", "datasets.window.flow.type: unknown type 'SPyNet'"),
        ("datasets.window.wholewindows=true", "datasets.window.wholewindows: .*'whole_windows'"),
        ("datasets.train.source.clip_frames=0", "datasets.train.source.clip_frames: .*than 0"),
        ("datasets.train.source.blur_sigma=0", "datasets.train.source.blur_sigma: .*than 0"),
        (
            "datasets.train.source.blur_sigma=1.6",
            "datasets.train: flips: expected false with source",
        ),
        ("datasets.train.source.hr=[]", "datasets.train.source.hr: .*at least 1 item"),
        ("losses.temporal.weight=-1", "losses.temporal.weight: .*than 0"),
        (PHOTOS % 1, "datasets.train.source.num_frames: .*equal to 2"),
        ("datasets.train.source.subfolders=x", "datasets.train.source.subfolders: unknown key"),
    ],
)
def test_a_wrong_value_is_reported_with_its_key(file: Path, override: str, fault: str) -> None:
    with pytest.raises(OptionsError, match=fault):
        load_options(file, [override])


@pytest.mark.parametrize("text", ["false", "False", "no"])
def test_a_switch_that_is_set_to_false_is_off(file: Path, text: str) -> None:
    options = load_options(file, [f"datasets.window.reversal={text}"])
    assert options.datasets.window is not None
    assert options.datasets.window.reversal is False


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            (NO_WINDOW,),
            "generator RBPN: expected datasets.window, got none; `window: {}` takes its defaults",
        ),
        (
            (NO_WINDOW, TEMPORAL),
            "generator RBPN and losses.temporal: expected datasets.window, got none; `window: {}`",
        ),
        ((SINGLE, NO_WINDOW, TEMPORAL), "losses.temporal: expected datasets.window"),
        (
            (SINGLE,),
            "datasets.window: expected a multi-frame generator or losses.temporal, got Com",
        ),
        (
            (f"datasets.train.source={IMAGES}",),
            "generator RBPN: expected clips from every source in datasets (FrameFolders, ",
        ),
        (
            (f"datasets.validation=[{{name: a, source: {IMAGES}}}]",),
            "generator RBPN: expected clips from every source in datasets",
        ),
        (
            (SINGLE, TEMPORAL, f"datasets.train.source={IMAGES}"),
            "losses.temporal: expected clips from every source in datasets",
        ),
        (
            ("datasets.train.degradation={type: Real}",),
            "degradation makes lr from hr: expected source.type HRFolders, "
            "Synthetic or Mixed of these, got 'FrameFolders'",
        ),
    ],
)
def test_what_sees_several_frames_and_clips_and_a_window_come_together(
    file: Path, overrides: tuple[str, ...], words: str
) -> None:
    assert words in fault_of(file, *overrides)


def test_a_generator_of_single_images_learns_from_clips_without_a_window(file: Path) -> None:
    options = load_options(file, [SINGLE, NO_WINDOW])
    assert options.datasets.window is None
    mixed = [SINGLE, NO_WINDOW, f"datasets.validation=[{{name: a, source: {IMAGES}}}]"]
    options = load_options(file, mixed)
    assert isinstance(options.datasets.validation[0].source, HRFolders)
    assert not options.datasets.all_clips


def test_a_generator_of_single_images_has_a_window_for_the_temporal_term(file: Path) -> None:
    options = load_options(file, [SINGLE, TEMPORAL])
    assert options.datasets.window is not None


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        ((WHOLE, "datasets.train.source.clip_frames=4"), "source.clip_frames: expected at least 5"),
        (
            (WHOLE, TEMPORAL, "datasets.train.source.clip_frames=5"),
            "source.clip_frames: expected at least 6, .*, got 5",
        ),
        (
            (TEMPORAL, "datasets.train.source.clip_frames=1"),
            "source.clip_frames: expected at least 2",
        ),
        ((WHOLE, PHOTOS % 4), "source.num_frames: expected at least 5"),
    ],
)
def test_clips_too_short_for_what_is_learned_from_them_are_refused(
    file: Path, overrides: tuple[str, ...], fault: str
) -> None:
    with pytest.raises(OptionsError, match=fault):
        load_options(file, overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        (WHOLE, "datasets.train.source.clip_frames=5"),
        ("datasets.train.source.clip_frames=1",),
        (WHOLE, TEMPORAL, PHOTOS % 6),
        (SINGLE, NO_WINDOW, "datasets.train.source.clip_frames=1"),
        (WHOLE, SINGLE, TEMPORAL, "datasets.train.source.clip_frames=2"),
    ],
)
def test_clips_just_long_enough_are_taken(file: Path, overrides: tuple[str, ...]) -> None:
    load_options(file, overrides)


def test_zoomed_crops_are_refused_for_generators_that_see_several_frames(file: Path) -> None:
    teacher = "losses.teacher={model: span_x4, inputs: [%s]}"
    fault = fault_of(file, teacher % "lr, zoomed")
    assert "losses.teacher.inputs: expected [lr] for RBPN" in fault
    assert load_options(file, [teacher % "lr"]).losses.teacher is not None
    assert load_options(file, [teacher % "lr, zoomed", SINGLE, NO_WINDOW]).losses.teacher


def test_validation_of_a_multi_frame_generator_is_not_tiled(file: Path) -> None:
    with pytest.raises(OptionsError, match=r"validate\.tile_size: expected 0 for RBPN"):
        load_options(file, ["validate.tile_size=64"])
