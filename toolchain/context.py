"""What every step is given: the clone, the machine, the tool cache, the progress output."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolchain.cache import Cache, cache_folder
from toolchain.fetch import Fetcher, Unreachable
from toolchain.progress import Progress
from toolchain.versions import architecture

_REPOSITORY: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides how something can be installed.

    `debian`: Debian or a system made from it, with apt; `architecture`: Debian's word, None where
    it is another one; `systemd`: whether it runs as process 1.
    """

    root: bool
    debian: bool
    architecture: str | None
    systemd: bool

    @property
    def installs(self) -> bool:
        """Whether set-up may install Debian packages by itself."""
        return self.root and self.debian


def is_debian(os_release: str) -> bool:
    """Read the text of /etc/os-release."""
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    words = f"{values.get('ID', '')} {values.get('ID_LIKE', '')}".replace('"', " ").split()
    return "debian" in words


def this_machine() -> Machine:
    """Look at the machine that set-up runs on."""
    release = Path("/etc/os-release")
    text = release.read_text() if release.exists() else ""
    return Machine(
        root=os.geteuid() == 0,
        debian=is_debian(text) and shutil.which("apt-get") is not None,
        architecture=architecture(platform.machine()),
        systemd=Path("/run/systemd/system").is_dir(),
    )


@dataclass(frozen=True, slots=True)
class Context:
    """`retry`: look for better sources again, even where the cache already has something."""

    repository: Path
    environment: Mapping[str, str]
    machine: Machine
    cache: Cache
    fetcher: Fetcher
    progress: Progress
    retry: bool = False

    @property
    def state(self) -> Path:
        """The clone's own state, not in git."""
        return self.repository / ".state"

    def log(self, name: str) -> Path:
        """Where a step's long output goes."""
        return self.state / "log" / f"{name}.log"

    def which(self, program: str) -> Path | None:
        """Find a program of the user's or the system's on PATH: none that set-up put there."""
        ours = (self.cache.root, self.state, self.repository / ".venv")
        folders = [
            folder
            for folder in self.environment.get("PATH", "").split(os.pathsep)
            if folder and not any(Path(folder).is_relative_to(own) for own in ours)
        ]
        found = shutil.which(program, path=os.pathsep.join([*folders, "/usr/sbin", "/sbin"]))
        return Path(found) if found else None


def this_clone(
    environment: Mapping[str, str], progress: Progress, *, retry: bool = False
) -> Context:
    """Return the context of the clone that this file is in, on this machine."""
    cache = Cache(cache_folder(environment), progress)
    context = Context(
        repository=_REPOSITORY,
        environment=environment,
        machine=this_machine(),
        cache=cache,
        fetcher=Fetcher(Unreachable(cache.root / "unreachable.json")),
        progress=progress,
        retry=retry,
    )
    context.state.mkdir(exist_ok=True)
    return context
