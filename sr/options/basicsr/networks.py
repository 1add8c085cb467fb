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
# BasicSR's type of a network that spandrel has, with the same arguments and names of weights
_OF_SPANDREL = ("SwinIR",)
_RCAN = {  # their key: (spandrel's, BasicSR's default)
    "num_feat": ("n_feats", 64),
    "num_group": ("n_resgroups", 10),
    "num_block": ("n_resblocks", 16),
    "squeeze_factor": ("reduction", 16),
    "res_scale": ("res_scale", 1),
}
_DISCRIMINATORS = {"VGGStyleDiscriminator": "SRGAN", "UNetDiscriminatorSN": "UNet"}

_SCALES = ("upscale", "scale")
_CHANNELS = ("num_in_ch", "num_out_ch", "in_chans")
_EDSR_MEAN = [0.4488, 0.4371, 0.4040]  # of DIV2K, BasicSR's default and ours


def translate_generator(reader: BasicSRReader, scale: int) -> dict[str, Any]:
    """`network_g` as our `generator`; what is none of our networks stays BasicSR's."""
    theirs = reader.read_str("network_g.type")
    ours = theirs in _GENERATORS
    for channels in (f"network_g.{name}" for name in _CHANNELS):
        if (ours or reader.has(channels)) and (count := reader.read_int(channels, 3)) != 3:
            raise UserError(f"{channels}: expected 3, our networks are for RGB, got {count}")
    for name in (f"network_g.{name}" for name in _SCALES):
        reader.expect(name, scale, f"the network has the scale of the file, {scale}")
    if ours:
        return _translate_ours(reader, *_GENERATORS[theirs])
    if theirs == "RCAN" and not _starts_from_weights(reader):
        return _translate_rcan(reader)
    options = reader.read_section("network_g", without=("type", *_SCALES, *_CHANNELS))
    if theirs in _OF_SPANDREL:
        return {"type": "Spandrel", "arch": theirs, "options": options}
    reader.warn("network_g.type", "taken over as a network of BasicSR, which must be installed")
    return {"type": "BasicSR", "arch": theirs, "options": options}


def _starts_from_weights(reader: BasicSRReader) -> bool:
    return any(reader.has(f"path.pretrain_{kind}_g") for kind in ("network", "model"))


def _translate_rcan(reader: BasicSRReader) -> dict[str, Any]:
    """Translate RCAN as the same network in spandrel, whose weights have other names."""
    options = {
        ours: reader.read_int(f"network_g.{theirs}", default)
        for theirs, (ours, default) in _RCAN.items()
    }
    reader.expect("network_g.img_range", 255.0, "always 255 here")
    reader.expect("network_g.rgb_mean", _EDSR_MEAN, f"always {_EDSR_MEAN} here")
    return {"type": "Spandrel", "arch": "RCAN", "options": options}


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


def keeps_discriminator(reader: BasicSRReader) -> bool:
    """Return whether the discriminator is the same here, and takes their weights."""
    return reader.read_choice("network_d.type", _DISCRIMINATORS) == "UNet"


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
