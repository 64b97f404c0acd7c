"""The tool cache outside the clone: complete tools only, one maker at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from toolchain.progress import Progress


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return where this user's tools are kept (XDG Base Directory Specification)."""
    base = environment.get("XDG_CACHE_HOME", "")
    # The specification says that a relative path counts as none.
    home = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return home / "tlsgate"


class Cache:
    """Folders below `root`, one a tool and version, each there as a whole or not at all."""

    def __init__(self, root: Path, progress: Progress) -> None:
        self.root = root
        self._progress = progress

    def path(self, key: str) -> Path:
        """Return the folder of a tool, which may not be there yet."""
        return self.root / key

    def has(self, key: str) -> bool:
        """Return whether a tool is there."""
        return self.path(key).is_dir()

    def provide(self, key: str, make: Callable[[Path], None]) -> bool:
        """Make a tool if it is missing; return whether it had to be made.

        `make` fills the empty folder that it is given. The folder takes its final name only when
        `make` has returned, so an interrupt or an error at any time leaves no half tool.
        """
        final = self.path(key)
        if final.is_dir():
            return False
        with self.alone(key):
            if final.is_dir():
                return False
            for leftover in self.root.glob(f".{key}.*.new"):
                shutil.rmtree(leftover)
            work = self.root / f".{key}.{os.getpid()}.new"
            work.mkdir()
            try:
                make(work)
                work.rename(final)
            finally:
                if work.exists():
                    shutil.rmtree(work)
        return True

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Hold the lock of a tool; another set-up that makes the same one is waited for."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / f".{key}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._progress.doing(f"waiting for another set-up that makes {key}")
                with self._progress.alive():
                    fcntl.flock(lock, fcntl.LOCK_EX)
            yield
