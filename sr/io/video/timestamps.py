"""When the streams of a file begin and end, told by their packets alone, without decoding."""

from __future__ import annotations  # Packet is generic in the stubs only

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from sr.io.video.mux.packet_copy import is_filler
from sr.io.video.read.container import discard_other_streams
from sr.io.video.time_range import WHOLE, TimeRange


@dataclass(frozen=True)
class StreamTimes:
    """Of a stream, in seconds."""

    count: int
    """Packets: of a video, frames."""
    start: Fraction
    """The first packet's time stamp."""
    last: Fraction
    """The greatest time stamp."""
    end: Fraction | None
    """When the last packet has ended; None where the file does not say."""

    def with_packet(self, start: Fraction, end: Fraction | None) -> StreamTimes:
        """Those of the stream with another packet."""
        if start < self.last:
            end = self.end
        elif end is not None and self.end is not None:
            end = max(end, self.end)
        return StreamTimes(self.count + 1, min(start, self.start), max(start, self.last), end)


def read_timestamps(
    container: InputContainer, streams: Iterable[Stream], time_range: TimeRange = WHOLE
) -> dict[int, StreamTimes]:
    """Times of the streams by index, of what is shown in the span; without those that are empty.

    They are in the time line that begins with the span. Damage ends the reading. From then on
    the container's other streams are not read any more.
    """
    streams = list(streams)
    discard_other_streams(container, [stream.index for stream in streams])
    times: dict[int, StreamTimes] = {}
    try:
        for packet in container.demux(streams):
            if packet.size == 0 or packet.pts is None or packet.is_discard or is_filler(packet):
                continue
            told = _packet_times(packet, time_range)
            if told is None:
                continue
            start, end = told
            index = packet.stream_index
            known = times.get(index)
            times[index] = (
                StreamTimes(1, start, start, end)
                if known is None
                else known.with_packet(start, end)
            )
    except av.FFmpegError:
        return times  # what cannot be read is not in the result either
    return times


def _packet_times(
    packet: Packet[Stream], time_range: TimeRange
) -> tuple[Fraction, Fraction | None] | None:
    """Start, and end if it is known; None if it is outside the span."""
    assert packet.pts is not None
    unit = packet.time_base
    start = packet.pts * unit
    length = (packet.duration or 0) * unit
    if packet.stream.type == "video":  # a frame is wanted whole, or not at all
        if not time_range.overlaps(start, start):
            return None
    elif not time_range.overlaps(start, start + length):
        return None
    if packet.stream.type == "subtitle":
        first, last = time_range.clip(start, start + length)
        return first, last if length else None
    return start - time_range.shift, start - time_range.shift + length if length else None
