"""Networks of spandrel's registry as generators."""

from typing import Any

import pytest
import torch
from spandrel import ImageModelDescriptor, ModelLoader
from torch.nn import functional

from sr.errors import UserError
from sr.networks.spandrel_arguments import UNFIT, list_networks
from sr.networks.spandrel_network import SpandrelGenerator

SMALL: dict[str, tuple[int, dict[str, Any]]] = {  # scale, and options for a few weights
    "ATD": (
        2,
        {
            "embed_dim": 12,
            "depths": [2],
            "num_heads": [2],
            "window_size": 4,
            "num_tokens": 4,
            "upsampler": "pixelshuffledirect",
        },
    ),
    "Compact": (4, {"num_feat": 4, "num_conv": 1}),
    "CRAFT": (2, {"embed_dim": 24, "depths": [1], "num_heads": [6]}),
    "DAT": (2, {"embed_dim": 32, "depth": [2], "num_heads": [2], "split_size": [2, 4]}),
    "DCTLSA": (2, {"nf": 20}),
    "DITN": (2, {"dim": 12, "ITL_blocks": 1, "SAL_blocks": 1}),
    "DnCNN": (1, {"nc": 8}),
    "DRCT": (
        2,
        {
            "embed_dim": 12,
            "depths": [2],
            "num_heads": [2],
            "window_size": 4,
            "gc": 4,
            "upsampler": "pixelshuffle",
        },
    ),
    "ESRGAN": (4, {"num_filters": 8, "num_blocks": 1}),
    "FDAT": (
        2,
        {"embed_dim": 16, "num_groups": 1, "depth_per_group": 1, "num_heads": 2, "mid_dim": 8},
    ),
    "FFTformer": (1, {"dim": 8, "num_blocks": [1, 1, 1], "num_refinement_blocks": 1}),
    "HAT": (
        2,
        {
            "embed_dim": 12,
            "depths": [1],
            "num_heads": [2],
            "window_size": 4,
            "squeeze_factor": 4,
        },
    ),
    "HVICIDNet": (1, {"channels": [8, 8, 16, 16]}),
    "KBNet_s": (
        1,
        {
            "width": 8,
            "middle_blk_num": 1,
            "enc_blk_nums": [1, 1, 1, 1],
            "dec_blk_nums": [1, 1, 1, 1],
        },
    ),
    "MixDehazeNet": (1, {"embed_dims": [8, 8, 8, 8, 8]}),
    "MoESR": (2, {"dim": 8, "n_blocks": 1, "n_block": 1, "upsample_dim": 8}),
    "MoSR": (2, {"dim": 8, "n_block": 1}),
    "NAFNet": (1, {"width": 8, "enc_blk_nums": [1], "dec_blk_nums": [1]}),
    "OmniSR": (2, {"num_feat": 16}),
    "PLKSR": (2, {"dim": 8, "n_blocks": 1}),
    "RCAN": (2, {"n_resgroups": 1, "n_resblocks": 1, "n_feats": 16}),
    "RealPLKSR": (2, {"dim": 8, "n_blocks": 1}),
    "RetinexFormer": (1, {"n_feat": 8, "stage": 1}),
    "RGT": (2, {"embed_dim": 32, "depth": [2], "num_heads": [2]}),
    "SAFMN": (2, {"dim": 8, "n_blocks": 1}),
    "SAFMNBCIE": (1, {"dim": 8, "n_blocks": 1, "num_layers": 1}),
    "SeemoRe": (2, {"embedding_dim": 16, "num_layers": 1}),
    "SPAN": (2, {"feature_channels": 8}),
    "SwiftSRGAN": (2, {"num_channels": 8, "num_blocks": 1}),
    "Swin2SR": (
        2,
        {
            "embed_dim": 12,
            "depths": [1],
            "num_heads": [2],
            "window_size": 4,
            "upsampler": "pixelshuffledirect",
        },
    ),
    "SwinIR": (
        2,
        {
            "embed_dim": 12,
            "depths": [1],
            "num_heads": [2],
            "window_size": 4,
            "upsampler": "pixelshuffledirect",
        },
    ),
}
SLOW = {"FBCNN", "GRL", "KBNet_l", "MMRealSR", "SCUNet", "Uformer"} | {
    f"UpCunet{kind}" for kind in ("2x", "2x_fast", "3x", "4x")
}
REFUSED = {"DRUNet"}  # which takes a map of noise next to the image

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{text}")
    for text in ("torch.meshgrid", "Initializing zero-element", "'saved_variables' is deprecated")
]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_every_network_of_the_registry_is_tried_or_known_to_be_slow_or_unfit() -> None:
    assert {*SMALL} | SLOW | REFUSED == {*list_networks()}
    assert not UNFIT.keys() & list_networks().keys()


