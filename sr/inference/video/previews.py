"""A few frames of a video, before and after, before the long work begins."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from sr.inference.report import Emit
from sr.inference.request import Job
from sr.inference.upscaler import Upscaler
from sr.inference.video.making import VideoMaking, VideoWork
from sr.inference.video.preview import preview_numbers, preview_path, write_preview
from sr.inference.video.produce import Production
from sr.inference.video.source import Source, open_source
from sr.io.video.frame import Frame


def write_previews(
    job: Job, work: VideoWork, making: VideoMaking, upscalers: Sequence[Upscaler], emit: Emit
) -> None:
    """Write `making.num_previews` pictures beside the result, of frames spread over the video.

    The video is decoded up to the last of them; the temporal filter is left out. Where nobody
    knows how many frames there are, that is told and nothing written.
    """
    if work.info.num_frames is None:
        message = "no preview: the file does not tell how many frames there are"
        emit("warning", message=f"{job.source}: {message}")
        return
    numbers = preview_numbers(work.info.num_frames, making.num_previews)
    folder, stem = job.output.parent, job.output.stem.replace("%", "")
    with open_source(job.source, making) as source:
        picked = _Picked(source, numbers)
        plain = replace(making, temporal_filter=False)
        production = Production(picked, work, plain, upscalers, first=0)
        with production.pipeline:
            for each in production.enlarged():
                seconds = float(each.frame.pts * work.info.time_base)
                path = preview_path(folder, stem, each.frame.number, seconds)
                write_preview(path, each.lr, each.sr)
                emit("progress", preview=path)


class _Picked:
    """Some frames of a source."""

    def __init__(self, source: Source, numbers: Collection[int]) -> None:
        self._source = source
        self._numbers = frozenset(numbers)

    def frames(self) -> Iterator[Frame]:
        last = max(self._numbers)
        for frame in self._source.frames():
            if frame.number in self._numbers:
                yield frame
            if frame.number == last:
                return
