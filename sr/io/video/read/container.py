"""Open video files, and choose the video stream among those of a file."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from sr.io.video.frame import VideoError

_EXPECTED = "expected a video (MP4, MOV, MKV, WebM or AVI)"
_MP4_STARTS = (b"ftyp", b"wide", b"mdat", b"free", b"skip", b"moov")  # kinds of a first box


def make_file_url(path: Path) -> str:
    """Return FFmpeg's address of a file: bare, `12:30.mp4` would be one of a protocol named 12."""
    return f"file:{path}"


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a video file for reading; raises `VideoError` if FFmpeg cannot."""
    try:
        container = av.open(make_file_url(path), metadata_errors="replace")
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise VideoError(f"{path}: could not be read: {reason}") from error
    except av.FFmpegError as error:
        raise VideoError(f"{path}: {_EXPECTED}, got {_describe_content(path)}") from error
    with container:
        yield container


def discard_other_streams(container: InputContainer, indices: Collection[int]) -> None:
    """Leave all other streams unread; of MP4 not even their bytes are then read."""
    for stream in container.streams:
        stream.discard = Discard.default if stream.index in indices else Discard.all


def is_cover(stream: Stream) -> bool:
    """Return whether a stream is cover art, or small images for a menu: no video."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def choose_stream(container: InputContainer, path: Path, index: int | None) -> VideoStream:
    """Return the video stream at `index` of the file; for None the one that players would show.

    That is, cover images left out, of those marked as default, or of all where none is, and of
    those with more than the one frame that an animated AVIF has as its still image, the one with
    the most pixels, the first of equals. Raises `VideoError` where there is none.
    """
    streams = [stream for stream in container.streams.video if not is_cover(stream)]
    if index is None:
        chosen = max(streams, key=_rank_stream, default=None)
        if chosen is None:
            covers = ", only cover images" if container.streams.video else ""
            raise VideoError(f"{path}: expected a video stream, got a file with none{covers}")
    else:
        chosen = next((stream for stream in streams if stream.index == index), None)
        if chosen is None:
            known = "; ".join(_describe_stream(stream) for stream in streams) or "none"
            raise VideoError(f"{path}: expected the index of a video stream ({known}), got {index}")
    if _read_decoder_name(chosen) is None:
        raise VideoError(
            f"{path}: expected a codec that FFmpeg decodes,"
            f" got an unknown one in stream {chosen.index}"
        )
    return chosen


def _rank_stream(stream: VideoStream) -> tuple[bool, bool, int, int]:
    num_pixels = 0 if _read_decoder_name(stream) is None else stream.width * stream.height
    is_default = bool(stream.disposition & Disposition.default)
    return is_default, stream.frames != 1, num_pixels, -stream.index


def _describe_stream(stream: VideoStream) -> str:
    codec = _read_decoder_name(stream)
    size = "unknown codec" if codec is None else f"{codec} {stream.width}x{stream.height}"
    return f"{stream.index}: {size}"


def _read_decoder_name(stream: VideoStream) -> str | None:
    """Return its name; None for one that FFmpeg does not know (the stub denies that there are)."""
    context: av.VideoCodecContext | None = stream.codec_context
    return None if context is None else context.name


def _describe_content(path: Path) -> str:
    """Describe, by its first bytes, a file that FFmpeg cannot open."""
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        return "an empty file"
    if start[4:] in _MP4_STARTS:
        return "an MP4 file cut short or damaged: without a whole index (moov)"
    return "a file of another kind, or damaged at its start"
