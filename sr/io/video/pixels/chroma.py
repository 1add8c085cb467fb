"""Resample chroma planes to the size of luma and back: `downsampled(upsampled(c))` is c.

Each halving is a pair of biorthogonal filters (Cohen, Daubechies and Feauveau 1992): the one to
enlarge is smooth, the one to reduce is its exact left inverse and a low-pass filter, also at the
borders and for odd sizes. With u = cos(w / 2) and y = sin(w / 2)^2, w the frequency at luma's
sampling rate, H the response when enlarging (halved) and D the response when reducing, exactness
is H(w) D(w) + H(w + pi) D(w + pi) = 1.

Chroma on every second luma sample (`_double_on`, `_halve_on`):
    H = u^2, bilinear, [1 2 1] / 2;  D = u^2 (1 + 2 y), LeGall 5/3, [-1 2 6 2 -1] / 8.
    D is at most 1.13, 1 at w = pi / 2 (the chroma plane's own limit), 0.63 at 2 pi / 3.
Chroma midway between two luma samples (`_double_between`, `_halve_between`):
    H = u^3 (1 + y), [-1 3 14 14 3 -1] / 16;
    D = u^3 (1 + 2 y + 4 y^2 - 8/3 y^3), [1 3 -18 2 108 108 2 -18 3 1] / 192.
    D is at most 1.11, 0.94 at pi / 2, 0.45 at 2 pi / 3; a step overshoots by 7 %.
    Bilinear's H = u^3, [1 3 3 1] / 4, would force 1.41 at pi / 2 on every symmetric D: bior3.1 has
    1.25 at 2 pi / 3 and overshoots steps by 25 %, bior3.3 is up to 1.47 and overshoots by 20 %.
    The H taken returns linear ramps as bilinear does, and overshoots steps by 6 %.

Everything is sums of shifted slices: on a GPU no convolution or matrix product may round to TF32.
Tensors are float32, chroma: (n, h, w).
"""

import torch
from torch import Tensor

from sr.io.video.frame import Siting

_UP = (3 / 16, 14 / 16, -1 / 16)
"""Of chroma samples k - 1, k, k + 1 for luma sample 2 k; mirrored for 2 k + 1."""
_DOWN = (1 / 192, -18 / 192, 108 / 192, 2 / 192, 3 / 192)
"""Of luma samples 2 (k - 2), ..., 2 (k + 2) for chroma sample k; mirrored for the odd samples."""
_NEXT = (15 / 11, -3 / 11, -1 / 11)
"""The sample after an odd number of them from the last three, last first. With a, b, c the last
chroma samples and c going on beyond the border, `_UP` makes (3 a + 14 b - c) / 16,
(-a + 14 b + 3 c) / 16 and (3 b + 13 c) / 16 the last three, and (-b + 17 c) / 16 the next."""


