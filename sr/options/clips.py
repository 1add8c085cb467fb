"""Options of clips: consecutive frames to learn from, and what a network sees of them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from sr.options.base import Factor, Section
from sr.options.flow import DISOptions, FlowOptions


class _Clips(Section):
    """What all sources of clips have in common."""

    downscale: tuple[Factor, ...] = Field(default=(1.0,), min_length=1)
    """Each clip is used at each of these sizes; 0.5 adds a half-size copy, finer in detail."""
    blur_sigma: PositiveFloat | None = None
    """None: LR is made by MATLAB's bicubic downscaling. A number: by a Gaussian blur of this sigma
    in HR pixels, of which every scale-th pixel is taken (BD; 1.6 at x4 in the literature);
    needs flips: false."""


class FrameFolders(_Clips):
    """Folders of HR frames, one a clip: REDS, Vid4, SPMCS and the like."""

    type: Literal["FrameFolders"]
    hr: tuple[Path, ...] = Field(min_length=1)
    """Folders, searched recursively; each folder with images in it is a clip."""
    only: tuple[str, ...] = ()
    """Name patterns (`*` and `?`) of the clips' folders that are used; none: all."""
    exclude: tuple[str, ...] = ()
    """Those that are left out; of REDS for instance 000, 011, 015, 020, which are for testing."""
    subfolder: str = ""
    """Folder in each clip's folder that holds the frames; `truth` for SPMCS."""
    clip_frames: PositiveInt = 15
    """Longer clips are cut into pieces of so many frames, at whose ends neighbors are missing."""


class Vimeo90K(_Clips):
    """Vimeo-90K's septuplets, Xue et al. 2019, as unpacked."""

    type: Literal["Vimeo90K"]
    root: Path
    """Folder with `sequences` in it."""
    list_file: Path
    """Names of clips, one a line: sep_trainlist.txt or sep_testlist.txt."""


class VideoFiles(_Clips):
    """Video files, decoded once into frames that are kept in datasets.cache_folder."""

    type: Literal["VideoFiles"]
    videos: tuple[Path, ...] = Field(min_length=1)
    """Files, and folders that are searched for them recursively."""
    clip_frames: PositiveInt = 15
    """As in FrameFolders. Scene cuts within a piece are found, and no window crosses one."""


class MovingPhotos(_Clips):
    """Clips made of photographs, by a camera that pans, zooms and turns before them."""

    type: Literal["MovingPhotos"]
    photos: tuple[Path, ...] = Field(min_length=1)
    """Folders, searched recursively."""
    exclude: tuple[str, ...] = ()
    """File name patterns (`*` and `?`) that are left out."""
    clips_per_photo: PositiveInt = 8
    """Each with other motion."""
    num_frames: Annotated[int, Field(ge=2)] = 7
    """Frames of a clip."""
    frame_size: tuple[PositiveInt, PositiveInt] = (448, 256)
    """Width and height of the frames, in HR pixels."""
    speed: PositiveFloat = 8.0
    """Fastest pan, in HR pixels a frame; from 0 to this, evenly. Zoom and turns come on top."""


class WindowOptions(Section):
    """What a network that sees several frames is given of a clip; kept in its model files."""

    order: Literal["time", "nearest"] = "nearest"
    """Of the neighbors: time from the past to the future, as in the published code; nearest from
    the nearest to the farthest, as in the paper's figure."""
    edge: Literal["reference", "replicate", "reflect"] = "reference"
    """What stands for neighbors beyond a clip's ends or a scene cut: the reference without motion
    (the published code), the last frame there is, or frames mirrored there."""
    alignment: Literal["none", "nearest"] = "none"
    """none: neighbors as they are (the paper). nearest: each of their pixels from where the flow
    points, to the nearest pixel, with what is left of the flow; learned far faster."""
    flow: FlowOptions = DISOptions(type="DIS")
    """What measures motion between LR frames."""
    whole_windows: bool = False
    """Learn only from references that have all their neighbors, of septuplets the middle one."""
    reversal: bool = True
    """Let time run backwards in half of the draws."""


ClipSource = FrameFolders | Vimeo90K | VideoFiles | MovingPhotos
