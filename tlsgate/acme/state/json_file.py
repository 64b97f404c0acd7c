"""Reads a JSON object of the state volume."""

from __future__ import annotations

import json
from pathlib import Path


def read_mapping(path: Path) -> dict[str, object]:
    """Empty if there is no file, or none that can be read."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
