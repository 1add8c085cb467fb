"""An ncnn program as a whole: scale, receptive radius, weights, and memory per pixel."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from sr.errors import ModelFileError
from sr.models.ncnn_blobs import Blob, Step, Weights
from sr.models.ncnn_layers import trace_layer
from sr.models.ncnn_program import Layer, Program

FLOAT32, FLOAT32_SCALED, FLOAT16 = 0, 0x0002C056, 0x01306B47  # the marks before weights
_ALIGNMENT = 4  # bytes, of float16 weights


@dataclass(frozen=True)
class Graph:
    """What is known of a program from its text. Numbers are those that ncnn holds in memory.

    receptive_radius: LR pixels; None if as far as the whole image. size_multiple: LR pixels that
    sides must be multiples of. peak_numbers: per LR pixel, the most that live at a time, with
    workspaces. largest_blob: likewise of a single blob.
    """

    scale: int
    receptive_radius: int | None
    size_multiple: int
    weights: Sequence[Weights]
    peak_numbers: float
    largest_blob: float

    @property
    def num_weights(self) -> int:
        """How many numbers the .bin file holds."""
        return sum(each.count for each in self.weights)


def trace_program(program: Program) -> Graph:
    """Follow the layers. Raises ValueError (UnknownLayerError) for a program not known as a whole.

    The result must be an image of 3 channels, enlarged by a whole number.
    """
    blobs: dict[str, Blob] = {}
    steps: list[Step] = []
    for layer in program.layers:
        try:
            step = trace_layer(layer, [blobs[name] for name in layer.inputs])
        except ValueError as error:
            raise type(error)(f"{layer.kind} {layer.name}: {error}") from None
        steps.append(step)
        blobs.update(zip(layer.outputs, step.outputs, strict=True))
    result = blobs[program.result]
    if not result.is_image or result.channels != 3 or result.scale.denominator != 1:
        raise ValueError(
            f"expected an image of 3 channels, enlarged by a whole number, as the output; got "
            f"{result.channels} channels, {float(result.scale):g} times the size"
        )
    images = [blob for blob in blobs.values() if blob.is_image]
    return Graph(
        scale=int(result.scale),
        receptive_radius=None if result.reach is None else math.ceil(result.reach),
        size_multiple=math.lcm(*(blob.scale.denominator for blob in images)),
        weights=[each for step in steps for each in step.weights],
        peak_numbers=_find_peak(program.layers, steps, blobs),
        largest_blob=max(_count_numbers(blob) for blob in images),
    )


def check_weights(path: Path, weights: Sequence[Weights]) -> None:
    """Raise ModelFileError where a .bin file does not hold these weights, and nothing else."""
    position = 0
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            for each in weights:
                mark = FLOAT32
                if each.is_tagged:
                    file.seek(position)
                    mark = int.from_bytes(file.read(4), "little")
                    position += 4
                if position > size:
                    break
                if mark not in (FLOAT32, FLOAT32_SCALED, FLOAT16):
                    raise ModelFileError(
                        f"{path}: expected weights of float32 or float16, got the mark {mark:#x} "
                        f"at byte {position - 4}: it belongs to another .param, or is quantized"
                    )
                num_bytes = each.count * (2 if mark == FLOAT16 else 4)
                position += -(-num_bytes // _ALIGNMENT) * _ALIGNMENT
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from None
    if position != size:
        more = " or more" if position > size else ""
        raise ModelFileError(
            f"{path}: expected {position}{more} bytes of weights for its .param, got {size}"
        )


def _count_numbers(blob: Blob) -> float:
    """Per LR pixel; channels are held by fours."""
    channels = blob.channels if blob.channels < 4 else -(-blob.channels // 4) * 4
    return float(channels * blob.scale**2) if blob.is_image else 0.0


def _find_peak(layers: Sequence[Layer], steps: Sequence[Step], blobs: Mapping[str, Blob]) -> float:
    """Find the most numbers per LR pixel that live at a time.

    ncnn drops a blob when its only taker has run. Those that a Split makes share their memory until
    one is changed in place, which copies it first.
    """
    places: dict[str, int] = {}  # of blobs, in memory
    sharing: Counter[int] = Counter()
    sizes: dict[int, float] = {}
    peak = 0.0
    for number, (layer, step) in enumerate(zip(layers, steps, strict=True)):
        taken = [places.pop(name) for name in layer.inputs]
        is_alone = len(taken) == 1 and sharing[taken[0]] == 1
        if layer.kind == "Split" or (step.is_in_place and is_alone):
            sharing[taken[0]] += len(layer.outputs) - 1
            places.update(dict.fromkeys(layer.outputs, taken[0]))
            continue
        for place, name in enumerate(layer.outputs, start=number << 8):
            places[name], sharing[place] = place, 1
            sizes[place] = _count_numbers(blobs[name])
        area = step.outputs[0].scale ** 2 if step.outputs else Fraction(1)
        peak = max(peak, sum(sizes.values()) + step.workspace * float(area))
        for place in taken:
            sharing[place] -= 1
            if not sharing[place]:
                del sizes[place]
    return peak
