"""Plan, before any work, what becomes of each stream of a video next to the upscaled one.

FFmpeg's muxer decides what a container takes: it writes a header with the stream on trial.
"""

import io
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.audio.codeccontext import AudioCodecContext
from av.codec import Codec
from av.container import InputContainer, OutputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from sr.io.video.formats import MUXERS
from sr.io.video.frame import VideoError
from sr.io.video.mux.metadata import TIME_CODE, is_time_code_valid
from sr.io.video.read.container import open_container

Kind = Literal["audio", "subtitle", "image", "attachment", "data"]
"""`image` is cover art: one frame, shown next to the sound."""

IMAGE_TYPES = {
    "mjpeg": ("jpg", "image/jpeg"),
    "png": ("png", "image/png"),
    "webp": ("webp", "image/webp"),
    "bmp": ("bmp", "image/bmp"),
    "gif": ("gif", "image/gif"),
}
"""Suffix and media type of cover art by codec, as Matroska attaches it."""

_CONTAINERS = {".mp4": "MP4", ".mkv": "Matroska", ".webm": "WebM"}
_IMAGES = {".gif", ".webp", ".png", ".apng"}  # sources that are videos, but hold nothing else
_AUDIO = {".mp4": "aac", ".mkv": "flac", ".webm": "libopus"}
_TEXT = {".mp4": "mov_text", ".mkv": "subrip", ".webm": "webvtt"}
_NAMES = {
    "aac": "AAC",
    "flac": "FLAC",
    "libopus": "Opus",
    "mov_text": "MPEG-4 timed text",
    "subrip": "SubRip",
    "webvtt": "WebVTT",
}
# The muxer takes Vorbis into MP4, but under a number of its own that hardly any player knows, and
# PCM in boxes of ISO/IEC 23003-5, which older players take for noise.
_NOT_COPIED = {".mp4": re.compile("vorbis|pcm_.*")}


@dataclass(frozen=True)
class PassthroughStream:
    """A stream of the source that goes into the result."""

    index: int
    """In the source."""
    kind: Kind
    codec: str | None
    """Name of the encoder that it is converted by; None where its packets are copied."""
    label: str
    """For messages: `stream 2 (subtitle, mov_text, eng)`."""


@dataclass(frozen=True)
class StreamPlan:
    """What goes into the result next to the video."""

    passthrough: tuple[PassthroughStream, ...] = ()
    """In the order of the source."""
    notes: tuple[str, ...] = ()
    """What is converted or left out, and why, for the user."""


def plan_streams(
    source: Path,
    *,
    video_stream: int,
    suffix: str,
    rate: Fraction | None = None,
    begins_late: bool = False,
) -> StreamPlan:
    """Plan what becomes of every stream but `video_stream` (an index) in a result of this suffix.

    rate: frames per second of the result, None for the source's. begins_late: its first frame is
    not the source's. Folders and patterns of images, and single images that move, have nothing next
    to frames. Raises VideoError for a suffix that is not in MUXERS, and a source that cannot be
    opened.
    """
    if suffix not in MUXERS:
        raise VideoError(f"expected a suffix of {', '.join(MUXERS)}, got {suffix!r}")
    if not has_streams(source):
        return StreamPlan()
    passthrough = []
    notes = []
    with open_container(source) as container:
        video = container.streams[video_stream]
        holds = is_time_code_valid(video, rate, begins_late=begins_late)
        if _has_time_code(container) and not holds:
            notes.append("the time code is left out: it counts frames of the whole source")
        for stream in container.streams:
            if stream.index == video_stream or _is_chapter_track(stream):
                continue
            if stream.type == "data" and TIME_CODE in stream.metadata:
                continue  # which its video stream has as a tag
            planned, note = _plan_stream(stream, suffix)
            passthrough += [planned] if planned else []
            notes += [note] if note else []
    return StreamPlan(tuple(passthrough), tuple(notes))


def has_streams(source: Path) -> bool:
    """Return whether a source may hold more than frames: no folder, pattern or moving image."""
    return source.is_file() and source.suffix.lower() not in _IMAGES


