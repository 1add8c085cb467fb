"""The training data set of clips: for each draw a reference, its neighbors and the flow to them.

K references per draw (two where a loss compares consecutive results, else one), n neighbors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sr.data.augment import (
    Augmentation,
    Place,
    cut_square,
    draw_augmentation,
    draw_place,
    measure_detail,
)
from sr.data.cache import SourceCache
from sr.data.clips import ClipArrays, find_scene
from sr.data.crops import Crop, CropSettings
from sr.data.sampler import Draw
from sr.data.sources import Image
from sr.motion.frame_window import Area, Scene, Window, crop_area, gather_window


@dataclass(frozen=True)
class WindowSettings:
    """How samples are taken from clips.

    window: of a multi-frame network, else None. whole_windows: only references that have all their
    neighbors. num_references: 1, or 2 consecutive ones. reversal: half of the draws run backwards
    in time.
    """

    window: Window | None
    whole_windows: bool = False
    num_references: int = 1
    reversal: bool = True


class ClipCropDataset(Dataset[Crop]):
    """Crops of cached clips. A crop depends only on the seed and the number of its draw."""

    def __init__(
        self,
        clips: SourceCache[ClipArrays],
        scale: int,
        settings: CropSettings,
        windows: WindowSettings,
        seed: int,
    ) -> None:
        self.clips = clips
        self.scale = scale
        self.settings = settings
        self.windows = windows
        self.seed = seed

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, draw: Draw) -> Crop:
        """Return lr (K, 3, h, w), hr (K, 3, H, W), with a window neighbors (K, n, 3, h, w) and
        flows (K, n, 2, h, w), and with two references motion (1, 2, H, W), see `_find_motion`.
        """
        index, number = draw
        rng = np.random.default_rng((self.seed, 1, number))  # 1: streams apart from the sampler's
        clip = ClipArrays(*self.clips[index])
        backwards = self.windows.reversal and bool(rng.random() < 0.5)
        positions = self._draw_positions(clip, backwards, rng)
        size = self.settings.crop_size // self.scale  # LR pixels
        candidates = self.settings.detail_candidates
        quantile = self.settings.detail_quantile
        lr = clip.lr[positions[0]]

        def measure(place: Place) -> float:
            return measure_detail(cut_square(lr, place, size))

        place = draw_place(lr.shape, size, candidates, rng, measure, quantile)
        area = Area(*place, size, size)
        augmentation = draw_augmentation(self.settings.flips, self.settings.transposes, rng)
        crop = self._crop(clip, positions, area, augmentation, backwards=backwards)
        crop["name"] = self.clips.sources[index].name
        return crop

    def _draw_positions(
        self, clip: ClipArrays, backwards: bool, rng: np.random.Generator
    ) -> tuple[int, ...]:
        """Draw the references, in the order in which time runs."""
        positions = list_references(clip, self.windows)
        first = positions[int(rng.integers(len(positions)))]
        both = tuple(range(first, first + self.windows.num_references))
        if clip.cuts[first : both[-1]].any():
            return (first,) * len(both)  # a clip of single frames gives one twice, without motion
        return both[::-1] if backwards else both

    def _crop(
        self,
        clip: ClipArrays,
        positions: Sequence[int],
        area: Area,
        augmentation: Augmentation,
        *,
        backwards: bool,
    ) -> Crop:
        hr_area = Area(*(self.scale * pixels for pixels in area))
        lr = [
            augmentation.apply_to_frames(crop_area(_to_frame(clip.lr[t]), area)) for t in positions
        ]
        hr = [
            augmentation.apply_to_frames(crop_area(_to_frame(clip.hr[t]), hr_area))
            for t in positions
        ]
        sample: Crop = {
            "lr": _to_float(torch.stack(lr)),
            "hr": _to_float(torch.stack(hr)),
            "name": "",
        }
        window = self.windows.window
        if window is None and len(positions) == 1:
            return sample
        scene = find_scene(clip, positions[0])
        if window is not None:
            seen = window.backwards() if backwards else window
            pairs = [gather_window(seen, scene, t, area) for t in positions]
            neighbors = torch.stack([augmentation.apply_to_frames(frames) for frames, _ in pairs])
            flows = torch.stack([augmentation.apply_to_flows(flows) for _, flows in pairs])
            sample["neighbors"], sample["flows"] = _to_float(neighbors), flows.contiguous()
        if len(positions) == 2:
            sample["motion"] = self._find_motion(scene, positions, area, augmentation)
        return sample

    def _find_motion(
        self, scene: Scene, positions: Sequence[int], area: Area, augmentation: Augmentation
    ) -> Tensor:
        """Return the flow from the first reference to the second, in HR pixels, (1, 2, H, W)."""
        position, following = positions
        window = Window((following - position,))
        _, flows = gather_window(window, scene, position, area)  # (1, 2, h, w)
        turned = augmentation.apply_to_flows(flows)
        upscaled = torch.nn.functional.interpolate(
            turned, scale_factor=float(self.scale), mode="bilinear"
        )
        return upscaled * self.scale


def list_references(clip: ClipArrays, windows: WindowSettings) -> list[int]:
    """List the frames that may be the first of `num_references`.

    Never empty where the clip has as many frames; a clip without a whole window gives its middle.
    """
    num_frames, radius = len(clip.lr), 0
    if windows.whole_windows and windows.window is not None:
        radius = windows.window.radius
    last = num_frames - windows.num_references
    inside = [
        t
        for t in range(radius, last - radius + 1)
        if not clip.cuts[t - radius : t + windows.num_references - 1 + radius].any()
    ]
    return inside or [last // 2]


def collate_clips(crops: Sequence[Crop]) -> Crop:
    """Collate crops of several draws; the references of a draw stay next to each other."""
    tensors = {
        key: torch.cat([crop[key] for crop in crops])  # type: ignore[literal-required]
        for key in crops[0]
        if key != "name"
    }
    return {**tensors, "name": [crop["name"] for crop in crops]}  # type: ignore[typeddict-item]


def _to_frame(image: Image) -> Tensor:
    """Return a view (3, H, W) of an image (H, W, 3), both uint8."""
    return torch.from_numpy(image).permute(2, 0, 1)


def _to_float(frames: Tensor) -> Tensor:
    """Copy uint8 to float32 in [0, 1]."""
    return frames.to(torch.float32).div_(255).contiguous()
