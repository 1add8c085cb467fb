"""Decode a video stream frame by frame, and record what is damaged or missing.

Decoding runs in several threads within a frame, not over several frames: after a fault FFmpeg
then continues with the very next packet, reports which one it was, and loses no frame at the end.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from math import floor

import av
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from sr.io.video.read.container import limit_pixels
from sr.io.video.read.decode_errors import DecodeErrors
from sr.io.video.read.probe import Probe, count_declared_packets

_MAX_READ_FAULTS = 20  # one after another, then the file is taken to end
_MAX_OVERHEAD = 64  # bytes between two Matroska blocks; more hold what could not be read
_HOLE_FRAMES = 32  # within which a hole in the file appears as a gap in time, after reordering
_LOW_DELAY = 1 << 19  # AV_CODEC_FLAG_LOW_DELAY
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


class Decoder:
    """The frames of one stream, once, from the start."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        probe: Probe,
        errors: DecodeErrors,
        *,
        alpha: bool,
        max_pixels: int,
    ) -> None:
        """alpha: decode transparency, too. max_pixels: larger frames are faults."""
        self._container = container
        self._stream = stream
        self._probe = probe
        self._errors = errors
        self._time_base = stream.time_base or 1 / probe.rate
        self._step = 1 / probe.rate / self._time_base  # ticks per frame, as a rule
        self._longest_step = floor(Fraction(3, 2) * self._step)  # a longer one is a gap
        self._has_pts = container.format.name != "avi"  # which has times of decoding alone
        self._decoding_times: deque[int] = deque()  # of packets whose frames are still to come
        self._pending: list[int] = []  # sorted times of packets whose frames are still to come
        self._num_packets = 0
        self._num_frames = 0
        self._first: int | None = None
        self._last: int | None = None
        self._holes = _HoleFinder(container, stream)
        context = stream.codec_context
        if alpha and has_hidden_alpha(stream):
            context = _create_alpha_decoder(context)
        self._context = context
        context.thread_type = "SLICE"
        if context.name == "libdav1d":
            context.flags |= _LOW_DELAY  # no threads over several frames there either
        context.options = limit_pixels(max_pixels)
        if errors.stop:
            context.options |= {"err_detect": "explode"}  # faults that would else be concealed

    @property
    def aspect_ratio(self) -> Fraction:
        """Width of a pixel to its height at the packet decoded last; 1 where nothing says it."""
        return self._context.sample_aspect_ratio or Fraction(1)

    def decode_frames(self) -> Iterator[tuple[av.VideoFrame, int | None]]:
        """Decode frames in the order of presentation, with their times in the stream's time base.

        A time is None where the file has none. Raises `DamageError` if damage is to stop.
        """
        for packet in self._read_packets():
            for frame in self._decode_packet(packet):
                time = self._find_time(frame)
                self._check_frame(frame, time)
                self._num_frames += 1
                yield frame, time
        self._check_end()

    def _read_packets(self) -> Iterator["Packet[Stream] | None"]:
        """Read the stream's packets, then None to get the last frames."""
        faults = 0
        while True:
            try:
                for packet in self._container.demux():
                    if packet.size == 0:
                        continue  # FFmpeg's end of a stream, or AVI's repeated frame
                    self._holes.follow(packet, self._num_frames)
                    faults = 0
                    if packet.stream_index == self._stream.index:
                        yield packet
                break
            except av.FFmpegError as error:
                faults += 1
                self._errors.add(
                    f"unreadable data after {self.describe_place(None)} ({error.strerror})"
                )
                if faults >= _MAX_READ_FAULTS:
                    break
        yield None

    def _decode_packet(self, packet: "Packet[Stream] | None") -> list[av.VideoFrame]:
        if packet is not None:
            self._record_times(packet)
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            if self._decoding_times and packet is not None:
                self._decoding_times.pop()  # its own
            where = self.describe_place(None if packet is None else packet.pts)
            self._errors.add(f"near {where}: a packet that cannot be decoded ({error.strerror})")
            return []
        if packet is not None and packet.is_corrupt:
            self._errors.add(f"near {self.describe_place(packet.pts)}: a damaged packet")
        return frames

    def _record_times(self, packet: "Packet[Stream]") -> None:
        self._num_packets += not packet.is_discard
        if not self._has_pts and packet.dts is not None:
            self._decoding_times.append(packet.dts)
        if packet.pts is not None and not packet.is_discard and self._is_shown(packet):
            insort(self._pending, packet.pts)

    def _is_shown(self, packet: "Packet[Stream]") -> bool:
        """Return False for what only later frames of VP8 refer to (RFC 6386, section 9.1)."""
        return self._context.codec.canonical_name != "vp8" or bool(memoryview(packet)[0] & 0x10)

    def _find_time(self, frame: av.VideoFrame) -> int | None:
        if self._has_pts:
            return frame.pts
        # frames come in the order of their times; the packets have the same times, sorted
        times = self._decoding_times
        while frame.dts is not None and len(times) > self._context.reorder_depth + 1:
            times.popleft()  # a frame was lost without an error
        return times.popleft() if times else None

    def _check_frame(self, frame: av.VideoFrame, time: int | None) -> None:
        """Record what is wrong with a frame, and what is missing before it."""
        last, self._last = self._last, time if time is not None else self._last
        if self._first is None:
            self._first = time
        if frame.is_corrupt:
            self._errors.add(f"{self.describe_place(time, self._num_frames)} is damaged")
        if time is None or not self._has_pts:
            self._pending.clear()
            return
        lost = [pts for pts in self._pending if pts < time]
        self._pending = [pts for pts in self._pending if pts > time]
        if last is None or time - last <= self._longest_step:
            return
        if lost or self._holes.has_hole(self._num_frames):
            number = len(lost) or max(round((time - last) / self._step) - 1, 1)
            where = self.describe_place(time, self._num_frames)
            self._errors.add(f"{number} frame(s) missing before {where}")

    def _check_end(self) -> None:
        """Record that frames are missing at the end."""
        declared = self._probe.num_frames
        num_packets = count_declared_packets(self._container, self._stream)
        is_cut = self._probe.is_cut_short and (declared is None or self._num_frames < declared)
        if is_cut or (num_packets is not None and self._num_packets < num_packets):
            length = (
                "more" if declared is None else f"about {max(declared, num_packets or 0)} frames"
            )
            self._errors.add(f"ends early, with frame {self._num_frames - 1}: expected {length}")
        elif self._last is not None:
            end = self._last + Fraction(3, 4) * self._step
            if lost := sum(pts > end for pts in self._pending):
                self._errors.add(f"{lost} frame(s) missing at the end")

    def describe_place(self, time: int | None, number: int | None = None) -> str:
        """Describe a place for messages: frame and seconds since the first."""
        if number is None:
            # by bisection: many are pending where nothing can be decoded any more
            pending = self._pending
            number = self._num_frames + (
                len(pending) if time is None else bisect_left(pending, time)
            )
        if time is None:
            return f"frame {number}"
        seconds = (time - (self._first or 0)) * self._time_base
        return f"frame {number} ({float(seconds):.2f} s)"


