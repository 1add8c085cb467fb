"""Interlaced and telecined clips, and plain runs of FFmpeg's filters to compare with."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.filter import Graph

NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)


def draw_motion(num_frames: int, size: tuple[int, int] = (48, 64)) -> Iterator[av.VideoFrame]:
    """Draw frames (height, width) of a bright square that moves five pixels per frame."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    for number in range(num_frames):
        luma = (60 + 40 * np.sin(rows / 5) + 20 * np.cos(columns / 7)).astype(np.uint8)
        left = (5 + 5 * number) % (width - 16)
        luma[16:32, left : left + 16] = 220
        planes = np.concatenate([luma.ravel(), np.full(height * width // 2, 128, np.uint8)])
        frame = av.VideoFrame.from_ndarray(planes.reshape(-1, width), "yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 50)
        yield frame


def run_filters(
    frames: Iterable[av.VideoFrame], *filters: str, rate: Fraction = Fraction(50)
) -> list[av.VideoFrame]:
    """Run frames at a rate through filters, each `name=arguments`."""
    graph, buffer = Graph(), None
    outputs: list[av.VideoFrame] = []
    for number, frame in enumerate(frames):
        if buffer is None:
            buffer = graph.add(
                "buffer",
                f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}"
                f":time_base={1 / rate}:frame_rate={rate}",
            )
            nodes = [graph.add(*each.split("=", 1)) for each in filters]
            graph.link_nodes(buffer, *nodes, graph.add("buffersink")).configure()
        frame.pts, frame.time_base = number, 1 / rate
        graph.vpush(frame)
        outputs += _pull(graph)
    graph.vpush(None)
    return outputs + list(_pull(graph))


def _pull(graph: Graph) -> Iterator[av.VideoFrame]:
    try:
        while True:
            yield graph.vpull()
    except (av.BlockingIOError, av.EOFError):
        return


def interlace(frames: Iterable[av.VideoFrame], order: str) -> list[av.VideoFrame]:
    """Make a frame of the fields of each two. order: tff or bff."""
    woven = []
    pairs = iter(frames)
    for first, second in zip(pairs, pairs, strict=True):
        rows = [each.to_ndarray() for each in (first, second)]
        later = slice(1, None, 2) if order == "tff" else slice(0, None, 2)
        luma = first.height
        rows[0][:luma][later] = rows[1][:luma][later]  # chroma is the same everywhere
        woven.append(av.VideoFrame.from_ndarray(rows[0], "yuv420p"))
    return run_filters(woven, f"setfield=mode={order}")


def write_frames(
    path: Path,
    frames: Iterable[av.VideoFrame],
    *,
    rate: Fraction = Fraction(25),
    order: str | None = None,
    ratio: Fraction = Fraction(1),
    context: dict[str, Any] | None = None,
) -> Path:
    """Write frames without loss by H.264. order: of the fields, tff or bff; None: progressive."""
    flags = {} if order is None else {"x264-params": f"{order}=1"}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate, options={"qp": "0", **flags})
        stream.codec_context.time_base = 1 / rate
        stream.codec_context.sample_aspect_ratio = ratio
        for number, frame in enumerate(frames):
            if number == 0:
                stream.width, stream.height = frame.width, frame.height
                stream.pix_fmt = frame.format.name
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def get_luma(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """Return (height, width)."""
    planes: npt.NDArray[Any] = frame.to_ndarray()
    return planes[: frame.height].astype(np.uint8)
