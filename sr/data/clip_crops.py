"""The training data set of clips: for each draw a reference, its neighbors and the flow to them.

K references of a draw (two where a loss compares consecutive results, else one), n neighbors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sr.data.augment import Image, Orientation, random_orientation, random_place
from sr.data.cache import Cached
from sr.data.clips import ClipArrays, scene_of
from sr.data.crops import Crop, CropSettings
from sr.data.sampler import Draw
from sr.motion.frame_window import Area, Scene, Window, crop_area, gather_window


@dataclass(frozen=True)
class WindowSettings:
    """What is taken of a clip.

    window: of a network that sees neighbors, else None. whole_windows: only references that have
    all their neighbors. num_references: 1, or 2 consecutive ones. reversal: half of the draws
    run backwards in time.
    """

    window: Window | None
    whole_windows: bool = False
    num_references: int = 1
    reversal: bool = True


class ClipCropDataset(Dataset[Crop]):
    """Crops of cached clips. A crop depends only on the seed and the number of its draw."""

    def __init__(
        self,
        clips: Cached[ClipArrays],
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
        """lr (K, 3, h, w), hr (K, 3, H, W), and with a window neighbors (K, n, 3, h, w) and flows
        (K, n, 2, h, w); with two references motion (1, 2, H, W), see `_motion`.
        """
        index, number = draw
        rng = np.random.default_rng((self.seed, 1, number))  # 1: streams apart from the sampler's
        clip = ClipArrays(*self.clips[index])
        backwards = self.windows.reversal and bool(rng.random() < 0.5)
        positions = self._positions(clip, backwards, rng)
        size = self.settings.crop_size // self.scale  # LR pixels
        candidates = self.settings.detail_candidates
        quantile = self.settings.detail_quantile
        place = random_place(clip.lr[positions[0]], size, candidates, rng, quantile)
        area = Area(*place, size, size)
        orientation = random_orientation(self.settings.flips, self.settings.transposes, rng)
        crop = self._crop(clip, positions, area, orientation, backwards=backwards)
        crop["name"] = self.clips.sources[index].name
        return crop

    def _positions(
        self, clip: ClipArrays, backwards: bool, rng: np.random.Generator
    ) -> tuple[int, ...]:
        """The references, in the order in which time runs."""
        positions = references(clip, self.windows)
        first = positions[int(rng.integers(len(positions)))]
        both = tuple(range(first, first + self.windows.num_references))
        if clip.cuts[first : both[-1]].any():
            return (first,) * len(both)  # of a clip of single frames: one twice, without motion
        return both[::-1] if backwards else both

    def _crop(
        self,
        clip: ClipArrays,
        positions: Sequence[int],
        area: Area,
        orientation: Orientation,
        *,
        backwards: bool,
    ) -> Crop:
        hr_area = Area(*(self.scale * pixels for pixels in area))
        lr = [orientation.of_frames(crop_area(_frame(clip.lr[t]), area)) for t in positions]
        hr = [orientation.of_frames(crop_area(_frame(clip.hr[t]), hr_area)) for t in positions]
        crop: Crop = {
            "lr": _values(torch.stack(lr)),
            "hr": _values(torch.stack(hr)),
            "name": "",
        }
        window = self.windows.window
        if window is None and len(positions) == 1:
            return crop
        scene = scene_of(clip, positions[0])
        if window is not None:
            seen = window.backwards() if backwards else window
            pairs = [gather_window(seen, scene, t, area) for t in positions]
            neighbors = torch.stack([orientation.of_frames(frames) for frames, _ in pairs])
            flows = torch.stack([orientation.of_flows(flows) for _, flows in pairs])
            crop["neighbors"], crop["flows"] = _values(neighbors), flows.contiguous()
        if len(positions) == 2:
            crop["motion"] = self._motion(scene, positions, area, orientation)
        return crop

    def _motion(
        self, scene: Scene, positions: Sequence[int], area: Area, orientation: Orientation
    ) -> Tensor:
        """The flow from the first reference's crop to the second's, in HR pixels, (1, 2, H, W)."""
        position, following = positions
        window = Window((following - position,))
        _, flows = gather_window(window, scene, position, area)  # (1, 2, h, w)
        turned = orientation.of_flows(flows)
        enlarged = torch.nn.functional.interpolate(
            turned, scale_factor=float(self.scale), mode="bilinear"
        )
        return enlarged * self.scale


def references(clip: ClipArrays, windows: WindowSettings) -> list[int]:
    """The frames that may be the first of `num_references`.

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


def join(crops: Sequence[Crop]) -> Crop:
    """Crops of several draws as one batch; references of a draw stay side by side."""
    tensors = {
        key: torch.cat([crop[key] for crop in crops])  # type: ignore[literal-required]
        for key in crops[0]
        if key != "name"
    }
    return {**tensors, "name": [crop["name"] for crop in crops]}  # type: ignore[typeddict-item]


def _frame(image: Image) -> Tensor:
    """(H, W, 3) to (3, H, W), both uint8, a view."""
    return torch.from_numpy(image).permute(2, 0, 1)


def _values(frames: Tensor) -> Tensor:
    """uint8 to float32 in [0, 1], own memory."""
    return frames.to(torch.float32).div_(255).contiguous()
