"""Packets of all streams that the result has next to its video, read from the source in step."""

from __future__ import annotations  # Packet is generic in the stubs only

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.subtitles.stream import SubtitleStream

from sr.io.video.mux.audio import AudioConverter, add_audio
from sr.io.video.mux.metadata import filter_stream_tags
from sr.io.video.mux.packet_copy import CoverCopier, PacketCopier
from sr.io.video.mux.streams import (
    IMAGE_TYPES,
    PassthroughStream,
    StreamPlan,
    add_copied_stream,
    codec_name,
)
from sr.io.video.mux.subtitles import SubtitleConverter, add_subtitles
from sr.io.video.read.container import discard_other_streams, open_container
from sr.io.video.time_range import TimeRange

_MOST_FAILURES = 10
"""Failures to read, with no packet between, after which the source is taken as ended."""
_READ_ON = 10
"""Seconds behind the end of the span that are still searched: files are not sorted by time."""


class PacketConverter(Protocol):
    """What makes packets of one stream of the source into those of the result's."""

    num_faults: int

    def process(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """Packets of the result that can be made now."""
        ...

    def flush(self) -> Iterator[Packet[Stream]]:
        """The last ones, when the source has ended."""
        ...


class PassthroughPackets:
    """Streams added to the result, and their packets."""

    def __init__(
        self,
        path: Path,
        source: InputContainer,
        plan: StreamPlan,
        time_range: TimeRange,
        output: OutputContainer,
    ) -> None:
        """Add the planned streams to `output`, whose header must not be written yet.

        path: of the source, which is open.
        """
        self._path = path
        self._source = source
        self._time_range = time_range
        self._lanes: dict[int, PacketConverter] = {}
        self._labels = {stream_plan.index: stream_plan.label for stream_plan in plan.passthrough}
        self._origins: dict[int, int] = {}  # index in the result: index in the source
        self._refused: Counter[int] = Counter()
        self._damage: tuple[str, ...] = ()
        for stream_plan in plan.passthrough:
            self._add(stream_plan, source.streams[stream_plan.index], output)
        discard_other_streams(source, self._lanes)

    def packets(self) -> Iterator[Packet[Stream]]:
        """Those of the result, in about the order of time; its header must have been written."""
        if not self._lanes:
            return
        for packet in self._read():
            yield from self._lanes[packet.stream_index].process(packet)
        for lane in self._lanes.values():
            yield from lane.flush()

    def refuse(self, packet: Packet[Stream]) -> None:
        """Count a packet that the muxer did not take."""
        self._refused[self._origins[packet.stream_index]] += 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What was lost on the way, by stream, for the user."""
        notes = list(self._damage)
        for index, lane in self._lanes.items():
            lost = lane.num_faults + self._refused[index]
            if lost:
                notes.append(f"{self._labels[index]}: left out damaged packets: {lost}")
        return tuple(notes)

    def _read(self) -> Iterator[Packet[Stream]]:
        """Packets of all lanes, past damage, up to the end of the span."""
        streams = [self._source.streams[index] for index in self._lanes]
        failures = 0
        while failures < _MOST_FAILURES:
            try:
                for packet in self._source.demux(streams):
                    failures = 0
                    if self._is_past(packet):
                        return
                    if packet.size > 0:  # the last ones are empty, and of no stream in truth
                        yield packet
            except av.FFmpegError as error:
                failures += 1
                self._damage = (f"the source is damaged: {error.strerror}",)
            else:
                return

    def _is_past(self, packet: Packet[Stream]) -> bool:
        end = self._time_range.end
        if end is None or packet.dts is None:
            return False
        return packet.dts * packet.time_base > end + _READ_ON

    def _add(self, stream_plan: PassthroughStream, stream: Stream, output: OutputContainer) -> None:
        attached = stream_plan.kind == "image" and output.format.name == "matroska"
        if stream_plan.kind == "attachment" or attached:
            _attach(stream, self._path, output)
            return
        result, lane = self._lane(stream_plan, stream, output)
        result.metadata.update(filter_stream_tags(stream))
        result.disposition = stream.disposition
        self._lanes[stream_plan.index] = lane
        self._origins[result.index] = stream_plan.index

    def _lane(
        self, stream_plan: PassthroughStream, stream: Stream, output: OutputContainer
    ) -> tuple[Stream, PacketConverter]:
        if stream_plan.codec is None:
            copied = add_copied_stream(output, stream)
            still = stream_plan.kind == "image"
            return copied, CoverCopier(copied) if still else PacketCopier(
                stream, copied, self._time_range
            )
        if stream_plan.kind == "audio":
            assert isinstance(stream, AudioStream)
            sound = add_audio(output, stream_plan.codec, stream)
            return sound, AudioConverter(stream, sound, self._time_range)
        assert isinstance(stream, SubtitleStream)
        text = add_subtitles(output, stream_plan.codec)
        return text, SubtitleConverter(stream, text, self._time_range)


def _attach(stream: Stream, source: Path, output: OutputContainer) -> None:
    """Attach a file, or cover art as a file; Matroska has no other place for it."""
    name = stream.metadata.get("filename")
    media_type = stream.metadata.get("mimetype")
    if isinstance(stream, AttachmentStream):
        data = stream.data
        name, media_type = name or "attachment", media_type or "application/octet-stream"
    else:
        data = _image(source, stream.index)
        suffix, usual_type = IMAGE_TYPES[codec_name(stream)]
        # By this name players tell cover art from other images.
        name, media_type = name or f"cover.{suffix}", media_type or usual_type
    attachment = output.add_attachment(name, media_type, data)
    known = ("filename", "mimetype")
    tags = filter_stream_tags(stream)
    attachment.metadata.update({key: tags[key] for key in tags if key.lower() not in known})


def _image(source: Path, index: int) -> bytes:
    """The bytes of cover art; empty where the file has lost them."""
    with open_container(source) as container:
        discard_other_streams(container, [index])
        for packet in container.demux(container.streams[index]):
            return bytes(packet)
    return b""
