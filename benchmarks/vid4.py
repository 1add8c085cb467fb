"""Score models and bicubic upscaling on clips, usually Vid4, as Markdown and CSV.

    python benchmarks/vid4.py FOLDER [-m MODEL ...] [--lpips WEIGHTS] [--csv FILE] [--device cpu]
        [--border PIXELS] [--leave-out FRAMES] [--frames FRAMES] [--flow METHOD] [--scale 4]

FOLDER has one folder of HR frames per clip. LR is made by MATLAB's bicubic downscaling, and
upscaled as by `infer.py -i lr/%05d.png --reference FOLDER`: the numbers are the same. Frames are
scored in 8 bits against the HR frames, cropped to a multiple of the scale.

PSNR and SSIM on BT.601 luma, averaged over the frames, then over the clips. Flicker is the root of
the warping error in 8-bit levels, tOF the mean difference of optical flow in pixels; both are low
for blurred frames, so flicker is also given for the originals. LPIPS with AlexNet on RGB, if its
weights are given. Seconds per frame include everything except scoring and writing. `-m` without a
model gives bicubic only.

Conventions of published tables: BasicSR's (EDVR, BasicVSR) is `--border 0`, bicubic 23.78 dB on
all frames; SOF-VSR's is `--border 10 --leave-out 2 --frames 31`. See README.md here.
"""

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from quality_methods import name_models
from speed_engine import print_warning

from sr.data.imresize import imresize
from sr.data.sources import Image
from sr.device import resolve_device
from sr.evaluation.scores import VideoScore, average_video_scores
from sr.evaluation.video_scorer import METRICS, VideoScorer
from sr.inference.load_upscaler import load_lpips, load_upscalers
from sr.inference.options import OutputOptions, RuntimeOptions
from sr.inference.video.pipeline import Pipeline
from sr.inference.video.plan import plan_video
from sr.inference.video.prefetcher import Prefetcher
from sr.inference.video.source import open_source
from sr.inference.video_options import VideoOptions
from sr.io.find_files import list_files
from sr.io.image_formats import READABLE_SUFFIXES
from sr.io.rgb8 import image_to_tensor, read_rgb8, tensor_to_rgb8, write_rgb8
from sr.losses.lpips import LPIPS
from sr.models.bundled import choose_default_model
from sr.models.find_model import resolve_model
from sr.tiling.upscaler import Upscaler

LR_PATTERN = "%05d.png"


@dataclass(frozen=True)
class Convention:
    """What is compared. border: pixels ignored; leave_out: frames ignored at each end; frames: of
    each clip, None for all.
    """

    border: int
    leave_out: int
    frames: int | None

    def __str__(self) -> str:
        frames = "all frames" if self.frames is None else f"the first {self.frames} frames"
        ends = f" but {self.leave_out} at each end" if self.leave_out else ""
        return f"border of {self.border} px ignored; {frames}{ends}; Y: {METRICS['y']}"


@dataclass(frozen=True)
class Row:
    """Of one clip, or the mean over all; seconds: per frame, None if not measured."""

    clip: str
    method: str
    score: VideoScore
    seconds: float | None


def main() -> None:
    """Print the table."""
    arguments = _arguments()
    device = resolve_device(arguments.device)
    lpips = load_lpips(arguments.lpips, device)
    runtime = RuntimeOptions(devices=(str(device),))
    models = {
        name: load_upscalers(path, print_warning, runtime, flow=arguments.flow)[0]
        for name, path in name_models([resolve_model(model) for model in arguments.model]).items()
    }
    scales = {upscaler.scale for upscaler in models.values()} or {arguments.scale}
    if len(scales) > 1:
        sys.exit(f"expected models of one scale, got {', '.join(map(str, sorted(scales)))}")
    (scale,) = scales
    border = scale if arguments.border is None else arguments.border
    convention = Convention(border, arguments.leave_out, arguments.frames)
    clips = sorted(path for path in arguments.folder.iterdir() if path.is_dir())
    rows: list[Row] = []
    for clip in clips:
        rows += _score_clip(clip, models, scale, convention, lpips)
        sys.stderr.write(f"{clip.name}: done\n")
    rows += [_mean(method, rows) for method in dict.fromkeys(row.method for row in rows)]
    sys.stdout.write(f"x{scale} on {device}; {convention}\n\n{_markdown(rows)}")
    if arguments.csv is not None:
        _write_csv(arguments.csv, rows, str(convention))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with one folder of HR frames per clip")
    parser.add_argument("-m", "--model", type=Path, nargs="*", default=[choose_default_model()])
    parser.add_argument("--lpips", metavar="WEIGHTS", help="AlexNet's: torchvision, or a file")
    parser.add_argument("--scale", type=int, default=4, help="of bicubic alone")
    parser.add_argument("--border", type=int, help="pixels; the scale if it is not given")
    parser.add_argument("--leave-out", type=int, default=0, help="frames at each end of a clip")
    parser.add_argument("--frames", type=int, help="of each clip; all if it is not given")
    parser.add_argument("--flow", default="auto", help="as in infer.py")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--csv", type=Path)
    return parser.parse_args()


