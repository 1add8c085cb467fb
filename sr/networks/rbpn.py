"""RBPN: recurrent back-projection network for video.

Haris, Shakhnarovich and Ukita 2019, "Recurrent Back-Projection Network for Video
Super-Resolution" (arXiv 1903.10128), figure 2 and section 3; also the generator of iSeeBetter
(Chadha et al. 2020, arXiv 2006.11161). The reference's features go through one projection for each
neighbor: the encoder adds to the single-image estimate H^l what the neighbor's estimate H^m
differs by, the decoder takes the sum H back to low resolution for the next neighbor, and one
convolution of all H gives the result. Nothing is warped: optical flow is just another input. The
keys of the state dict (`DBPN.up1.up_conv1.deconv.weight`, `res_feat1.0.conv1.weight`) are those of
the authors' PyTorch code, which iSeeBetter uses too, so the published files of both load.

Deviations: the initialization (see `_calm_branches`); x3 (see `back_projection.py`);
`bicubic_skip`, which no published file has; stages other than 3; the decoder does not run after
the last neighbor, where the authors' code throws its result away.
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
    projecting_conv,
    projecting_deconv,
)

BRANCH_GAIN = 0.1  # of a branch's last convolution at the start, over Kaiming's


class ResidualBlock(nn.Module):
    """PReLU(x + conv(PReLU(conv(x)))); both PReLUs are one, with one slope."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.conv2 = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, num_features, H, W). Returns the same shape."""
        residual: Tensor = self.conv2(self.act(self.conv1(x)))
        activated: Tensor = self.act(x + residual)
        return activated


class SingleImageProjection(nn.Module):
    """The encoder's single-image part: a DBPN without dense connections."""

    def __init__(
        self, scale: int, num_shallow_features: int, num_features: int, num_stages: int
    ) -> None:
        super().__init__()
        self.num_stages = num_stages
        self.feat1 = conv_prelu(num_shallow_features, num_features, 1)
        for stage in range(1, num_stages + 1):
            self.add_module(f"up{stage}", UpProjection(scale, num_features))
            if stage < num_stages:
                self.add_module(f"down{stage}", DownProjection(scale, num_features))
        self.output = plain_conv(num_stages * num_features, num_features, 1)

    def forward(self, features: Tensor) -> Tensor:
        """features: (B, num_shallow_features, H, W).

        Returns (B, num_features, scale*H, scale*W).
        """
        high = self.get_submodule("up1")(self.feat1(features))
        highs: list[Tensor] = [high]  # newest first, the order of the published weights
        for stage in range(1, self.num_stages):
            low = self.get_submodule(f"down{stage}")(high)
            high = self.get_submodule(f"up{stage + 1}")(low)
            highs.insert(0, high)
        estimate: Tensor = self.output(torch.cat(highs, dim=1))
        return estimate


