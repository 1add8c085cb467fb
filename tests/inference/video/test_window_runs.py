"""Whole videos through networks that look at several frames."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import torch
from helpers.clips import Tone, draw_scene, make_clip, read_frames, read_times
from helpers.videos import Listener, make_upscaler, upscale
from torch import Tensor, nn

from sr.cli.infer import main
from sr.inference.run_summary import RunSummary
from sr.inference.video.frame_windows import WindowStage
from sr.inference.video.stages import Batch
from sr.inference.video_options import VideoOptions
from sr.io.model_file import write_model_file
from sr.io.rgb8 import image_to_tensor, read_rgb8, tensor_to_rgb8, write_rgb8
from sr.io.video.frame import Frame
from sr.motion.frame_window import Window
from sr.motion.methods import DIS, Farneback, FlowMethod
from sr.networks.packed_window import PackedWindow
from sr.networks.rbpn import RBPN

CPU = torch.device("cpu")
SEGMENT = 4  # frames
HEIGHT, WIDTH = 24, 32
RADIUS = 2
WINDOW = Window((-1, 1, -2, 2), "reflect", "none")

Pixels = npt.NDArray[np.uint8]


class Tiny(nn.Module):
    """An untrained RBPN x2 of 5 frames; counts how often it is called."""

    def __init__(self, fault_at: int | None = None) -> None:
        super().__init__()
        self.network = PackedWindow(rbpn())
        self.fault_at = fault_at
        self.num_calls = 0

    def forward(self, window: Tensor) -> Tensor:
        if self.num_calls == self.fault_at:
            raise MemoryError("no room")
        self.num_calls += 1
        sr: Tensor = self.network(window)
        return sr


def rbpn() -> RBPN:
    torch.manual_seed(0)
    network = RBPN(2, 4, 4, 1, 1, 2 * RADIUS + 1, bicubic_skip=True).eval()
    output: Any = network.output
    output.conv.weight.data.mul_(20)  # so that neighbors show in 8 bits
    return network


def images(cut_at: int, num_frames: int = 14, still: Sequence[int] = ()) -> list[Pixels]:
    """Two scenes. still: frames like the one before."""
    shown: list[Pixels] = []
    for number in range(num_frames):
        step = number - sum(other <= number for other in still)
        shown.append(
            shown[-1] if number in still else draw_scene(int(number >= cut_at), step, HEIGHT, WIDTH)
        )
    return shown


def run_windows(
    source: Path,
    output: Path,
    listener: Listener | None = None,
    network: Tiny | None = None,
    *,
    resume: bool = False,
    flow: FlowMethod | None = None,
    **video: Any,
) -> RunSummary:
    options = {"crf": 20, "preset": "ultrafast", "frames_per_segment": SEGMENT, **video}
    return upscale(
        source,
        output,
        upscaler=make_upscaler(network or Tiny(), 2, window=WINDOW, flow=flow or DIS()),
        listener=listener,
        video=VideoOptions(**options),
        resume=resume,
    )


def written(folder: Path, frames: Sequence[Pixels]) -> Path:
    """The pattern of files with these frames."""
    folder.mkdir()
    for number, frame in enumerate(frames):
        write_rgb8(folder / f"{number}.png", frame)
    return folder / "%d.png"


def test_each_frame_is_made_of_its_window_and_a_repeated_one_once(tmp_path: Path) -> None:
    frames = images(5, 8, still=(2, 3))
    output, network = tmp_path / "out" / "%d.png", Tiny()
    source = written(tmp_path / "in", frames)
    assert run_windows(source, output, network=network).exit_code == 0
    assert network.num_calls == 6
    batches = [
        Batch(0, [Frame(number, number, 1, ())], [True], [image_to_tensor(frame)])
        for number, frame in enumerate(frames)
        if number not in (2, 3)
    ]
    stage = WindowStage(WINDOW, DIS(), [CPU], 1, lambda _: True)
    found = [read_rgb8(output.parent / f"{number}.png") for number in range(8)]
    with torch.no_grad():
        for batch in stage.pack(iter(batches)):
            number = batch.frames[0].number
            expected = tensor_to_rgb8(network(batch.windows[0]))
            assert np.abs(found[number].astype(int) - expected).max() <= 1  # of rounding
            still = torch.cat([*batch.lr * 5, 0 * batch.windows[0][:, :8]], dim=1)
            alone = tensor_to_rgb8(network(still))
            assert np.abs(alone.astype(int) - expected).max() > 2  # neighbors show
    np.testing.assert_array_equal(found[2], found[1])
    np.testing.assert_array_equal(found[3], found[1])


def test_times_and_sound_are_kept(tmp_path: Path) -> None:
    pts = [0, 1, 4, 5, 6, 20, 21, 22]
    source = make_clip(
        tmp_path / "in.mp4",
        images=images(5, 8),
        pts=pts,
        time_base=Fraction(1, 30),
        sound=Tone(0.7, start=0.1),
    )
    output, listener = tmp_path / "out.mp4", Listener()
    assert run_windows(source, output, listener).exit_code == 0
    assert read_times(output) == read_times(source)
    assert set(listener.fields("progress")[0]["queues"]) == {
        "decode",
        "convert",
        "windows",
        "network",
        "levels",
    }

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    assert packets(source) == packets(output)


@pytest.mark.parametrize(
    ("cut_at", "temporal_filter"), [(6, False), (9, False), (9, True), (10, True)]
)
def test_a_resumed_job_gives_the_very_file_of_an_unbroken_one(
    tmp_path: Path, cut_at: int, temporal_filter: bool
) -> None:
    # Resumed at frame 8, which repeats 6, with frames 3 and 4 as its neighbors, or a cut before.
    source = make_clip(tmp_path / "in.mp4", images=images(cut_at, 13, still=(5, 7, 8)))
    whole, output = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    video: dict[str, Any] = {"temporal_filter": temporal_filter}
    assert run_windows(source, whole, **video).exit_code == 0
    assert run_windows(source, output, network=Tiny(fault_at=8), **video).exit_code == 4
    again, listener = Tiny(), Listener()
    assert run_windows(source, output, listener, again, resume=True, **video).exit_code == 0
    assert output.read_bytes() == whole.read_bytes()
    (done,) = listener.fields("item_done")
    assert done["resumed_at"] == 8
    assert again.num_calls == 5  # of frame 8, for the filter 7 as well, and of 9 to 12


def test_previews_are_the_frames_of_the_result(tmp_path: Path) -> None:
    source = written(tmp_path / "in", images(6, 12, still=(4, 7, 10)))
    output, network = tmp_path / "out" / "%d.png", Tiny()
    assert run_windows(source, output, network=network, preview=3).exit_code == 0
    assert network.num_calls == 3 + 9
    names = sorted(output.parent.glob("*preview*.png"))
    assert [path.name.split("_")[2] for path in names] == ["00002", "00006", "00010"]
    for path, number in zip(names, (2, 6, 10), strict=True):
        after = read_rgb8(path)[:, -2 * WIDTH :]
        np.testing.assert_array_equal(after, read_rgb8(output.parent / f"{number}.png"))


@pytest.fixture
def clip_model(tmp_path: Path) -> Path:
    options = {"num_shallow_features": 4, "num_features": 4, "num_stages": 1, "num_res_blocks": 1}
    generator = {"type": "RBPN", "num_frames": 5, "bicubic_skip": True, **options}
    offsets, flow = [-1, 1, -2, 2], {"type": "DIS"}
    clips = {"offsets": offsets, "edge": "reference", "alignment": "none", "flow": flow}
    path = tmp_path / "rbpn.safetensors"
    metadata = {"generator": generator, "scale": 2, "receptive_radius": 20, "clips": clips}
    write_model_file(path, rbpn().state_dict(), metadata)
    return path


def call(*arguments: object) -> object:
    """The exit code of infer.py."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


