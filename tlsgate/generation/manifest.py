"""What a generation is: its id, its manifest, and whether its files are still what was installed.

Pure. A generation's sources are what was delivered; besides them it holds the maps compiled from
them (`*.lmdb`) and the manifest. The id names the sources, the live digest all of its content.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

MANIFEST = "manifest.json"
COMPILED = ".lmdb"
ID_LENGTH = 16

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


class Refused(Exception):
    """A generation or a certificate that failed a check; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`generation`: the id. `files`: every file's SHA-256 in hex, the manifest left out."""

    generation: str
    files: Mapping[str, str]

    def to_json(self) -> str:
        """The content of manifest.json."""
        return json.dumps({"generation": self.generation, "files": dict(self.files)}, indent=1)


def generation_id(files: Mapping[str, bytes]) -> str:
    """The id of these source files: 16 hexadecimal digits."""
    return _digest(files)[:ID_LENGTH]


def live_digest(entries: Mapping[str, bytes]) -> str:
    """The digest of everything that a generation holds: 64 hexadecimal digits."""
    return _digest(entries)


def sources_of(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a generation that were delivered, not made."""
    return {
        name: content
        for name, content in entries.items()
        if name != MANIFEST and not name.endswith(COMPILED)
    }


def manifest_of(entries: Mapping[str, bytes]) -> Manifest:
    """The manifest of a generation whose files these are."""
    return Manifest(
        generation=generation_id(sources_of(entries)),
        files={
            name: hashlib.sha256(content).hexdigest()
            for name, content in sorted(entries.items())
            if name != MANIFEST
        },
    )


def verify(name: str, entries: Mapping[str, bytes]) -> None:
    """Raises Refused unless generation `name` is complete and unchanged since it was installed."""
    if MANIFEST not in entries:
        raise Refused(f"it has no {MANIFEST}, so its installation was not completed")
    manifest = parse_manifest(entries[MANIFEST])
    found = manifest_of(entries)
    changed = sorted(
        file
        for file in {*manifest.files, *found.files}
        if manifest.files.get(file) != found.files.get(file)
    )
    if changed:
        raise Refused(f"changed since it was installed: {', '.join(changed)}")
    if not manifest.generation == found.generation == name:
        raise Refused(f"its files are those of generation {found.generation}, not of {name}")


def parse_manifest(content: bytes) -> Manifest:
    """Raises Refused."""
    try:
        values = json.loads(content)
        return Manifest(str(values["generation"]), dict(values["files"]))
    except (ValueError, KeyError, TypeError) as fault:
        raise Refused(f"{MANIFEST} cannot be read: {fault!r}") from fault


def require_sources(files: Mapping[str, bytes]) -> None:
    """Raises Refused for file names that a delivery may not hold."""
    if not files:
        raise Refused("no file was delivered")
    for name in files:
        if not _NAME.fullmatch(name) or name == MANIFEST or name.endswith(COMPILED):
            raise Refused(f"a delivery may not contain a file named {name!r}")


def _digest(files: Mapping[str, bytes]) -> str:
    hasher = hashlib.sha256()
    for name, content in sorted(files.items()):
        # Lengths in front: no two sets of files give the same stream.
        hasher.update(f"{len(name.encode())}:{name}{len(content)}:".encode())
        hasher.update(content)
    return hasher.hexdigest()
