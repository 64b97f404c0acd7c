"""The base image made of Debian's packages, where the registry cannot be reached."""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import Enum, auto
from pathlib import Path
from typing import Final

from toolchain import versions
from toolchain.commands import answer, run_logged
from toolchain.context import Context, Machine
from toolchain.debian import install
from toolchain.errors import SetupError

_KEPT_DAYS: Final = 30
"""After so long a base made here is made again, for Debian's security updates."""


class Way(Enum):
    """How to make the image where it cannot be pulled."""

    TOOL_HERE = auto()
    INSTALL_TOOL = auto()


def way(machine: Machine, *, has_tool: bool) -> Way:
    """Decide; raise SetupError where this machine cannot make it."""
    if has_tool:
        return Way.TOOL_HERE
    if machine.installs:
        return Way.INSTALL_TOOL
    name = versions.BASE_IMAGE
    raise SetupError(
        f"the image {name} is not on the engine and cannot be pulled",
        f"load it from another machine (`docker save {name}` there, `docker load` here), "
        + ("install mmdebstrap, " if machine.debian else "")
        + f"or name a base image that the engine has: {versions.BASE_IMAGE_VARIABLE}=…",
    )


def debian_mirror(lines: Iterable[str]) -> str | None:
    """Return this machine's own Debian mirror from `apt-get indextargets` (address and origin)."""
    for line in lines:
        address, _, origin = line.partition(" ")
        if origin == "Debian" and "security" not in address:
            return address
    return None


def own_mirror(context: Context) -> str | None:
    """Return the address of this machine's own Debian mirror, None where apt knows none."""
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)"]
    listing = answer([*targets, "Created-By: Packages"], context.environment)
    return debian_mirror((listing or "").splitlines())


def debian_archive(context: Context) -> Path:
    """Return the image as a tar archive in the tool cache; make it once a month."""
    month = int(time.time() // (_KEPT_DAYS * 24 * 3600))
    key = f"base-{versions.BASE_SUITE}-{context.machine.architecture}-{month}"
    context.cache.provide(key, lambda folder: _make(context, folder / "base.tar"))
    return context.cache.path(key) / "base.tar"


def _make(context: Context, archive: Path) -> None:
    tool = context.which("mmdebstrap")
    if way(context.machine, has_tool=tool is not None) is Way.INSTALL_TOOL:
        install(context, ["mmdebstrap"], "the base image")
    mirror = own_mirror(context)
    context.progress.doing(f"Debian {versions.BASE_SUITE} by mmdebstrap, about 20 s")
    run_logged(
        ["mmdebstrap", "--variant=minbase", "--include=ca-certificates", versions.BASE_SUITE,
         str(archive), *([mirror] if mirror else [])],
        log=context.log("base-image"),
        progress=context.progress,
        environment=context.environment,
        remedy="make a Debian mirror reachable (apt's sources), or load "
        f"{versions.BASE_IMAGE} into the engine by hand",
    )  # fmt: skip
