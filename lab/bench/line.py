"""The JSON form of a measurement."""

from __future__ import annotations

from typing import Any


def line(
    name: str,
    value: float,
    unit: str,
    limit: float,
    command: str,
    *,
    least: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """The fields of a measurement; with `least` the limit is a minimum."""
    return {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "limit": limit,
        "ok": value >= limit if least else value <= limit,
        "command": command,
        **more,
    }