def _score_clip(
    clip: Path,
    models: dict[str, Upscaler],
    scale: int,
    convention: Convention,
    lpips: LPIPS | None,
) -> Iterator[Row]:
    """Return a row for bicubic and for each model."""
    files = list_files(clip, False, READABLE_SUFFIXES).files[: convention.frames]
    hr = [_cut(read_rgb8(file), scale) for file in files]

    def row(method: str, results: Sequence[Image], seconds: float | None) -> Row:
        scorer = VideoScorer(hr, border=convention.border, name=clip, lpips=lpips)
        for sr in results:
            scorer.process(image_to_tensor(sr))
        scorer.flush()
        return Row(clip.name, method, scorer.score(convention.leave_out), seconds)

    lr = [imresize(frame, Fraction(1, scale)) for frame in hr]
    yield row("bicubic", [imresize(frame, scale) for frame in lr], None)
    with tempfile.TemporaryDirectory() as folder:
        for number, frame in enumerate(lr):
            write_rgb8(Path(folder, LR_PATTERN % number), frame)
        for name, upscaler in models.items():
            yield row(name, *_upscale_clip(Path(folder, LR_PATTERN), upscaler))


def _cut(frame: Image, scale: int) -> Image:
    height, width = (side // scale * scale for side in frame.shape[:2])
    return frame[:height, :width]


def _upscale_clip(source: Path, upscaler: Upscaler) -> tuple[list[Image], float]:
    """Return all frames, upscaled as by infer.py, and the seconds per frame."""
    options, output = VideoOptions(), source.with_name(f"sr_{source.name}")
    plan, _ = plan_video(source, output, options, OutputOptions(output), upscaler.scale)
    started = time.perf_counter()
    with open_source(source, options) as opened, Prefetcher() as prefetcher:
        pipeline = Pipeline(prefetcher, opened.frames(), plan, [upscaler])
        results = [tensor_to_rgb8(sr) for _, sr in pipeline.run()]
    return results, (time.perf_counter() - started) / len(results)


def _mean(method: str, rows: Sequence[Row]) -> Row:
    of_method = [row for row in rows if row.method == method]
    seconds = [row.seconds for row in of_method if row.seconds is not None]
    return Row(
        "mean",
        method,
        average_video_scores([row.score for row in of_method]),
        sum(seconds) / len(seconds) if seconds else None,
    )


def _markdown(rows: Sequence[Row]) -> str:
    titles = ["clip", "frames", "", "PSNR Y, dB", "SSIM Y", "LPIPS", "flicker (original's)", "tOF"]
    titles += ["s/frame"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in rows:
        score = row.score
        flicker = f"{_number(score.flicker, 2)} ({_number(score.original_flicker, 2)})"
        cells = [
            row.clip,
            str(score.frames),
            row.method,
            _number(score.mean.psnr_y, 3),
            _number(score.mean.ssim_y, 4),
            _number(score.mean.lpips, 4),
            flicker,
            _number(score.tof, 3),
            _number(row.seconds, 3),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _write_csv(path: Path, rows: Sequence[Row], convention: str) -> None:
    """All numbers of each row; the convention in each, so that rows can be put together."""
    names = list(dict.fromkeys(name for row in rows for name in row.score.as_json()))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["clip", "method", *names, "seconds", "convention"])
        writer.writeheader()
        for row in rows:
            fields = {"clip": row.clip, "method": row.method, "convention": convention}
            seconds = {} if row.seconds is None else {"seconds": round(row.seconds, 4)}
            writer.writerow({**fields, **row.score.as_json(), **seconds})


if __name__ == "__main__":
    main()
