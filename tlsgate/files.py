"""Atomic changes of files and symlinks: a crash leaves the old content or the new one.

A file is written under a temporary name in the same directory, synced to the disk, and renamed
(rename(2) is atomic). Then the directory is synced too, so that the new name survives a crash.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def read_entries(directory: Path) -> dict[str, bytes]:
    """The regular files of the directory, except hidden ones: name → content. Raises OSError."""
    return {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.is_file() and not path.name.startswith(".")
    }


def link_target(link: Path) -> str | None:
    """The last part of the symlink's target; None if there is no link. Raises OSError."""
    try:
        return link.readlink().name
    except (FileNotFoundError, NotADirectoryError):
        return None


def write(path: Path, content: bytes, mode: int | None = 0o644) -> None:
    """Replaces the whole file, atomically, and syncs it to the disk. Raises OSError.

    `mode`: its permissions, less the umask; None keeps those of the file that is there.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(temporary, flags, 0o600 if mode is None else mode)
        with os.fdopen(descriptor, "wb") as file:
            if mode is None:
                os.fchmod(descriptor, path.stat().st_mode & 0o777)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Replaces the file with one line of JSON."""
    write(path, (json.dumps(values) + "\n").encode())


def point(link: Path, target: Path) -> None:
    """Makes the symlink point to the target, atomically. Raises OSError."""
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
    sync_directory(link.parent)


def sync_directory(directory: Path) -> None:
    """Syncs the entries of the directory to the disk. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
