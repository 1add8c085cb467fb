"""Warping by optical flow, of tensors and of arrays, and where a flow can be trusted.

A flow from a to b leads each pixel of a to where its point lies in b; across and down, in pixels.
Arrays, and the flows of pairs of frames, are (h, w, 2); tensors of flow in a batch (B, 2, h, w).

Letters: h, w height and width of the frames, c channels, a, b of the area that is looked at.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

Image = npt.NDArray[np.float32]
"""(h, w) or (h, w, c)."""

_RELATIVE = 0.01  # Ruder, Dosovitskiy, Brox 2016, arXiv 1604.08610
_OCCLUSION = 0.5  # px^2; as above


def locate_pixels(
    height: int, width: int, *, top: int = 0, left: int = 0, device: torch.device | None = None
) -> Tensor:
    """Return column and row of each pixel of an area: (2, height, width), float32."""
    rows = torch.arange(top, top + height, device=device, dtype=torch.float32)
    columns = torch.arange(left, left + width, device=device, dtype=torch.float32)
    down, across = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([across, down])


def sample(images: Tensor, places: Tensor, mode: str = "bilinear") -> Tensor:
    """Return images at places between their pixels; beyond the border, the border's pixels.

    images: (B, C, h, w). places: (B, 2, a, b), column and row, in pixels. mode: bilinear or
    bicubic. Returns (B, C, a, b).
    """
    height, width = images.shape[-2:]
    across, down = places.unbind(1)
    # grid_sample counts from -1 to 1.
    grid = torch.stack(
        [2 * across / max(width - 1, 1) - 1, 2 * down / max(height - 1, 1) - 1], dim=-1
    ).to(images.dtype)
    return functional.grid_sample(
        images, grid, mode=mode, padding_mode="border", align_corners=True
    )


def warp(images: Tensor, flow: Tensor, mode: str = "bilinear") -> tuple[Tensor, Tensor]:
    """Return images at x + flow, and where that lies inside of them: (B, h, w), bool.

    images: (B, C, h, w). flow: (B, 2, h, w).
    """
    height, width = images.shape[-2:]
    places = locate_pixels(height, width, device=flow.device) + flow
    across, down = places.unbind(1)
    inside = (across >= 0) & (across <= width - 1) & (down >= 0) & (down <= height - 1)
    return sample(images, places, mode), inside


def warp_image(image: Image, flow: Image) -> Image:
    """Return `image` as seen from where the flow begins: its value at (x, y) + flow, by bicubic.

    image: b, (h, w[, c]); flow: from a to b, (h, w, 2). Returns like image: what a should be.
    Beyond its border, image's last row or column is taken. OpenCV's, several times as fast as
    `warp` on a CPU; its places are rounded to 1/32 pixel.
    """
    height, width = flow.shape[:2]
    across = flow[..., 0] + np.arange(width, dtype=np.float32)
    down = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    import cv2  # not needed for tensors

    # Bilinear would blur detail again in each frame, and so lower PSNR.
    moved = cv2.remap(image, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def find_consistent(forward: Tensor, backward: Tensor) -> Tensor:
    """Return where a point stays in the image and the flow back leads to its start.

    forward: from a to b; backward: from b to a; (h, w, 2). Returns (h, w), bool, of a's pixels.
    """
    back, inside = warp(backward.permute(2, 0, 1)[None], forward.permute(2, 0, 1)[None])
    back = back[0].permute(1, 2, 0)  # (h, w, 2)
    lengths = forward.square().sum(-1) + back.square().sum(-1)
    distance = (forward + back).square().sum(-1)
    return inside[0] & (distance <= _RELATIVE * lengths + _OCCLUSION)
