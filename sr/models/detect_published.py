"""State dicts that other projects published -> the options of our networks.

Our networks have the published key names, so detecting is reading numbers off names and shapes.
"""

import re
from collections.abc import Callable, Mapping
from math import isqrt
from typing import Any

from torch import Tensor

from sr.motion.frame_window import list_offsets
from sr.options.generator import (
    SCALES,
    CompactOptions,
    DBPNOptions,
    EDSROptions,
    GeneratorOptions,
    ISeeBetterSRResNetOptions,
    MSRResNetOptions,
    RBPNOptions,
    RLFNOptions,
    RRDBNetOptions,
    SPANOptions,
)

RECOGNIZED = (
    "Compact",
    "DBPN",
    "EDSR",
    "ISeeBetterSRResNet",
    "MSRResNet",
    "RBPN",
    "RLFN",
    "RRDBNet",
    "SPAN",
)

Weights = Mapping[str, Tensor]
Found = tuple[GeneratorOptions, int]
"""A generator's options and its scale."""


def detect_published(state_dict: Weights) -> Found | None:
    """Return what a state dict is of, or None where it is of none of our networks.

    Names and shapes of a few weights decide; whether all fit is seen when they are loaded.
    """
    for names, read in _NETWORKS:
        if all(name in state_dict for name in names):
            try:
                found = read(state_dict)
            except (LookupError, ValueError, ZeroDivisionError):
                continue  # weights are missing, or of shapes that no network has
            if found is not None and found[1] in SCALES.get(found[0].type, (2, 3, 4, 8)):
                return found
    return None


def _detect_compact(weights: Weights) -> Found | None:
    last = _count_numbered(weights, r"body\.(\d+)\.weight") - 1
    scale = _detect_shuffle_scale(weights.get(f"body.{last}.weight"))
    first, slopes = weights["body.0.weight"], weights.get("body.1.weight")
    if scale is None or slopes is None or slopes.ndim != 1 or first.shape[1] != 3 or last % 2:
        return None  # another activation than PReLU, or gray images
    return CompactOptions(
        type="Compact", num_features=first.shape[0], num_convs=last // 2 - 1
    ), scale


def _detect_rrdbnet(weights: Weights) -> Found | None:
    num_features, channels = weights["conv_first.weight"].shape[:2]
    scale = {3: 8 if "conv_up3.weight" in weights else 4, 12: 2, 48: 1}.get(channels)
    if scale is None:
        return None
    return RRDBNetOptions(
        type="RRDBNet",
        num_features=num_features,
        num_blocks=_count_numbered(weights, r"body\.(\d+)\."),
        num_growth=weights["body.0.rdb1.conv1.weight"].shape[0],
    ), scale