class RBPN(nn.Module):
    """RBPN for clips of `num_frames` frames, `num_frames` - 1 of them neighbors.

    Parameters as published: 10,134,119 at x2, 12,771,943 at x4, 20,308,583 at x8. Its receptive
    radius of 85 LR pixels at x4 is larger than most crops.

    num_shallow_features: channels at low resolution, the paper's c^l = c^m.
    num_features: channels at high resolution, the paper's c^h.
    num_stages: up-projections of the single-image part.
    num_res_blocks: residual blocks in each of the three other parts.
    bicubic_skip: add the bicubic enlargement of the reference. False in the paper and for the
    published files. It has no weights: a file loads with either value, and is right with one.
    True is better for training from scratch (see `DBPN`).
    """

    def __init__(
        self,
        scale: int,
        num_shallow_features: int = 256,
        num_features: int = 64,
        num_stages: int = 3,
        num_res_blocks: int = 5,
        num_frames: int = 7,
        bicubic_skip: bool = False,
    ) -> None:
        super().__init__()
        check_scale("RBPN", scale)
        if num_frames < 3:  # with a single neighbor nothing would train the decoder
            raise ValueError(f"RBPN: expected num_frames of at least 3, got {num_frames}")
        self.scale = scale
        self.num_frames = num_frames
        self.bicubic_skip = bicubic_skip
        self.feat0 = conv_prelu(3, num_shallow_features, 3)
        self.feat1 = conv_prelu(3 + 3 + 2, num_shallow_features, 3)
        self.DBPN = SingleImageProjection(scale, num_shallow_features, num_features, num_stages)
        self.res_feat1 = nn.Sequential(
            *(ResidualBlock(num_shallow_features) for _ in range(num_res_blocks)),
            projecting_deconv(scale, num_shallow_features, num_features),
        )
        self.res_feat2 = nn.Sequential(
            *(ResidualBlock(num_features) for _ in range(num_res_blocks)),
            conv_prelu(num_features, num_features, 3),
        )
        self.res_feat3 = nn.Sequential(
            *(ResidualBlock(num_features) for _ in range(num_res_blocks)),
            projecting_conv(scale, num_features, num_shallow_features),
        )
        self.output = plain_conv((num_frames - 1) * num_features, 3, 3)
        initialize_as_published(self)
        self._calm_branches()
        if bicubic_skip:  # start near it
            with torch.no_grad():
                self.output.get_parameter("conv.weight").mul_(BRANCH_GAIN)

    def forward(self, reference: Tensor, neighbors: Tensor, flows: Tensor) -> Tensor:
        """reference: (B, 3, H, W), RGB in [0, 1]: the frame to enlarge.

        neighbors: (B, num_frames - 1, 3, H, W), RGB in [0, 1], in the order of training, for
        published files that of time: t-3, t-2, t-1, t+1, t+2, t+3; one beyond the ends of the
        video is the reference. flows: (B, num_frames - 1, 2, H, W), in LR pixels, not normalized,
        right and down: reference[y, x] is found at neighbor[y + flow[1], x + flow[0]]. Zeros
        where there is none. Returns (B, 3, scale*H, scale*W), not clamped.
        """
        self._check_shapes(reference, neighbors, flows)
        low = self.feat0(reference)  # (B, num_shallow_features, H, W)
        highs: list[Tensor] = []
        for neighbor, flow in zip(neighbors.unbind(1), flows.unbind(1), strict=True):
            pair = self.feat1(torch.cat((reference, neighbor, flow), dim=1))
            single = self.DBPN(low)  # (B, num_features, scale*H, scale*W)
            highs.append(single + self.res_feat2(single - self.res_feat1(pair)))
            if len(highs) < self.num_frames - 1:
                low = self.res_feat3(highs[-1])
        sr: Tensor = self.output(torch.cat(highs, dim=1))
        if self.bicubic_skip:
            scale_factor = float(self.scale)
            sr = sr + functional.interpolate(reference, scale_factor=scale_factor, mode="bicubic")
        return sr

    def _check_shapes(self, reference: Tensor, neighbors: Tensor, flows: Tensor) -> None:
        """Raise ValueError for a clip of another length or size."""
        if reference.dim() != 4 or reference.shape[1] != 3:
            got = tuple(reference.shape)
            raise ValueError(f"RBPN: expected a reference of shape (B, 3, H, W), got {got}")
        batch_size, _, height, width = reference.shape
        for name, clip, channels in (("neighbors", neighbors, 3), ("flows", flows, 2)):
            expected = (batch_size, self.num_frames - 1, channels, height, width)
            if clip.shape != expected:
                got = tuple(clip.shape)
                raise ValueError(f"RBPN: expected {name} of shape {expected}, got {got}")

    @torch.no_grad()
    def _calm_branches(self) -> None:
        """Start residual blocks near their identity, projection units near their first layer.

        With the published Kaiming initialization alone each residual block doubles the variance,
        and ten of them a neighbor bring an untrained network's result to 1e5 ... 1e9 at x4 for
        inputs in [0, 1], by the seed. At x2 the projections' corrections still double it for each
        neighbor. With both calmed it is 0.05 ... 0.5 at every scale without flow.
        """
        for block in self.modules():
            if isinstance(block, ResidualBlock):
                block.conv2.weight.mul_(BRANCH_GAIN)
            elif isinstance(block, UpProjection | DownProjection):
                block.scale_correction(BRANCH_GAIN)
