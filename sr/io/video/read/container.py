"""Open video files, and choose the video stream among those of a file.

Every file that is read goes through `open_container`. FFmpeg takes a file for what its content
says, whatever its name: a list of other files or addresses too, which it then opens. So only
containers that hold all of their content are let in, and nothing but local files.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from sr.io.image_reader import DEFAULT_MAX_PIXELS
from sr.io.pipe import is_device, is_pipe
from sr.io.video.frame import VideoError

_EXPECTED = "expected a video (MP4, MOV, MKV, WebM or AVI)"
_MP4_STARTS = (b"ftyp", b"wide", b"mdat", b"free", b"skip", b"moov")  # kinds of a first box
_LIST_STARTS = (b"ffconcat", b"#EXTM3U")
_DEMUXERS = (
    *("mov", "matroska", "avi", "mpeg", "mpegts", "asf", "flv", "ogg", "mxf", "gxf", "nut", "ivf"),
    *("h261", "h263", "h264", "hevc", "vvc", "evc", "obu", "av1", "m4v", "mpegvideo", "cavsvideo"),
    *("avs2", "avs3", "dirac", "dnxhd", "vc1", "vc1test", "mjpeg", "mjpeg_2000", "yuv4mpegpipe"),
    *("dv", "rm", "wtv", "nsv", "nuv", "pva", "ty", "swf", "lxf", "cine", "apv", "dhav", "kux"),
    *("gif", "apng", "png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe"),
    *("flic", "roq", "smk", "bink", "thp", "film_cpk", "vivo", "smjpeg", "amv", "ipu"),
)
"""FFmpeg's names of containers whose files refer to no others."""
_MOST_PIXELS = 2**31 - 1  # that FFmpeg's option for it takes
_BLOCK_PIXELS = 128 * 128


def make_file_url(path: Path) -> str:
    """Return FFmpeg's address of a file: bare, `12:30.mp4` would be one of a protocol named 12."""
    return f"file:{path}"


@contextmanager
def open_container(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Iterator[InputContainer]:
    """Open a video file for reading.

    max_pixels: of a frame; larger ones are not decoded. Raises `VideoError` for a pipe or device,
    and for what FFmpeg cannot open.
    """
    got = "a pipe" if is_pipe(path) else "a device" if is_device(path) else None
    if got is not None:
        raise VideoError(
            f"{path}: expected a file, as videos are read more than once, got {got}."
            " Save its content to a file first"
        )
    try:
        container = av.open(
            make_file_url(path),
            metadata_errors="replace",
            options={
                "format_whitelist": ",".join(_DEMUXERS),
                "protocol_whitelist": "file",
                **limit_pixels(max_pixels),
            },
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise VideoError(f"{path}: could not be read: {reason}") from error
    except MemoryError as error:
        raise VideoError(f"{path}: {_EXPECTED}, got one that asks for too much memory") from error
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise VideoError(f"{path}: {_EXPECTED}, got {_describe_content(path)}") from error
    with container:
        yield container


def limit_pixels(max_pixels: int) -> dict[str, str]:
    """Return FFmpeg's option by which no frame of far more pixels is decoded.

    It counts what codecs add to fill their blocks, of at most 128 pixels a side.
    """
    return {"max_pixels": str(min(2 * max_pixels + _BLOCK_PIXELS, _MOST_PIXELS))}


def check_num_pixels(stream: VideoStream, path: Path, max_pixels: int) -> None:
    """Raise `VideoError` where the header of a video stream says that its frames are larger."""
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > max_pixels:
        raise VideoError(
            f"{path}: expected frames of at most {max_pixels} pixels, got {width}x{height}."
            " --max-pixels allows more"
        )


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
    if start.startswith(_LIST_STARTS):
        return "a list of other files, none of which is opened"
    if start[4:] in _MP4_STARTS:
        return "an MP4 file cut short or damaged: without a whole index (moov)"
    return "a file of another kind, or damaged at its start"
