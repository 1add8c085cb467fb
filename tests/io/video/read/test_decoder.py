"""What is damaged or missing in a video is found, recorded or stopped at, and costs no more."""

from fractions import Fraction
from pathlib import Path
from time import process_time
from typing import Any

import av
import numpy as np
import pytest
from helpers.clips import make_clip

from sr.io.read_policy import Damaged
from sr.io.video.frame import Frame, VideoError
from sr.io.video.read.decode_errors import DamageError
from sr.io.video.read.reader import open_video

NUM_FRAMES = 40


def read(path: Path, damaged: Damaged = "continue") -> tuple[list[Frame], list[str]]:
    with open_video(path, damaged=damaged) as reader:
        return list(reader.frames()), reader.damage


def read_until_stopped(path: Path) -> tuple[list[Frame], str]:
    frames: list[Frame] = []
    with (
        open_video(path, damaged="stop") as reader,
        pytest.raises(DamageError, match=rf"{path.name}: expected an undamaged video") as caught,
    ):
        frames.extend(frame for frame in reader.frames() if frame.number >= 0)
    return frames, str(caught.value)


def positions(path: Path) -> list[tuple[int, int]]:
    """Where each packet's content lies in the file, and its size in bytes."""
    data = path.read_bytes()
    with av.open(str(path)) as container:
        contents = [bytes(packet) for packet in container.demux() if packet.size]
    return [(data.index(content), len(content)) for content in contents]


def spoil(path: Path, number: int, content: bytes | None = None) -> None:
    """Overwrite the middle of a packet with noise, or its start with `content`."""
    start, size = positions(path)[number]
    data = bytearray(path.read_bytes())
    if content is None:
        start += size // 2
        content = np.random.default_rng(number).bytes(size // 4)
    data[start : start + len(content)] = content
    path.write_bytes(data)


def seconds(frames: list[Frame], path: Path) -> list[float]:
    with open_video(path) as reader:
        time_base = reader.info.time_base
    return [round(float(frame.pts * time_base), 3) for frame in frames]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mp4", "libx264"),
        ("clip.mkv", "libx264"),
        ("clip.mp4", "mpeg4"),
        ("clip.avi", "mpeg4"),
        ("clip.webm", "libvpx-vp9"),
        ("clip.mkv", "ffv1"),
    ],
)
def test_an_undamaged_video_has_no_faults(tmp_path: Path, name: str, codec: str) -> None:
    path = tmp_path / name
    make_clip(path, NUM_FRAMES, codec=codec)
    for damaged in ("continue", "stop"):
        frames, damage = read(path, damaged)
        assert len(frames) == NUM_FRAMES
        assert damage == []


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv"])
@pytest.mark.parametrize("bad", [6, 20, NUM_FRAMES - 5, NUM_FRAMES - 1])
def test_frames_after_a_packet_that_cannot_be_decoded_keep_their_times(
    tmp_path: Path, name: str, bad: int
) -> None:
    path = tmp_path / name
    options = {"bf": "0", "x264-params": "threads=1"}
    make_clip(path, NUM_FRAMES, options=options)
    spoil(path, bad, b"\xff\xff\xff\xff")  # the length of the first part of the packet
    frames, damage = read(path)
    assert seconds(frames, path) == [round(n / 25, 3) for n in range(NUM_FRAMES) if n != bad]
    assert damage[0].startswith(f"near frame {bad} ({bad / 25:.2f} s): a packet that cannot be")
    if bad < NUM_FRAMES - 1:
        assert damage[1] == f"1 frame(s) missing before frame {bad} ({(bad + 1) / 25:.2f} s)"
        assert frames[bad - 1].duration == 2 * frames[0].duration


@pytest.mark.parametrize("bad", [6, 20, NUM_FRAMES - 1])
def test_damage_stops_the_reading_on_request(tmp_path: Path, bad: int) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, NUM_FRAMES, options={"bf": "0"})
    spoil(path, bad, b"\xff\xff\xff\xff")
    frames, message = read_until_stopped(path)
    assert f"frame {bad} ({bad / 25:.2f} s)" in message
    assert [frame.number for frame in frames] == list(range(bad))


