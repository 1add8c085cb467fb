"""Videos that several runs compute together: the very file of a single run, whatever happens."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from helpers.clips import Tone, draw_scene, make_clip
from helpers.locks import hold_elsewhere
from helpers.videos import CountingNetwork, Listener, make_upscaler, upscale
from torch import Tensor, nn

from sr.inference.run_summary import RunSummary
from sr.inference.shards import Shard
from sr.inference.video import upscale_task
from sr.inference.video.resume import Segment, locate_segments
from sr.inference.video.shared_segments import SharedSegments
from sr.inference.video_options import VideoOptions
from sr.io.leases import Leases
from sr.io.video.frame import VideoError
from sr.motion.frame_window import Window
from sr.motion.methods import DIS
from sr.networks.packed_window import PackedWindow
from sr.networks.rbpn import RBPN
from sr.tiling.upscaler import Upscaler

SEGMENT = 4  # frames
VIDEO = VideoOptions(crf=20, preset="fast", frames_per_segment=SEGMENT)
FILTERED = VideoOptions(crf=20, preset="fast", frames_per_segment=SEGMENT, temporal_filter=True)


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upscale_task, "_POLL", 0.02)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", 22, sound=Tone(0.88), still=(5, 8, 9))


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out" / "in_x1.mp4"


def share(
    source: Path, number: int = 1, count: int = 2, *, video: VideoOptions = VIDEO, **more: Any
) -> RunSummary:
    output = source.parent / "out"
    return upscale(source, output, video=video, resume=True, shard=Shard(number, count), **more)


def make_whole(source: Path, video: VideoOptions = VIDEO, **more: Any) -> bytes:
    """The result of a single run."""
    whole = source.with_name("whole.mp4")
    upscale(source, whole, video=video, **more)
    return whole.read_bytes()


def run_at_once(*runs: Callable[[], RunSummary]) -> list[RunSummary]:
    """Run in threads; return how they ended."""
    with ThreadPoolExecutor(len(runs)) as threads:
        return [future.result(60) for future in [threads.submit(run) for run in runs]]


@contextmanager
def leased_elsewhere(output: Path, *numbers: int) -> Iterator[Leases]:
    """Hold segments as another run would, until that is dead."""
    folder = locate_segments(output)
    folder.mkdir(parents=True, exist_ok=True)
    with Leases(folder) as leases:
        for number in numbers:
            assert leases.claim(Segment(number).name)
        yield leases


def compute_some(source: Path, output: Path, *others: int, **more: Any) -> None:
    """Have a run compute the segments but `others`, whose owner then dies, and end itself."""

    class Ended(Exception):  # noqa: N818
        pass

    def end() -> None:
        raise Ended

    with leased_elsewhere(output, *others), pytest.MonkeyPatch.context() as patch:
        patch.setattr(upscale_task, "wait_for_others", end)
        with pytest.raises(Ended):
            share(source, **more)


class Tiny(nn.Module):
    """An untrained RBPN x1 of 5 frames."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        network = RBPN(2, 4, 4, 1, 1, 5, bicubic_skip=True).eval()
        output: Any = network.output
        output.conv.weight.data.mul_(20)  # so that neighbors show in 8 bits
        self.network = PackedWindow(network)

    def forward(self, window: Tensor) -> Tensor:
        sr: Tensor = self.network(window)
        return sr[..., ::2, ::2]


def make_window_upscaler() -> Upscaler:
    window = Window((-1, 1, -2, 2), "reflect", "none")
    return make_upscaler(Tiny(), 1, window=window, flow=DIS())


