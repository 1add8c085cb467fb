"""The discriminator of SRGAN, with the paper's head for one crop size or a pooled one for any.

Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
Network" (arXiv 1609.04802), figure 4: 3x3 convolutions whose width doubles after every second
halving layer, then two dense layers. The pooled head is that of iSeeBetter (Chadha et al. 2020,
arXiv 2006.11161, SRGAN/model.py of its repository): average over the image, two 1x1
convolutions.

Deviations: the result is a logit, the sigmoid is left to the loss; images are in [0, 1] (the
paper's HR is in [-1, 1]); spectral normalization, of every layer as in Miyato et al. 2018 (arXiv
1802.05957), or none can take the place of batch normalization. The paper names no initialization:
PyTorch's default.
"""

from typing import Literal

from torch import Tensor, nn

from sr.errors import UserError
from sr.networks.spectral_norm import normalize_spectrally

Normalization = Literal["batch", "spectral", "none"]

LEAKY_SLOPE = 0.2  # Ledig et al. 2017, sec. 2.1
HIDDEN_FEATURES = 1024  # width of the head, figure 4
# (width as a multiple of num_features, stride) of each convolution, figure 4
LADDER = ((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2))
REDUCTION = 16  # product of the strides


class SRGANDiscriminator(nn.Module):
    """Eight convolutions and a head of two layers; one logit per image.

    With batch normalization and 64 features 23,563,649 parameters with the dense head at 96 px,
    5,215,425 with the pooled one. The latter counts biases that iSeeBetter has before batch
    normalization, where they change nothing; the dense head goes without them.
    """

    def __init__(
        self,
        crop_size: int | None = 96,
        num_features: int = 64,
        head: Literal["dense", "pooled"] = "dense",
        normalisation: Normalization = "batch",
    ) -> None:
        """crop_size: side of the images, HR pixels; the pooled head does not look at it."""
        super().__init__()
        if head == "dense" and crop_size is None:
            raise UserError(
                "SRGANDiscriminator: expected a crop_size, got None; the dense head is made for "
                "images of one size, the pooled head takes any"
            )
        self.crop_size = crop_size if head == "dense" else None
        bias = normalisation != "batch" or head == "pooled"
        layers: list[nn.Module] = []
        in_channels = 3
        for index, (width, stride) in enumerate(LADDER):
            out_channels = width * num_features
            first = index == 0  # has a bias, and no batch normalization
            conv = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=first or bias)
            kind: Normalization = "none" if first and normalisation == "batch" else normalisation
            layers += [*_make_norm(conv, kind), nn.LeakyReLU(LEAKY_SLOPE, inplace=True)]
            in_channels = out_channels
        self.features = nn.Sequential(*layers)
        if self.crop_size is None:
            self.head = _make_pooled_head(in_channels)
        else:
            side = -(-self.crop_size // REDUCTION)  # each halving rounds up
            self.head = _make_dense_head(in_channels * side**2)
        if normalisation == "spectral":
            normalize_spectrally(self.head[1])
            normalize_spectrally(self.head[3])

    def forward(self, image: Tensor) -> Tensor:
        """image: (B, 3, H, W), RGB in [0, 1]; with the dense head H = W = crop_size.

        Returns (B, 1), logits: high for hr, low for sr.
        """
        height, width = image.shape[-2:]
        if self.crop_size is not None and (height, width) != (self.crop_size, self.crop_size):
            raise UserError(
                f"SRGANDiscriminator: expected images of {self.crop_size}x{self.crop_size} "
                f"pixels, its crop_size, got {height}x{width}; the pooled head takes any size"
            )
        logits: Tensor = self.head(self.features(image))  # (B, 1), pooled (B, 1, 1, 1)
        return logits.flatten(1)


def _make_norm(conv: nn.Conv2d, normalisation: Normalization) -> list[nn.Module]:
    match normalisation:
        case "batch":
            return [conv, nn.BatchNorm2d(conv.out_channels)]
        case "spectral":
            return [normalize_spectrally(conv)]
        case "none":
            return [conv]


def _make_dense_head(in_features: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(in_features, HIDDEN_FEATURES),
        nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
        nn.Linear(HIDDEN_FEATURES, 1),
    )


def _make_pooled_head(in_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(in_channels, HIDDEN_FEATURES, 1),
        nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
        nn.Conv2d(HIDDEN_FEATURES, 1, 1),
    )