def read_codec_name(stream: Stream) -> str:
    """Return the name of the format, not of a decoder for it; `unknown` where there is none."""
    # None where no decoder is known, which the stubs deny.
    context: object = stream.codec_context
    if context is not None:
        return stream.codec_context.codec.canonical_name
    name: str | None = getattr(stream, "name", None) if stream.type == "data" else None
    return name or "unknown"


def describe_stream(stream: Stream) -> str:
    """Format index, type, codec and language of a stream, for messages."""
    words = [stream.type, read_codec_name(stream)]
    if isinstance(stream, VideoStream) and stream.codec_context is not None:
        words.append(f"{stream.codec_context.width}x{stream.codec_context.height}")
    if stream.language not in (None, "und"):
        words.append(str(stream.language))
    if stream.type == "attachment":
        words[1] = stream.metadata.get("filename", words[1])
    return f"stream {stream.index} ({', '.join(words)})"


def add_copied_stream(output: OutputContainer, stream: Stream) -> Stream:
    """Add a stream to the result for the very packets of one of the source."""
    return output.add_stream_from_template(stream, opaque=True)


def _has_time_code(container: InputContainer) -> bool:
    tagged = [container.metadata, *(stream.metadata for stream in container.streams)]
    return any(key.lower() == TIME_CODE for metadata in tagged for key in metadata)


def _is_chapter_track(stream: Stream) -> bool:
    """Return whether it holds MP4's chapters, which FFmpeg has read when it hides it like this."""
    return stream.type == "data" and stream.discard == Discard.all


def _plan_stream(stream: Stream, suffix: str) -> tuple[PassthroughStream | None, str | None]:
    """Return the stream's plan and a note, each None where there is none."""
    label = describe_stream(stream)
    into = _CONTAINERS[suffix]
    kind = _find_kind(stream)
    if kind is None and stream.type == "video":
        return None, f"{label}: left out; --stream {stream.index} upscales it instead"
    if kind is None:
        return None, f"{label}: left out, since its kind is not known"
    if _can_copy(stream, kind, suffix):
        return PassthroughStream(stream.index, kind, None, label), None
    decoder = stream.codec_context  # None for a codec that is not known
    if isinstance(decoder, AudioCodecContext) and not decoder.sample_rate:
        return None, f"{label}: left out, since its sample rate is not known"
    codec = _choose_encoder(stream, kind, suffix)
    if codec is None:
        return None, f"{label}: left out, since {into} cannot hold it"
    note = f"{label}: becomes {_NAMES[codec]}, since {into} cannot hold it"
    if suffix == ".mp4" and read_codec_name(stream).startswith("pcm_"):
        note = f"{label}: becomes {_NAMES[codec]}, since few players take it in MP4; MKV keeps it"
    return PassthroughStream(stream.index, kind, codec, label), note


def _find_kind(stream: Stream) -> Kind | None:
    if stream.type == "video":
        return "image" if stream.disposition & Disposition.attached_pic else None
    return None if stream.type == "unknown" else stream.type


def _can_copy(stream: Stream, kind: Kind, suffix: str) -> bool:
    refused = _NOT_COPIED.get(suffix)
    if refused is not None and refused.fullmatch(read_codec_name(stream)):
        return False
    if kind == "attachment":
        return suffix == ".mkv"
    if kind == "image" and suffix == ".mkv":  # becomes an attachment
        return read_codec_name(stream) in IMAGE_TYPES
    return _can_mux(suffix, stream)


def _choose_encoder(stream: Stream, kind: Kind, suffix: str) -> str | None:
    """Return the name of the encoder, None where the stream cannot be decoded for one."""
    codec: Codec | None = None if stream.codec_context is None else stream.codec_context.codec
    if codec is None:
        return None
    if kind == "audio":
        return _AUDIO[suffix]
    return _TEXT[suffix] if kind == "subtitle" and codec.text_sub else None


def _can_mux(suffix: str, stream: Stream) -> bool:
    """Return whether the muxer writes a header for this stream."""
    try:
        with av.open(io.BytesIO(), "w", format=MUXERS[suffix]) as trial:
            add_copied_stream(trial, stream)
            trial.start_encoding()
    except (ValueError, OSError, av.FFmpegError):
        return False
    return True
