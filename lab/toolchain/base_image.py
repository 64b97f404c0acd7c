"""The image that all others are built from: Debian 13, pulled, else made of Debian's packages."""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import Enum, auto
from pathlib import Path
from typing import Final

from lab.toolchain import versions
from lab.toolchain.commands import answer, run_logged
from lab.toolchain.context import Context, Machine
from lab.toolchain.debian import install
from lab.toolchain.engine_api import EngineApi, EngineError
from lab.toolchain.errors import SetupError
from lab.toolchain.progress import Done

VARIABLE: Final = "TLSGATE_BASE_IMAGE"
"""The user's choice of a base image: it has to be there or be pullable."""
REGISTRY: Final = "registry-1.docker.io"
_PULL_SILENCE: Final = 20.0
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
        + f"or name a base image that the engine has: {VARIABLE}=…",
    )


def debian_mirror(lines: Iterable[str]) -> str | None:
    """Return this machine's own Debian mirror from `apt-get indextargets` (address and origin)."""
    for line in lines:
        address, _, origin = line.partition(" ")
        if origin == "Debian" and "security" not in address:
            return address
    return None


def base_image(context: Context, address: str) -> tuple[str, Done]:
    """See to the base image on the engine; return its name."""
    name = context.environment.get(VARIABLE) or versions.BASE_IMAGE
    chosen = name != versions.BASE_IMAGE
    api = EngineApi(address)
    try:
        if api.has_image(name):
            return name, Done(f"base image {name}", "on the engine")
        reason = _pull(context, api, name)
        if reason is None:
            return name, Done(f"base image {name}", "pulled", changed=True)
        if chosen:
            raise SetupError(
                f"the base image {name} ({VARIABLE}) cannot be pulled: {reason}",
                f"load it into the engine, or unset {VARIABLE}",
            )
        archive = _archive(context)
        context.progress.doing(f"importing {name}")
        with context.progress.alive():
            api.load_tree(archive, name)
    except EngineError as error:
        raise SetupError(f"the Docker engine answers: {error}", "run set-up again") from error
    note = f"{name} cannot be pulled ({reason}): made of Debian's packages instead"
    return name, Done(f"base image {name}", "made by mmdebstrap", changed=True, notes=(note,))


def _pull(context: Context, api: EngineApi, name: str) -> str | None:
    """Pull the image; return why not."""
    unreachable = context.fetcher.unreachable
    # Another registry's name has a dot or a port in its first part: that one is asked each time.
    host = name.split("/", 1)[0] if "/" in name else ""
    registry = host if "." in host or ":" in host else REGISTRY
    if unreachable.knows(registry):
        return f"{registry} did not answer earlier"
    context.progress.doing(f"pulling {name}")
    try:
        with context.progress.alive():
            api.pull(name, _PULL_SILENCE)
    except EngineError as error:
        unreachable.add(registry)
        return str(error)
    return None


def _archive(context: Context) -> Path:
    month = int(time.time() // (_KEPT_DAYS * 24 * 3600))
    key = f"base-{versions.BASE_SUITE}-{context.machine.architecture}-{month}"
    context.cache.provide(key, lambda folder: _make(context, folder / "base.tar"))
    return context.cache.path(key) / "base.tar"


def _make(context: Context, archive: Path) -> None:
    tool = context.which("mmdebstrap")
    if way(context.machine, has_tool=tool is not None) is Way.INSTALL_TOOL:
        install(context, ["mmdebstrap"], "the base image")
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)"]
    listing = answer([*targets, "Created-By: Packages"], context.environment)
    mirror = debian_mirror((listing or "").splitlines())
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
