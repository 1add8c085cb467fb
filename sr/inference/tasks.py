"""The tasks of a run: which images and videos there are, and where their results go.

Files are looked for and none is opened but pipes. What cannot be done is refused by `check_tasks`.
"""

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sr.errors import NoInputError, UsageError, UserError
from sr.evaluation.scores import Score, VideoScore
from sr.inference.named_files import exists, refuse_missing
from sr.inference.options import STREAM, InferOptions, OutputOptions
from sr.inference.output_size import label_size
from sr.inference.pipe_input import read_once, refuse_devices
from sr.inference.video.resume import locate_segments
from sr.io.archive import ARCHIVE_SUFFIXES, COMIC
from sr.io.find_files import list_files
from sr.io.image_formats import READABLE_SUFFIXES, WRITABLE_SUFFIXES
from sr.io.video.formats import CONTAINERS, VIDEO_SUFFIXES, WRITABLE_CONTAINERS, is_pattern
from sr.memory import is_out_of_memory

if TYPE_CHECKING:
    from sr.inference.archive import ArchivePlan
    from sr.inference.image import ImagePlan
    from sr.inference.video.plan import VideoPlan

Kind = Literal["image", "video", "archive"]

_UNWRITABLE_SUFFIXES = frozenset(
    {".bmp", ".exr", ".gif", ".heic", ".heif", ".jp2", ".jxl", ".ppm", ".svg", ".tga"}
)


@dataclass
class Task:
    """One image or video to upscale: its paths, what the probe found, and how it ended."""

    source: Path
    """A file; for a video also the folder or the pattern of its frames."""
    output: Path
    """A file; for a video also the pattern of its frames."""
    kind: Kind = "image"
    key: str = ""
    """The source relative to the input folder, in NFC: the same on all machines."""
    is_own: bool = True
    """False for a video of another shard, which is helped with."""
    page: int | None = None
    """The only page or frame that is read, counted from 1; None for what the options say."""
    content: bytes | None = None
    """What standard input or another pipe holds, where that is the source."""
    skipped: bool = False
    """The output exists and stays as it is."""
    plan: "ImagePlan | VideoPlan | ArchivePlan | None" = None
    """None before the probe, and for an output that exists and is not scored."""
    error: BaseException | None = None
    """Why there can be no result."""
    warnings: list[str] = field(default_factory=list)
    """What will be guessed, converted or lost."""
    num_emitted: int = 0
    """Warnings that have been emitted."""
    original: Path | None = None
    """What the result is scored against."""
    is_done: bool = False
    """The result is there, as it should be."""
    score: Score | VideoScore | None = None
    num_computed: int = 0
    """Frames of a video that several runs share which this run has computed."""
    seconds: float = 0.0
    """Spent on it."""

    @property
    def megapixels(self) -> float:
        """What the network is to read, in millions."""
        return 0.0 if self.plan is None or self.skipped else self.plan.megapixels

    @property
    def name(self) -> str:
        """Of the source, for messages."""
        return "standard input" if self.source == STREAM else str(self.source)

    def describe_error(self) -> str:
        """Return the error in words that name the source."""
        name = self.name
        text = str(self.error)
        if self.error is not None and is_out_of_memory(self.error):
            text = f"not enough memory: {text}" if text else "not enough memory"
        elif self.error is not None and not is_foreseen(self.error):
            kind = type(self.error).__name__
            text = " ".join(f"unforeseen error, {kind}: {text}".split())  # in one line
        return text if text.startswith(name) else f"{name}: {text}"


def is_foreseen(error: BaseException) -> bool:
    """Return whether the program has words of its own for an error; else its type says more."""
    return isinstance(error, UserError) or is_out_of_memory(error)


