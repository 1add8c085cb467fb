"""Film grain: noise of the brightness, the same at every run, whatever tiles or device.

One plate of noise is made once; each image or frame takes it from another place, flipped or turned.
Grain of film is strongest in middle gray and vanishes in black and white, where there is no silver
or all of it; so here by the factor 2 * sqrt(y * (1 - y)) of luma y. Black bars stay black.

Letters: H, W height and width in pixels, C bands.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyvips
import torch
from torch import Tensor

_SIDE = 1024  # pixels of the plate; it repeats beyond, which noise does not show
_BLUR = 0.7  # pixels, standard deviation: grains are a little larger than pixels
_LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709


@dataclass(frozen=True)
class FilmGrain:
    """Grain of one image. levels: standard deviation in middle gray, of 255. seed: of its place."""

    levels: float
    seed: int

    def add_to_tensor(self, sr: Tensor) -> Tensor:
        """Return a frame with grain. sr: (1, C, H, W), RGB or RGB and alpha, on any device."""
        height, width = sr.shape[2:]
        plate = torch.from_numpy(self._turn_plate()).to(sr.device)
        rows = torch.arange(height, device=sr.device) % _SIDE
        columns = torch.arange(width, device=sr.device) % _SIDE
        colors = sr[:, :3].float()
        luma = (colors * colors.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True).clamp(0, 1)
        shade = 2 * self.levels / 255 * (luma * (1 - luma)).sqrt()
        return torch.cat([colors + shade * plate[rows][:, columns], sr[:, 3:].float()], 1)

    def add_to_image(self, image: pyvips.Image, *, max_value: float, alpha: bool) -> pyvips.Image:
        """Return an image with grain, float in [0, 1]. image: values in [0, max_value]."""
        image = image / max_value
        num_colors = image.bands - alpha
        colors = image[:num_colors]
        luma = colors.recomb([list(_LUMA)]) if num_colors == 3 else colors
        shade = ((luma * (1 - luma)).clamp() ** 0.5) * (2 * self.levels / 255)
        across, down = -(-image.width // _SIDE), -(-image.height // _SIDE)
        plate = pyvips.Image.new_from_array(self._turn_plate()).replicate(across, down)
        colors = (colors + shade * plate.crop(0, 0, image.width, image.height)).clamp()
        colors = colors.cast("float")
        return colors.bandjoin(image[num_colors]) if alpha else colors

    def _turn_plate(self) -> npt.NDArray[np.float32]:
        """Return the plate, (_SIDE, _SIDE), as this image takes it."""
        row, column, turn, flip = np.random.default_rng(self.seed).integers(0, _SIDE, 4)
        plate = np.roll(_make_plate(), (row, column), (0, 1))
        plate = np.rot90(plate, turn % 4)
        return np.ascontiguousarray(plate[::-1] if flip % 2 else plate)


@cache
def _make_plate() -> npt.NDArray[np.float32]:
    """Return noise of mean 0 and deviation 1 whose opposite edges fit."""
    noise = np.random.default_rng(0).standard_normal((_SIDE, _SIDE))
    across, down = np.fft.rfftfreq(_SIDE), np.fft.fftfreq(_SIDE)[:, None]
    blur = np.exp(-2 * (np.pi * _BLUR) ** 2 * (across**2 + down**2))
    blurred = np.fft.irfft2(np.fft.rfft2(noise) * blur)
    return np.asarray((blurred - blurred.mean()) / blurred.std(), np.float32)
