"""DBPN: dense deep back-projection network (D-DBPN).

Haris, Shakhnarovich and Ukita 2018, "Deep Back-Projection Networks for Super-Resolution"
(arXiv 1803.02735), figures 3 to 5: two convolutions, T up-projections with T - 1 down-projections
between them, each fed with all earlier maps of its input's resolution, and one convolution of all
T high-resolution maps. The keys of the state dict (`feat0.conv.weight`, `up7.up_conv3.deconv.bias`)
are those of the authors' PyTorch code, so published files load.

Deviations: x3 (see `back_projection.py`); `bicubic_skip`, which in the authors' code only their
later DBPN-RES-MR64-3 has, there with Pillow's bicubic (a = -0.5) of the rounded lr and here with
PyTorch's (a = -0.75). The paper's small networks SS, S, M and L are luminance only, and M and L
have no dense connections; here they are dense and RGB. As in the authors' code up1, down1 and up2
have no 1x1 convolution, since their input is a single map.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sr.networks.back_projection import (
    DownProjection,
    UpProjection,
    check_scale,
    conv_prelu,
    initialize_as_published,
    plain_conv,
)


class DBPN(nn.Module):
    """D-DBPN with n_0, n_R and T as `num_shallow_features`, `num_features` and `num_stages`.

    Parameters as published: 5,953,526 at x2, 10,426,358 at x4, 23,205,878 at x8; 15,348,302 at x4
    with 10 stages (DBPNLL). The paper's SS, S, M and L have (64, 18, 2), (128, 32, 2),
    (128, 32, 4) and (128, 32, 6). Receptive radius in LR pixels: 3 a stage at x4 and x8, 6 a stage
    less 1 at x2, less 2 at x3.

    bicubic_skip: add the bicubic enlargement of lr. False in the paper and for the published
    files of these sizes. It has no weights: a file loads with either value, and is right with one.
    True is better for training from scratch: SS x4 after 500 steps on photographs 26.5 dB on
    Set5 (bicubic 26.4, RGB), without it 24.2.
    """

    def __init__(
        self,
        scale: int,
        num_shallow_features: int = 256,
        num_features: int = 64,
        num_stages: int = 7,
        bicubic_skip: bool = False,
    ) -> None:
        super().__init__()
        check_scale("DBPN", scale)
        self.scale = scale
        self.num_stages = num_stages
        self.bicubic_skip = bicubic_skip
        self.feat0 = conv_prelu(3, num_shallow_features, 3)
        self.feat1 = conv_prelu(num_shallow_features, num_features, 1)
        for stage in range(1, num_stages + 1):
            up_projection = UpProjection(scale, num_features, num_maps=max(1, stage - 1))
            self.add_module(f"up{stage}", up_projection)
            if stage < num_stages:
                self.add_module(f"down{stage}", DownProjection(scale, num_features, stage))
        self.output_conv = plain_conv(num_stages * num_features, 3, 3)
        initialize_as_published(self)

    def forward(self, lr: Tensor) -> Tensor:
        """lr: (B, 3, H, W), RGB in [0, 1]. Returns (B, 3, scale*H, scale*W), not clamped."""
        low = self.feat1(self.feat0(lr))  # (B, num_features, H, W)
        high = self.get_submodule("up1")(low)  # (B, num_features, scale*H, scale*W)
        lows: list[Tensor] = []  # newest first, the order of the published weights
        highs: list[Tensor] = [high]
        for stage in range(1, self.num_stages):
            low = self.get_submodule(f"down{stage}")(torch.cat(highs, dim=1))
            lows.insert(0, low)
            high = self.get_submodule(f"up{stage + 1}")(torch.cat(lows, dim=1))
            highs.insert(0, high)
        sr: Tensor = self.output_conv(torch.cat(highs, dim=1))
        if self.bicubic_skip:
            sr = sr + functional.interpolate(lr, scale_factor=float(self.scale), mode="bicubic")
        return sr
