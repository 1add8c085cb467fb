"""Options of sources of single images: folders, synthetic images, mixtures."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from sr.options.base import Factor, FactorRange, PositiveRange, Section


class HRFolders(Section):
    """Folders of HR images; LR is made by MATLAB's bicubic downscaling."""

    type: Literal["HRFolders"]
    hr: tuple[Path, ...] = Field(min_length=1)
    """Folders, searched recursively."""
    exclude: tuple[str, ...] = ()
    """File name patterns (`*` and `?`) to leave out."""
    exclude_list: Path | None = None
    """Text file with paths of images to leave out, one per line; `sr-data check --out` writes it.
    """
    downscale: tuple[Factor, ...] = Field(default=(1.0,), min_length=1)
    """Each image is used at each of these sizes; 0.5 adds a half-size copy with finer detail."""
    hr_scale: FactorRange | None = None
    """For each training crop, resize the image by a factor drawn uniformly from this range, for
    instance [0.25, 1.0]; never below the crop size. null: no resizing."""


class PairedFolders(Section):
    """Folders of LR and HR images, matched by name (`a.png`, `ax4.png` and `a_x4.png`)."""

    type: Literal["PairedFolders"]
    hr: tuple[Path, ...] = Field(min_length=1)
    """Folders with the HR images, searched recursively."""
    lr: tuple[Path, ...] = Field(min_length=1)
    """Folders with the LR images, searched recursively."""
    exclude: tuple[str, ...] = ()
    """File name patterns (`*` and `?`) to leave out."""
    exclude_list: Path | None = None
    """Text file with paths of images to leave out, one per line; `sr-data check --out` writes it.
    """


class LRFolders(Section):
    """Folders of LR images without HR, for validation alone; measured by NIQE, which is for results
    of at least two blocks of 96 pixels."""

    type: Literal["LRFolders"]
    lr: tuple[Path, ...] = Field(min_length=1)
    """Folders, searched recursively."""
    exclude: tuple[str, ...] = ()
    """File name patterns (`*` and `?`) to leave out."""
    exclude_list: Path | None = None
    """Text file with paths of images to leave out, one per line; `sr-data check --out` writes it.
    """


class Synthetic(Section):
    """Synthetic images, drawn for each crop: text, graphics, patterns and facades, without
    aliasing. They are not flipped. LR is made by MATLAB's bicubic downscaling."""

    type: Literal["Synthetic"]
    text: NonNegativeFloat = 4.0
    """Share of text on pages, screens and signs, relative to the other kinds; 0: none."""
    graphics: NonNegativeFloat = 2.0
    """Share of shapes, line art and charts."""
    patterns: NonNegativeFloat = 2.0
    """Share of stripes, grids, checkerboards, dots, zone plates and star charts."""
    facades: NonNegativeFloat = 2.0
    """Share of window fronts, bricks, fences, meshes and slats, mostly in perspective."""
    svg: NonNegativeFloat = 0.0
    """Share of drawings from svg_folders."""
    svg_folders: tuple[Path, ...] = ()
    """Folders of SVG files, searched recursively."""
    fonts: tuple[Path, ...] = ()
    """Folders of TrueType and OpenType fonts, searched recursively; empty: the system's fonts, or
    Pillow's own if there are none."""
    text_size: PositiveRange = (9.0, 64.0)
    """Smallest and largest font size (em square) in HR pixels, drawn uniformly on a log scale."""

    @model_validator(mode="after")
    def _kinds_are_consistent(self) -> Self:
        if not self.text + self.graphics + self.patterns + self.facades + self.svg:
            raise ValueError(
                "expected a share above 0 for text, graphics, patterns, facades or svg"
            )
        if bool(self.svg) != bool(self.svg_folders):
            raise ValueError(
                "svg and svg_folders: expected a share above 0 with folders, or neither, got "
                f"{self.svg:g} and {len(self.svg_folders)} folders"
            )
        return self


class MixedPart(Section):
    """One source of a mixture."""

    share: PositiveFloat
    """Share of the crops, relative to the other sources."""
    source: Annotated[HRFolders | PairedFolders | Synthetic, Field(discriminator="type")]
    """Where the images are."""


class Mixed(Section):
    """A mixture of image sources, each with a fixed share of the crops, whatever its number of
    images. Shares hold within every 1000 crops, to a thousandth."""

    type: Literal["Mixed"]
    sources: tuple[MixedPart, ...] = Field(min_length=1)
    """Sources and their shares."""

    @model_validator(mode="after")
    def _no_share_vanishes(self) -> Self:
        total = sum(part.share for part in self.sources)
        for part in self.sources:
            if part.share < 0.001 * total:
                raise ValueError(
                    f"sources: expected shares of at least a thousandth of their sum {total:g}, "
                    f"got {part.share:g}"
                )
        return self
