"""Made otters.mp4: a slow pan with a slight zoom over a photograph, with a soft tone.

    python datasets/samples/make_clip.py PHOTO OUT.mp4

PHOTO is the 2000 px wide copy of Ubuntu Budgie's "Oakland Zoo Otters". Each frame is cut out of it
at about four times its size, at fractions of a pixel, and then downscaled as the sample images.
"""

import argparse
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from sr.data.augment import Image
from sr.data.imresize import imresize
from sr.io.rgb8 import read_rgb8

WIDTH, HEIGHT = 320, 180
RATE, NUM_FRAMES = 24, 60
FIRST = (650.0, 610.0, 4.0)  # center and pixels of the photograph a pixel of the clip
LAST = (1130.0, 590.0, 3.4)
SAMPLE_RATE = 48_000
TONES = ((220.0, 0.6), (330.0, 0.3), (440.0, 0.1))  # Hz, share
PEAK = 10 ** (-20 / 20)  # -20 dBFS
FADE = 0.4  # seconds
BT709 = 1  # ITU-T H.273, of primaries, transfer and matrix
LIMITED_RANGE = 1  # FFmpeg's number


def main() -> None:
    """Write the clip."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()

    photo = read_rgb8(arguments.photo)
    faststart = {"movflags": "+faststart"}
    with av.open(arguments.output, "w", format="mp4", options=faststart) as container:
        container.metadata["title"] = "Oakland Zoo Otters"
        container.metadata["copyright"] = "CC0-1.0"
        # x264's macroblock tree chooses otherwise from run to run; so the same file is made again.
        options = {"crf": "18", "preset": "veryslow", "threads": "1", "x264-params": "mbtree=0"}
        video = container.add_stream("libx264", rate=RATE, options=options)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.color_primaries = video.codec_context.color_trc = BT709
        video.codec_context.colorspace = BT709
        video.codec_context.color_range = LIMITED_RANGE
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono", options={"b": "64k"})
        for number in range(NUM_FRAMES):
            frame = av.VideoFrame.from_ndarray(_frame(photo, number), format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace="ITU709",
                dst_color_range="MPEG",
                interpolation="LANCZOS",
            )
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for sound in _sound_frames():
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def _frame(photo: Image, number: int) -> Image:
    """(HEIGHT, WIDTH, 3), uint8."""
    way = (1 - np.cos(np.pi * number / (NUM_FRAMES - 1))) / 2  # begins and ends gently
    x, y, zoom = (first + way * (last - first) for first, last in zip(FIRST, LAST, strict=True))
    step = zoom / 4  # pixels of the photograph a pixel of the large frame
    left, top = x - step * (4 * WIDTH - 1) / 2, y - step * (4 * HEIGHT - 1) / 2
    matrix = np.array([[step, 0, left], [0, step, top]])
    flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    large = cv2.warpAffine(photo, matrix, (4 * WIDTH, 4 * HEIGHT), flags=flags)
    return imresize(np.asarray(large, np.uint8), Fraction(1, 4))


def _sound_frames() -> list[av.AudioFrame]:
    times = np.arange(SAMPLE_RATE * NUM_FRAMES // RATE) / SAMPLE_RATE
    wave = sum((share * np.sin(2 * np.pi * pitch * times) for pitch, share in TONES), 0 * times)
    loudness = np.clip(np.minimum(times, times[-1] - times) / FADE, 0, 1)
    loudness = (1 - np.cos(np.pi * loudness)) / 2
    samples: npt.NDArray[np.float32] = (PEAK * loudness * wave).astype(np.float32)[None]  # (1, n)
    frames = []
    for start in range(0, samples.shape[1], 1024):
        part = np.ascontiguousarray(samples[:, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, start
        frames.append(frame)
    return frames


if __name__ == "__main__":
    main()
