"""Training option files of BasicSR and Real-ESRGAN, of the single-image kind -> ours.

BasicSR: Wang et al., "BasicSR: Open Source Image and Video Restoration Toolbox", 2018 on;
Real-ESRGAN: Wang et al. 2021, arXiv 2107.10833, whose repository has the same kind of files.
What is not given has BasicSR's default. Each value of theirs is translated or listed, none is
lost silently; what cannot be meant by a listed difference is refused.
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from sr.errors import UserError
from sr.options.basicsr.data import translate_datasets
from sr.options.basicsr.losses import translate_losses
from sr.options.basicsr.networks import translate_discriminator, translate_generator
from sr.options.basicsr.reader import BasicSRReader
from sr.options.basicsr.training import translate_train
from sr.options.load import list_faults
from sr.options.read_yaml import parse_yaml
from sr.options.schema import Options

_SECTIONS = ("network_g", "datasets", "train")
_GAN_MODELS = ("SRGANModel", "ESRGANModel", "RealESRGANModel")
_MODELS = {name: name for name in ("SRModel", "SwinIRModel", "RealESRNetModel", *_GAN_MODELS)}
_SHARPENING = ("gt_usm", "l1_gt_usm", "percep_gt_usm", "gan_gt_usm")
# Which of the last three a RealESRGANModel has, and which terms that is here.
_SHARPENED_TARGETS = {
    (True, True, True): "all",
    (True, True, False): "all_but_adversarial",
}


@dataclass(frozen=True)
class Translation:
    """A file of ours, and what of theirs is not or not quite in it."""

    text: str
    """YAML that `load_options` reads, with `unused` as a comment at its head."""
    unused: list[str]
    """`key.path: value -- why, or what to do instead`, in the order of their file."""


def import_basicsr(text: str) -> Translation:
    """Translate the text of a BasicSR file.

    Raises UserError for broken YAML, a file of another kind, an unknown network and values that
    have no place here; the message names key, what was expected and what was given.
    """
    reader = BasicSRReader(_parse(text))
    scale = reader.read_int("scale")
    model = reader.read_choice("model_type", _MODELS)
    made: dict[str, Any] = {"name": _translate_name(reader)}
    made["seed"] = reader.read_int("manual_seed", 0)
    made["scale"] = scale
    made["generator"] = translate_generator(reader, scale)
    adversarial = model in _GAN_MODELS
    if adversarial:
        _expect_adversarial_parts(reader, model)
        made["discriminator"] = translate_discriminator(reader)
    made["losses"] = translate_losses(
        reader, adversarial=adversarial, relativistic=model == "ESRGANModel"
    )
    of_real_esrgan = model.startswith("RealESR")
    made["datasets"] = translate_datasets(reader, scale, crops_by_model=of_real_esrgan)
    made["train"] = translate_train(reader, adversarial=adversarial)
    if of_real_esrgan:
        data = made["datasets"]["train"]
        if sharpening := _translate_sharpening(reader, model, degrades="degradation" in data):
            data["sharpening"] = sharpening
    else:
        for key in _SHARPENING:
            reader.expect(key, False, f"has no effect with {model}")
    if reader.has("val.val_freq"):
        made["validate"] = {"interval": reader.read_int("val.val_freq")}
    if reader.has("logger.print_freq"):
        made["log"] = {"interval": reader.read_int("logger.print_freq")}
    reader.expect("logger.use_tb_logger", True, "TensorBoard is always written")
    _check_options(made)
    unused = reader.list_unused()
    return Translation(_format_head(unused) + _dump(made), unused)


def _parse(text: str) -> dict[str, Any]:
    tree = parse_yaml(text, unique_keys=False)
    wanted = f"expected a training file of BasicSR, with sections {', '.join(_SECTIONS)}"
    if not isinstance(tree, dict):
        raise UserError(f"{wanted}, got {type(tree).__name__}")
    missing = [name for name in _SECTIONS if not isinstance(tree.get(name), dict)]
    if missing:
        got = ", ".join(str(key) for key in tree)
        raise UserError(f"{wanted}; there is no {', '.join(missing)} among: {got}")
    return tree


def _translate_name(reader: BasicSRReader) -> str:
    """Return their name, changed where it cannot name a folder."""
    theirs = reader.read_str("name")
    ours = re.sub(r"[^A-Za-z0-9._-]", "_", theirs)
    if not ours[0].isalnum():
        ours = f"run{ours}"
    if ours != theirs:
        reader.warn("name", f"taken over as {ours}, which can name a folder")
    return ours


def _expect_adversarial_parts(reader: BasicSRReader, model: str) -> None:
    parts = ("network_d", "train.gan_opt", "train.optim_d")
    missing = [part for part in parts if not reader.list_keys(part)]
    if missing:
        raise UserError(f"{', '.join(missing)}: expected with model_type {model}, got nothing")


def _translate_sharpening(
    reader: BasicSRReader, model: str, *, degrades: bool
) -> dict[str, Any] | None:
    """Translate what a model of Real-ESRGAN sharpens; None: nothing, or nothing that is here too.

    RealESRNetModel degrades and compares with sharpened hr if `gt_usm` says so, RealESRGANModel
    always degrades sharpened hr; the other keys say what is compared with it.
    """
    others: tuple[str, ...]
    if model == "RealESRNetModel":
        targets = "all" if reader.read_bool("gt_usm") else None
        others = _SHARPENING[1:]
    else:
        values = [reader.read_bool(key) for key in _SHARPENING[1:]]
        targets = _SHARPENED_TARGETS.get((values[0], values[1], values[2]))
        others = _SHARPENING[:1]
    for key in others:
        reader.expect(key, False, f"has no effect with {model}")
    if targets and degrades:
        return {"targets": targets}
    if targets or model == "RealESRGANModel":
        for key in _SHARPENING:
            reader.warn(
                key,
                "hr is sharpened here with a degradation, for all terms or all but "
                "the adversarial; now it is not, and results are softer",
            )
        if degrades:
            reader.warn("model_type", "taken over, but it sharpens hr before it is degraded")
    return None


def _check_options(made: dict[str, Any]) -> None:
    """Load what will be written, so that a value with no place here is refused now."""
    try:
        Options.model_validate(made)
    except ValidationError as error:
        listed = "\n".join(f"  {fault}" for fault in list_faults(error))
        raise UserError(f"translated, these options are refused:\n{listed}") from None


def _format_head(unused: list[str]) -> str:
    lines = [
        "# yaml-language-server: $schema=../schema.json",
        "# Translated from a training file of BasicSR by sr-convert.",
    ]
    if unused:
        lines += ["# Not taken over, or not quite:", *(f"#   {line}" for line in unused)]
    return "\n".join(lines) + "\n\n"


class _Dumper(yaml.SafeDumper):
    """Lists of plain values on one line, all else one key per line."""

    def represent_sequence(
        self, tag: str, sequence: Any, flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        plain = not any(isinstance(item, dict) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=plain or flow_style)


def _dump(made: dict[str, Any]) -> str:
    sections = (
        yaml.dump({key: value}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
        for key, value in made.items()
    )
    return "".join(
        ("\n" if isinstance(made[key], dict) else "") + section
        for key, section in zip(made, sections, strict=True)
    )
