"""No-reference metrics: NIQE and PIQE; lower is better.

`niqe_bundled` is what training measures, `sr.metrics.niqe`. The others need packages that are not
requirements of the project; `load_metrics` reports how to install them.

`niqe` has the authors' parameters, which are read from BasicSR's package; nothing of it is
imported. In float64 as MATLAB: on Set5 within 0.03 of BasicSR's function given float64. BasicSR
itself calls it in float32, which gives up to 0.4 less on images with even areas, where there is
nothing to measure but rounding.

PIQE: Venkatanath et al. 2015, "Blind image quality evaluation using perception based features",
NCC 2015: blocks of 16 pixels are checked for blocking and noise. From the package pypiqe.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sr.data.sources import Image
from sr.io.rgb8 import image_to_tensor
from sr.metrics.niqe import Pristine, niqe

Metric = Callable[[Image], float]

METRICS = {
    "niqe_bundled": None,
    "niqe": ("basicsr", "pip install --no-deps --no-build-isolation basicsr==1.4.2"),
    "piqe": ("pypiqe", "pip install --no-deps pypiqe"),
}
"""Name -> the package that it needs, and how to install it without another OpenCV."""


def load_metrics(names: Sequence[str]) -> dict[str, Metric]:
    """Return metrics by name, which take (H, W, 3), uint8 RGB.

    Raises ValueError if a package is not installed.
    """
    return {name: _load(name) for name in names}


def read_pristine(path: Path) -> Pristine:
    """Read an npz file with BasicSR's names."""
    with np.load(path) as arrays:
        mean, covariance = (
            arrays[name].astype(np.float64) for name in ("mu_pris_param", "cov_pris_param")
        )
    return Pristine(mean.reshape(-1), covariance)


def _load(name: str) -> Metric:
    needed = METRICS[name]
    if needed is None:
        return _niqe
    package, command = needed
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"{name}: needs the package {package}: {command}")
    if name == "niqe":
        parameters = Path(spec.origin).parent / "metrics" / "niqe_pris_params.npz"
        return partial(_niqe, pristine=read_pristine(parameters))
    return partial(_piqe, import_module(package).piqe)


def _niqe(image: Image, pristine: Pristine | None = None) -> float:
    return niqe(image_to_tensor(image), border=0, pristine=pristine)


def _piqe(score: Any, image: Image) -> float:
    """The package's function takes gray images, and blue first of others."""
    return float(score(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0])
