"""ONNX files: written from a generator and checked against it, and read as one.

Needs the extra `onnx`. Inputs and outputs as in `sr.models.onnx_network`, float32 also where the
weights inside are float16.
"""

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from sr.io.atomic_write import atomic_write
from sr.io.model_file import ModelFileError
from sr.models.loaded_model import LoadedGenerator, Tiling
from sr.models.onnx_network import OnnxNetwork, export_onnx, require_onnx
from sr.networks.receptive import MAX_RADIUS

CHECKED_SIZE = (1, 3, 37, 26)  # another batch and size than those of the export
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2}  # of the [0, 1] range


class _Header(BaseModel):
    """What a file of ours tells under the key `sr`; others tell nothing."""

    generator: dict[str, Any] = {}
    receptive_radius: NonNegativeInt | None = None
    size_multiple: PositiveInt = 1
    tiling: Tiling = "exact"


class _Halved(nn.Module):
    """A network in float16 between float32 ends."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.network(lr.half())
        return sr.float()


def write_onnx(path: Path, generator: LoadedGenerator, *, half: bool) -> float:
    """Export a generator; the file appears only if onnxruntime computes what torch does.

    Returns the largest difference on a random image, in units of the [0, 1] range. Raises
    ModelFileError where the network cannot be exported or the file computes something else.
    """
    require_onnx()
    import onnx

    network = generator.network
    lr = torch.rand(CHECKED_SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(lr.clone())  # some networks change their input
    dtype = torch.float16 if half else torch.float32
    program = export_onnx(_Halved(network) if half else network, str(path))
    metadata = {**generator.metadata, "scale": generator.scale}
    metadata["receptive_radius"] = generator.receptive_radius
    metadata["size_multiple"] = generator.size_multiple
    metadata["tiling"] = generator.tiling
    onnx.helper.set_model_props(program, {"sr": json.dumps(metadata)})
    with atomic_write(path) as temporary:
        onnx.save(program, temporary)
        difference = float((OnnxNetwork(temporary, str(path))(lr) - expected).abs().max())
        if not difference <= TOLERANCE[dtype]:
            raise ModelFileError(
                f"{path}: onnxruntime's result differs from torch's by {difference:g} "
                f"(allowed: {TOLERANCE[dtype]:g}); nothing was written"
            )
    return difference


def read_onnx(path: Path) -> LoadedGenerator:
    """The generator in an ONNX file. Raises ModelFileError for what is not one."""
    require_onnx()
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    network = OnnxNetwork(path, str(path)).eval()
    metadata, header = _metadata(path, network.metadata_text())
    radius = header.receptive_radius
    return LoadedGenerator(
        network,
        network.scale,
        MAX_RADIUS if radius is None else min(radius, MAX_RADIUS),
        architecture=str(header.generator.get("type", "unnamed")),
        origin="ONNX",
        metadata=metadata,
        reduced_precisions=frozenset(),  # the file has one of its own
        size_multiple=header.size_multiple,
        tiling=header.tiling,
        on_cpu_only=True,
    )


def _metadata(path: Path, text: str) -> tuple[dict[str, Any], _Header]:
    """All that the file tells, and what of it is used."""
    try:
        read = json.loads(text)
        return read, _Header.model_validate(read)
    except ValueError as error:  # of JSON, and of pydantic
        raise ModelFileError(f"{path}: its metadata cannot be read: {error}") from None
