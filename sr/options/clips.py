"""Options of clips: consecutive frames, and the windows that a network gets."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from sr.options.base import Factor, Probability, Section
from sr.options.flow import DISOptions, FlowOptions


class _Clips(Section):
    """What all sources of clips have in common."""

    downscale: tuple[Factor, ...] = Field(default=(1.0,), min_length=1)
    """Each clip is used at each of these sizes; 0.5 adds a half-size copy with finer detail."""
    blur_sigma: PositiveFloat | None = None
    """None: LR is made by MATLAB's bicubic downscaling. A number: by a Gaussian blur of this sigma
    in HR pixels, of which every scale-th pixel is taken (BD; 1.6 at x4 in the literature);
    needs flips: false."""


class FrameFolders(_Clips):
    """Folders of HR frames, one per clip: REDS, Vid4, SPMCS and similar."""

    type: Literal["FrameFolders"]
    hr: tuple[Path, ...] = Field(min_length=1)
    """Folders, searched recursively; each folder with images in it is a clip."""
    only: tuple[str, ...] = ()
    """Name patterns (`*` and `?`) of the clip folders to use; empty: all."""
    exclude: tuple[str, ...] = ()
    """Those to leave out; for REDS 000, 011, 015, 020, which are for testing."""
    subfolder: str = ""
    """Folder with the frames within each clip folder; `truth` for SPMCS."""
    clip_frames: PositiveInt = 15
    """Longer clips are split into pieces of this many frames, without neighbors across pieces."""


class Vimeo90K(_Clips):
    """Vimeo-90K's septuplets, Xue et al. 2019, in their original layout."""

    type: Literal["Vimeo90K"]
    root: Path
    """Folder with `sequences` in it."""
    list_file: Path
    """Names of clips, one per line: sep_trainlist.txt or sep_testlist.txt."""


class VideoFiles(_Clips):
    """Video files, decoded once into frames in datasets.cache_folder."""

    type: Literal["VideoFiles"]
    videos: tuple[Path, ...] = Field(min_length=1)
    """Files, and folders that are searched recursively."""
    clip_frames: PositiveInt = 15
    """As in FrameFolders. Scene cuts are detected, and windows do not cross them."""


class MovingPhotos(_Clips):
    """Synthetic clips from photographs: a virtual camera pans, zooms and rotates; in some, parts of
    other photographs move in front."""

    type: Literal["MovingPhotos"]
    photos: tuple[Path, ...] = Field(min_length=1)
    """Folders, searched recursively."""
    exclude: tuple[str, ...] = ()
    """File name patterns (`*` and `?`) that are left out."""
    clips_per_photo: PositiveInt = 8
    """Clips per photograph, with different motion."""
    num_frames: Annotated[int, Field(ge=2)] = 7
    """Frames per clip."""
    frame_size: tuple[PositiveInt, PositiveInt] = (448, 256)
    """Width and height of the frames, in HR pixels."""
    speed: PositiveFloat = 8.0
    """Fastest pan, in HR pixels per frame, uniform from 0; zoom and rotation are added."""
    object_share: Probability = 0.3
    """Share of clips in which something moves in front."""
    most_objects: PositiveInt = 1
    """How many things at most, each in its own way."""
    bend: Annotated[float, Field(ge=0)] = 0.0
    """How far their points sway, in HR pixels: waves that go through them, as people and animals
    bend; 0: they are rigid."""


class WindowOptions(Section):
    """Input frames of a multi-frame network; saved in its model files."""

    order: Literal["time", "nearest"] = "nearest"
    """Order of the neighbors. time: from past to future, as in the published code; nearest: from
    nearest to farthest, as in the paper's figure."""
    edge: Literal["reference", "replicate", "reflect"] = "reference"
    """Replacement for neighbors beyond the ends of a clip or a scene cut: the reference itself (the
    published code), the last frame, or mirrored frames."""
    alignment: Literal["none", "nearest"] = "none"
    """none: neighbors are not aligned (the paper). nearest: pixels are taken from where the flow
    points, rounded to whole pixels, and the rest of the flow is an input; trains much faster."""
    flow: FlowOptions = DISOptions(type="DIS")
    """Optical flow method, on LR frames."""
    whole_windows: bool = False
    """Use only references that have all neighbors; in septuplets the middle frame."""
    reversal: bool = True
    """Reverse time in half of the samples."""


ClipSource = FrameFolders | Vimeo90K | VideoFiles | MovingPhotos