def test_a_job_is_continued_with_the_same_flow_only(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", images=images(6, 10), sound=Tone(0.4))
    output = tmp_path / "out.mp4"
    assert run_windows(source, output, network=Tiny(fault_at=8)).exit_code == 4
    (fault,) = run_windows(source, output, resume=True, flow=Farneback()).failures.values()
    assert "got those of another (model was" in fault
    assert "Farneback" in fault
    assert run_windows(source, output, resume=True).exit_code == 0
    assert read_times(output) == read_times(source)


def test_what_more_than_one_pass_would_take_is_refused(
    tmp_path: Path, clip_model: Path, capsys: Any
) -> None:
    source = make_clip(tmp_path / "in.mp4", images=images(1, 2))
    output = tmp_path / "out.mp4"
    given = ("-i", source, "-o", output, "-m", clip_model, "-t", "16", "--precision", "fp32")
    assert call(*given, "-s", "3") == 4
    assert "such as -s 2; got: 96x72 from 32x24" in capsys.readouterr().err
    assert call(*given, "-s", "1.5") == 0
    assert read_frames(output)[0].planes[0].shape == (36, 48)


def test_images_are_refused_before_any_work(tmp_path: Path, clip_model: Path, capsys: Any) -> None:
    folder = tmp_path / "mixed"
    written(folder, images(1, 2))
    make_clip(tmp_path / "mixed/a.mp4", images=images(1, 2))
    running = ("-m", clip_model, "-t", "16", "--precision", "fp32")
    for given in (folder, folder / "0.png"):
        assert call("-i", given, "-o", tmp_path / "out", *running) == 2
        assert "upscales videos, and frames as a pattern" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    pattern = tmp_path / "out" / "%d.png"
    assert call("-i", folder / "%d.png", "-o", pattern, *running) == 0
    assert len(list(pattern.parent.iterdir())) == 2