@pytest.mark.parametrize("video", [VIDEO, FILTERED])
def test_runs_at_once_make_the_very_file_of_one_and_no_frame_twice(
    source: Path, output: Path, video: VideoOptions
) -> None:
    networks = [CountingNetwork(seconds=0.02) for _ in range(3)]
    listeners = [Listener() for _ in networks]
    summaries = run_at_once(
        *(
            lambda number=number, network=network, listener=listener: share(
                source, number, 3, video=video, network=network, listener=listener
            )
            for number, (network, listener) in enumerate(zip(networks, listeners, strict=True), 1)
        )
    )
    assert [summary.exit_code for summary in summaries] == [0, 0, 0]
    assert output.read_bytes() == make_whole(source, video)
    assert [path.name for path in output.parent.iterdir()] == [output.name]
    done = [listener.fields("item_done")[0] for listener in listeners]
    assert sum(fields.get("computed", 0) for fields in done) == 22
    assert {fields["frames"] for fields in done if "frames" in fields} == {22}
    extra = 0 if video is VIDEO else 2 * 5  # each segment's neighbors, for the filter
    assert sum(network.num_calls for network in networks) <= 19 + extra + 3  # repeated at a start


@pytest.mark.parametrize(
    ("kind", "others"),
    [("plain", (1, 3)), ("filter", (0, 2, 4)), ("filter", (1, 2, 3)), ("windows", (1, 3))],
)
def test_segments_computed_apart_are_those_of_a_run_in_one_go(
    tmp_path: Path, output: Path, kind: str, others: tuple[int, ...]
) -> None:
    shown = [draw_scene(int(number >= 14), number, 24, 32) for number in range(22)]
    for number in (5, 8, 9, 17):  # repeated, around the ends of segments
        shown[number] = shown[number - 1]
    source = make_clip(tmp_path / "in.mp4", images=shown)
    video = FILTERED if kind == "filter" else VIDEO

    def more() -> dict[str, Any]:
        return {"upscaler": make_window_upscaler()} if kind == "windows" else {}

    compute_some(source, output, *others, video=video, **more())
    names = {path.stem for path in locate_segments(output).glob("segment-*.json")}
    assert names == {f"segment-{number:05d}" for number in range(6) if number not in others}
    assert share(source, 2, video=video, **more()).exit_code == 0
    assert output.read_bytes() == make_whole(source, video, **more())


def test_a_run_without_shards_finishes_what_shards_left(source: Path, output: Path) -> None:
    compute_some(source, output, 2, 5)
    network, listener = CountingNetwork(), Listener()
    options: dict[str, Any] = {"network": network, "listener": listener}
    assert upscale(source, output, video=VIDEO, resume=True, **options).exit_code == 0
    assert output.read_bytes() == make_whole(source)
    assert network.num_calls <= 4 + 2
    (done,) = listener.fields("item_done")
    assert (done["frames"], done["resumed_at"], done["computed"]) == (22, 16, 6)


def test_shards_continue_what_a_run_without_them_left(source: Path, output: Path) -> None:
    failing = CountingNetwork(fault_at=11)
    upscale(source, output, video=VIDEO, network=failing)
    complete = sorted(path.name for path in locate_segments(output).glob("segment-*"))
    assert len(complete) >= 2
    network = CountingNetwork()
    assert share(source, network=network).exit_code == 0
    assert output.read_bytes() == make_whole(source)
    assert network.num_calls < 19 - 4


def test_a_shard_that_fails_keeps_what_is_complete_and_another_goes_on(
    source: Path, output: Path
) -> None:
    listener = Listener()
    failed = share(source, network=CountingNetwork(fault_at=14), listener=listener)
    assert "not enough memory: frame 1" in failed.failures[source]
    assert "frames are kept in" in listener.warnings[-1]
    assert not Leases(locate_segments(output)).any_live()
    network = CountingNetwork()
    assert share(source, 2, network=network).exit_code == 0
    assert network.num_calls < 12
    assert output.read_bytes() == make_whole(source)


def test_a_first_segment_that_fails_leaves_nothing(source: Path, output: Path) -> None:
    assert share(source, network=CountingNetwork(fault_at=1)).exit_code == 4
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize("frames", [9, 23, 40])
def test_a_source_of_another_length_than_recorded_is_an_error_and_not_waited_for(
    source: Path, output: Path, frames: int
) -> None:
    compute_some(source, output, 5)
    (locate_segments(output) / "end.json").write_text(
        json.dumps({"frames": frames, "damage": None})
    )
    summary = share(source, 2)
    assert f"expected {frames} frames, as another run found, got " in summary.failures[source]
    assert not output.exists()
    assert upscale(source, output, video=VIDEO, overwrite=True).exit_code == 0


