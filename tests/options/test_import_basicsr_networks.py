"""Networks and initial weights of a BasicSR file."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.basicsr_files import (
    EDSR,
    ESRGAN,
    MSRRESNET,
    REAL_ESRGAN,
    change,
    find_line,
    load,
)

from sr.options.import_basicsr import Translation, import_basicsr


def settings(imported: Translation) -> Any:
    return yaml.safe_load(imported.text)


def test_another_network_stays_one_of_basicsr(tmp_path: Path) -> None:
    ecbsr = {"type": "ECBSR", "upscale": 4, "num_in_ch": 3, "num_block": 4, "act_type": "prelu"}
    text = change(MSRRESNET, ("network_g",), {**ecbsr, "resi": {"kind": "1conv", "bias": None}})
    assert load(text, tmp_path).generator.model_dump() == {
        "type": "BasicSR",
        "arch": "ECBSR",
        "options": {
            "num_block": 4,
            "act_type": "prelu",
            "resi": {"kind": "1conv", "bias": None},
        },
    }
    assert "must be installed" in find_line(text, "network_g.type")
    assert not find_line(text, "network_g.num_block")


def test_swinir_and_rcan_become_those_of_spandrel(tmp_path: Path) -> None:
    swinir = {"type": "SwinIR", "upscale": 4, "in_chans": 3, "depths": [6, 6], "upsampler": "x"}
    text = change(MSRRESNET, ("network_g",), swinir)
    assert load(change(text, ("model_type",), "SwinIRModel"), tmp_path).generator.model_dump() == {
        "type": "Spandrel",
        "arch": "SwinIR",
        "options": {"depths": [6, 6], "upsampler": "x"},
    }
    rcan = {"type": "RCAN", "num_group": 5, "num_block": 20, "upscale": 4, "img_range": 255.0}
    text = change(MSRRESNET, ("network_g",), rcan)
    assert load(text, tmp_path).generator.model_dump() == {
        "type": "Spandrel",
        "arch": "RCAN",
        "options": {
            "n_feats": 64,
            "n_resgroups": 5,
            "n_resblocks": 20,
            "reduction": 16,
            "res_scale": 1,
        },
    }
    text = change(text, ("path", "pretrain_network_g"), "rcan.pth")  # names of BasicSR's
    assert load(text, tmp_path).generator.type == "BasicSR"


def test_a_network_of_another_scale_than_its_file_is_listed(tmp_path: Path) -> None:
    rcan = {"type": "RCAN", "num_group": 5, "num_block": 20, "upscale": 2}
    text = change(MSRRESNET, ("network_g",), rcan)
    assert load(text, tmp_path).scale == 4
    assert "the network has the scale of the file, 4" in find_line(text, "network_g.upscale")


@pytest.mark.parametrize("key", ["num_in_ch", "in_chans"])
def test_another_network_must_be_of_our_colors(key: str) -> None:
    text = change(MSRRESNET, ("network_g",), {"type": "SwinIR", key: 1})
    with pytest.raises(ValueError, match=rf"network_g\.{key}: expected 3, .*got 1"):
        import_basicsr(text)


def test_initial_weights_may_fit_in_part(tmp_path: Path) -> None:
    train = load(change(EDSR, ("path", "strict_load"), True), tmp_path).train
    assert (train.initial_generator, train.initial_partial) == (Path("edsr_x2.pth"), False)
    train = load(EDSR, tmp_path).train
    assert (train.initial_generator, train.initial_partial) == (Path("edsr_x2.pth"), True)
    text = change(EDSR, ("path", "strict_load_g"), True)  # the newer key counts
    assert not load(text, tmp_path).train.initial_partial
    assert "strict_load_g counts" in find_line(text, "path.strict_load")


def test_initial_weights_of_a_discriminator_arrive(tmp_path: Path) -> None:
    gan = load(REAL_ESRGAN, tmp_path).train.gan
    assert gan is not None
    assert (gan.initial_discriminator, gan.initial_partial) == (Path("netD.pth"), False)
    text = change(REAL_ESRGAN, ("path", "strict_load_d"), False)
    gan = load(text, tmp_path).train.gan
    assert gan is not None
    assert gan.initial_partial
    text = change(ESRGAN, ("path", "pretrain_network_d"), "netD.pth")
    gan = load(text, tmp_path).train.gan
    assert gan is not None
    assert gan.initial_discriminator is None
    assert "another one here" in find_line(text, "path.pretrain_network_d")
