"""The models that come with the program: files in sr/weights, known by their names.

What a file says of itself (scale, network, size) is read from it; here is what it is for.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from math import prod
from pathlib import Path

from safetensors import SafetensorError, safe_open

from sr.errors import ModelFileError

WEIGHTS = Path(str(resources.files("sr").joinpath("weights")))
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class ModelFacts:
    """What the header of a bundled model's file says; no weight is read for it."""

    network: str
    scale: int
    num_weights: int
    """Those that compute: of kernels that are fused from several, the fused ones."""
    num_bytes: int
    takes_clips: bool
    license: str


@dataclass(frozen=True)
class BundledModel:
    """A file in sr/weights, with a card NAME.md next to it."""

    name: str
    purpose: str
    uses: tuple[str, ...]
    """Words that it is found by, as those of the catalogue."""

    @property
    def file(self) -> Path:
        """The weights."""
        return WEIGHTS / f"{self.name}{SUFFIX}"

    @property
    def card(self) -> Path:
        """How it was made, and how good it is."""
        return WEIGHTS / f"{self.name}.md"

    def read_facts(self) -> ModelFacts:
        """Read the header. Raises ModelFileError where the file is missing or is not whole."""
        try:
            with safe_open(self.file, framework="np") as file:
                header = json.loads(file.metadata()["sr"])
                names = file.keys()
                sizes = {name: prod(file.get_slice(name).get_shape()) for name in names}
            num_bytes = self.file.stat().st_size
        except (SafetensorError, OSError) as error:
            raise ModelFileError(
                f"{self.file}: a model of this program, but it is missing or broken ({error});"
                " install again"
            ) from None
        return ModelFacts(
            network=header["generator"]["type"],
            scale=header["scale"],
            num_weights=_count_computing(sizes),
            num_bytes=num_bytes,
            takes_clips="clips" in header,
            license=str(header.get("licence") or "not stated"),
        )


BUNDLED = (
    BundledModel("span_x4", "clean images and videos", ("clean", "text", "video")),
    BundledModel("compact_x4", "clean images, for programs that read SRVGGNetCompact", ("clean",)),
    BundledModel("span_x2", "clean images and videos, x2", ("clean", "text", "video")),
    BundledModel(
        "compact_x2", "clean images, x2, for programs that read SRVGGNetCompact", ("clean",)
    ),
    BundledModel(
        "span_small_x4", "clean images and videos, in half the time", ("clean", "text", "video")
    ),
    BundledModel(
        "compact_real_x4",
        "JPEG artifacts, blur, noise",
        ("photo", "dejpeg", "denoise"),
    ),
    BundledModel(
        "compact_real_x2", "JPEG artifacts, blur, noise, x2", ("photo", "dejpeg", "denoise")
    ),
    BundledModel("graphics_x4", "text, screenshots and drawings after JPEG", ("text", "dejpeg")),
    BundledModel(
        "compact_tiny_x4", "fast: clean videos, slow computers", ("clean", "fast", "video")
    ),
    BundledModel(
        "compact_nano_x4",
        "the fastest: clean videos, very slow computers",
        ("clean", "fast", "video"),
    ),
    BundledModel("rbpn_small_x4", "clean videos: three frames per result", ("video",)),
    BundledModel(
        "iseebetter_small_x4",
        "a demonstration of iSeeBetter's loss: as rbpn_small_x4, sharper, flickers",
        ("video",),
    ),
)
DEFAULT = "span_x4"
FOR_DEGRADED = "compact_real_x4"
SMALL_DEFAULT = "span_x2"
SMALL_FOR_DEGRADED = "compact_real_x2"
SMALL_FACTOR = 2.0  # the largest enlargement that models of scale 2 are taken for


def choose_default_model(outscale: float | None = None) -> Path:
    """Return the file of the model that is taken where none is named.

    outscale: the enlargement that is asked for; None where it is the model's, or differs from
    image to image. SMALL_DEFAULT up to 2, since it makes fewer pixels than a model of scale 4
    whose result is shrunk, and better ones; DEFAULT above, and for None.
    """
    found = find_bundled(SMALL_DEFAULT if _is_small(outscale) else DEFAULT)
    assert found is not None
    return found.file


def name_for_degraded(outscale: float | None = None) -> str:
    """Return the name of the model that suits compressed and noisy images; outscale: as above."""
    return SMALL_FOR_DEGRADED if _is_small(outscale) else FOR_DEGRADED


def _is_small(outscale: float | None) -> bool:
    return outscale is not None and outscale <= SMALL_FACTOR


def find_bundled(name: str) -> BundledModel | None:
    """Return the bundled model of this name."""
    return next((bundled for bundled in BUNDLED if bundled.name == name), None)


def _count_computing(sizes: Mapping[str, int]) -> int:
    """Count the weights that compute. sizes: of the tensors in a file, by name.

    Marks (SPAN's `no_norm`, RLFN's `value_range`) do not count.
    """
    fused = {name.partition("eval_conv.")[0] for name in sizes if "eval_conv." in name}
    parts = tuple(f"{layer}{part}." for layer in sorted(fused) for part in ("conv", "sk"))
    return sum(
        size
        for name, size in sizes.items()
        if not name.startswith(parts) and not name.endswith(("no_norm", "value_range"))
    )
