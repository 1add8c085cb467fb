"""What the segments of a video depend on: those of a run with anything else are not continued."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import av

from sr.device import name_precision
from sr.errors import ModelFileError
from sr.inference.named_files import find_models
from sr.inference.options import InferOptions
from sr.inference.video.plan import VideoPlan
from sr.inference.video.resume import (
    fingerprint,
    fingerprint_images,
    fingerprint_models,
    fingerprint_texture,
)
from sr.inference.video.source import Source
from sr.tiling.upscaler import Upscaler


def list_dependencies(
    plan: VideoPlan, options: InferOptions, upscalers: Sequence[Upscaler], source: Source
) -> dict[str, Any]:
    """Return all that segments depend on.

    Neither devices nor tiles, which change results by rounding only.
    """
    encoding, video, images = plan.encoding, options.video, source.images
    assert encoding is not None
    model: dict[str, Any] = {"tta": options.runtime.tta, "backend": options.runtime.backend}
    if (flow := upscalers[0].flow) is not None:
        model["flow"] = flow.name
    with suppress(OSError, ModelFileError):  # a network from elsewhere has no file
        model |= fingerprint_models(find_models(options))
    if plan.info.layout.alpha:
        model["alpha"] = options.output.alpha
    texture = fingerprint_texture(options.texture)
    return {
        **({"texture": texture} if texture else {}),
        "source": fingerprint_images(images) if images else fingerprint(plan.source),
        "model": model,
        "size": f"{plan.width}x{plan.height}",
        "precision": name_precision(upscalers[0].dtype),
        "stream": plan.info.stream,
        "start": str(video.start),
        "end": str(video.end),
        "fps": str(video.fps),
        "damaged": "stop" if video.damaged == "stop" else "go-on",  # an older name of continue
        **asdict(video.footage),
        "temporal_filter": video.temporal_filter,
        "encoder": encoding.encoder,
        "encoder_options": encoding.options,
        "pix_fmt": encoding.layout.pix_fmt,
        "color": asdict(encoding.color),
        "av": av.__version__,
    }
