"""Videos with sound, subtitles and other streams, and segments muxed with them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from helpers.clips import mux_tone
from sr.io.video.frame import Color, Layout, VideoInfo
from sr.io.video.mux.mux import mux_video
from sr.io.video.mux.streams import StreamPlan, plan_streams
from sr.io.video.mux.video_track import VideoTrack
from sr.io.video.time_range import WHOLE, TimeRange

_STYLES = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColor, SecondaryColor, OutlineColor, BackColor, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def _cover() -> bytes:
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 16, 16, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    image = av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), "yuvj420p")
    return b"".join(bytes(packet) for packet in [*encoder.encode(image), *encoder.encode(None)])


_CHAPTERS: list[Any] = [
    {"id": i, "start": 1000 * i, "end": 1000 * i + 1000, "time_base": Fraction(1, 1000)}
    | {"metadata": {"title": f"Chapter {i}"}}
    for i in range(2)
]


def _add_text(container: Any, codec: str) -> Any:
    text = container.add_stream(codec)
    text.codec_context.subtitle_header = _STYLES
    text.time_base = Fraction(1, 1000)
    text.metadata["language"] = "fra"
    text.disposition = 1 | 64  # default, forced
    return text


def _text_packet(text: Any, start: int, length: int, words: str) -> Any:
    """start, length: milliseconds."""
    ass = f"0,0,Default,,0,0,0,,{words}".encode()
    event = av.subtitles.subtitle.SubtitleSet.create(ass, 0, length)
    packet = text.codec_context.encode_subtitle(event)
    packet.stream, packet.time_base = text, Fraction(1, 1000)
    packet.pts = packet.dts = start
    packet.duration = length
    return packet


def write_source(
    path: Path,
    *,
    num_frames: int = 50,
    sounds: Sequence[str] = ("aac", "aac"),
    subtitle: str | None = None,
    texts: Sequence[tuple[int, int, str]] = ((200, 500, "Hello"), (1000, 500, "Bye")),
    attached: bool = False,
    chapters: bool = False,
    sound_seconds: Fraction | None = None,
    sound_offset: Fraction = Fraction(0),
) -> Path:
    """Write a video of 25 frames a second with streams next to it.

    sounds: encoders. texts: start and length in milliseconds, and the text in ASS's notation.
    attached: a font and cover art.
    """
    with av.open(str(path), "w") as container:
        codec = "libvpx-vp9" if path.suffix == ".webm" else "libx264"
        options = {"libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"}}
        video: Any = container.add_stream(
            codec, rate=25, options=options.get(codec, {"preset": "ultrafast"})
        )
        video.width, video.height, video.pix_fmt = 32, 24, "yuv420p"
        video.metadata.update(language="jpn", title="Main")
        tracks: list[Any] = []
        for number, name in enumerate(sounds):
            track: Any = container.add_stream(name, rate=48000)
            track.codec_context.layout = "stereo"
            track.codec_context.bit_rate = 128_000
            track.metadata.update(language=("eng", "deu")[number % 2], title=f"Sound {number}")
            track.disposition = number % 2  # the second is the default
            tracks.append(track)
        text = _add_text(container, subtitle) if subtitle else None
        if attached:
            container.add_attachment("a.ttf", "application/x-truetype-font", b"a font")
            container.add_attachment("cover.jpg", "image/jpeg", _cover())
        container.metadata.update(title="A title", comment="A comment", encoder="old")
        if chapters:
            container.set_chapters(_CHAPTERS)
        container.start_encoding()
        for shown in texts if subtitle else ():
            container.mux(_text_packet(text, *shown))
        for number in range(num_frames):
            gray = np.full((36, 32), number * 5 % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(gray, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        seconds = Fraction(num_frames, 25) if sound_seconds is None else sound_seconds
        for track in tracks if seconds else ():
            mux_tone(container, track, int(seconds * 48000), int(sound_offset * 48000))
    return path


def write_segments(
    folder: Path,
    times: Sequence[int],
    *,
    time_base: Fraction,
    codec: str = "libx264",
    frames_per_segment: int = 20,
    context: dict[str, Any] | None = None,
    options: dict[str, str] | None = None,
) -> list[Path]:
    """Segments with gray frames of 64 x 48 at these times, each from an encoder of its own."""
    presets = {
        "libx264": {"preset": "veryfast", "b-adapt": "0", "bf": "2"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    }
    paths: list[Path] = []
    for first in range(0, len(times), frames_per_segment):
        path = folder / f"segment-{len(paths):05d}.nut"
        with av.open(
            str(path), "w", container_options={"avoid_negative_ts": "disabled"}
        ) as segment:
            stream: Any = segment.add_stream(
                codec, rate=25, options=options or presets.get(codec, {})
            )
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.time_base = time_base
            stream.codec_context.flags |= 1 << 22  # headers apart from the frames
            stream.codec_context.thread_count = 1
            for name, value in (context or {}).items():
                setattr(stream.codec_context, name, value)
            for number, time in enumerate(times[first : first + frames_per_segment]):
                gray = np.full((72, 64), (first + number) * 5 % 256, np.uint8)
                frame = av.VideoFrame.from_ndarray(gray, "yuv420p")
                frame.pts, frame.time_base = time, time_base
                segment.mux(stream.encode(frame))
            segment.mux(stream.encode(None))
        paths.append(path)
    return paths


INFO = VideoInfo(
    name="clip.mp4",
    stream=0,
    width=32,
    height=24,
    layout=Layout("yuv", 8, (1, 1)),
    color=Color(1, 1, 1, False),
    siting="left",
    time_base=Fraction(1, 90000),
    rate=Fraction(25),
    num_frames=None,
    sample_aspect_ratio=Fraction(1),
    display_matrix=None,
    mastering=None,
    notes=(),
)
"""Of a plain video, as `plan_encoding` takes it."""

UNIT = Fraction(1, 12800)
TIMES = [512 * number for number in range(50)]  # 25 frames per second


def mux_clip(
    folder: Path,
    suffix: str,
    times: Sequence[int] = TIMES,
    *,
    source: Path | None = None,
    plan: StreamPlan | None = None,
    time_range: TimeRange = WHOLE,
    video: VideoTrack | None = None,
    codec: str | None = None,
    name: str = "out",
) -> Path:
    """Segments with frames at these times, muxed with all of the source; nothing may be lost."""
    video = video or VideoTrack(UNIT, Fraction(25), Fraction(1), Color(1, 1, 1, False))
    codec = codec or ("libvpx-vp9" if suffix == ".webm" else "libx264")
    ratio = {"sample_aspect_ratio": video.sample_aspect_ratio}
    segments = write_segments(folder, times, time_base=video.time_base, codec=codec, context=ratio)
    if plan is None and source is not None:
        plan = plan_streams(source, video_stream=0, suffix=suffix)
    output = folder / f"{name}{suffix}"
    notes = mux_video(
        segments,
        output,
        video=video,
        source=source,
        plan=plan or StreamPlan(),
        time_range=time_range,
    )
    assert notes == ()
    return output


def read_stamps(path: Path, kind: str = "video", number: int = 0) -> list[float]:
    """Time stamps of a stream in seconds, in order of time."""
    with av.open(str(path)) as container:
        stream = [one for one in container.streams if one.type == kind][number]
        packets = [packet for packet in container.demux(stream) if packet.size]
        return sorted(float((packet.pts or 0) * packet.time_base) for packet in packets)