def test_a_source_that_changes_while_it_is_shared_makes_no_result(
    source: Path, output: Path
) -> None:
    class Changing(CountingNetwork):
        def forward(self, lr: Tensor) -> Tensor:
            if self.num_calls == 12:
                make_clip(source, 22, sound=Tone(0.5))
            return super().forward(lr)

    summary = share(source, network=Changing())
    assert "source was {" in summary.failures[source]
    assert not output.exists()


def test_a_run_that_ends_without_a_segment_keeps_what_others_have_completed_meanwhile(
    source: Path, output: Path
) -> None:
    class Stopped(CountingNetwork):
        def forward(self, lr: Tensor) -> Tensor:
            compute_some(source, output, 5)  # by another run, which is killed then
            raise VideoError(f"stopped at a frame of {tuple(lr.shape)}")

    listener = Listener()
    assert share(source, network=Stopped(), listener=listener).exit_code == 4
    folder = locate_segments(output)
    assert list(folder.glob("segment-*.json"))
    assert "frames are kept in" in listener.warnings[-1]
    assert share(source, 2).exit_code == 0
    assert output.read_bytes() == make_whole(source)


def test_a_run_that_ends_leaves_the_folder_to_one_with_other_options(
    source: Path, output: Path
) -> None:
    manifest = locate_segments(output) / "manifest.jsonl"

    class Stopped(CountingNetwork):
        def forward(self, lr: Tensor) -> Tensor:
            manifest.write_text('{"source": "another run\'s"}\n')
            raise VideoError(f"stopped at a frame of {tuple(lr.shape)}")

    assert share(source, network=Stopped()).exit_code == 4
    assert manifest.exists()