def find_tasks(options: InferOptions, scale: int) -> tuple[list[Task], int]:
    """Pair every input with its output, in the order given, each input once.

    Folders found below an input folder reappear below the output folder. scale: of the model.
    Returns also how many files of the input folders are ignored, since they are hidden or neither
    images nor videos. Raises NoInputError if there is nothing to upscale or an input does not
    exist, UsageError for names that do not fit.
    """
    output = options.output
    to_file = is_file_name(output.path)
    sources, num_ignored = _find_sources(options, to_file)
    tasks = []
    for source, below, kind in sources:
        if to_file:
            _check_file(kind, len(sources), output)
            path = output.path
        else:
            path = output.path / below / _name_output(source, kind, output, scale)
        skipped = is_skipped(path, kind, output)
        content = read_once(source, kind)
        tasks.append(
            Task(source, path, kind, _make_key(source, below), content=content, skipped=skipped)
        )
    return tasks, num_ignored


def is_file_name(output: Path) -> bool:
    """Return whether `-o` names a file, a pattern or standard output; else it is a folder."""
    suffix = output.suffix.lower()
    if output == STREAM or is_pattern(output):
        return True
    if output.is_dir():
        return False
    if suffix in _UNWRITABLE_SUFFIXES:
        raise UsageError(f"-o {output}: expected .png, .jpg, .webp, .tif or .avif, got {suffix}")
    if suffix in VIDEO_SUFFIXES - WRITABLE_CONTAINERS:
        raise UsageError(f"-o {output}: expected .mp4, .mkv or .webm, got {suffix}")
    writable = suffix in WRITABLE_SUFFIXES | WRITABLE_CONTAINERS
    if suffix in ARCHIVE_SUFFIXES:
        return True
    if output.exists() and not (writable or output.is_dir()):  # made a moment ago by another run
        raise UsageError(f"-o {output}: expected a folder, got a file")
    return writable


def is_video_name(output: Path) -> bool:
    """Return whether `-o` names a video."""
    return output.suffix.lower() in WRITABLE_CONTAINERS and is_file_name(output)


def _find_sources(
    options: InferOptions, to_file: bool
) -> tuple[list[tuple[Path, Path, Kind]], int]:
    """Return each image and video, its folder relative to the input folder, and its kind."""
    inputs, output = options.inputs, options.output.path
    if STREAM in inputs:
        if len(inputs) > 1:
            raise UsageError("-i -: standard input is one image; expected no other inputs")
        return [(STREAM, Path(), "image")], 0
    refuse_missing(inputs)
    refuse_devices(inputs)
    if is_video_name(output):  # so a folder is one, of frames, and so is an animation
        return [(path, Path(), "video") for path in inputs], 0
    found: dict[Path, tuple[Path, Path, Kind]] = {}
    num_ignored = 0
    for given in inputs:
        is_folder = given.is_dir()
        files = [given]
        if is_folder:
            suffixes = READABLE_SUFFIXES | VIDEO_SUFFIXES | {COMIC}
            searched = list_files(given, options.output.recursive, suffixes)
            files = searched.files
            num_ignored += searched.num_others
        for source in files:
            below = source.parent.relative_to(given) if is_folder else Path()
            if to_file or not _is_earlier_result(source, given, output):
                place = source.parent.resolve() / source.name
                found.setdefault(place, (source, below, _find_kind(source)))
    if not found:
        names = ", ".join(str(path) for path in inputs)
        known = " ".join(sorted(READABLE_SUFFIXES | VIDEO_SUFFIXES))
        raise NoInputError(f"{names}: expected images or videos ({known}), got none")
    return list(found.values()), num_ignored


def _find_kind(source: Path) -> Kind:
    if source.suffix.lower() in ARCHIVE_SUFFIXES:
        return "archive"
    is_frames = is_pattern(source) and not exists(source)  # 100%done.png may be a file, too
    return "video" if is_frames or source.suffix.lower() in VIDEO_SUFFIXES else "image"


def _is_earlier_result(source: Path, given: Path, output: Path) -> bool:
    """Return whether a file lies in the output folder, where that is inside the input folder."""
    results, searched = output.resolve(), given.resolve()
    inside = results != searched and results.is_relative_to(searched)
    return inside and source.parent.resolve().is_relative_to(results)


