"""Read packets of all streams that the result has next to its video, from the source in step."""

from __future__ import annotations  # Packet is generic in the stubs only

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.subtitles.stream import SubtitleStream

from sr.io.video.mux.audio import AudioConverter, add_audio
from sr.io.video.mux.metadata import filter_stream_tags
from sr.io.video.mux.packet_copy import PacketCopier
from sr.io.video.mux.streams import (
    IMAGE_TYPES,
    PassthroughStream,
    StreamPlan,
    add_copied_stream,
    read_codec_name,
)
from sr.io.video.mux.subtitles import SubtitleConverter, add_subtitles
from sr.io.video.read.container import discard_other_streams, open_container
from sr.io.video.time_range import TimeRange

_MAX_FAILURES = 10
"""Failures to read, with no packet between, after which the source is taken as ended."""
_READ_ON = 10
"""Seconds after the end of the time range that are still searched: files are not sorted by time."""

Converter = PacketCopier | AudioConverter | SubtitleConverter
"""What makes packets of one stream of the source into those of the result's."""


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
        self._converters: dict[int, Converter] = {}  # by index in the source
        self._labels = {stream.index: stream.label for stream in plan.passthrough}
        self._origins: dict[int, int] = {}  # index in the result: index in the source
        self._refused: Counter[int] = Counter()
        self._damage: tuple[str, ...] = ()
        for planned in plan.passthrough:
            self._add(planned, source.streams[planned.index], output)
        discard_other_streams(source, self._converters)

    def read_packets(self) -> Iterator[Packet[Stream]]:
        """Give those of the result, in about the order of time; its header must be written."""
        if not self._converters:
            return
        for packet in self._read_source():
            yield from self._converters[packet.stream_index].process(packet)
        for converter in self._converters.values():
            yield from converter.flush()

    def count_refused(self, packet: Packet[Stream]) -> None:
        """Count a packet that the muxer did not take."""
        self._refused[self._origins[packet.stream_index]] += 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What was lost on the way, by stream, for the user."""
        notes = list(self._damage)
        for index, converter in self._converters.items():
            lost = converter.num_faults + self._refused[index]
            if lost:
                notes.append(f"{self._labels[index]}: left out damaged packets: {lost}")
        return tuple(notes)

    def _read_source(self) -> Iterator[Packet[Stream]]:
        """Read packets of all streams, past damage, up to the end of the time range."""
        streams = [self._source.streams[index] for index in self._converters]
        failures = 0
        while failures < _MAX_FAILURES:
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

    def _add(self, planned: PassthroughStream, stream: Stream, output: OutputContainer) -> None:
        attached = planned.kind == "image" and output.format.name == "matroska"
        if planned.kind == "attachment" or attached:
            _attach(stream, self._path, output)
            return
        result: Stream
        converter: Converter
        if planned.codec is None:
            result = add_copied_stream(output, stream)
            converter = PacketCopier(stream, result, self._time_range)
        elif isinstance(stream, AudioStream):
            result = add_audio(output, planned.codec, stream)
            converter = AudioConverter(stream, result, self._time_range)
        else:
            assert isinstance(stream, SubtitleStream)
            result = add_subtitles(output, planned.codec)
            converter = SubtitleConverter(stream, result, self._time_range)
        result.metadata.update(filter_stream_tags(stream))
        result.disposition = stream.disposition
        self._converters[planned.index] = converter
        self._origins[result.index] = planned.index


def _attach(stream: Stream, source: Path, output: OutputContainer) -> None:
    """Attach a file, or cover art as a file; Matroska has no other place for it."""
    name = stream.metadata.get("filename")
    media_type = stream.metadata.get("mimetype")
    if isinstance(stream, AttachmentStream):
        data = stream.data
        name, media_type = name or "attachment", media_type or "application/octet-stream"
    else:
        data = _read_cover(source, stream.index)
        suffix, usual_type = IMAGE_TYPES[read_codec_name(stream)]
        # By this name players know cover art from other images.
        name, media_type = name or f"cover.{suffix}", media_type or usual_type
    attachment = output.add_attachment(name, media_type, data)
    tags = filter_stream_tags(stream)
    known = ("filename", "mimetype")
    attachment.metadata.update({key: tags[key] for key in tags if key.lower() not in known})


def _read_cover(source: Path, index: int) -> bytes:
    """Read the bytes of cover art; empty where the file has lost them."""
    with open_container(source) as container:
        discard_other_streams(container, [index])
        for packet in container.demux(container.streams[index]):
            return bytes(packet)
    return b""
