"""BasicSR's generators and discriminators in our terms."""

from typing import Any

from sr.options.basicsr.reader import Leaves

# BasicSR's type: our type, {their key: ours} of whole numbers with the same defaults
_GENERATORS: dict[str, tuple[str, dict[str, tuple[str, int]]]] = {
    "MSRResNet": (
        "MSRResNet",
        {"num_feat": ("num_features", 64), "num_block": ("num_blocks", 16)},
    ),
    "EDSR": (
        "EDSR",
        {"num_feat": ("num_features", 64), "num_block": ("num_blocks", 16)},
    ),
    "RRDBNet": (
        "RRDBNet",
        {
            "num_feat": ("num_features", 64),
            "num_block": ("num_blocks", 23),
            "num_grow_ch": ("num_growth", 32),
        },
    ),
    "SRVGGNetCompact": (
        "Compact",
        {"num_feat": ("num_features", 64), "num_conv": ("num_convs", 16)},
    ),
}
_DISCRIMINATORS = {"VGGStyleDiscriminator": "SRGAN", "UNetDiscriminatorSN": "UNet"}

_EDSR_MEAN = [0.4488, 0.4371, 0.4040]  # of DIV2K, BasicSR's default and ours


def generator(leaves: Leaves, scale: int) -> dict[str, Any]:
    """`network_g` as our `generator`; what is none of our networks stays BasicSR's."""
    theirs = leaves.text("network_g.type")
    ours = theirs in _GENERATORS
    for channels in ("network_g.num_in_ch", "network_g.num_out_ch", "network_g.in_chans"):
        if (ours or leaves.given(channels)) and (count := leaves.whole(channels, 3)) != 3:
            raise ValueError(f"{channels}: expected 3, our networks are for RGB, got {count}")
    for name in ("network_g.upscale", "network_g.scale"):
        if leaves.given(name) and (of_network := leaves.whole(name)) != scale:
            raise ValueError(f"{name}: expected the scale {scale}, got {of_network}")
    if not ours:
        leaves.note("network_g.type", "taken over as a network of BasicSR, which must be installed")
        options = leaves.below("network_g")
        return {"type": "BasicSR", "arch": options.pop("type"), "options": options}
    return _ours(leaves, *_GENERATORS[theirs])


def _ours(leaves: Leaves, kind: str, sizes: dict[str, tuple[str, int]]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": kind}
    for theirs, (ours, default) in sizes.items():
        made[ours] = leaves.whole(f"network_g.{theirs}", default)
    if kind == "EDSR":
        made["residual_scale"] = leaves.number("network_g.res_scale", 1.0)
        leaves.agree("network_g.img_range", 255.0, "always 255 here")
        leaves.agree("network_g.rgb_mean", _EDSR_MEAN, f"always {_EDSR_MEAN} here")
    if kind == "Compact":
        leaves.agree("network_g.act_type", "prelu", "always prelu here; weights will not fit")
    return made


def discriminator(leaves: Leaves) -> dict[str, Any]:
    """`network_d` as our `discriminator`."""
    kind = leaves.choice("network_d.type", _DISCRIMINATORS)
    if (count := leaves.whole("network_d.num_in_ch", 3)) != 3:
        raise ValueError(f"network_d.num_in_ch: expected 3, our networks are for RGB, got {count}")
    made: dict[str, Any] = {
        "type": kind,
        "num_features": leaves.whole("network_d.num_feat", 64),
    }
    if kind == "UNet":
        made["skip_connections"] = leaves.truth("network_d.skip_connection", True)
        made["spectral_norm"] = True
        return made
    leaves.note(
        "network_d.type",
        "SRGAN's discriminator with the pooled head is used, which takes crops of any size; "
        "BasicSR's has ten convolutions and a dense head for one size",
    )
    leaves.note("network_d.input_size", "the pooled head takes any size")
    made["head"] = "pooled"
    return made
