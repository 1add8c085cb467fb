"""How strongly a video is compressed: its bits per pixel, by the means of its codec."""

from fractions import Fraction
from pathlib import Path

import av

# Bits that codecs need for the same quality, by H.264's; from their published comparisons, rounded.
_NEEDS = {"hevc": 0.6, "vp9": 0.65, "av1": 0.5, "vp8": 1.2, "mpeg4": 1.7, "mpeg2video": 2.5}
_NEEDS_OF_OTHERS = 1.0


def measure_bits_per_pixel(
    path: Path, stream: int, codec: str, num_pixels: int, rate: Fraction
) -> float | None:
    """Return the bits per pixel that H.264 would need for the same; None where it is not known.

    stream: the video's index. codec: FFmpeg's name. num_pixels: of a frame. rate: frames per
    second. Where the container does not state the stream's bit rate, the file's without the audio's
    is taken.
    """
    with av.open(str(path)) as container:
        bit_rate = next(each.bit_rate for each in container.streams.video if each.index == stream)
        if not bit_rate and container.duration:
            seconds = container.duration / av.time_base
            audio = sum(each.bit_rate or 0 for each in container.streams.audio)
            bit_rate = round(8 * path.stat().st_size / seconds - audio)
    if not bit_rate or bit_rate <= 0 or rate <= 0:
        return None
    return bit_rate / float(rate) / num_pixels / _NEEDS.get(codec, _NEEDS_OF_OTHERS)
