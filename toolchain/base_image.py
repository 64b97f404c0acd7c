"""The image that all others are built from: Debian 13, pulled, or made of Debian's packages."""

from __future__ import annotations

from typing import Final

from toolchain.context import Context
from toolchain.engine_api import EngineApi, EngineError
from toolchain.errors import SetupError
from toolchain.offline.debian_image import debian_archive
from toolchain.progress import Done
from toolchain.versions import BASE_IMAGE, BASE_IMAGE_VARIABLE

REGISTRY: Final = "registry-1.docker.io"
_PULL_SILENCE: Final = 20.0


def base_image(context: Context, address: str) -> tuple[str, Done]:
    """Make sure that the engine has the base image; return its name."""
    name = context.environment.get(BASE_IMAGE_VARIABLE) or BASE_IMAGE
    chosen = name != BASE_IMAGE
    api = EngineApi(address)
    try:
        if api.has_image(name):
            return name, Done(f"base image {name}", "on the engine")
        reason = _pull(context, api, name)
        if reason is None:
            return name, Done(f"base image {name}", "pulled", changed=True)
        if chosen:
            raise SetupError(
                f"the base image {name} ({BASE_IMAGE_VARIABLE}) cannot be pulled: {reason}",
                f"load it into the engine, or unset {BASE_IMAGE_VARIABLE}",
            )
        archive = debian_archive(context)
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
