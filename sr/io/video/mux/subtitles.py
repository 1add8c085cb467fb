"""Convert subtitles that the result's container cannot hold as they are to another kind of text.

The text is decoded to an event of Advanced SubStation (ASS) and encoded again, both by FFmpeg;
bold, italic and line breaks are kept where the new kind knows them.
"""

from __future__ import annotations  # Packet is generic in the stubs only

from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

from sr.io.video.time_range import TimeRange

_DEFAULT_LENGTH = Fraction(3)
"""Seconds that a text shows whose file does not say how long."""

_LAYOUT = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def add_subtitles(output: OutputContainer, codec: str) -> SubtitleStream:
    """Add a stream to the result, to be filled by a SubtitleConverter; `codec` names an encoder."""
    stream = output.add_stream(codec)
    assert isinstance(stream, SubtitleStream)
    # One plain style: styles of the source's own would be lost in all kinds but ASS.
    stream.codec_context.subtitle_header = _LAYOUT
    stream.time_base = Fraction(1, 1000)
    return stream


class SubtitleConverter:
    """Takes packets of a subtitle stream, and gives those of the result's.

    num_faults: packets that were left out since they cannot be decoded.
    """

    def __init__(
        self, source: SubtitleStream, result: SubtitleStream, time_range: TimeRange
    ) -> None:
        self.num_faults = 0
        self._decoder: SubtitleCodecContext = source.codec_context
        self._result = result
        self._time_range = time_range
        self._last: int | None = None  # dts of the last packet, in the result's time base
        self._merges = result.container.format.name == "mp4"  # no two packets show at once
        self._showing: list[tuple[Fraction, bytes]] = []  # ends, texts; where they are merged
        self._until = Fraction(0)  # where those already given end

    def process(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """Give the texts that show at this time as one packet; none where none does."""
        if packet.pts is None:
            return
        try:
            shown = self._decoder.decode2(packet)
            texts = [] if shown is None else [_extract_text(item) for item in shown]
        except av.FFmpegError:
            self.num_faults += 1
            return
        text = b"\\N".join(text for text in texts if text)
        if shown is None or not text:  # an empty packet of MP4 fills the time between texts
            return
        start = packet.pts * packet.time_base
        length = Fraction(packet.duration or 0) * packet.time_base
        length = length or Fraction(shown.end_display_time, 1000) or _DEFAULT_LENGTH
        if self._time_range.overlaps(start, start + length):
            start, end = self._time_range.clip(start, start + length)
            if self._merges:
                yield from self._encode_before(start)
                self._showing.append((end, text))
            else:
                yield self._encode(text, start, end)

    def flush(self) -> Iterator[Packet[Stream]]:
        """Give the texts that are left when the source has ended."""
        yield from self._encode_before(None)

    def _encode_before(self, moment: Fraction | None) -> Iterator[Packet[Stream]]:
        """Give a packet for each time before `moment` (None: all) in which the same texts show."""
        while self._showing and (moment is None or self._until < moment):
            ends = [end for end, _ in self._showing]
            end = min(ends if moment is None else [*ends, moment])
            if end > self._until:
                texts = b"\\N".join(text for _, text in self._showing)
                yield self._encode(texts, self._until, end)
                self._until = end
            self._showing = [shown for shown in self._showing if shown[0] > end]
        if moment is not None:
            self._until = max(self._until, moment)

    def _encode(self, text: bytes, start: Fraction, end: Fraction) -> Packet[Stream]:
        unit = self._result.time_base
        assert unit is not None
        event = b"0,0,Default,,0,0,0,," + text
        length = round((end - start) * 1000)
        packet: Packet[Stream] = self._result.codec_context.encode_subtitle(
            SubtitleSet.create(event, 0, length)
        )
        pts = round(start / unit)
        if self._last is not None:
            pts = max(pts, self._last + 1)
        self._last = pts
        packet.stream = self._result
        packet.time_base = unit
        packet.pts = packet.dts = pts
        packet.duration = max(round(end / unit) - pts, 1)
        return packet


def _extract_text(item: object) -> bytes:
    """Return the text of a decoded event with its tags, empty for images."""
    if not isinstance(item, AssSubtitle):
        return b""
    # ReadOrder, Layer, Style, Name, three margins, Effect; then the text, commas and all.
    return item.ass.split(b",", 8)[-1].strip() if item.ass else item.text
