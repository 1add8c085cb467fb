"""Options of clips -> sources, windows, and what a model file says of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import yaml
from pydantic import TypeAdapter

from sr.build_data import (
    build_clips_metadata,
    build_window,
    build_window_settings,
    find_training_sources,
    find_validation_sources,
)
from sr.data.clip_crops import WindowSettings
from sr.data.clips import Clip, Downscaling, FlowStore
from sr.data.frame_folders import FrameFiles
from sr.data.hr_only import HRImage
from sr.data.sources import DataError
from sr.data.synthetic_clips import MovingPhoto
from sr.io.rgb8 import write_rgb8
from sr.motion.frame_window import Window
from sr.motion.methods import DIS, Farneback
from sr.options.flow import FarnebackOptions, FlowOptions
from sr.options.load import load_options
from sr.options.schema import Options

CPU = torch.device("cpu")
MakeOptions = Callable[..., Options]
SINGLE = "generator={type: Compact}"
NO_WINDOW = "datasets.window=null"
TEMPORAL = "losses.temporal={weight: 1}"


@pytest.fixture
def make(tmp_path: Path) -> MakeOptions:
    """Options with clips in tmp_path / clips; arguments are overrides."""
    for name, num_frames in (("long", 7), ("short", 2)):
        write_frames(tmp_path / "clips" / name, num_frames)
    tree = {
        "name": "a_run",
        "scale": 2,
        "generator": {"type": "RBPN", "num_frames": 5},
        "losses": {"pixel": {"type": "L1"}},
        "datasets": {
            "window": {},
            "cache_folder": str(tmp_path / "cache"),
            "train": {"source": {"type": "FrameFolders", "hr": [str(tmp_path / "clips")]}},
        },
        "train": {
            "steps": 1,
            "optimizer": {"type": "Adam"},
            "schedule": {"type": "cosine"},
        },
    }
    path = tmp_path / "options.yml"
    path.write_text(yaml.safe_dump(tree))
    return lambda *overrides: load_options(path, overrides)


def write_frames(folder: Path, num_frames: int) -> None:
    folder.mkdir(parents=True)
    for number in range(num_frames):
        write_rgb8(folder / f"{number}.png", np.full((8, 12, 3), number, np.uint8))


def clips_of(options: Options) -> list[Clip]:
    found = find_training_sources(options, CPU)
    assert all(isinstance(source, Clip) for source in found)
    return [source for source in found if isinstance(source, Clip)]


def lengths(options: Options) -> list[int]:
    return [clip.frames.num_frames for clip in clips_of(options)]


def test_folders_of_frames_become_clips_with_flow(make: MakeOptions, tmp_path: Path) -> None:
    clips = clips_of(make("datasets.train.source.clip_frames=3"))
    assert [clip.frames.num_frames for clip in clips] == [3, 3, 1, 2]
    for clip in clips:
        assert isinstance(clip.frames, FrameFiles)
        assert clip.downscaling == Downscaling(2, None)
        assert clip.flow is not None
        assert isinstance(clip.flow.method, DIS)
        assert clip.flow.folder == tmp_path / "cache"


def test_every_clip_comes_at_every_size_and_blurred_where_asked(make: MakeOptions) -> None:
    source = "datasets.train.source"
    clips = clips_of(
        make(
            f"{source}.downscale=[1, 0.5]",
            f"{source}.blur_sigma=1.2",
            "datasets.train.flips=false",
        )
    )
    assert [(clip.frames.num_frames, clip.downscale) for clip in clips] == [
        (7, 1.0),
        (7, 0.5),
        (2, 1.0),
        (2, 0.5),
    ]
    assert {clip.downscaling for clip in clips} == {Downscaling(2, 1.2)}


def test_the_method_is_that_of_the_window(make: MakeOptions) -> None:
    for clip in clips_of(make("datasets.window.flow={type: Farneback}")):
        assert isinstance(clip.flow, FlowStore)
        assert isinstance(clip.flow.method, Farneback)


def test_where_no_window_is_wanted_no_flow_is(make: MakeOptions) -> None:
    assert {clip.flow for clip in clips_of(make(SINGLE, NO_WINDOW))} == {None}


def test_clips_too_short_to_learn_from_are_named(make: MakeOptions) -> None:
    assert lengths(make()) == [7, 2]
    assert lengths(make(TEMPORAL)) == [7, 2]
    with pytest.raises(DataError, match=r"short: expected at least 5 frames, got 2"):
        find_training_sources(make("datasets.window.whole_windows=true"), CPU)
    whole = ("datasets.window.whole_windows=true", "datasets.train.source.exclude=[short]")
    assert lengths(make(*whole)) == [7]
    assert lengths(make(*whole, TEMPORAL, "generator.num_frames=3")) == [7]


def test_validation_takes_clips_of_any_length_by_the_name_of_their_set(
    make: MakeOptions, tmp_path: Path
) -> None:
    write_frames(tmp_path / "one", 1)
    source = f"{{type: FrameFolders, hr: [{tmp_path / 'one'}, {tmp_path / 'clips'}]}}"
    options = make(
        f"datasets.validation=[{{name: Vid4, source: {source}}}]",
        "datasets.window.whole_windows=true",
    )
    found = find_validation_sources(options, CPU)
    assert list(found) == ["Vid4"]
    assert [source.load().lr.shape[0] for source in found["Vid4"]] == [1, 7, 2]


def test_septuplets_of_a_list_become_clips(make: MakeOptions, tmp_path: Path) -> None:
    write_frames(tmp_path / "vimeo" / "sequences" / "00001" / "0002", 7)
    (tmp_path / "list.txt").write_text("00001/0002\n")
    root, names = tmp_path / "vimeo", tmp_path / "list.txt"
    source = f"{{type: Vimeo90K, root: {root}, list_file: {names}}}"
    options = make(f"datasets.train.source={source}", "datasets.window.whole_windows=true")
    assert lengths(options) == [7]


def test_videos_are_decoded_into_the_cache_folder(make: MakeOptions, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((36, 32), 40 * number, np.uint8), "yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = f"{{type: VideoFiles, videos: [{tmp_path / 'a.mkv'}], clip_frames: 3}}"
    clips = clips_of(make(f"datasets.train.source={source}"))
    assert [clip.frames.num_frames for clip in clips] == [3, 2]
    assert isinstance(clips[0].frames, FrameFiles)
    assert tmp_path / "cache" / "frames" in clips[0].frames.paths[0].parents


def test_photographs_become_so_many_clips_each(make: MakeOptions, tmp_path: Path) -> None:
    photos = tmp_path / "clips" / "short"
    source = (
        f"{{type: MovingPhotos, photos: [{photos}], clips_per_photo: 3, num_frames: 4,"
        " frame_size: [40, 20], speed: 2.5}"
    )
    clips = clips_of(make(f"datasets.train.source={source}"))
    paths = (photos / "0.png", photos / "1.png")
    assert [clip.frames for clip in clips] == [
        MovingPhoto(path, number, 4, (20, 40), 2.5, paths) for path in paths for number in range(3)
    ]
    assert {clip.hr_size for clip in clips} == {(20, 40)}
    few = f"datasets.train.source={source.replace('}', ', exclude: [0*]}')}"
    assert {clip.frames.name.partition(",")[0] for clip in clips_of(make(few))} == {str(paths[1])}


def test_images_stay_images(make: MakeOptions, tmp_path: Path) -> None:
    source = f"{{type: HRFolders, hr: [{tmp_path / 'clips'}]}}"
    found = find_training_sources(make(SINGLE, NO_WINDOW, f"datasets.train.source={source}"), CPU)
    assert {type(source) for source in found} == {HRImage}
    assert len(found) == 9


@pytest.mark.parametrize(
    ("order", "offsets"), [("time", (-2, -1, 1, 2)), ("nearest", (-1, 1, -2, 2))]
)
def test_the_window_is_that_of_the_options(
    make: MakeOptions, order: str, offsets: tuple[int, ...]
) -> None:
    window = f"datasets.window={{order: {order}, edge: reflect, alignment: nearest}}"
    assert build_window(make(window)) == Window(offsets, "reflect", "nearest")
    assert build_window(make(SINGLE, TEMPORAL)) is None
    assert build_window(make(SINGLE, NO_WINDOW)) is None


def test_window_and_losses_decide_what_is_taken_of_a_clip(make: MakeOptions) -> None:
    window = Window((-1, 1, -2, 2))
    assert build_window_settings(make()) == WindowSettings(window, False, 1, reversal=True)
    overrides = "datasets.window={whole_windows: true, reversal: false}"
    assert build_window_settings(make(overrides, TEMPORAL)) == WindowSettings(
        window, whole_windows=True, num_references=2, reversal=False
    )
    assert build_window_settings(make(SINGLE, TEMPORAL)) == WindowSettings(None, num_references=2)
    # A single frame is the same whichever way time runs.
    assert build_window_settings(make(SINGLE, NO_WINDOW)) == WindowSettings(None, reversal=False)


def test_a_model_file_has_what_inference_needs_of_the_window(make: MakeOptions) -> None:
    options = make("datasets.window={order: time, alignment: nearest, flow: {type: Farneback}}")
    metadata = build_clips_metadata(options)
    assert metadata == {
        "clips": {
            "offsets": [-2, -1, 1, 2],
            "edge": "reference",
            "alignment": "nearest",
            "flow": {"type": "Farneback"},
        }
    }
    clips = json.loads(json.dumps(metadata))["clips"]
    adapter: TypeAdapter[FlowOptions] = TypeAdapter(FlowOptions)
    assert adapter.validate_python(clips["flow"]) == FarnebackOptions(type="Farneback")
    assert build_clips_metadata(make(SINGLE, TEMPORAL)) == {}
    assert build_clips_metadata(make(SINGLE, NO_WINDOW)) == {}
