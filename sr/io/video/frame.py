"""Types for a video's frames: layout of their samples, meaning of their numbers, their times.

The numbers of matrix, primaries and transfer are those of ITU-T H.273, which FFmpeg shares.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from sr.errors import UserError

Planes = tuple[npt.NDArray[Any], ...]
"""Y, Cb, Cr; or R, G, B; or gray alone; then alpha, if any: each (h, w), uint8 for 8 bits per
sample, else uint16. Alpha is full range, colors are not multiplied by it."""

Siting = Literal["left", "center"]
"""Where chroma samples of 4:2:0 lie horizontally: on the luma samples' columns (MPEG-2 and later),
or between them (JPEG, MPEG-1). Vertically they lie between rows in both."""

UNSPECIFIED = 2  # H.273's number for matrix, primaries and transfer that are not known
UNROTATED = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
"""The display matrix of frames that show as they are."""

_YUV = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0), "410": (2, 2)}
_NAMES = re.compile(
    r"yuv(j|(?P<yuva>a))?(?P<chroma>\d{3})p(?P<yuv>\d*)(le)?|gbr(?P<rgba>a)?p(?P<rgb>\d*)(le)?"
    r"|gray(?P<gray>\d*)(le)?|ya(?P<ya>\d+)(le)?"
)


class VideoError(UserError):
    """A video that cannot be read or written; the message names the file, and the frame if any."""


class OutputMismatchError(VideoError):
    """A result that is written, but is not in time with its source, or lacks something of it."""


@dataclass(frozen=True)
class Layout:
    """Which planes a frame has, and their sizes."""

    kind: Literal["yuv", "rgb", "gray"]
    depth: int
    """Bits per sample, 8 to 16, in the low bits of uint16 where there are more than 8."""
    chroma_shift: tuple[int, int] = (0, 0)
    """Halvings of chroma's width and height: 4:2:0 (1, 1), 4:2:2 (1, 0), 4:4:4 (0, 0)."""
    alpha: bool = False
    """There is a last plane, of transparency."""

    @classmethod
    def parse(cls, pix_fmt: str) -> Self | None:
        """Return the layout of FFmpeg's pixel format, None where it is not planar.

        Of gray with alpha FFmpeg has no planar format; ya8 and ya16le stand for it.
        """
        found = _NAMES.fullmatch(pix_fmt)
        if found is None:
            return None
        chroma = found["chroma"]
        if chroma is not None:
            if chroma not in _YUV:
                return None
            return cls("yuv", int(found["yuv"] or 8), _YUV[chroma], found["yuva"] is not None)
        if found["rgb"] is not None:
            return cls("rgb", int(found["rgb"] or 8), alpha=found["rgba"] is not None)
        if found["ya"] is not None:
            return cls("gray", int(found["ya"]), alpha=True)
        return cls("gray", int(found["gray"] or 8))

    @property
    def pix_fmt(self) -> str:
        """FFmpeg's name; the range of values is no part of it (no yuvj)."""
        bits = f"{self.depth}le" if self.depth > 8 else ""
        a = "a" if self.alpha else ""
        if self.kind == "yuv":
            chroma = next(name for name, shift in _YUV.items() if shift == self.chroma_shift)
            return f"yuv{a}{chroma}p{bits}"
        if self.kind == "rgb":
            return f"gbr{a}p{bits}"
        return f"ya{bits or 8}" if self.alpha else f"gray{bits}"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the planes."""
        return np.dtype(np.uint8 if self.depth == 8 else np.uint16)

    def shapes(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """Return (rows, columns) of each plane; chroma of odd sizes is rounded up."""
        alpha = ((height, width),) if self.alpha else ()
        if self.kind == "gray":
            return ((height, width), *alpha)
        across, down = self.chroma_shift
        chroma = (-(-height // 2**down), -(-width // 2**across))
        return ((height, width), chroma, chroma, *alpha)


@dataclass(frozen=True)
class Color:
    """What the samples mean, in H.273's numbers."""

    matrix: int
    primaries: int
    transfer: int
    full_range: bool
    """0 is black and the highest level white; else 16 and 235 of 8 bits are (limited range)."""

    @property
    def range_number(self) -> int:
        """FFmpeg's number for the range."""
        return 2 if self.full_range else 1


@dataclass(frozen=True)
class Mastering:
    """The display that HDR was graded on (SMPTE ST 2086) and how bright the content is."""

    primaries: tuple[tuple[float, float], ...]
    """CIE x and y of red, green, blue and white."""
    min_luminance: float
    """cd/m2."""
    max_luminance: float
    """cd/m2."""
    max_content: int = 0
    """MaxCLL, cd/m2; 0 for unknown."""
    max_average: int = 0
    """MaxFALL, cd/m2; 0 for unknown."""


@dataclass(frozen=True)
class VideoInfo:
    """A video stream, as far as is known before its frames are decoded."""

    name: str
    """For messages: the file."""
    stream: int
    """Its index among the file's streams; 0 for images."""
    width: int
    height: int
    layout: Layout
    """Of the frames that are handed out."""
    color: Color
    """Nothing in it is unspecified; what the file lacks is guessed."""
    siting: Siting
    time_base: Fraction
    """Seconds per unit of all times."""
    rate: Fraction
    """Frames per second: exact where the rate is constant, else on average or guessed."""
    num_frames: int | None
    """As declared by the file or computed from its duration; None where it has neither."""
    sample_aspect_ratio: Fraction
    """Width of a pixel to its height; 1 where the file has none."""
    display_matrix: tuple[int, ...] | None
    """Nine numbers of ISO/IEC 14496-12 (16.16 and 2.30 fixed point): how players turn frames."""
    mastering: Mastering | None
    notes: tuple[str, ...]
    """What was guessed and what will be lost, for the user; without the file's name."""
    codec: str = ""
    """FFmpeg's name of the format; empty for images."""
    has_alpha: bool = False
    """Of the source; `layout` says whether it is handed out."""
    spatial: tuple[str, ...] = ()
    """FFmpeg's names of what the container says of 360 degree and stereoscopic video, with its
    values: `Spherical Mapping: equirectangular`."""
    is_spatial_copyable: bool = False
    """It holds for any size, and the container says nothing else that does not."""

    @property
    def is_turned(self) -> bool:
        """Whether players show height as width: a quarter turn."""
        matrix = self.display_matrix
        return matrix is not None and abs(matrix[0]) < abs(matrix[1])


@dataclass(frozen=True)
class Frame:
    """One frame of a video."""

    number: int
    """Counted from 0, in the order of presentation."""
    pts: int
    """When it shows, in `VideoInfo.time_base`; greater than that of the one before."""
    duration: int
    """How long, in the same unit; at least 1."""
    planes: Planes
    """As `VideoInfo.layout` says; nobody changes them."""
