"""Fonts that text is drawn with: files in the user's folders, or else what the system has.

FreeType as Pillow brings it draws them by their path, without fontconfig: the same file gives the
same pixels whatever else is installed. Where there is no font at all, Pillow's own is taken, a
part of Aileron Regular (Sora Sagano, CC0).
"""

import os
import string
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from sr.data.sources import DataError

_SUFFIXES = (".ttf", ".otf", ".ttc")
_MISSING = "\U0010ffff"  # no font has it: drawn as the sign for a missing glyph
_PROBES = {
    "latin": string.ascii_letters + string.digits + ".,:;?!%&/=+*#@(){}[]<>|~$-",
    "accents": "\u00e9\u00fc\u00d1\u00e7",
    "cyrillic": "\u0416\u044f\u0444",
    "greek": "\u03a9\u03b4\u03c8",
}


@dataclass(frozen=True)
class Font:
    """A font file; None is Pillow's own. scripts: keys of `_PROBES` that it has glyphs for."""

    path: Path | None
    scripts: tuple[str, ...]


def find_fonts(folders: Sequence[Path], system_folders: Sequence[Path] | None = None) -> list[Font]:
    """Fonts with Latin letters, in the order of their paths; no folders: those of the system.

    system_folders: where the system keeps them; None: where it does by custom.

    Raises DataError for a folder that does not exist or holds no such font.
    """
    missing = ", ".join(str(folder) for folder in folders if not folder.is_dir())
    if missing:
        raise DataError(f"no such folder of fonts: {missing}")
    if system_folders is None:
        system_folders = _system_folders()
    fonts = [
        font
        for folder in folders or system_folders
        for path in _list_files(folder)
        if (font := _probe(path)) is not None
    ]
    if fonts:
        return fonts
    if folders:
        names = ", ".join(map(str, folders))
        raise DataError(f"{names}: expected fonts (.ttf, .otf, .ttc) with Latin letters, got none")
    return [Font(None, ("latin",))]


@lru_cache(maxsize=256)
def load_font(path: Path | None, size: int) -> ImageFont.FreeTypeFont:
    """size: of the em square, in pixels."""
    if path is None:
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont)
        return font
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def _list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


def _system_folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "win32":
        return [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    return [
        Path("/usr/share/fonts"),
        Path("/usr/local/share/fonts"),
        home / ".local/share/fonts",
        home / ".fonts",
    ]


def _probe(path: Path) -> Font | None:
    """None: not a font that can be drawn, or one without Latin letters (symbols, emoji)."""
    try:
        font = ImageFont.truetype(path, 24, layout_engine=ImageFont.Layout.BASIC)
        missing = _draw(font, _MISSING)
        scripts = tuple(name for name, probe in _PROBES.items() if _has(font, probe, missing))
    except OSError:  # FreeType's errors, of damaged and of bitmap fonts
        return None
    return Font(path, scripts) if "latin" in scripts else None


def _has(font: ImageFont.FreeTypeFont, letters: str, missing: bytes) -> bool:
    drawn = [_draw(font, letter) for letter in letters]
    return missing not in drawn and b"" not in drawn


def _draw(font: ImageFont.FreeTypeFont, letter: str) -> bytes:
    return bytes(font.getmask(letter))