def upsample(
    chroma: Tensor, size: tuple[int, int], shift: tuple[int, int], siting: Siting
) -> Tensor:
    """Resample chroma to luma's size (H, W): (n, H, W), not clamped.

    shift: halvings of width and height, as in `Layout`.
    """
    across, down = shift
    for step in reversed(range(across)):
        width = -(-size[1] // 2**step)
        if siting == "left":
            chroma = _double_on(chroma, width)
        else:
            chroma = _double_between(chroma, width, -1)
    for step in reversed(range(down)):
        chroma = _double_between(chroma, -(-size[0] // 2**step), -2)
    return chroma


def downsample(chroma: Tensor, shift: tuple[int, int], siting: Siting) -> Tensor:
    """Resample chroma of luma's size to (n, ceil(H / 2^down), ceil(W / 2^across)), not clamped.

    The inverse of `upsample` to float rounding. Rows go first: they are quicker than columns.
    """
    across, down = shift
    for _ in range(down):
        chroma = _halve_between(chroma, -2)
    for _ in range(across):
        chroma = _halve_on(chroma) if siting == "left" else _halve_between(chroma, -1)
    return chroma


def _double_on(chroma: Tensor, width: int) -> Tensor:
    """Double the columns, less one if `width` is odd: the even ones are chroma's."""
    doubled = chroma.new_empty(*chroma.shape[:-1], width)
    doubled[..., 0::2] = chroma
    odd = doubled[..., 1::2]
    between = chroma.shape[-1] - 1
    torch.add(chroma[..., :-1], chroma[..., 1:], out=odd[..., :between]).mul_(0.5)
    odd[..., between:] = chroma[..., between : odd.shape[-1]]
    return doubled


def _halve_on(chroma: Tensor) -> Tensor:
    """Smooth the even columns by how far the odd ones are from what `_double_on` makes of them.

    This is LeGall's filter in two steps (lifting), mirrored about the outermost samples.
    """
    even = chroma[..., 0::2].clone(memory_format=torch.contiguous_format)
    odd = chroma[..., 1::2]
    num_odd, between = odd.shape[-1], even.shape[-1] - 1
    if num_odd == 0:
        return even
    detail = torch.sub(odd, even[..., :num_odd], alpha=0.5)
    detail[..., :between].sub_(even[..., 1:], alpha=0.5)
    detail[..., between:].sub_(even[..., between:num_odd], alpha=0.5)
    even[..., :num_odd].add_(detail, alpha=0.25)
    even[..., num_odd:].add_(detail[..., num_odd - 1 : between], alpha=0.25)
    even[..., 1:].add_(detail[..., :between], alpha=0.25)
    even[..., :1].add_(detail[..., :1], alpha=0.25)
    return even


def _double_between(chroma: Tensor, length: int, dim: int) -> Tensor:
    """Double the samples along `dim` (-2 or -1), less one if `length` is odd."""
    num = chroma.shape[dim]
    wide = _mirror(chroma, 1, dim)
    shape = list(chroma.shape)
    shape[dim] = length
    doubled = chroma.new_empty(shape)
    even, odd = _split_phases(doubled, dim)
    torch.mul(wide.narrow(dim, 0, num), _UP[0], out=even)
    torch.mul(wide.narrow(dim, 0, odd.shape[dim]), _UP[2], out=odd)
    for shift in (1, 2):
        even.add_(wide.narrow(dim, shift, num), alpha=_UP[shift])
        odd.add_(wide.narrow(dim, shift, odd.shape[dim]), alpha=_UP[2 - shift])
    return doubled


def _halve_between(chroma: Tensor, dim: int) -> Tensor:
    """Make one sample of every two along `dim` (-2 or -1), midway between them."""
    length = chroma.shape[dim]
    num = -(-length // 2)
    if length % 2 and length > 1:
        last = chroma.narrow(dim, length - 1, 1) * _NEXT[0]
        for back in (1, 2):
            last.add_(chroma.narrow(dim, length - 1 - back, 1), alpha=_NEXT[back])
        chroma = torch.cat((chroma, last), dim)
    elif length == 1:
        chroma = torch.cat((chroma, chroma), dim)
    even, odd = _split_phases(_mirror(chroma, 4, dim), dim)
    if dim == -1:  # else each of the many passes below reads twice the memory, number by number
        even, odd = even.contiguous(), odd.contiguous()
    halved = torch.mul(even.narrow(dim, 0, num), _DOWN[0])
    halved.add_(odd.narrow(dim, 4, num), alpha=_DOWN[0])
    for shift in range(1, 5):
        halved.add_(even.narrow(dim, shift, num), alpha=_DOWN[shift])
        halved.add_(odd.narrow(dim, 4 - shift, num), alpha=_DOWN[shift])
    return halved


def _split_phases(samples: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return views of the even and the odd samples along `dim` (-2 or -1)."""
    if dim == -1:
        return samples[..., 0::2], samples[..., 1::2]
    return samples[..., 0::2, :], samples[..., 1::2, :]


def _mirror(samples: Tensor, margin: int, dim: int) -> Tensor:
    """Add `margin` samples at each end, mirrored half a sample beyond the outermost ones."""
    length = samples.shape[dim]

    def at(place: int) -> Tensor:
        place %= 2 * length  # the mirrored signal repeats itself, which short ones need
        return samples.narrow(dim, min(place, 2 * length - 1 - place), 1)

    before = [at(place) for place in range(-margin, 0)]
    after = [at(place) for place in range(length, length + margin)]
    return torch.cat((*before, samples, *after), dim)
