"""Warping error, a measure of flicker.

Lai et al. 2018, "Learning Blind Video Temporal Consistency", arXiv 1808.00449:

    E_warp(V_t, V_t+1) = sum_i M_i |V_t,i - V^_t+1,i|^2 / sum_i M_i

where V^_t+1 is frame t+1 warped to frame t by the flow, and M is 1 where a pixel is visible in both
and does not lie where the motion changes abruptly, by the two conditions of Ruder, Dosovitskiy,
Brox 2016, "Artistic style transfer for videos", arXiv 1604.08610. A clip's error is the mean over
its pairs of consecutive frames.

Deviations: squares are averaged over the channels, not summed; the warp is bicubic, not bilinear;
pixels that leave the image are not visible.

Flow must come from other frames than those that are measured (the originals, or a network's input):
a method could make the flow of its own frames fit. A smooth image has a low error; so this goes
together with PSNR, and with the error of the originals.

A flow from a to b is (H, W, 2), across and down in pixels: the point of a at (x, y) lies in b at
(x, y) + flow.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from sr.errors import UserError
from sr.motion.warp import find_consistent, warp

_RELATIVE = 0.01  # Ruder et al. 2016, like the one below
_BOUNDARY = 0.002


def warping_error(frames: Sequence[Tensor], flows: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Return E_warp of a clip, 0 or more; its root is in the unit of the pixels.

    frames: T of (1, 3, H, W), RGB in [0, 1], clamped; T of 2 or more.
    flows: T - 1 times the flow from frame t to t+1 and the one back, (H, W, 2) each.
    Raises ValueError for other shapes, and where frames t and t+1 have no pixel in common.
    """
    if len(frames) < 2 or len(flows) != len(frames) - 1:
        raise ValueError(
            "warping error: expected 2 frames or more and a pair of flows less, "
            f"got {len(frames)} frames and {len(flows)} pairs of flows"
        )
    errors = []
    for t, (forward, backward) in enumerate(flows):
        frame, following = frames[t], frames[t + 1]
        for tensor, shape in ((frame, frames[0].shape), (following, frames[0].shape)):
            _check(tensor, (1, 3, *shape[2:]), f"frame {t} or {t + 1}")
        for flow in (forward, backward):
            _check(flow, (*frame.shape[2:], 2), f"flow between frames {t} and {t + 1}")
        visible = find_visible(forward, backward)
        if not bool(visible.any()):
            raise UserError(
                f"warping error: expected frames {t} and {t + 1} to show the same, got no pixel "
                "that is visible in both, as at a scene cut"
            )
        errors.append(measure_pair_error(frame, following, forward, visible))
    return sum(errors) / len(errors)


def find_visible(forward: Tensor, backward: Tensor) -> Tensor:
    """Return M of a pair of frames: (H, W), bool, of the first one's pixels.

    forward: the flow from it to the other; backward: the one back; (H, W, 2).
    """
    return find_consistent(forward, backward) & ~_find_boundary(forward)


def measure_pair_error(frame: Tensor, following: Tensor, forward: Tensor, visible: Tensor) -> float:
    """Return E_warp of two consecutive frames, for clips that are not in memory as a whole.

    frame, following: (1, 3, H, W), RGB in [0, 1], clamped. forward: the flow, (H, W, 2). visible:
    of `find_visible`, True somewhere.
    """
    moved, _ = warp(following.clamp(0, 1), forward.permute(2, 0, 1)[None], "bicubic")
    squares = (frame.clamp(0, 1) - moved).square().mean(dim=(0, 1))  # (H, W)
    return float(squares[visible].mean())


def _find_boundary(flow: Tensor) -> Tensor:
    """Return where the flow changes so fast that it belongs to two objects: (H, W), bool."""
    padded = functional.pad(flow.permute(2, 0, 1)[None], (0, 1, 0, 1), mode="replicate")[0]
    right = padded[:, :-1, 1:] - padded[:, :-1, :-1]  # (2, H, W)
    below = padded[:, 1:, :-1] - padded[:, :-1, :-1]
    change = (right.square() + below.square()).sum(0)
    return change > _RELATIVE * flow.square().sum(-1) + _BOUNDARY


def _check(tensor: Tensor, shape: tuple[int, ...], name: str) -> None:
    if tuple(tensor.shape) != shape or not tensor.is_floating_point():
        raise ValueError(
            f"warping error: {name}: expected a float tensor {shape}, "
            f"got {tensor.dtype} {tuple(tensor.shape)}"
        )
