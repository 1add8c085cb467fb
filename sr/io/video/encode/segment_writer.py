"""Write a segment of a video: some of its frames, encoded into a closed file of their own.

A segment holds one stream of video and starts with a key frame that needs nothing before it.
It is a NUT file, for NUT keeps every time stamp exactly in (a fraction of) any time base. NUT has
no tag for ProRes: that goes into MOV. VP9's transparency lies next to its packets, in Matroska
only, whose milliseconds stand for units of the time base in a segment.

A segment keeps packets, their order, key frames, presentation times, headers. It does not keep,
and muxing must set: decoding times and durations (NUT stores none), the pixel aspect ratio and
those color tags that the codec's own headers have no room for (VP9: primaries and transfer;
FFV1: all).

Encoders count frames and know nothing of times: VP9's library would round them, others set
bit rates and headers by them. The packets get the frames' times afterwards.
"""

import errno
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
import numpy.typing as npt
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.stream import VideoStream

from sr.io.video.encode.encoder import Encoding, configure_encoder
from sr.io.video.frame import Planes, VideoError
from sr.io.video.read.container import make_file_url

MATROSKA_UNIT = Fraction(1, 1000)
"""Seconds, of Matroska's time stamps."""
_MAX_DELAY = 64  # frames by which decoding runs ahead; no codec here needs as many
# Bits by which FFmpeg shifts 10 of them to the top of 16.
_SHIFTS = {"p010le": 6, "yuv444p10msble": 6}


class SegmentWriter:
    """Encodes frames into one file; a context manager. After an error there is no file."""

    def __init__(
        self,
        path: Path,
        encoding: Encoding,
        *,
        time_base: Fraction,
        rate: Fraction,
        sample_aspect_ratio: Fraction,
        origin: int = 0,
    ) -> None:
        """path: of any name; what is there is overwritten.

        time_base: seconds per unit of all times. rate: frames per second, exact or on average.
        origin: the time that the file calls 0; no frame is earlier, for NUT has no times below 0.
        VideoError: the file cannot be made, or the encoder does not open.
        """
        self._path = path
        self._encoding = encoding
        self._time_base = time_base
        # In which the file counts.
        self._unit = MATROSKA_UNIT if encoding.segment_format == "matroska" else time_base
        self._origin = origin
        self._times: list[tuple[int, int]] = []
        self._num_packets = 0
        self._next_dts = -_MAX_DELAY
        try:
            self._container = av.open(
                make_file_url(path),
                "w",
                format=encoding.segment_format,
                options=self._make_muxer_options(),
            )
            stream = self._container.add_stream(encoding.encoder, rate=rate)
            assert isinstance(stream, VideoStream)
            self._stream = stream
            configure_encoder(self._stream.codec_context, encoding, rate)
            self._stream.codec_context.sample_aspect_ratio = sample_aspect_ratio
            self._stream.time_base = self._unit
            self._container.start_encoding()
        except (av.FFmpegError, OSError, ValueError) as fault:
            self._remove()
            raise self._make_error("cannot be made", fault) from fault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file and sync it to the disk; after an error, remove it."""
        if error is not None:
            self._remove()
            return
        try:
            self._flush()
        except BaseException:
            self._remove()
            raise

    def write(self, frame: VideoFrame, pts: int, duration: int) -> None:
        """Encode one frame, which gets a number as its time; it may reach the file later.

        frame: as `make_frame` returns it, which another thread may do meanwhile.
        pts, duration: in units of the time base; pts greater than that of the frame before.
        VideoError: naming the file and the frame, counted from 0 in this segment.
        """
        number = len(self._times)
        if pts < self._origin or (self._times and pts - self._origin <= self._times[-1][0]):
            after = self._times[-1][0] + self._origin if self._times else self._origin - 1
            raise VideoError(
                f"{self._path}, frame {number}: expected a time after {after}, got {pts}"
            )
        frame.pts = number
        frame.time_base = self._stream.codec_context.time_base
        self._times.append((pts - self._origin, duration))
        self._encode(frame)

    def _make_muxer_options(self) -> dict[str, str]:
        """Make the same frames give the same file, and times stay as they are."""
        options = {"fflags": "+bitexact", "avoid_negative_ts": "disabled"}
        if self._encoding.segment_format == "mov":
            # MOV keeps the start in units of its own, by default milliseconds.
            options["movie_timescale"] = str(self._time_base.denominator)
        return options

    def _encode(self, frame: VideoFrame | None) -> None:
        """Encode a frame; None: the frames that the encoder still holds."""
        try:
            for packet in self._stream.encode(frame):
                self._set_times(packet)
                self._container.mux(packet)
                self._num_packets += 1
        except (av.FFmpegError, OSError, ValueError) as fault:
            raise self._make_error(
                f"frame {len(self._times) - 1} cannot be written", fault
            ) from fault

    def _set_times(self, packet: "Packet[VideoStream]") -> None:
        """Replace numbers of frames by the frames' times."""
        assert packet.pts is not None
        pts, duration = self._times[packet.pts]
        dts = packet.pts if packet.dts is None else packet.dts
        # x265 gives random ones for segments of one or two frames.
        dts = min(max(dts, self._next_dts), packet.pts)
        self._next_dts = dts + 1
        # Before the first frame there is no frame to take the time of: a unit earlier for each.
        packet.dts = self._times[dts][0] if dts >= 0 else self._times[0][0] + dts
        packet.pts, packet.duration = pts, duration
        packet.time_base = self._unit

    def _flush(self) -> None:
        """Flush, close, and sync to the disk."""
        self._encode(None)
        try:
            self._container.close()
            with self._path.open("rb+") as file:
                os.fsync(file.fileno())
        except (av.FFmpegError, OSError) as fault:
            raise self._make_error("cannot be finished", fault) from fault
        if self._num_packets != len(self._times):
            raise VideoError(
                f"{self._path}: expected {len(self._times)} frames from the encoder "
                f"{self._encoding.encoder}, got {self._num_packets}"
            )

    def _remove(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "_container"):
            with suppress(av.FFmpegError, OSError):  # it reports the same error once more
                self._container.close()
        self._path.unlink(missing_ok=True)

    def _make_error(self, what: str, fault: Exception) -> VideoError:
        """Put an error of FFmpeg's in words, with the file."""
        full = isinstance(fault, OSError) and fault.errno == errno.ENOSPC
        return VideoError(f"{self._path}: {what}: {'no room left on the disk' if full else fault}")


