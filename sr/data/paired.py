"""Folders of LR and HR images that are matched by name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr.data.prepared_images import WHOLE, PreparedImage, PreparedImages
from sr.data.sources import (
    DataError,
    Image,
    Pair,
    count_pair_bytes,
    list_images,
    raise_faults,
    read_exclude_list,
    warn_of_conversions,
)
from sr.io.image_formats import ImageError
from sr.io.rgb8 import ImageKind, read_kind, read_rgb8


@dataclass(frozen=True)
class PairedImage:
    """An lr and an hr file of the same image."""

    lr_path: Path
    hr_path: Path
    scale: int
    lr_size: tuple[int, int]  # (H, W) of the lr file
    prepared_lr: PreparedImage | None = None
    prepared_hr: PreparedImage | None = None  # not cut yet

    @property
    def name(self) -> str:
        return str(self.hr_path)

    @property
    def hr_size(self) -> tuple[int, int]:
        return self.scale * self.lr_size[0], self.scale * self.lr_size[1]

    @property
    def num_bytes(self) -> int:
        is_prepared = self.prepared_lr is not None and self.prepared_hr is not None
        return 0 if is_prepared else count_pair_bytes(self.hr_size)

    def load(self) -> Pair:
        """Return lr (H, W, 3) and hr (scale*H, scale*W, 3), both uint8 RGB."""
        height, width = self.hr_size
        lr = _load(self.lr_path, self.prepared_lr)
        return lr, _load(self.hr_path, self.prepared_hr)[:height, :width]


def _load(path: Path, prepared: PreparedImage | None) -> Image:
    return read_rgb8(path, convert=True) if prepared is None else prepared.map()


def find_paired_images(
    lr_folders: Sequence[Path],
    hr_folders: Sequence[Path],
    scale: int,
    exclude: Sequence[str],
    prepared: PreparedImages | None = None,
    exclude_list: Path | None = None,
) -> list[PairedImage]:
    """Find pairs, in the order of the hr names.

    At x4, `a.png`, `ax4.png` and `a_x4.png` in an lr folder match `a.png`; file types may differ.
    The hr image may exceed scale times the lr image by fewer than `scale` pixels per side, which
    are cropped. prepared: from which what was prepared is taken. exclude_list: a pair is left out
    by either of its files. Raises DataError naming all files without a partner, with a duplicate
    name or a wrong size.
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
    listed = set() if exclude_list is None else read_exclude_list(exclude_list)
    for key, hr_path in hr_paths.items():
        if key not in lr_paths or {hr_path.resolve(), lr_paths[key].resolve()} & listed:
            continue
        try:
            pairs.append(_make_pair(lr_paths[key], hr_path, scale, conversions, prepared))
        except (ImageError, DataError) as error:
            faults.append(str(error))
    if hr_paths and not pairs and not faults:
        faults.append(f"{exclude_list}: all {len(hr_paths)} pairs are left out")
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
    lr_path: Path,
    hr_path: Path,
    scale: int,
    conversions: dict[Path, Sequence[str]],
    prepared: PreparedImages | None,
) -> PairedImage:
    """Make a pair, and note of both images what will be converted."""
    (lr_size, conversions[lr_path]), lr = _find_kind(lr_path, prepared)
    (hr_size, conversions[hr_path]), hr = _find_kind(hr_path, prepared)
    excess = [more - scale * less for less, more in zip(lr_size, hr_size, strict=True)]
    if not all(0 <= pixels < scale for pixels in excess):
        raise DataError(
            f"{hr_path}: expected {scale} x {lr_size[1]}x{lr_size[0]} of {lr_path}, "
            f"got {hr_size[1]}x{hr_size[0]} (width x height)"
        )
    return PairedImage(lr_path, hr_path, scale, lr_size, lr, hr)


def _find_kind(
    path: Path, prepared: PreparedImages | None
) -> tuple[ImageKind, PreparedImage | None]:
    """Return what the header says, and the image where it was prepared."""
    found = None if prepared is None else prepared.find(path)
    return (read_kind(path), None) if found is None else (found.kind, found.images.get(WHOLE))