def _make_key(source: Path, below: Path) -> str:
    """Return what names a source on all machines.

    Composed, since macOS lists some names decomposed. Of a pattern with its folder: many are
    called %05d.png.
    """
    if is_pattern(source):
        below /= source.resolve().parent.name
    return unicodedata.normalize("NFC", (below / source.name).as_posix())


def is_skipped(path: Path, kind: Kind, output: OutputOptions) -> bool:
    """Return whether a result is kept; one next to segments to resume is an older one."""
    if not output.keeps_existing or path == STREAM or is_pattern(path) or not path.exists():
        return False
    return not (output.resume and kind != "image" and locate_segments(path).exists())


def _name_output(source: Path, kind: Kind, output: OutputOptions, scale: int) -> str:
    """Return the name of a result in a folder."""
    suffix = f"_{label_size(output, scale)}" if output.suffix is None else output.suffix
    if Path(suffix).name != suffix:
        raise UsageError(f"--suffix: expected a part of a file name, got {suffix!r}")
    extension: str = "png" if output.ext == "auto" else output.ext
    if kind == "video":
        extension = output.container
        if extension == "auto":
            extension = CONTAINERS.get(source.suffix.lower(), "mkv")
    if kind == "archive":
        extension = source.suffix.lower().removeprefix(".")
    name = f"{_find_stem(source, kind)}{suffix}.{extension}"
    # Names such as 50%discount.mp4 must not stand for numbered files.
    return name.replace("%", "_") if is_pattern(Path(name)) else name


def _find_stem(source: Path, kind: Kind) -> str:
    """Return the name without suffix; of a pattern what is before the number, or the folder."""
    if source == STREAM:
        return "stdin"
    is_file = kind != "video" or source.suffix.lower() in VIDEO_SUFFIXES
    if is_pattern(source) and not is_file:
        before = source.stem.partition("%")[0].rstrip("_-. ")
        return before or source.resolve().parent.name or "frames"
    return source.stem


def _check_archive(kind: Kind, path: Path) -> None:
    is_archive = path.suffix.lower() in ARCHIVE_SUFFIXES
    if (kind == "archive") != is_archive:
        expected = f"no archive for one {kind}" if is_archive else ".cbz or .zip for an archive"
        raise UsageError(f"-o {path}: expected {expected}, got {path.suffix or path.name}")


def _check_file(kind: Kind, num_inputs: int, output: OutputOptions) -> None:
    """Refuse a file as output that does not suit the inputs or other options."""
    path = output.path
    if num_inputs > 1:
        raise UsageError(f"-o {path}: expected a folder for {num_inputs} inputs, got a file")
    if output.suffix is not None:
        raise UsageError(f"--suffix {output.suffix}: expected a folder as -o, got the file {path}")
    if path == STREAM:
        if kind != "image":
            raise UsageError(f"-o -: expected a file for a {kind}, got standard output")
        return
    if kind == "archive" or path.suffix.lower() in ARCHIVE_SUFFIXES:
        _check_archive(kind, path)
        return
    if is_pattern(path) and kind == "image" and output.frames != "files":
        raise UsageError(
            f"-o {path}: expected a video for a pattern of frames, got an image; the pages of one"
            " become files with --frames files"
        )
    if is_pattern(path) and path.suffix.lower() not in WRITABLE_SUFFIXES:
        raise UsageError(
            f"-o {path}: expected frames as .png, .jpg, .webp, .tif or .avif, got {path.suffix}"
        )
    if kind == "video" and not (is_pattern(path) or is_video_name(path)):
        raise UsageError(
            f"-o {path}: expected .mp4, .mkv, .webm, or a pattern such as %05d.png for a video,"
            f" got {path.suffix}"
        )
    same = {"jpeg": "jpg", "tiff": "tif"}
    ext = path.suffix.lower().removeprefix(".")
    name, given = ("container", output.container) if is_video_name(path) else ("ext", output.ext)
    if given not in ("auto", same.get(ext, ext)):
        raise UsageError(f"--{name} {given}: expected what fits the output file, got -o {path}")
