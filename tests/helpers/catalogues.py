"""Catalogues of models on a test's own server."""

import hashlib
import json
from pathlib import Path
from typing import Any

from helpers.web_server import Site
from sr.models.catalogue import FORMAT


def make_entry(site: Site, name: str, content: bytes, **fields: Any) -> dict[str, Any]:
    """Return an entry whose file is NAME.safetensors on the server."""
    return {
        "name": name,
        "purpose": "photos of tests",
        "uses": ["photo"],
        "scale": 2,
        "architecture": "Compact",
        "speed": "fast",
        "license": "CC-BY-4.0",
        "author": "Jane Doe",
        "file": f"{name}.safetensors",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "urls": [f"{site.address}/{name}.safetensors"],
        "source": "https://example.com",
        **fields,
    }


def write_catalogue(path: Path, *entries: dict[str, Any], **recommended: list[str]) -> Path:
    """Write a list of models, and return its path."""
    about = {"format": FORMAT, "recommended": recommended, "models": list(entries)}
    path.write_text(json.dumps(about), encoding="utf-8")
    return path
