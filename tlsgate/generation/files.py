"""Where things are in a container, and the file operations that leave nothing half done."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

KEPT_GENERATIONS = 5


@dataclass(frozen=True, slots=True)
class Paths:
    """`config`: the volume of generations. `keys`: of certificates. `run`: a tmpfs. `state`: a
    file on the data volume, for the last generation that was in force; None without such a volume.
    """

    config: Path = Path("/config")
    keys: Path = Path("/keys")
    run: Path = Path("/run/tlsgate")
    state: Path | None = None

    @property
    def generations(self) -> Path:
        """One directory a generation."""
        return self.config / "generations"

    @property
    def current(self) -> Path:
        """The symlink to the generation that is wanted."""
        return self.config / "current"

    @property
    def active(self) -> Path:
        """The symlink to the generation in force."""
        return self.run / "active"

    @property
    def active_id(self) -> Path:
        """The id of the generation in force and when it was installed, as one line."""
        return self.run / "active-id"

    @property
    def refused(self) -> Path:
        """JSON: the generation that was refused last, and why."""
        return self.run / "refused.json"

    @property
    def heartbeat(self) -> Path:
        """Touched by the watcher at each look."""
        return self.run / "heartbeat"

    @property
    def https(self) -> Path:
        """nginx's way to the certificates; absent until they are staged."""
        return self.run / "https.conf"

    def staged(self, certificate: str) -> Path:
        """Key and chain as the server reads them."""
        return self.run / "tls" / f"{certificate}.pem"


def read_entries(directory: Path) -> dict[str, bytes]:
    """Every regular file directly in the directory. Raises OSError."""
    return {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.is_file() and not path.name.startswith(".")
    }


def link_target(link: Path) -> str | None:
    """The last part of what the symlink points to; None without a link."""
    try:
        return link.readlink().name
    except OSError:
        return None


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replaces the file as a whole and puts it on the disk."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Replaces the file with one line of JSON."""
    write(path, (json.dumps(values) + "\n").encode())


def point(link: Path, target: Path) -> None:
    """Switches the symlink in one step."""
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
    sync_directory(link.parent)


def sync_directory(directory: Path) -> None:
    """Puts the directory's own entries on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
