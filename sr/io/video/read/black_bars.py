"""Find black bars around the frames of a video, which hold nothing.

A row or column belongs to a bar if it is black in all frames that are looked at, so that no bar
with subtitles or a logo in one of them is taken. FFmpeg's cropdetect is not part of PyAV's wheel.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from sr.io.video.frame import Layout
from sr.io.video.pixels.planes import detect_layout, extract_planes
from sr.io.video.read.container import choose_stream, open_container
from sr.io.video.read.stream_side_data import NO_CROPPING, Cropping

_NUM_FRAMES = 24  # looked at, evenly over the video
_NUM_FIRST, _STEP = 240, 10  # where one cannot be sought in: of so many, each so many-th
_MOST_MEAN, _MOST_LEVEL = 24, 40  # of a black line, of 255: black is at 16, noise above it
_SHARE = 0.99  # of a line's samples that are below the latter
_LEAST_SHARE = 0.25  # of each side that is left; less is a dark video


def find_bars(path: Path, *, stream: int | None, layout: Layout, max_pixels: int) -> Cropping:
    """Return the bars of a video, in whole chroma samples and such that even sizes stay even.

    stream: as `choose_stream` has it. layout: of the frames. Raises VideoError.
    """
    rows: npt.NDArray[np.bool_] | None = None
    columns: npt.NDArray[np.bool_] | None = None
    for luma in _sample_luma(path, stream, max_pixels):
        lit_rows, lit_columns = _find_lit(luma, 1), _find_lit(luma, 0)
        if rows is None or columns is None:
            rows, columns = lit_rows, lit_columns
        elif (len(rows), len(columns)) == luma.shape:
            rows, columns = rows | lit_rows, columns | lit_columns
    if rows is None or columns is None:
        return NO_CROPPING
    if rows.mean() < _LEAST_SHARE or columns.mean() < _LEAST_SHARE:
        return NO_CROPPING
    across, down = layout.chroma_shift
    top, bottom = _measure_bars(rows, 2 ** max(down, 1))
    left, right = _measure_bars(columns, 2 ** max(across, 1))
    return Cropping(left, right, top, bottom)


def _find_lit(luma: npt.NDArray[np.uint8], axis: int) -> npt.NDArray[np.bool_]:
    """Return which lines are not black. luma: (h, w). axis: along the lines."""
    dark_share = (luma <= _MOST_LEVEL).mean(axis)
    lit: npt.NDArray[np.bool_] = (luma.mean(axis) > _MOST_MEAN) | (dark_share < _SHARE)
    return lit


def _measure_bars(lit: npt.NDArray[np.bool_], unit: int) -> tuple[int, int]:
    """Return the lines before the first and after the last that is lit, in whole units."""
    first, last = np.flatnonzero(lit)[[0, -1]]
    before = int(first) // unit * unit
    return before, (len(lit) - 1 - int(last)) // unit * unit


def _sample_luma(path: Path, index: int | None, max_pixels: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the luma (h, w) of some frames, of 8 bits; of RGB the largest channel."""
    for frame in _sample_frames(path, index, max_pixels):
        layout = detect_layout(frame.format)
        planes = extract_planes(frame, layout)
        luma = np.maximum.reduce(planes) if layout.kind == "rgb" else planes[0]
        yield (luma >> (layout.depth - 8)).astype(np.uint8)


def _sample_frames(path: Path, index: int | None, max_pixels: int) -> Iterator[av.VideoFrame]:
    with open_container(path, max_pixels=max_pixels) as container:
        stream = choose_stream(container, path, index)
        duration, unit = stream.duration, stream.time_base
        if duration is None and container.duration is not None and unit is not None:
            duration = int(container.duration / av.time_base / unit)
        for number in range(_NUM_FRAMES):
            if duration is None:
                break
            time = (stream.start_time or 0) + duration * (2 * number + 1) // (2 * _NUM_FRAMES)
            try:
                container.seek(time, stream=stream)
                yield next(container.decode(stream))
            except (av.FFmpegError, StopIteration):
                if number == 0:
                    break  # nothing can be sought in it
        else:
            return
    with open_container(path, max_pixels=max_pixels) as container:
        stream = choose_stream(container, path, index)
        try:
            yield from islice(container.decode(stream), 0, _NUM_FIRST, _STEP)
        except av.FFmpegError:  # which reading it reports
            return
