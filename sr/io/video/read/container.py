"""Video files opened, and the video stream chosen among those of a file."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from sr.io.video.frame import VideoError
from sr.io.video.read.truncation import is_mp4, mp4_boxes

_EXPECTED = "expected a video (MP4, MOV, MKV, WebM or AVI)"


def file_url(path: Path) -> str:
    """FFmpeg's address of a file: bare, `12:30.mp4` would be one of a protocol named 12."""
    return f"file:{path}"


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """A video file, opened by FFmpeg for reading; raises `VideoError` if it cannot be."""
    try:
        container = av.open(file_url(path), metadata_errors="replace")
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise VideoError(f"{path}: could not be read: {reason}") from error
    except av.FFmpegError as error:
        raise VideoError(f"{path}: {_EXPECTED}, got {_what_came(path)}") from error
    with container:
        yield container


def discard_other_streams(container: InputContainer, indices: Collection[int]) -> None:
    """Leave all other streams unread; of MP4 not even their bytes are then read."""
    for stream in container.streams:
        stream.discard = Discard.default if stream.index in indices else Discard.all


def is_cover(stream: Stream) -> bool:
    """An image next to the sound, or small ones for a menu; no video."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def choose_stream(container: InputContainer, path: Path, index: int | None) -> VideoStream:
    """The video stream at `index` of the file; for None the one that players would show.

    That is, cover images left out, of those marked as default, or of all where none is, the
    one with the most pixels, the first of equals. Raises `VideoError` where there is none.
    """
    streams = [stream for stream in container.streams.video if not is_cover(stream)]
    if index is None:
        chosen = max(streams, key=_preference, default=None)
        if chosen is None:
            covers = ", only cover images" if container.streams.video else ""
            raise VideoError(f"{path}: expected a video stream, got a file with none{covers}")
    else:
        chosen = next((stream for stream in streams if stream.index == index), None)
        if chosen is None:
            known = "; ".join(_described(stream) for stream in streams) or "none"
            raise VideoError(f"{path}: expected the index of a video stream ({known}), got {index}")
    if _codec(chosen) is None:
        raise VideoError(
            f"{path}: expected a codec that FFmpeg decodes,"
            f" got an unknown one in stream {chosen.index}"
        )
    return chosen


def _preference(stream: VideoStream) -> tuple[bool, int, int]:
    num_pixels = 0 if _codec(stream) is None else stream.width * stream.height
    return bool(stream.disposition & Disposition.default), num_pixels, -stream.index


def _described(stream: VideoStream) -> str:
    codec = _codec(stream)
    size = "unknown codec" if codec is None else f"{codec} {stream.width}x{stream.height}"
    return f"{stream.index}: {size}"


def _codec(stream: VideoStream) -> str | None:
    """Its name; None for one that FFmpeg does not know, though the stub tells of none such."""
    context: av.VideoCodecContext | None = stream.codec_context
    return None if context is None else context.name


def _what_came(path: Path) -> str:
    """Why FFmpeg cannot open a file, as far as its first bytes tell."""
    if path.stat().st_size == 0:
        return "an empty file"
    if not is_mp4(path):
        return "a file of another kind, or damaged at its start"
    with path.open("rb") as file:
        kinds = [kind for kind, _ in mp4_boxes(file)]
    if b"moov" in kinds:
        return "an MP4 file with a damaged or incomplete index (moov)"
    return "an MP4 file cut short: without its index (moov), which is at its end"
