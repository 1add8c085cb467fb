"""A name for a network by what it is made of, for what is made of it or measured with it."""

import hashlib
import json

import torch

from sr.models.loaded_model import LoadedGenerator
from sr.models.onnx_model import OnnxNetwork


def fingerprint_network(generator: LoadedGenerator, *more: str) -> str:
    """Return 40 hexadecimal digits of layers, options, weights, and `more`, such as versions."""
    network = generator.network
    options = json.dumps(generator.metadata.get("generator"), sort_keys=True, default=str)
    named = (more, generator.architecture, generator.scale, options, repr(network))
    digest = hashlib.sha256(repr(named).encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    for module in network.modules():
        if isinstance(module, OnnxNetwork):
            digest.update(module.read_program())
    return digest.hexdigest()[:40]