def test_concealed_frames_are_kept_and_recorded(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, NUM_FRAMES, codec="mpeg4", size=(96, 128))
    spoil(path, 17)
    frames, damage = read(path)
    assert len(frames) == NUM_FRAMES
    assert any("frame 17 (0.68 s)" in fault for fault in damage)
    assert "frame 17 (0.68 s)" in read_until_stopped(path)[1]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_frames_that_go_with_a_bad_key_frame_are_recorded(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "clip.mp4"
    options = {"x265-params": "log-level=none:scenecut=0"} if codec == "libx265" else {}
    make_clip(path, NUM_FRAMES, codec=codec, options=options)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux() if packet.size]
    key = next(n for n, packet in enumerate(packets) if packet.is_keyframe and n > 10)
    spoil(path, key, b"\xff\xff\xff\xff")
    frames, damage = read(path)
    numbers = [round(second * 25) for second in seconds(frames, path)]
    missing = set(range(NUM_FRAMES)) - set(numbers)
    assert missing
    recorded = sum(int(text.split()[0]) for text in damage if "missing" in text)
    assert recorded == len(missing)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("clip.mkv", "libx264", {}),
        ("clip.webm", "libvpx-vp9", {}),
        ("clip.avi", "mpeg4", {}),
        ("clip.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        ("clip.mp4", "libx264", {"movflags": "faststart"}),
    ],
)
def test_a_video_that_is_cut_short_is_recorded(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = tmp_path / name
    make_clip(path, NUM_FRAMES, codec=codec, options={}, container_options=options)
    start, size = positions(path)[25]
    path.write_bytes(path.read_bytes()[: start + size // 2])
    frames, damage = read(path)
    assert 20 <= len(frames) <= 26
    assert damage[-1].startswith(f"ends early, with frame {len(frames) - 1}: expected about ")
    stopped, _ = read_until_stopped(path)
    assert 20 <= len(stopped) <= 26


@pytest.mark.parametrize("name", ["clip.mkv", "clip.webm"])
def test_what_a_demuxer_passes_over_in_silence_is_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    codec = "libvpx" if name.endswith("webm") else "ffv1"
    make_clip(path, NUM_FRAMES, codec=codec, container_options={"cluster_time_limit": "200"})
    start, _ = positions(path)[17]
    data = bytearray(path.read_bytes())
    data[start - 12 : start] = b"\x00" * 12  # no block any more
    path.write_bytes(data)
    frames, damage = read(path)
    assert len(frames) < NUM_FRAMES
    gaps = [frame for frame in frames[:-1] if frame.duration > 41]
    assert len(gaps) == 1
    missing = NUM_FRAMES - len(frames)
    number = gaps[0].number + 1
    assert damage[0].startswith(f"{missing} frame(s) missing before frame {number} ")
    assert f"frame {number} " in read_until_stopped(path)[1]


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4", "clip.avi"])
def test_gaps_in_time_alone_are_no_damage(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    times = [0, 1, 2, 30, 31, 32, 33, 60, 1000]  # and the last is shown for long
    make_clip(path, len(times), pts=times, codec="mpeg4")
    frames, damage = read(path, "stop")
    assert seconds(frames, path) == [round(time / 25, 3) for time in times]
    assert damage == []


def test_a_video_without_one_good_frame_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_clip(path, 3, options={"bf": "0"})
    for number in range(3):
        spoil(path, number, b"\xff\xff\xff\xff")
    with (
        pytest.raises(VideoError, match=r"clip\.mp4: expected frames .* none in stream 0 \(near"),
        open_video(path),
    ):
        pass


def test_a_rest_that_cannot_be_decoded_takes_time_in_proportion(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.mkv", tmp_path / "clip.mkv"
    num_lost = 12_000
    make_clip(whole, 10)
    with av.open(str(whole)) as source, av.open(str(path), "w") as result:
        stream = result.add_stream_from_template(source.streams.video[0])
        packets: list[av.Packet[Any]] = [packet for packet in source.demux(video=0) if packet.size]
        for number in range(num_lost):
            lost: av.Packet[Any] = av.Packet(bytes.fromhex("000000021fff"))
            lost.pts = lost.dts = 400 + 40 * number
            lost.time_base = Fraction(1, 1000)
            packets.append(lost)
        for packet in packets:
            packet.stream = stream
            result.mux(packet)
    started = process_time()
    frames, damage = read(path)
    assert process_time() - started < 3  # 8 s where all that is pending is counted at each fault
    assert len(frames) <= 10
    assert len(damage) >= num_lost
