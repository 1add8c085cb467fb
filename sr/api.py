"""Upscaling from Python: arrays, PIL images and tensors.

>>> import numpy as np
>>> from sr import Upscaler
>>> upscaler = Upscaler.load(device="cpu")
>>> upscaler.scale
4
>>> image = np.zeros((6, 8, 3), np.uint8)
>>> upscaler(image).shape
(24, 32, 3)
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sr.errors import UserError
from sr.inference.channels import Channels
from sr.inference.image import make_array_writer
from sr.inference.load_upscaler import load_upscalers
from sr.inference.named_files import ModelFiles
from sr.inference.options import RuntimeOptions
from sr.inference.texture_options import TextureOptions
from sr.models.bundled import choose_default_model
from sr.models.find_model import resolve_model
from sr.tiling.upscaler import ONLY_VIDEOS
from sr.tiling.upscaler import Upscaler as TiledUpscaler

_DTYPES = ("uint8", "uint16", "float32")


class Upscaler:
    """A model, ready to upscale images of any size; the result is of the kind that is given.

    Take it from `Upscaler.load`. Not for several threads at once.
    """

    def __init__(self, upscaler: TiledUpscaler) -> None:
        self._upscaler = upscaler
        self.scale = upscaler.scale

    @classmethod
    def load(
        cls,
        model: str | Path | Sequence[str | Path] | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
        tile_size: int | None = None,
        tta: bool = False,
        strength: float = 1.0,
        strength_with: str | Path | None = None,
        sha256: str | None = None,
    ) -> Self:
        """Load the model of a file or a name, as `infer.py -m` takes them; else span_x4.

        model: of several, each runs on the result of the one before; `scale` is the product of
        theirs. A name that is not bundled, such as realesrgan-x4plus, is downloaded the first time,
        which a line on stderr says. sha256: that the file of a single model must have;
        `https://...` needs it.
        device: as `infer.py --device`. precision: auto, fp32, bf16 or fp16. tile_size: LR
        pixels, 0 for whole images, None for what the memory holds. tta: the mean over eight
        flips and turns. strength: the model's share of the result, in [0, 1]; the rest is bicubic
        interpolation, or the result of the model `strength_with`. Raises ValueError for a file that
        is not there or no model, or one for videos only, and a device or precision that is not
        available.
        """
        several = [model] if isinstance(model, str | Path) else list(model or [])
        if sha256 is not None and len(several) != 1:
            raise UserError(f"sha256: expected one model, got {len(several)}")
        with_other = None if strength_with is None else str(strength_with)
        texture = TextureOptions(strength=strength, strength_with=with_other)
        files = ModelFiles(
            tuple(resolve_model(each, sha256) for each in several) or (choose_default_model(),),
            texture.strength,
            None if strength_with is None else resolve_model(strength_with),
        )
        runtime = RuntimeOptions(
            precision=precision, tile_size=tile_size, devices=(device,), tta=tta
        )
        (upscaler,) = load_upscalers(files, _ignore, runtime)
        if upscaler.takes_clips:
            raise UserError(f"{files.name}: {ONLY_VIDEOS}. infer.py takes them")
        return cls(upscaler)

    def __call__(self, image: Any) -> Any:
        """Upscale an image.

        image: an array (H, W) or (H, W, C), C = 1 to 4 for gray, gray and alpha, RGB, RGB and
        alpha, of uint8, uint16, or float32 in [0, 1]; or a PIL image of mode L, LA, RGB or RGBA;
        or a tensor (3, H, W) or (B, 3, H, W), float in [0, 1].
        Returns the same kind, `scale` times as high and wide; tensors as float32 on the CPU, not
        clamped. Raises ValueError for anything else.
        """
        if isinstance(image, Tensor):
            return self._tensor(image)
        if isinstance(image, np.ndarray):
            return self._array(image)
        if hasattr(image, "mode") and hasattr(image, "getbands"):
            return self._pil(image)
        raise ValueError(
            f"expected a numpy array, a PIL image or a tensor, got {type(image).__name__}"
        )

    def _tensor(self, image: Tensor) -> Tensor:
        batch = image if image.ndim == 4 else image[None]
        shaped = batch.ndim == 4 and batch.shape[1] == 3 and batch.numel()
        if not shaped or not batch.is_floating_point():
            raise ValueError(
                "expected a float tensor (3, H, W) or (B, 3, H, W) in [0, 1], got "
                f"{image.dtype} {tuple(image.shape)}"
            )
        batch = batch.detach().to("cpu", torch.float32)
        sr = torch.cat([self._upscaler(each[None]) for each in batch])
        return sr if image.ndim == 4 else sr[0]

    def _array(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        pixels = image[..., None] if image.ndim == 2 else image
        shaped = pixels.ndim == 3 and 1 <= pixels.shape[2] <= 4 and pixels.size
        if not shaped or pixels.dtype.name not in _DTYPES:
            raise ValueError(
                "expected an array (H, W) or (H, W, 1 to 4) of uint8, uint16, or float32 in "
                f"[0, 1], got {image.dtype} {image.shape}"
            )
        height, width, num_bands = pixels.shape
        scale = self.scale
        result = np.empty((scale * height, scale * width, num_bands), pixels.dtype)
        channels = Channels(
            lambda box: pixels[box.rows, box.columns], height, width, num_bands, scale, "model"
        )
        self._upscaler.upscale(height, width, channels.read, make_array_writer(result, channels))
        return result[..., 0] if image.ndim == 2 else result

    def _pil(self, image: Any) -> Any:
        if image.mode not in ("L", "LA", "RGB", "RGBA"):
            raise ValueError(
                f"expected a PIL image of mode L, LA, RGB or RGBA, got {image.mode}. "
                "image.convert('RGB') makes one"
            )
        from PIL import Image  # not needed without such an image

        return Image.fromarray(self._array(np.asarray(image)))


def _ignore(*_: Any, **__: Any) -> None:
    """Take an event and drop it."""
