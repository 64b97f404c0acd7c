"""The delivery job: builds a generation, checks it, and only then makes it the current one."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tlsgate.files import link_target, point, read_entries, sync_directory, write
from tlsgate.generation.manifest import (
    MANIFEST,
    Refused,
    generation_id,
    live_digest,
    manifest_of,
    require_sources,
    sources_of,
    verify,
)
from tlsgate.generation.paths import KEPT_GENERATIONS, Paths
from tlsgate.generation.servers import ServerProgram


@dataclass(frozen=True, slots=True)
class Installed:
    """`generation` and `live` of the current generation; `changed`: something was done."""

    generation: str
    live: str
    changed: bool

    def to_dict(self) -> dict[str, object]:
        """JSON-able."""
        return asdict(self)


def install(
    paths: Paths, program: ServerProgram, incoming: Path, expect: str | None = None
) -> Installed:
    """Makes the files in `incoming` the current generation.

    The same files again change nothing, unless the installed ones were changed by hand: then
    they are rebuilt in place. Raises Refused, OSError; the current generation then stays.
    """
    sources = read_entries(incoming)
    require_sources(sources)
    name = generation_id(sources)
    if expect is not None and name != expect:
        raise Refused(f"the files are those of generation {name}, not of {expect}")
    paths.generations.mkdir(parents=True, exist_ok=True)
    with _locked(paths.config):
        directory = paths.generations / name
        changed = not _intact(directory)
        if changed:
            _build(paths, program, directory, sources)
        if link_target(paths.current) != name:
            point(paths.current, Path("generations") / name)
            changed = True
        _prune(paths, keep=name)
        return Installed(name, live_digest(read_entries(directory)), changed)


def show(paths: Paths) -> dict[str, str | None]:
    """`generation` and `live` of the current generation, computed from its files as they are."""
    try:
        entries = read_entries(paths.current)
    except OSError:
        return {"generation": None, "live": None}
    return {"generation": generation_id(sources_of(entries)), "live": live_digest(entries)}


def _intact(directory: Path) -> bool:
    try:
        verify(directory.name, read_entries(directory))
    except (Refused, OSError):
        return False
    return True


def _build(
    paths: Paths, program: ServerProgram, directory: Path, sources: dict[str, bytes]
) -> None:
    new = directory.with_name(f".{directory.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        for name, content in sources.items():
            write(new / name, content)
        # The files name each other by their place in force; in this container that is here.
        paths.run.mkdir(parents=True, exist_ok=True)
        point(paths.active, new)
        program.prepare(new, sources)
        _seal(new)
        if directory.exists():
            _replace_content(directory, new)
        else:
            new.rename(directory)
        sync_directory(directory.parent)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _seal(directory: Path) -> None:
    """Puts what the program compiled on the disk, and then the manifest."""
    entries = read_entries(directory)
    for name in entries.keys() - sources_of(entries).keys():
        with (directory / name).open("rb") as file:
            os.fsync(file.fileno())
    write(directory / MANIFEST, manifest_of(entries).to_json().encode())


def _replace_content(directory: Path, new: Path) -> None:
    """File by file, so that no reader ever misses one; the manifest, which is watched, last."""
    names = {path.name for path in new.iterdir()}
    for name in sorted(names - {MANIFEST}):
        (new / name).replace(directory / name)
    for path in directory.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (new / MANIFEST).replace(directory / MANIFEST)


def _prune(paths: Paths, keep: str) -> None:
    def installed_at(directory: Path) -> float:
        manifest = directory / MANIFEST
        return manifest.stat().st_mtime if manifest.exists() else 0.0

    old = [path for path in paths.generations.iterdir() if path.name != keep]
    for directory in sorted(old, key=installed_at, reverse=True)[KEPT_GENERATIONS - 1 :]:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _locked(config: Path) -> Iterator[None]:
    with (config / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
