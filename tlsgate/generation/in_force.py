"""Whether the watcher put a delivered generation in force; for the delivery's `await`."""

from __future__ import annotations

import json
from pathlib import Path

from tlsgate.generation.manifest import MANIFEST
from tlsgate.generation.paths import Paths

LACKS_CERTIFICATE = 3
"""The exit code of `await` for a generation that comes into force with its certificates."""


def verdict(paths: Paths, name: str) -> tuple[bool, str]:
    """Whether the watcher has decided, and if the generation is not in force, why not.

    What the watcher wrote before the generation was (again) installed says nothing about it.
    """
    installed = _modified(paths.generations / name / MANIFEST)
    if installed is None:
        return True, f"generation {name} is not installed"
    if _said_since(paths.active_id, installed) and paths.active_id.read_text().strip() == name:
        return True, ""
    if _said_since(paths.refused, installed):
        refusal = json.loads(paths.refused.read_text())
        if refusal["generation"] == name:
            return True, f"the watcher refused generation {name}: {refusal['reason']}"
    return False, "The watcher has said nothing about it; see the container's log"


def lacks_certificate(paths: Paths, name: str) -> bool:
    """Whether the watcher refused it only because a certificate is missing."""
    try:
        refusal = json.loads(paths.refused.read_text())
    except FileNotFoundError:
        return False
    return bool(refusal["generation"] == name and refusal.get("lacks_certificate"))


def _said_since(file: Path, installed: int) -> bool:
    modified = _modified(file)
    return modified is not None and modified >= installed


def _modified(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return None
