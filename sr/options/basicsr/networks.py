"""BasicSR's generators and discriminators in our terms."""

from typing import Any

from sr.errors import UserError
from sr.options.basicsr.reader import BasicSRReader

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


def translate_generator(reader: BasicSRReader, scale: int) -> dict[str, Any]:
    """`network_g` as our `generator`; what is none of our networks stays BasicSR's."""
    theirs = reader.read_str("network_g.type")
    ours = theirs in _GENERATORS
    for channels in ("network_g.num_in_ch", "network_g.num_out_ch", "network_g.in_chans"):
        if (ours or reader.has(channels)) and (count := reader.read_int(channels, 3)) != 3:
            raise UserError(f"{channels}: expected 3, our networks are for RGB, got {count}")
    for name in ("network_g.upscale", "network_g.scale"):
        if reader.has(name) and (of_network := reader.read_int(name)) != scale:
            raise UserError(f"{name}: expected the scale {scale}, got {of_network}")
    if not ours:
        reader.warn("network_g.type", "taken over as a network of BasicSR, which must be installed")
        options = reader.read_section("network_g")
        return {"type": "BasicSR", "arch": options.pop("type"), "options": options}
    return _translate_ours(reader, *_GENERATORS[theirs])


def _translate_ours(
    reader: BasicSRReader, kind: str, sizes: dict[str, tuple[str, int]]
) -> dict[str, Any]:
    made: dict[str, Any] = {"type": kind}
    for theirs, (ours, default) in sizes.items():
        made[ours] = reader.read_int(f"network_g.{theirs}", default)
    if kind == "EDSR":
        made["residual_scale"] = reader.read_float("network_g.res_scale", 1.0)
        reader.expect("network_g.img_range", 255.0, "always 255 here")
        reader.expect("network_g.rgb_mean", _EDSR_MEAN, f"always {_EDSR_MEAN} here")
    if kind == "Compact":
        reader.expect("network_g.act_type", "prelu", "always prelu here; weights will not fit")
    return made


def translate_discriminator(reader: BasicSRReader) -> dict[str, Any]:
    """`network_d` as our `discriminator`."""
    kind = reader.read_choice("network_d.type", _DISCRIMINATORS)
    if (count := reader.read_int("network_d.num_in_ch", 3)) != 3:
        raise UserError(f"network_d.num_in_ch: expected 3, our networks are for RGB, got {count}")
    made: dict[str, Any] = {
        "type": kind,
        "num_features": reader.read_int("network_d.num_feat", 64),
    }
    if kind == "UNet":
        made["skip_connections"] = reader.read_bool("network_d.skip_connection", True)
        made["spectral_norm"] = True
        return made
    reader.warn(
        "network_d.type",
        "SRGAN's discriminator with the pooled head is used, which takes crops of any size; "
        "BasicSR's has ten convolutions and a dense head for one size",
    )
    reader.warn("network_d.input_size", "the pooled head takes any size")
    made["head"] = "pooled"
    return made
