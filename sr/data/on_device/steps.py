"""The single steps of degradations for a batch of square images of different sizes, in torch.

A batch is a canvas, (B, 3, S, S) float32, RGB in [0, 1], with an image of `sides[b]` pixels per
side in the top left corner of each element; what the canvas has beyond an image is finite and has
no influence. The steps are those of `sr.data.degradations`, image by image, with OpenCV's
definitions of the filters, equal but for rounding; only noise comes from other generators.

Letters: B images; N and M pixels per side of the canvas before and after a step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from sr.data.degradations import Filter
from sr.data.kernels import Kernel
from sr.device import full_fp32

_CUBIC = -0.75  # OpenCV's parameter of the cubic kernel
_LEVELS = 255
_LUMA = (0.299, 0.587, 0.114)  # BT.601


def blur(images: Tensor, sides: Sequence[int], kernels: Sequence[Kernel | None]) -> Tensor:
    """Convolve each image with its kernel, borders mirrored, and clip to [0, 1]; None: as it was.

    images: (B, 3, N, N). kernels: square, of odd sizes, symmetric about their centers.
    """
    sizes = [len(kernel) for kernel in kernels if kernel is not None]
    if not sizes:
        return images
    stacked = torch.stack([_pad_kernel(kernel, max(sizes)) for kernel in kernels])
    weights = stacked.to(images.device).repeat_interleave(3, dim=0)[:, None]  # (3B, 1, k, k)
    padded = gather_pixels(images, _mirror(sides, images, max(sizes) // 2))
    with full_fp32:
        blurred = functional.conv2d(padded.flatten(0, 1)[None], weights, groups=len(weights))
    return blurred.view_as(images).clamp_(0, 1)


def resize(
    images: Tensor, sides: Sequence[int], new_sides: Sequence[int], filters: Sequence[Filter]
) -> Tensor:
    """Resize each image to its new side by its filter, and clip to [0, 1].

    images: (B, 3, N, N). Returns (B, 3, M, M), M the largest of the new sides. Every filter is a
    matrix that each dimension is multiplied with.
    """
    if list(sides) == list(new_sides):
        return images
    num_inputs, num_outputs = images.shape[-1], max(new_sides)
    weights = images.new_zeros(len(sides), 1, num_outputs, num_inputs)
    for kind in dict.fromkeys(filters):
        chosen = [number for number, other in enumerate(filters) if other == kind]
        old, new = (
            torch.tensor([values[i] for i in chosen], dtype=torch.float64, device=images.device)
            for values in (sides, new_sides)
        )
        matrices = _make_matrices(old, new, kind, num_inputs, num_outputs)
        weights[chosen] = matrices[:, None].to(weights.dtype)
    return (weights @ images @ weights.transpose(-1, -2)).clamp_(0, 1)


def draw_gaussian_noise(shape: Sequence[int], sigma: float, generator: torch.Generator) -> Tensor:
    """Draw normal noise. sigma: standard deviation in 8-bit levels."""
    noise = torch.randn(tuple(shape), generator=generator, device=generator.device)
    return noise * (sigma / _LEVELS)


def draw_poisson_noise(
    image: Tensor, scale: float, gray: bool, generator: torch.Generator
) -> Tensor:
    """Draw `scale` times the error of counting one photon per level of an image, (3, H, W).

    Returns (3, H, W), or (1, H, W) for gray noise, which is that of the luma.
    """
    levels = image.clamp(0, 1) * _LEVELS
    if gray:
        luma = levels.new_tensor(_LUMA)[:, None, None]
        levels = (levels * luma).sum(dim=0, keepdim=True)
    return (torch.poisson(levels, generator) - levels) * (scale / _LEVELS)


def round_to_8_bits(images: Tensor) -> Tensor:
    """Clip to [0, 1] and round to the nearest of 256 levels, halves up."""
    return (images.clamp(0, 1) * _LEVELS + 0.5).floor_() / _LEVELS


def gather_pixels(images: Tensor, places: Tensor) -> Tensor:
    """Take the same rows and columns of each image: (B, C, N, N), (B, M) -> (B, C, M, M)."""
    num_images, channels, side, _ = images.shape
    count = places.shape[1]
    rows = places[:, None, :, None].expand(num_images, channels, count, side)
    columns = places[:, None, None, :].expand(num_images, channels, count, count)
    return images.gather(2, rows).gather(3, columns)


def _mirror(sides: Sequence[int], images: Tensor, reach: int) -> Tensor:
    """Return the places -reach to N + reach - 1, mirrored at the outermost pixels: (B, M)."""
    places = torch.arange(-reach, images.shape[-1] + reach, device=images.device)
    last = torch.tensor(sides, device=images.device)[:, None] - 1  # (B, 1)
    periodic = places.remainder((2 * last).clamp(min=1))
    return torch.minimum(periodic, 2 * last - periodic).clamp_(min=0)


def _pad_kernel(kernel: Kernel | None, size: int) -> Tensor:
    """Put zeros around a kernel up to a size; None becomes a single 1."""
    values = torch.ones(1, 1) if kernel is None else torch.from_numpy(kernel)
    return functional.pad(values, [(size - len(values)) // 2] * 4)


def _make_matrices(
    old: Tensor, new: Tensor, kind: Filter, num_inputs: int, num_outputs: int
) -> Tensor:
    """Return the weight of each input pixel in each output pixel: (B, num_outputs, num_inputs).

    old, new: sides before and after, (B,) float64.
    """
    inputs = torch.arange(num_inputs, device=old.device)
    outputs = torch.arange(num_outputs, device=old.device)[:, None]
    old, new = old[:, None, None], new[:, None, None]
    ratio = old / new
    if kind == "area":
        first = outputs * ratio
        overlap = torch.minimum(inputs + 1, first + ratio) - torch.maximum(inputs, first)
        shrinking = (overlap / ratio).clamp_(0)
        # OpenCV's: steps that keep to the input's pixels, with soft edges.
        start = first.floor()
        place = start + ((outputs + 1) - (start + 1) / ratio).clamp_(0).frac()
        enlarging = _interpolate(place, old, inputs, cubic=False)
        return torch.where(ratio > 1, shrinking, enlarging)
    place = (outputs + 0.5) * ratio - 0.5
    return _interpolate(place, old, inputs, cubic=kind == "bicubic")


def _interpolate(place: Tensor, old: Tensor, inputs: Tensor, *, cubic: bool) -> Tensor:
    """Return the weights of the pixels around a place; beyond the border counts its last pixel.

    place: (B, M, 1). old: (B, 1, 1). inputs: (N,). Returns (B, M, N).
    """
    weights = place.new_zeros(len(place), place.shape[1], len(inputs))
    for tap in range(-1, 3) if cubic else range(2):
        neighbor = place.floor() + tap
        distance = (place - neighbor).abs()
        weight = _cubic(distance) if cubic else 1 - distance
        weights += weight * (inputs == torch.minimum(neighbor, old - 1).clamp_(0))
    return weights


def _cubic(distance: Tensor) -> Tensor:
    """Keys' kernel, 0 from a distance of 2 on."""
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * _CUBIC - 4 * _CUBIC
    return torch.where(distance <= 1, near, far)
