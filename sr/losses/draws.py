"""Random numbers of loss terms, which depend on the seed and the step alone."""

import torch


def make_draw(seed: int, step: int) -> torch.Generator:
    """Return a generator on the CPU that seed and step alone determine."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
