"""Copy packets of a stream as they are, with time stamps that the result's muxer accepts."""

from __future__ import annotations  # Packet is generic in the stubs only

from collections.abc import Iterator
from fractions import Fraction

from av.packet import Packet
from av.stream import Stream

from sr.io.video.read.container import is_cover
from sr.io.video.time_range import TimeRange

_FAR_BACK = 1
"""Seconds: a packet this long before the one it follows is a fault of the file, and left out."""


class PacketCopier:
    """Takes packets of a stream in the order of decoding, and gives those of the result's.

    num_faults: packets that were left out since their time stamps make no sense.
    """

    def __init__(self, source: Stream, result: Stream, time_range: TimeRange) -> None:
        self.num_faults = 0
        self._result = result
        self._time_range = time_range
        self._is_cover = is_cover(source)
        self._is_text = source.type == "subtitle"
        self._exact_length = _find_packet_length(source)
        self._next: Fraction | None = None  # end of the last packet, where the next is expected
        self._last: int | None = None  # dts of the last packet, in the result's time base
        # What an edit list hides is of use before the first sound only (the codec's priming).
        # Matroska cannot hide it, and would show all other streams later by its length.
        self._has_begun = False
        self._drops_hidden = result.container.format.name != "mp4"

    def process(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """Make the packet one of the result's; give nothing where it is not wanted."""
        if is_filler(packet) or (packet.is_discard and (self._has_begun or self._drops_hidden)):
            return
        if self._is_cover:  # one packet, without a time
            if self._last is None:
                packet.stream = self._result
                packet.pts = packet.dts = self._last = 0
                yield packet
            return
        times = self._find_times(packet)
        if times is None:
            self.num_faults += 1
            return
        start, end = times
        self._has_begun = self._has_begun or not packet.is_discard
        self._next = end
        if not self._time_range.overlaps(start, end):
            return
        if self._is_text:
            start, end = self._time_range.clip(start, end)
        else:
            start, end = start - self._time_range.shift, end - self._time_range.shift
        if self._set_times(packet, start, end):
            yield packet
        else:
            self.num_faults += 1

    def flush(self) -> Iterator[Packet[Stream]]:
        """Give what is left when the source has ended: nothing."""
        return iter(())

    def _find_times(self, packet: Packet[Stream]) -> tuple[Fraction, Fraction] | None:
        """Return start and end in the source's seconds; None where they are unknown."""
        unit = packet.time_base
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None and self._next is None:
            return None
        start = self._next if stamp is None else stamp * unit
        assert start is not None
        length = (packet.duration or 0) * unit
        if self._exact_length is not None and abs(length - self._exact_length) <= unit:
            length = self._exact_length
            # Times in whole milliseconds (Matroska) are put back on the samples' grid.
            if self._next is not None and abs(start - self._next) <= unit:
                start = self._next
        return start, start + length

    def _set_times(self, packet: Packet[Stream], start: Fraction, end: Fraction) -> bool:
        """Write the times into the packet; return False where it lies too far back."""
        unit = self._result.time_base
        assert unit is not None
        lag = 0  # of dts behind pts, which streams other than video have only by mistake
        if packet.pts is not None and packet.dts is not None:
            lag = max(round((packet.pts - packet.dts) * packet.time_base / unit), 0)
        pts = round(start / unit)
        dts = pts - lag
        if self._last is not None and dts <= self._last:
            if (self._last - dts) * unit > _FAR_BACK:
                return False
            dts = self._last + 1
        packet.stream = self._result
        packet.time_base = unit
        packet.dts = dts
        packet.pts = max(pts, dts)
        packet.duration = max(round(end / unit) - packet.pts, 0)
        self._last = dts
        return True


def is_filler(packet: Packet[Stream]) -> bool:
    """Return whether MP4 fills the time between texts with it; its muxer makes them again."""
    return (
        packet.stream.type == "subtitle"
        and packet.stream.codec_context.codec.canonical_name == "mov_text"
        and bytes(packet)[:2] == bytes(2)  # the text's length
    )


def _find_packet_length(stream: Stream) -> Fraction | None:
    """Return the exact seconds of sound in a packet; None where packets differ in length."""
    if stream.type != "audio" or stream.codec_context is None:
        return None
    size: int = getattr(stream, "frame_size", 0)
    rate: int = getattr(stream, "sample_rate", 0)
    return Fraction(size, rate) if size > 1 and rate > 0 else None