def test_a_run_that_waits_for_others_says_so_once(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener()
    with leased_elsewhere(output, 2) as others:
        waits: list[int] = []

        def wait() -> None:
            waits.append(len(listener.fields("note")))
            if len(waits) == 3:
                others.release(Segment(2).name)

        monkeypatch.setattr(upscale_task, "wait_for_others", wait)
        assert share(source, listener=listener).exit_code == 0
    assert waits == [1, 1, 1]
    (note,) = listener.fields("note")
    assert note["message"] == "waiting for other runs, which have the rest of 1 video"


def test_a_result_that_exists_is_skipped_by_all(source: Path, output: Path) -> None:
    assert share(source).exit_code == 0
    for number in (1, 2):
        network = CountingNetwork()
        assert share(source, number, network=network).num_skipped == 1
        assert network.num_calls == 0


def test_one_that_was_joined_while_a_run_computed_is_done_for_that_run_too(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def age_leases() -> None:
        for lease in locate_segments(output).glob("*.lease"):
            os.utime(lease, (0, 0))

    class Slow(CountingNetwork):
        def forward(self, lr: Tensor) -> Tensor:
            if self.num_calls == 6:  # it pauses; another run takes over all it has
                age_leases()
                assert share(source, 2).exit_code == 0
            return super().forward(lr)

    # Its decoder does not pause, and takes leases ahead.
    monkeypatch.setattr(upscale_task, "wait_for_others", age_leases)
    listener = Listener()
    summary = share(source, network=Slow(), listener=listener)
    assert (summary.exit_code, summary.num_done) == (0, 1)
    assert "joined by another run" in listener.fields("note")[0]["message"]
    assert output.read_bytes() == make_whole(source)
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_other_options_than_those_of_the_others_are_refused(source: Path, output: Path) -> None:
    compute_some(source, output, 2)
    summary = share(source, 2, video=VideoOptions(crf=30, preset="fast"))
    assert "expected segments of the same run" in summary.failures[source]
    assert share(source, 2).exit_code == 0
    assert output.read_bytes() == make_whole(source)


def test_the_length_of_segments_is_that_of_the_run_that_came_first(
    source: Path, output: Path
) -> None:
    compute_some(source, output, 2)
    video = VideoOptions(crf=20, preset="fast")
    assert share(source, 2, video=video).exit_code == 0
    assert output.read_bytes() == make_whole(source)


def test_a_run_that_would_begin_again_is_kept_from_the_work_of_others(
    source: Path, output: Path
) -> None:
    compute_some(source, output, 2)
    with leased_elsewhere(output, 2):
        summary = upscale(source, output, video=VIDEO, overwrite=True)
        assert "several that share the segments" in summary.failures[source]
    assert upscale(source, output, video=VIDEO, overwrite=True).exit_code == 0


def test_shards_keep_out_of_the_work_of_a_run_without_them(source: Path, output: Path) -> None:
    output.parent.mkdir()
    with hold_elsewhere(output):
        summary = share(source)
    assert "expected no other process that writes there" in summary.failures[source]
    assert share(source).exit_code == 0


def test_a_segment_that_changed_on_disk_is_computed_again(source: Path, output: Path) -> None:
    compute_some(source, output, 2)
    folder = locate_segments(output)
    file = folder / json.loads((folder / "segment-00001.json").read_text())["file"]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    listener = Listener()
    assert share(source, 2, listener=listener).exit_code == 0
    assert any("computed again" in warning for warning in listener.warnings)
    assert output.read_bytes() == make_whole(source)


@pytest.mark.parametrize("fault", [3, 13])
def test_damage_ends_the_result_and_is_an_error_of_each_run_that_computed(
    tmp_path: Path, output: Path, fault: int
) -> None:
    video = VideoOptions(preset="fast", frames_per_segment=SEGMENT, damaged="stop")
    source = make_clip(tmp_path / "in.mp4", 22, sound=Tone(0.88), options={"qp": "9", "g": "1"})
    content = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packet = [packet for packet in container.demux(0) if packet.size][fault]
    assert packet.pos is not None
    for place in range(packet.pos + 10, packet.pos + packet.size):
        content[place] = content[place] * 7 + 13 & 255
    source.write_bytes(content)
    whole = make_whole(source, video)
    expected = upscale(source, tmp_path / "again.mp4", video=video).failures[source]

    def run(number: int) -> RunSummary:
        return share(source, number, video=video, network=CountingNetwork(seconds=0.02))

    summaries = run_at_once(lambda: run(1), lambda: run(2))
    failures = [each.failures[source] for each in summaries if not each.num_skipped]
    assert failures  # who comes when all is done finds the result
    for failure in failures:
        assert failure.replace(str(output), str(tmp_path / "again.mp4")) == expected
    assert output.read_bytes() == whole
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_two_writers_of_one_segment_mix_nothing(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    both = [SharedSegments.open(output, {"a": 1}, SEGMENT) for _ in range(2)]
    for index, shared in enumerate(both):
        path = shared.folder / f"segment-00000.{shared.token}"
        path.write_bytes(bytes([index]) * 9)
        shared.add(Segment(0, frames=4), path)
    fresh = SharedSegments.open(output, {"a": 1}, SEGMENT)
    assert [path.read_bytes() for path in fresh.paths] == [bytes(9)]
    assert fresh.reject_damaged() == []
    assert both[1].paths == fresh.paths
    assert len(list(fresh.folder.iterdir())) == 3  # manifest, record, segment


def test_a_record_of_a_run_with_other_options_does_not_count(tmp_path: Path) -> None:
    shared = SharedSegments.open(tmp_path / "out.mp4", {"a": 1}, SEGMENT)
    path = shared.folder / "segment-00000.x"
    path.touch()
    shared.add(Segment(0, frames=4), path)
    record = shared.folder / "segment-00000.json"
    record.write_text(record.read_text().replace('"depends_on": "', '"depends_on": "0'))
    assert SharedSegments.open(tmp_path / "out.mp4", {"a": 1}, SEGMENT).segments == []
    record.write_text(record.read_text()[:20])  # cut off
    assert SharedSegments.open(tmp_path / "out.mp4", {"a": 1}, SEGMENT).segments == []
