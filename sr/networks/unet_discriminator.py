"""The U-Net discriminator of Real-ESRGAN: a logit for every pixel.

Wang et al. 2021, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
Data" (arXiv 2107.10833), section 3.4 and figure 6, after the U-Net discriminator of Schonfeld et
al. 2020 (arXiv 2002.12655), with spectral normalization (Miyato et al. 2018, arXiv 1802.05957) of
all but the first and last layer. The keys of the state dict are those of the published
UNetDiscriminatorSN (`conv1.weight_orig`, `conv1.weight_u`, ...), so published files load.

Deviations: the way up enlarges to the size of the skip instead of by 2, which is the same where
the sides are multiples of 8 and makes other sizes work; spectral normalization holds from the
first pass on (see spectral_norm.py) and can be left out. The paper names no initialization:
PyTorch's default, as in its code.
"""

from torch import Tensor, nn
from torch.nn import functional

from sr.errors import UserError
from sr.networks.spectral_norm import normalize_spectrally

LEAKY_SLOPE = 0.2  # UNetDiscriminatorSN of the paper's repository
MIN_SIZE = 8  # pixels; three halvings leave one


class UNetDiscriminator(nn.Module):
    """Three halving convolutions, three after enlargement, three at the image's size.

    4,376,897 parameters with 64 features.
    """

    def __init__(
        self, num_features: int = 64, skip_connections: bool = True, spectral_norm: bool = True
    ) -> None:
        super().__init__()
        self.skip_connections = skip_connections

        def conv(in_width: int, out_width: int, kernel_size: int, stride: int) -> nn.Conv2d:
            layer = nn.Conv2d(
                in_width * num_features,
                out_width * num_features,
                kernel_size,
                stride,
                padding=1,
                bias=False,
            )
            return normalize_spectrally(layer) if spectral_norm else layer

        self.conv0 = nn.Conv2d(3, num_features, 3, padding=1)
        self.conv1 = conv(1, 2, 4, 2)
        self.conv2 = conv(2, 4, 4, 2)
        self.conv3 = conv(4, 8, 4, 2)
        self.conv4 = conv(8, 4, 3, 1)
        self.conv5 = conv(4, 2, 3, 1)
        self.conv6 = conv(2, 1, 3, 1)
        self.conv7 = conv(1, 1, 3, 1)
        self.conv8 = conv(1, 1, 3, 1)
        self.conv9 = nn.Conv2d(num_features, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """image: (B, 3, H, W), RGB in [0, 1]; H, W at least 8.

        Returns (B, 1, H, W), logits: high for hr, low for sr.
        """
        height, width = image.shape[-2:]
        if min(height, width) < MIN_SIZE:
            raise UserError(
                f"UNetDiscriminator: expected images of at least {MIN_SIZE}x{MIN_SIZE} pixels, "
                f"got {height}x{width}"
            )
        full = _activate(self.conv0(image))
        half = _activate(self.conv1(full))
        quarter = _activate(self.conv2(half))
        x = _activate(self.conv3(quarter))
        x = self._up(x, self.conv4, quarter)
        x = self._up(x, self.conv5, half)
        x = self._up(x, self.conv6, full)
        x = _activate(self.conv7(x))
        x = _activate(self.conv8(x))
        logits: Tensor = self.conv9(x)
        return logits

    def _up(self, x: Tensor, conv: nn.Conv2d, skip: Tensor) -> Tensor:
        """Enlarge x to the size of skip, convolve, add skip. Returns the shape of skip."""
        size = skip.shape[-2:]
        enlarged = functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
        x = _activate(conv(enlarged))
        return x + skip if self.skip_connections else x


def _activate(x: Tensor) -> Tensor:
    """LeakyReLU, in the memory of x."""
    return functional.leaky_relu(x, LEAKY_SLOPE, inplace=True)