def make_frame(planes: Planes, encoding: Encoding) -> VideoFrame:
    """Make FFmpeg's frame with a copy of the planes, tagged with their color, without a time.

    planes: as `Encoding.layout` says, `Encoding.height` by `Encoding.width`.
    """
    frame = VideoFrame(encoding.width, encoding.height, encoding.frame_format)
    shapes = encoding.layout.shapes(encoding.height, encoding.width)
    assert tuple(plane.shape for plane in planes) == shapes
    assert all(plane.dtype == encoding.layout.dtype for plane in planes)
    shift = _SHIFTS.get(encoding.frame_format, 0)
    for target, plane in zip(_view_planes(frame, planes), planes, strict=True):
        columns = plane.shape[1]
        if shift:
            np.left_shift(plane, shift, out=target[:, :columns])
        else:
            target[:, :columns] = plane
        # x264 reads some of what pads the lines, so that must not differ from run to run.
        target[:, columns:] = target[:, columns - 1 : columns]
    color = encoding.color
    frame.colorspace, frame.color_range = color.matrix, color.range_number
    frame.color_primaries, frame.color_trc = color.primaries, color.transfer
    return frame


def _view_planes(frame: VideoFrame, planes: Planes) -> list[npt.NDArray[Any]]:
    """Return views into the frame's memory, one for each plane, with what pads its lines."""
    height = planes[0].shape[0]
    dtype = planes[0].dtype
    rows = [_view_rows(plane, dtype) for plane in frame.planes]
    if frame.format.name in ("bgr0", "bgra"):
        pixels = rows[0][:height]
        pixels[:, 3::4] = 0
        return [pixels[:, 2::4], pixels[:, 1::4], pixels[:, 0::4], pixels[:, 3::4]][: len(planes)]
    if frame.format.name == "p010le":
        down = planes[1].shape[0]
        chroma = rows[1][:down]
        return [rows[0][:height], chroma[:, 0::2], chroma[:, 1::2]]
    if frame.format.name.startswith("gbr"):
        rows = [rows[2], rows[0], rows[1], *rows[3:]]
    return [target[: plane.shape[0]] for target, plane in zip(rows, planes, strict=True)]


def _view_rows(plane: VideoPlane, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return (rows, columns and what FFmpeg pads lines with), writable, the plane's memory."""
    # Plane has the buffer protocol, which its type stub lacks.
    memory: Any = plane
    return np.frombuffer(memory, dtype=dtype).reshape(-1, plane.line_size // dtype.itemsize)
