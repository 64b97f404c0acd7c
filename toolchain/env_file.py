"""The file .state/env.sh: what the make targets source before they run anything."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.context import Context
from toolchain.engine_api import DEFAULT_ADDRESS


@dataclass(frozen=True, slots=True)
class Settings:
    """What set-up found.

    `folders`: put first on PATH, in this order; `stand_in`: whether the Docker plugin is the
    stand-in; `build_ca`: path in the repository of the CA bundle for image builds.
    """

    repository: Path
    folders: tuple[Path, ...]
    engine: str
    base_image: str
    pebble: Path
    stand_in: bool
    build_ca: str | None


def variables(settings: Settings) -> dict[str, str]:
    """Return the variables that are exported, PATH left out."""
    state = settings.repository / ".state"
    made = {
        # The project's own: no login, plugin or stack of the user's is touched.
        "PULUMI_HOME": str(state / "pulumi-home"),
        "PULUMI_BACKEND_URL": f"file://{state}/backend",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "TLSGATE_BASE_IMAGE": settings.base_image,
        "TLSGATE_PEBBLE": str(settings.pebble),
    }
    if settings.stand_in:
        # Saves the vendor's downloads, which are known to fail, at every run.
        made["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    if settings.engine != DEFAULT_ADDRESS:
        made["DOCKER_HOST"] = settings.engine
    if settings.build_ca:
        made["TLSGATE_BUILD_CA"] = settings.build_ca
    return made


def env_sh(path: str, exported: Mapping[str, str]) -> str:
    """Return the file's text for any POSIX shell; `path` is put before the PATH of the moment."""
    lines = [
        "# Written by set-up (make setup), which rewrites it at every run.",
        f'export PATH={shlex.quote(path)}:"$PATH"',
        *(f"export {name}={shlex.quote(value)}" for name, value in exported.items()),
    ]
    return "\n".join(lines) + "\n"


def write_env_file(context: Context, settings: Settings) -> Path:
    """Write .state/env.sh by rename; return its path."""
    (context.state / "backend").mkdir(parents=True, exist_ok=True)
    (context.state / "pulumi-home").mkdir(exist_ok=True)
    target = context.state / "env.sh"
    new = target.with_name("env.sh.new")
    path = ":".join(map(str, settings.folders))
    new.write_text(env_sh(path, variables(settings)))
    new.rename(target)
    return target
