"""Encode audio that the result's container cannot hold as it is, in time with the video.

Each sample keeps its time: where the source has a gap (lost packets) silence is put, and where it
overlaps itself samples are dropped, so that nothing behind moves.
"""

from __future__ import annotations  # Packet is generic in the stubs only

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from sr.io.video.time_range import TimeRange

_BIT_RATE = 96_000  # per channel; 192 kb/s for stereo, where AAC and Opus sound alike
_JITTER = Fraction(1, 100)
"""Seconds that a time stamp may be off (they are whole milliseconds in Matroska) and is ignored."""
_FRAME_SIZE = 1024  # samples a channel, for encoders that take any number
LAYOUTS = {
    1: "mono",
    2: "stereo",
    3: "3.0",
    4: "quad",
    5: "5.0",
    6: "5.1",
    7: "6.1",
    8: "7.1",
}
"""Channel layouts that the encoders know, by number of channels."""
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


def add_audio(output: OutputContainer, codec: str, source: AudioStream) -> AudioStream:
    """Add a stream to the result, to be filled by an AudioConverter; `codec` names an encoder."""
    rate = source.sample_rate
    if codec == "libopus" or (codec == "aac" and rate not in _AAC_RATES):
        rate = 48000
    stream = output.add_stream(codec, rate=rate)
    assert isinstance(stream, AudioStream)
    channels = source.codec_context.channels
    stream.codec_context.layout = LAYOUTS.get(channels, "stereo")
    if codec == "flac":
        if source.codec_context.format.bytes > 2:
            stream.codec_context.format = "s32"  # which FLAC keeps 24 bits of
    else:
        stream.codec_context.bit_rate = _BIT_RATE * stream.codec_context.channels
    stream.codec_context.time_base = Fraction(1, rate)
    stream.time_base = Fraction(1, rate)
    return stream


class AudioConverter:
    """Takes packets of an audio stream, and gives those of the result's.

    num_faults: packets that cannot be decoded; silence is in their place.
    """

    def __init__(self, source: AudioStream, result: AudioStream, time_range: TimeRange) -> None:
        self.num_faults = 0
        self._source = source
        self._result = result
        self._timeline = AudioTimeline(time_range)
        self._resampler: AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None  # of the frames that the resampler takes
        self._waiting = AudioFifo()  # samples as the encoder takes them
        self._num_encoded = 0  # samples a channel

    def process(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """Give the packets of the result that can be made now."""
        try:
            frames = self._source.decode(cast("Packet[AudioStream]", packet))
        except av.FFmpegError:
            self.num_faults += 1
            return
        for frame in frames:
            yield from self._convert(frame)

    def flush(self) -> Iterator[Packet[Stream]]:
        """Give the last packets, when the source has ended."""
        try:
            frames = self._source.decode(None)
        except av.FFmpegError:
            frames = []
        for frame in frames:
            yield from self._convert(frame)
        if self._timeline.start is None:
            return  # the encoder has got nothing
        self._drain()
        rest = self._waiting.read(0, partial=True)
        if rest is not None:
            yield from self._encode(rest)
        yield from self._set_stream(self._result.encode(None))

    def _convert(self, frame: AudioFrame) -> Iterator[Packet[Stream]]:
        for piece in self._timeline.put(frame):
            kind = (piece.format.name, piece.layout.name, piece.sample_rate)
            if kind != self._kind:  # some streams change their number of channels on the way
                self._drain()
                self._kind = kind
                context = self._result.codec_context
                self._resampler = AudioResampler(
                    context.format.name, context.layout.name, context.sample_rate
                )
            assert self._resampler is not None
            for resampled in self._resampler.resample(piece):
                self._queue_samples(resampled)
            size = self._result.codec_context.frame_size or _FRAME_SIZE
            while (full := self._waiting.read(size)) is not None:
                yield from self._encode(full)

    def _drain(self) -> None:
        """Get the last samples out of the resampler, which cannot be used after that."""
        if self._resampler is not None:
            for frame in self._resampler.resample(None):
                self._queue_samples(frame)
        self._resampler = None

    def _queue_samples(self, frame: AudioFrame) -> None:
        frame.pts = None  # those of a second resampler would start over
        self._waiting.write(frame)

    def _encode(self, frame: AudioFrame) -> Iterator[Packet[Stream]]:
        rate = self._result.codec_context.sample_rate
        assert self._timeline.start is not None
        frame.pts = round(self._timeline.start * rate) + self._num_encoded
        frame.time_base = Fraction(1, rate)
        self._num_encoded += frame.samples
        yield from self._set_stream(self._result.encode(frame))

    def _set_stream(self, packets: list[Packet[Stream]]) -> Iterator[Packet[Stream]]:
        for packet in packets:
            packet.stream = self._result
            yield packet


class AudioTimeline:
    """Puts frames of sound one after another, without gaps, from where the first begins."""

    def __init__(self, time_range: TimeRange) -> None:
        self.start: Fraction | None = None
        """Of the first sample, in the result's seconds; None before it."""
        self._time_range = time_range
        self._end = Fraction(0)  # of the last sample, likewise

    def put(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """Give what of a frame is wanted and new, after silence where there is a gap before it."""
        rate = frame.sample_rate
        if frame.pts is None or frame.time_base is None:
            start = self._end
        else:
            start = frame.pts * frame.time_base - self._time_range.shift
        end = start + Fraction(frame.samples, rate)
        first, last = self._clip(start, end)
        if last <= first:
            return
        if self.start is None:
            self.start = self._end = first
        gap = round((first - self._end) * rate)
        if abs(gap) <= _JITTER * rate:
            gap = 0
        for samples in _split_number(max(gap, 0), rate):
            yield _make_silence(frame, samples)
        dropped = round((first - start) * rate) + max(-gap, 0)
        kept = frame.samples - dropped - round((end - last) * rate)
        self._end += Fraction(max(gap, 0) + max(kept, 0), rate)
        if kept == frame.samples:
            yield frame
        elif kept > 0:
            yield _cut_frame(frame, dropped, dropped + kept)

    def _clip(self, start: Fraction, end: Fraction) -> tuple[Fraction, Fraction]:
        first = start if self._time_range.start is None else max(start, Fraction(0))
        stop = self._time_range.end
        return first, end if stop is None else min(end, stop - self._time_range.shift)


def _split_number(num_samples: int, most: int) -> Iterator[int]:
    """Split the number into pieces of at most `most`."""
    while num_samples > 0:
        yield min(num_samples, most)
        num_samples -= most


def _make_silence(like: AudioFrame, num_samples: int) -> AudioFrame:
    values = like.to_ndarray()
    width = num_samples * (1 if like.format.is_planar else like.layout.nb_channels)
    rest = 128 if values.dtype == np.uint8 else 0
    return _make_frame(np.full((values.shape[0], width), rest, values.dtype), like)


def _cut_frame(frame: AudioFrame, start: int, stop: int) -> AudioFrame:
    """Cut out the samples `start` up to `stop`."""
    step = 1 if frame.format.is_planar else frame.layout.nb_channels
    values = frame.to_ndarray()[:, start * step : stop * step]
    return _make_frame(np.ascontiguousarray(values), frame)


def _make_frame(values: npt.NDArray[Any], like: AudioFrame) -> AudioFrame:
    frame = AudioFrame.from_ndarray(values, like.format.name, like.layout.name)
    frame.sample_rate = like.sample_rate
    return frame
