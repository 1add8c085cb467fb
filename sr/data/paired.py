"""Folders of LR and HR images that are matched by name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr.data.sources import (
    DataError,
    Pair,
    count_pair_bytes,
    list_images,
    raise_faults,
    warn_of_conversions,
)
from sr.io.image_formats import ImageError
from sr.io.rgb8 import read_kind, read_rgb8


@dataclass(frozen=True)
class PairedImage:
    """An lr and an hr file of the same image."""

    lr_path: Path
    hr_path: Path
    scale: int
    lr_size: tuple[int, int]  # (H, W) of the lr file

    @property
    def name(self) -> str:
        return str(self.hr_path)

    @property
    def hr_size(self) -> tuple[int, int]:
        return self.scale * self.lr_size[0], self.scale * self.lr_size[1]

    @property
    def num_bytes(self) -> int:
        return count_pair_bytes(self.hr_size)

    def load(self) -> Pair:
        """Return lr (H, W, 3) and hr (scale*H, scale*W, 3), both uint8 RGB."""
        height, width = self.hr_size
        hr = read_rgb8(self.hr_path, convert=True)
        return read_rgb8(self.lr_path, convert=True), hr[:height, :width]


def find_paired_images(
    lr_folders: Sequence[Path], hr_folders: Sequence[Path], scale: int, exclude: Sequence[str]
) -> list[PairedImage]:
    """Find pairs, in the order of the hr names.

    At x4, `a.png`, `ax4.png` and `a_x4.png` in an lr folder match `a.png`; file types may differ.
    The hr image may exceed scale times the lr image by fewer than `scale` pixels per side, which
    are cropped. Raises DataError naming all files without a partner, with a duplicate name or a
    wrong size.
    """
    hr_files = list_images(hr_folders, exclude)
    lr_files = list_images(lr_folders, exclude)
    hr_names = {path.stem for path in hr_files}
    hr_paths, hr_faults = _index_by_name(hr_files, "HR", lambda name: name)
    lr_paths, lr_faults = _index_by_name(
        lr_files,
        "LR",  # a name that is also an HR name keeps its ending, even `x4`
        lambda name: name if name in hr_names else re.sub(rf"_?x{scale}$", "", name),
    )
    faults = lr_faults + hr_faults
    faults += [f"{path}: no HR partner" for key, path in lr_paths.items() if key not in hr_paths]
    faults += [f"{path}: no LR partner" for key, path in hr_paths.items() if key not in lr_paths]
    pairs = []
    conversions: dict[Path, Sequence[str]] = {}
    for key, hr_path in hr_paths.items():
        if key not in lr_paths:
            continue
        try:
            pairs.append(_make_pair(lr_paths[key], hr_path, scale, conversions))
        except (ImageError, DataError) as error:
            faults.append(str(error))
    raise_faults(f"{len(lr_files)} LR and {len(hr_files)} HR images do not match", faults)
    warn_of_conversions(conversions)
    return pairs


def _index_by_name(
    paths: Sequence[Path], kind: str, key_of: Callable[[str], str]
) -> tuple[dict[str, Path], list[str]]:
    """Return paths by the name that pairs share, and the faults of duplicate names."""
    by_key: dict[str, Path] = {}
    faults = []
    for path in paths:
        key = key_of(path.stem)
        if key in by_key:
            faults.append(f"{path}: {kind} name already taken by {by_key[key]}")
        by_key.setdefault(key, path)
    return by_key, faults


def _make_pair(
    lr_path: Path, hr_path: Path, scale: int, conversions: dict[Path, Sequence[str]]
) -> PairedImage:
    """Make a pair, and note of both images what will be converted."""
    lr_size, conversions[lr_path] = read_kind(lr_path)
    hr_size, conversions[hr_path] = read_kind(hr_path)
    excess = [hr - scale * lr for lr, hr in zip(lr_size, hr_size, strict=True)]
    if not all(0 <= pixels < scale for pixels in excess):
        raise DataError(
            f"{hr_path}: expected {scale} x {lr_size[1]}x{lr_size[0]} of {lr_path}, "
            f"got {hr_size[1]}x{hr_size[0]} (width x height)"
        )
    return PairedImage(lr_path, hr_path, scale, lr_size)