def has_hidden_alpha(stream: VideoStream) -> bool:
    """Return whether a stream has its transparency next to its frames, as WebM's VP8 and VP9."""
    return stream.codec_context.codec.canonical_name in _ALPHA_DECODERS and any(
        key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items()
    )


def _create_alpha_decoder(context: VideoCodecContext) -> VideoCodecContext:
    """Create a decoder for such a stream; FFmpeg's own ones know nothing of it."""
    decoder = CodecContext.create(_ALPHA_DECODERS[context.codec.canonical_name], "r")
    assert isinstance(decoder, VideoCodecContext)
    if context.extradata is not None:
        decoder.extradata = context.extradata
    for tag in ("colorspace", "color_primaries", "color_trc", "color_range"):
        setattr(decoder, tag, getattr(context, tag))
    return decoder


class _HoleFinder:
    """Finds where FFmpeg's demuxer skipped something in a Matroska file without an error."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._position: int | None = None  # of the last block
        self._next = 0  # byte after it
        self._hole: int | None = None  # number of frames decoded by then
        # alpha lies between the blocks
        self._is_active = "matroska" in container.format.name and not has_hidden_alpha(stream)

    def follow(self, packet: "Packet[Stream]", num_frames: int) -> None:
        """Note the position of a packet of any stream."""
        if packet.pos is None or not self._is_active:
            return
        if packet.pos == self._position:
            self._next += packet.size  # one of several in a block
            return
        if self._position is not None and packet.pos - self._next > _MAX_OVERHEAD:
            self._hole = num_frames
        self._position, self._next = packet.pos, packet.pos + packet.size

    def has_hole(self, num_frames: int) -> bool:
        """Return whether something was skipped shortly before, once."""
        hole, self._hole = self._hole, None
        return hole is not None and num_frames - hole <= _HOLE_FRAMES
