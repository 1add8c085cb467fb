"""Find images that training is better off without: unreadable, small, repeated, blurred, flat."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sr.data.sources import Image
from sr.io.image_formats import ImageError
from sr.io.rgb8 import read_rgb8

BLOCK = 64  # pixels; sharpness and flatness are those of blocks
_SHARPEST = 0.95  # the quantile of blocks that says how sharp an image is


@dataclass(frozen=True)
class Limits:
    """What an image must have to be kept."""

    min_side: int = 96  # pixels
    blur: float = 30.0  # least variance of the Laplacian in its sharpest blocks
    flat: float = 5.0  # least variance of the Laplacian in a block that is not flat
    flat_share: float = 0.9  # most blocks that may be flat
    near: int = 3  # most of 64 bits in which the hashes of near duplicates differ


@dataclass(frozen=True)
class ImageFacts:
    """What was measured in an image."""

    path: Path
    size: tuple[int, int]  # (H, W)
    pixel_hash: bytes  # equal for equal pixels alone
    difference_hash: int  # 64 bits, similar for similar images
    sharpness: float  # variance of the Laplacian in the sharpest blocks, in squared 8-bit levels
    flat_share: float  # of the blocks


@dataclass(frozen=True)
class Finding:
    """An image to leave out, and why."""

    path: Path
    kind: str
    detail: str


@dataclass(frozen=True)
class Survey:
    """What was found among images."""

    num_images: int
    sizes: tuple[tuple[int, int], ...]  # (H, W) of those that can be read
    findings: tuple[Finding, ...]


KINDS = ("unreadable", "small", "duplicate", "near duplicate", "blurred", "flat")


def check_images(
    paths: Sequence[Path],
    limits: Limits,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> Survey:
    """Decode and measure every image. Of equal or similar ones the largest, or first, is kept.

    report: gets the numbers of images done and in all.
    """
    facts: list[ImageFacts] = []
    findings: list[Finding] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, result in enumerate(pool.map(lambda path: _try(path, limits), paths), start=1):
            if isinstance(result, Finding):
                findings.append(result)
            else:
                facts.append(result)
            report(done, len(paths))
    for fact in facts:
        findings += _find_faults(fact, limits)
    findings += _find_duplicates(facts, limits)
    findings.sort(key=lambda finding: KINDS.index(finding.kind))
    return Survey(len(paths), tuple(fact.size for fact in facts), tuple(findings))


def measure_image(path: Path, flat: float = Limits.flat) -> ImageFacts:
    """Measure an image. flat: see `Limits`. Raises ImageError."""
    image = read_rgb8(path, convert=True)
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    variances = _measure_blocks(gray)
    return ImageFacts(
        path,
        (image.shape[0], image.shape[1]),
        _hash_pixels(image),
        _hash_differences(gray),
        float(np.quantile(variances, _SHARPEST)),
        float((variances < flat).mean()),
    )


def format_exclude_list(survey: Survey) -> str:
    """Format what was found as a list for the option `exclude_list`, each image once."""
    lines: list[str] = []
    seen: set[Path] = set()
    for finding in survey.findings:
        if finding.path not in seen:
            lines += [f"# {finding.kind}: {finding.detail}", str(finding.path.resolve())]
            seen.add(finding.path)
    return "".join(f"{line}\n" for line in lines)


def _try(path: Path, limits: Limits) -> ImageFacts | Finding:
    try:
        return measure_image(path, limits.flat)
    except ImageError as error:
        return Finding(path, "unreadable", " ".join(str(error).split()))


def _measure_blocks(gray: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the variance of the Laplacian in blocks, (n,)."""
    # Of zero mean, so that the variance is the mean square.
    squares = np.square(cv2.Laplacian(gray, cv2.CV_32F, borderType=cv2.BORDER_REPLICATE))
    height, width = (max(1, side // BLOCK) for side in gray.shape)
    blocks = cv2.resize(squares, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(blocks, np.float64).ravel()


def _hash_pixels(image: Image) -> bytes:
    shape = f"{image.shape}".encode()
    return hashlib.blake2b(image.data, digest_size=16, key=shape).digest()


def _hash_differences(gray: NDArray[np.uint8]) -> int:
    """Return which of 8x9 area means are darker than their right neighbor ("dHash")."""
    small = np.asarray(cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA))
    bits = np.packbits(small[:, :-1] < small[:, 1:])
    return int.from_bytes(bits.tobytes(), "big")


def _find_faults(fact: ImageFacts, limits: Limits) -> list[Finding]:
    height, width = fact.size
    findings = []
    if min(fact.size) < limits.min_side:
        findings.append(Finding(fact.path, "small", f"{width}x{height} (width x height)"))
    if fact.flat_share > limits.flat_share:
        findings.append(Finding(fact.path, "flat", f"{fact.flat_share:.0%} of its blocks"))
    if fact.sharpness < limits.blur:
        detail = f"variance of the Laplacian {fact.sharpness:.1f}"
        findings.append(Finding(fact.path, "blurred", detail))
    return findings


def _find_duplicates(facts: Sequence[ImageFacts], limits: Limits) -> list[Finding]:
    """Find images that an earlier or larger one repeats; flat ones all look alike, and stay."""
    largest = sorted(facts, key=lambda fact: -fact.size[0] * fact.size[1])
    findings = []
    kept: dict[bytes, Path] = {}
    different = []
    for fact in largest:
        if fact.pixel_hash in kept:
            findings.append(Finding(fact.path, "duplicate", f"of {kept[fact.pixel_hash]}"))
            continue
        kept[fact.pixel_hash] = fact.path
        if fact.flat_share <= limits.flat_share:
            different.append(fact)
    hashes = np.array([fact.difference_hash for fact in different], np.uint64)
    repeated = np.zeros(len(hashes), bool)
    for index, fact in enumerate(different):
        if repeated[index]:
            continue
        distances = np.bitwise_count(hashes[index + 1 :] ^ hashes[index])
        near = index + 1 + np.flatnonzero(distances <= limits.near)
        for other in near[~repeated[near]]:
            detail = f"of {fact.path}"
            findings.append(Finding(different[other].path, "near duplicate", detail))
        repeated[near] = True
    return findings
