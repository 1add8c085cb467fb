"""Generators put together into one that is loaded, tiled and run as any other.

A chain of models of scales s1, s2, ... and radii r1, r2, ... sees
r1 + ceil((r2 + ceil(r3 / s2)) / s1) LR pixels far. A blend sees as far as the model that sees
farthest.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from sr.errors import ModelFileError
from sr.models.loaded_model import LoadedGenerator, Tiling
from sr.networks.composite import (
    RADII,
    BlendedNetwork,
    ChainedNetwork,
    ResampleMethod,
    Resampler,
)
from sr.networks.receptive_radius import MAX_RADIUS

MAX_SCALE = 256  # of a chain: more than one pass over a tile can hold in memory
_TILING: tuple[Tiling, ...] = ("exact", "discouraged", "internal")  # from the best to the worst


def chain_generators(generators: Sequence[LoadedGenerator]) -> LoadedGenerator:
    """Return the generator that runs several one after the other; of one, itself.

    Raises ModelFileError where another than the first takes several frames, and for scales whose
    product is above MAX_SCALE.
    """
    if len(generators) == 1:
        return generators[0]
    for generator in generators[1:]:
        if generator.takes_clips:
            raise ModelFileError(
                f"-m: {generator.architecture} looks at several frames of the video, so it is"
                " expected to be the first of a chain, got it behind another model"
            )
    scale = math.prod(generator.scale for generator in generators)
    if scale > MAX_SCALE:
        scales = " * ".join(str(generator.scale) for generator in generators)
        raise ModelFileError(
            f"-m: expected a chain whose scales have a product of at most {MAX_SCALE}, got {scales}"
        )
    return _combine(
        generators,
        replace(
            generators[0],
            network=ChainedNetwork([generator.network for generator in generators]),
            scale=scale,
            receptive_radius=chain_radii(
                [generator.receptive_radius for generator in generators],
                [generator.scale for generator in generators],
            ),
            architecture=", then ".join(generator.architecture for generator in generators),
            size_multiple=_chain_multiples(generators),
            input_scales=list_input_scales(generators),
            assemble=chain_generators,
        ),
    )


def blend_generators(
    generator: LoadedGenerator, other: LoadedGenerator, strength: float
) -> LoadedGenerator:
    """Return the generator whose result is `strength` of one and 1 - strength of the other.

    Raises ModelFileError where their scales differ, or the other takes several frames.
    """
    if other.scale != generator.scale:
        raise ModelFileError(
            f"--strength-with: expected a model of scale {generator.scale}, as that of -m, got"
            f" {other.architecture} of scale {other.scale}"
        )
    if other.takes_clips:
        raise ModelFileError(
            f"--strength-with: expected a model of single images, got {other.architecture}, which"
            " looks at several frames"
        )
    if generator.takes_clips and not isinstance(other.network, Resampler):
        raise ModelFileError(
            f"--strength-with: expected no other model with {generator.architecture}, which looks"
            " at several frames; --strength alone blends it with bicubic interpolation"
        )
    pair = (generator, other)
    return _combine(
        pair,
        replace(
            generator,
            network=BlendedNetwork(generator.network, other.network, strength),
            receptive_radius=max(each.receptive_radius for each in pair),
            architecture=f"{generator.architecture} at strength {strength:g}",
            size_multiple=math.lcm(*(each.size_multiple for each in pair)),
            input_scales=(1, 1),
            assemble=partial(_blend_pair, strength=strength),
        ),
    )


def make_resampler(scale: int, method: ResampleMethod) -> LoadedGenerator:
    """Return enlargement without a network as a generator."""
    return LoadedGenerator(
        Resampler(scale, method).eval(), scale, RADII[method], method, "this program"
    )


def use_parts(
    generator: LoadedGenerator, change: Callable[[LoadedGenerator], LoadedGenerator]
) -> LoadedGenerator:
    """Return what is put together of a composite's changed parts; of any other, the changed one."""
    if generator.assemble is None:
        return change(generator)
    return generator.assemble([use_parts(part, change) for part in generator.parts])


def limit_radius(generator: LoadedGenerator, limit: int) -> int:
    """Return the receptive radius if each model saw no farther than `limit` of its own pixels."""
    if not generator.parts:
        return min(generator.receptive_radius, limit)
    radii = [limit_radius(part, limit) for part in generator.parts]
    if isinstance(generator.network, ChainedNetwork):
        return chain_radii(radii, [part.scale for part in generator.parts])
    return max(radii)


def is_radius_known(generator: LoadedGenerator) -> bool:
    """Return whether the receptive radius is exact, and not a lower bound."""
    if generator.parts:
        return all(map(is_radius_known, generator.parts))
    return generator.receptive_radius < MAX_RADIUS


def chain_radii(radii: Sequence[int], scales: Sequence[int]) -> int:
    """Return how far a chain sees, in the first one's LR pixels. radii: each in its own."""
    total = 0
    for radius, scale in zip(reversed(radii), reversed(scales), strict=True):
        total = radius + math.ceil(total / scale)
    return total


def list_input_scales(generators: Sequence[LoadedGenerator]) -> tuple[int, ...]:
    """Return how many times as fine as the chain's input each one's input is."""
    scales = [generator.scale for generator in generators]
    return tuple(math.prod(scales[:number]) for number in range(len(scales)))


def _blend_pair(pair: Sequence[LoadedGenerator], strength: float) -> LoadedGenerator:
    generator, other = pair
    return blend_generators(generator, other, strength)


def _chain_multiples(generators: Sequence[LoadedGenerator]) -> int:
    """Return the multiple of LR pixels at which all of a chain's inputs begin at their own."""
    multiples = [
        generator.size_multiple // math.gcd(generator.size_multiple, input_scale)
        for generator, input_scale in zip(generators, list_input_scales(generators), strict=True)
    ]
    return math.lcm(*multiples)


def _combine(parts: Sequence[LoadedGenerator], generator: LoadedGenerator) -> LoadedGenerator:
    """Complete a composite with what holds of it if it holds of all parts, or of one."""
    generator.network.eval().requires_grad_(False)
    return replace(
        generator,
        origin="several files",
        metadata={},
        reduced_precisions=frozenset.intersection(*(part.reduced_precisions for part in parts)),
        tiling=max((part.tiling for part in parts), key=_TILING.index),
        on_cpu_only=any(part.on_cpu_only for part in parts),
        parts=tuple(parts),
    )