@pytest.mark.parametrize("arch", SMALL)
def test_networks_of_the_registry_train_and_come_back_through_spandrel(arch: str) -> None:
    scale, options = SMALL[arch]
    network = SpandrelGenerator(scale, arch, options)
    sr = network(torch.rand(2, 3, 9, 13))
    assert sr.shape == (2, 3, 9 * scale, 13 * scale)
    sr.mean().backward()
    with_gradient = [p.grad is not None for p in network.parameters() if p.requires_grad]
    assert sum(with_gradient) > len(with_gradient) // 2  # some train more layers than they use

    lr = torch.rand(1, 3, 16, 16)
    network.zero_grad()
    with torch.no_grad():
        sr = network.eval()(lr)  # refreshes what SPAN keeps
        theirs = ModelLoader().load_from_state_dict(dict(network.state_dict()))
        assert isinstance(theirs, ImageModelDescriptor)
        assert type(theirs.model) is list_networks()[arch]
        expected = theirs.eval()(lr)
    assert (sr.clamp(0, 1) - expected).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("arch", "scale", "options", "message"),
    [
        ("HATT", 2, {}, r"generator\.arch: did you mean HAT.*one of ATD, .*; got HATT"),
        ("realplksr", 2, {}, r"generator\.arch: did you mean RealPLKSR"),
        (
            "GFPGAN",
            2,
            {},
            r"generator\.arch: expected .*single images, got GFPGAN, which take",
        ),
        (
            "HAT",
            2,
            {"embed": 1},
            r"generator\.options\.embed: did you mean embed_dim\?",
        ),
        ("HAT", 2, {"norm_layer": "x"}, r"generator\.options\.norm_layer: .*expected an argument"),
        ("HAT", 2, {"depths": 6}, r"options\.depths: expected .* such as \[6, 6, 6, 6\]; got 6"),
        ("SwinIR", 2, {"depths": [6, "b"]}, r"options\.depths\.1: expected a valid int.*got 'b'"),
        ("HAT", 2, {"window_size": "16"}, r"options\.window_size: expected a valid int.*got '16'"),
        ("RCAN", 2, {"norm": 3}, r"generator\.options\.norm: expected a valid boolean"),
        ("RealPLKSR", 2, {"kernel_size": 1.5}, r"options\.kernel_size: expected a valid integer"),
        ("RealPLKSR", 2, {"upscaling_factor": 4}, r"upscaling_factor: expected the scale.* 2, or"),
        ("HAT", 2, {"in_chans": 1}, r"generator\.options\.in_chans: expected 3 channels"),
        ("SAFMN", 2, {}, r"generator\.options: expected dim of SAFMN in spandrel, .*got nothing"),
        (
            "SwinIR",
            2,
            {"window_size": 8},
            r"enlarges RGB images 2 times; SwinIR.*set options\.upsampler, which is ''",
        ),
        ("SwinIR", 2, {"window_size": 4, "upsampler": "shuffle"}, r"upsampler, which is 'shuffle'"),
        ("DnCNN", 2, {}, r"expected a network that enlarges RGB images 2 times; DnCNN .* 1 times"),
        (
            "RCAN",
            2,
            {"rgb_range": 1, **SMALL["RCAN"][1]},
            "rgb_range 255 instead of 1",
        ),
        ("SwinIR", 2, {"embed_dim": 7}, "generator.options: SwinIR of spandrel cannot be built"),
        (
            "SwinIR",
            2,
            {"upsampler": "pixelshuffle"},
            r"expected img_size to be a multiple of window_size, got 64 and 7; window_size 8 or",
        ),
        ("HAT", 2, {}, r"window_size times overlap_ratio to be an even number, got 7 \* 0\.5;"),
        ("DRCT", 1, {**SMALL["DRCT"][1], "upsampler": ""}, "DRCT .*depends on no weight"),
    ],
)
def test_what_makes_no_generator_is_refused(
    arch: str, scale: int, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        SpandrelGenerator(scale, arch, options)


def test_arguments_of_whole_numbers_and_lists_are_taken_as_yaml_has_them() -> None:
    options = {**SMALL["HAT"][1], "mlp_ratio": 2, "compress_ratio": 2, "depths": [2]}
    network = SpandrelGenerator(2, "HAT", options)
    assert network.tags[-1] == "1conv"
    assert sum("conv_block.cab.0.weight" in name for name in network.state_dict()) == 2


def test_it_overfits_a_crop() -> None:
    y, x = torch.meshgrid(torch.arange(12) / 12, torch.arange(12) / 12, indexing="ij")
    waves, edge = 0.5 + 0.4 * torch.sin(25 * x * y), 0.1 + 0.8 * (x + y > 0.9)
    hr = torch.stack([waves, edge, 0.5 + 0.4 * torch.cos(18 * (x - y))])[None]
    lr = functional.avg_pool2d(hr, 2)
    network = SpandrelGenerator(2, "RealPLKSR", {"dim": 16, "n_blocks": 2, "kernel_size": 5})
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = (network(lr) - hr).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