def _detect_msrresnet(weights: Weights) -> Found | None:
    num_features = weights["conv_first.weight"].shape[0]
    factors = isqrt(weights["upconv1.weight"].shape[0] // num_features)
    doublings = sum(f"upconv{number}.weight" in weights for number in (1, 2, 3))
    num_blocks = _count_numbered(weights, r"body\.(\d+)\.")
    options = MSRResNetOptions(type="MSRResNet", num_features=num_features, num_blocks=num_blocks)
    return options, factors**doublings


def _detect_edsr(weights: Weights) -> Found | None:
    num_features = weights["conv_first.weight"].shape[0]
    num_blocks = _count_numbered(weights, r"body\.(\d+)\.")
    factor = isqrt(weights["upsample.0.weight"].shape[0] // num_features)
    doublings = sum(f"upsample.{place}.weight" in weights for place in (0, 2, 4))
    return EDSROptions(
        type="EDSR",
        num_features=num_features,
        num_blocks=num_blocks,
        # Not in the file: the authors and BasicSR scale the residuals of wide networks only.
        residual_scale=0.1 if num_features >= 256 else 1.0,
    ), factor**doublings


def _detect_span(weights: Weights) -> Found | None:
    scale = _detect_shuffle_scale(weights["upsampler.0.weight"])
    if scale is None:
        return None
    return SPANOptions(
        type="SPAN",
        num_features=weights["conv_cat.weight"].shape[0],
        num_blocks=sum(f"block_{n}.c1_r.sk.weight" in weights for n in range(1, 100)),
        normalise="no_norm" not in weights,
    ), scale


def _detect_rlfn(weights: Weights) -> Found | None:
    scale = _detect_shuffle_scale(weights["upsampler.0.weight"])
    value_range = 1 if "value_range" in weights else 255
    num_inner, num_features = weights["block_1.c1_r.weight"].shape[:2]
    if scale is None:
        return None
    return RLFNOptions(
        type="RLFN",
        num_features=num_features,
        num_blocks=sum(f"block_{n}.esa.conv1.weight" in weights for n in range(1, 100)),
        num_inner_features=None if num_inner == num_features else num_inner,
        num_esa_features=weights["block_1.esa.conv1.weight"].shape[0],
        value_range=value_range,
    ), scale


def make_published_clips(options: GeneratorOptions) -> dict[str, Any]:
    """Return what our files hold under `clips` (`sr.models.clip_metadata`), of published weights:
    the frames' order is that of time, missing ones are the reference, nothing is aligned. Empty
    for networks that see one image.
    """
    if not isinstance(options, RBPNOptions):
        return {}
    # The authors measure flow by pyflow (Brox et al.); DIS is what comes near it without weights.
    return {
        "clips": {
            "offsets": list(list_offsets(options.num_frames, "time")),
            "edge": "reference",
            "alignment": "none",
            "flow": {"type": "DIS"},
        }
    }


def _detect_dbpn(weights: Weights) -> Found | None:
    scale = _detect_projection_scale(weights["up1.up_conv1.deconv.weight"])
    if scale is None or weights["output_conv.conv.weight"].shape[0] != 3:
        return None
    return DBPNOptions(
        type="DBPN",
        num_shallow_features=weights["feat0.conv.weight"].shape[0],
        num_features=weights["feat1.conv.weight"].shape[0],
        num_stages=sum(f"up{n}.up_conv1.deconv.weight" in weights for n in range(1, 100)),
    ), scale


def _detect_rbpn(weights: Weights) -> Found | None:
    scale = _detect_projection_scale(weights["DBPN.up1.up_conv1.deconv.weight"])
    num_features = weights["DBPN.feat1.conv.weight"].shape[0]
    if scale is None or weights["feat0.conv.weight"].shape[1] != 3:
        return None
    num_neighbors, rest = divmod(weights["output.conv.weight"].shape[1], num_features)
    if rest:
        return None
    return RBPNOptions(
        type="RBPN",
        num_shallow_features=weights["feat0.conv.weight"].shape[0],
        num_features=num_features,
        num_stages=sum(f"DBPN.up{n}.up_conv1.deconv.weight" in weights for n in range(1, 100)),
        num_res_blocks=_count_numbered(weights, r"res_feat2\.(\d+)\.conv1\.weight"),
        num_frames=num_neighbors + 1,
    ), scale


def _detect_iseebetter(weights: Weights) -> Found | None:
    doublings = sum(f"block8.{place}.prelu.weight" in weights for place in (0, 1, 2))
    num_features = weights["block1.0.weight"].shape[0]
    options = ISeeBetterSRResNetOptions(type="ISeeBetterSRResNet", num_features=num_features)
    return options, 2**doublings


def _count_numbered(weights: Weights, pattern: str) -> int:
    """Return one more than the highest number that names have at the place of the group."""
    matches = (re.match(pattern, name) for name in weights)
    return 1 + max((int(match[1]) for match in matches if match), default=-1)


def _detect_projection_scale(deconvolution: Tensor) -> int | None:
    """Return the scale of a projection unit with this weight."""
    return {6: 2, 7: 3, 8: 4, 12: 8}.get(deconvolution.shape[-1])


def _detect_shuffle_scale(last: Tensor | None) -> int | None:
    """Return the scale of a pixel shuffle into RGB after this convolution's weight."""
    if last is None or last.ndim != 4 or last.shape[0] % 3:
        return None
    scale = isqrt(last.shape[0] // 3)
    return scale if 3 * scale**2 == last.shape[0] and scale in (1, 2, 3, 4, 8) else None


_NETWORKS: tuple[tuple[tuple[str, ...], Callable[[Weights], Found | None]], ...] = (
    # names that only this network has together, and what reads its numbers
    (("conv_first.weight", "body.0.rdb1.conv1.weight", "conv_up1.weight"), _detect_rrdbnet),
    (
        ("conv_first.weight", "body.0.conv1.weight", "upconv1.weight", "conv_hr.weight"),
        _detect_msrresnet,
    ),
    (("conv_first.weight", "body.0.conv1.weight", "conv_after_body.weight"), _detect_edsr),
    (("conv_1.sk.weight", "block_1.c1_r.sk.weight", "upsampler.0.weight"), _detect_span),
    (("conv_1.weight", "block_1.c5.weight", "block_1.esa.conv_f.weight"), _detect_rlfn),
    (("feat0.conv.weight", "up1.up_conv1.deconv.weight", "output_conv.conv.weight"), _detect_dbpn),
    (("feat0.conv.weight", "DBPN.up1.up_conv1.deconv.weight", "output.conv.weight"), _detect_rbpn),
    (("block1.0.weight", "block2.bn1.running_mean", "block8.0.prelu.weight"), _detect_iseebetter),
    (("body.0.weight", "body.1.weight", "body.2.weight"), _detect_compact),
)
