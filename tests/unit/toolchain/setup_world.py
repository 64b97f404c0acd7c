"""A machine of the test's own: an empty clone and cache, and a PATH that the test fills."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.cache import Cache
from toolchain.context import Context, Machine
from toolchain.fetch import Fetcher, Unreachable
from toolchain.progress import Progress

DEBIAN_ROOT = Machine(root=True, debian=True, architecture="amd64", systemd=False)
USER = Machine(root=False, debian=True, architecture="amd64", systemd=False)


class Vendor(Fetcher):
    """A server with the files that the test gives; any other address is unreachable."""

    def __init__(self, unreachable: Unreachable, files: Mapping[str, bytes]) -> None:
        super().__init__(unreachable, open_timeout=0.5)
        self.files = files
        self.asked: list[str] = []

    def _open(self, url: str) -> io.BytesIO:  # type: ignore[override]
        self.asked.append(url)
        if url not in self.files:
            # Port 9 of this machine (discard) takes no connection.
            super()._open("http://127.0.0.1:9/")
        answer = io.BytesIO(self.files[url])
        answer.length = len(self.files[url])  # type: ignore[attr-defined]
        return answer


@dataclass(frozen=True, slots=True)
class World:
    context: Context
    vendor: Vendor
    said: io.StringIO
    programs: Path

    def program(self, name: str, says: str = "") -> Path:
        """Put a program on PATH that prints `says`."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\necho '{says}'\n")
        path.chmod(0o755)
        return path


def make_world(
    root: Path,
    machine: Machine = DEBIAN_ROOT,
    files: Mapping[str, bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    retry: bool = False,
) -> World:
    programs = root / "programs"
    programs.mkdir(parents=True, exist_ok=True)
    (root / "clone/images").mkdir(parents=True, exist_ok=True)
    said = io.StringIO()
    progress = Progress(said)
    cache = Cache(root / "cache", progress)
    vendor = Vendor(Unreachable(root / "cache/unreachable.json"), files or {})
    context = Context(
        repository=root / "clone",
        environment={"PATH": str(programs), **(environment or {})},
        machine=machine,
        cache=cache,
        fetcher=vendor,
        progress=progress,
        retry=retry,
    )
    return World(context, vendor, said, programs)
