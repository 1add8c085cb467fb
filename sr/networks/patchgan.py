"""PatchGAN: a discriminator with a logit for every patch of an image.

Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks" (pix2pix,
arXiv 1611.07004), section 3.2.2 and appendix 6.1.2: 4x4 convolutions, C64-C128-C256-C512 and one
to a single channel, for patches of 70x70 pixels.

Deviations: the result is a logit, the sigmoid is left to the loss; it sees the image alone, not
the input that it was made from next to it (the paper's condition); no convolution has a bias where
a normalization would take it away again; instance normalization (as in CycleGAN, without learned
scale), spectral normalization of every layer (Miyato et al. 2018, arXiv 1802.05957) or none can
take the place of batch normalization. Initialization as in the paper: weights from N(0, 0.02),
and biases zero.
"""

from typing import Literal

from torch import Tensor, nn

from sr.errors import UserError
from sr.networks.spectral_norm import normalize_spectrally

Normalization = Literal["batch", "instance", "spectral", "none"]

LEAKY_SLOPE = 0.2  # Isola et al. 2017, appendix 6.1.2
INITIAL_STD = 0.02  # appendix 6.2
MAX_WIDTH = 8  # widest layer, as a multiple of num_features; appendix 6.1.2


class PatchGAN(nn.Module):
    """`num_layers` halving convolutions and two of stride 1; one logit per patch.

    The patches have a side of 16, 34, 70, 142 and 286 pixels with 1 to 5 layers and lie
    2**num_layers pixels apart. 2,765,633 parameters with 64 features, 3 layers and batch
    normalization.
    """

    def __init__(
        self,
        num_features: int = 64,
        num_layers: int = 3,
        normalisation: Normalization = "batch",
    ) -> None:
        super().__init__()
        self.min_size = 3 * 2**num_layers  # pixels; what the last two convolutions need
        outer: Normalization = "spectral" if normalisation == "spectral" else "none"
        layers: list[nn.Module] = []
        in_channels = 3
        for index in range(num_layers + 1):
            out_channels = num_features * min(2**index, MAX_WIDTH)
            stride = 2 if index < num_layers else 1
            kind = outer if index == 0 else normalisation
            layers += _convolution(in_channels, out_channels, stride, kind)
            layers.append(nn.LeakyReLU(LEAKY_SLOPE, inplace=True))
            in_channels = out_channels
        layers += _convolution(in_channels, 1, 1, outer)
        self.body = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        """image: (B, 3, H, W), RGB in [0, 1]; H, W at least `min_size`.

        Returns (B, 1, H // 2**num_layers - 2, W // 2**num_layers - 2), logits: high for hr, low
        for sr.
        """
        height, width = image.shape[-2:]
        if min(height, width) < self.min_size:
            raise UserError(
                f"PatchGAN: expected images of at least {self.min_size}x{self.min_size} pixels, "
                f"got {height}x{width}; enlarge crop_size or take fewer num_layers"
            )
        logits: Tensor = self.body(image)
        return logits


def _convolution(
    in_channels: int, out_channels: int, stride: int, normalisation: Normalization
) -> list[nn.Module]:
    """Make an initialized 4x4 convolution and the layer that normalizes it."""
    bias = normalisation in ("spectral", "none")
    conv = nn.Conv2d(in_channels, out_channels, 4, stride, padding=1, bias=bias)
    nn.init.normal_(conv.weight, std=INITIAL_STD)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    match normalisation:
        case "batch":
            return [conv, nn.BatchNorm2d(out_channels)]
        case "instance":
            return [conv, nn.InstanceNorm2d(out_channels)]
        case "spectral":
            return [normalize_spectrally(conv)]
        case "none":
            return [conv]
