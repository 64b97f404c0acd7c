"""Pulumi's Docker plugin: the vendor's, or the stand-in for it (offline/docker_plugin).

The stand-in is put on PATH only where the vendor's cannot be fetched, and is deleted where it can:
it must never be found first.
"""

from __future__ import annotations

import os
import tomllib
from typing import Final

from toolchain.commands import run_logged
from toolchain.context import Context
from toolchain.errors import SetupError, UnreachableError
from toolchain.offline.plugin_program import write_program
from toolchain.progress import Done
from toolchain.pulumi_cli import Cli

PROGRAM: Final = "pulumi-resource-docker"
DOWNLOADS: Final = "https://get.pulumi.com/releases/plugins"


def locked_version(lock: str) -> str:
    """Return the version of the plugin: that of the Python package in uv.lock's text."""
    packages = tomllib.loads(lock)["package"]
    return str(next(p["version"] for p in packages if p["name"] == "pulumi-docker"))


def docker_plugin(context: Context, cli: Cli) -> tuple[bool, Done]:
    """Make sure that there is a plugin; return whether it is the stand-in."""
    version = locked_version((context.repository / "uv.lock").read_text())
    stand_in = context.state / "bin" / PROGRAM
    home = context.state / "pulumi-home"
    installed = home / f"plugins/resource-docker-v{version}" / PROGRAM
    notes: tuple[str, ...] = ()
    own = context.which(PROGRAM)
    if own or installed.exists():
        stand_in.unlink(missing_ok=True)
        source = f"your own, {own}" if own else "vendor's"
        return False, Done(f"Docker plugin {'' if own else version}".strip(), source)
    try:
        _install(context, cli, version)
    except UnreachableError as error:
        notes = (f"the vendor's Docker plugin cannot be fetched ({error}): stand-in used",)
    else:
        stand_in.unlink(missing_ok=True)
        return False, Done(f"Docker plugin {version}", "vendor's", changed=True)
    changed = write_program(stand_in, context.repository)
    return True, Done(f"Docker plugin {version}", "the stand-in", changed, notes if changed else ())


def _install(context: Context, cli: Cli, version: str) -> None:
    arch = context.machine.architecture
    if arch is None:
        raise UnreachableError("none is known for this machine's architecture")
    system = os.uname().sysname.lower()
    context.fetcher.probe(f"{DOWNLOADS}/{PROGRAM}-v{version}-{system}-{arch}.tar.gz")
    context.progress.doing(f"Docker plugin {version} from its vendor")
    program = str(cli.folder / "pulumi") if cli.folder else str(context.which("pulumi"))
    try:
        run_logged(
            [program, "plugin", "install", "resource", "docker", version],
            log=context.log("docker-plugin"),
            progress=context.progress,
            environment={
                **context.environment,
                "PULUMI_HOME": str(context.state / "pulumi-home"),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
            },
            remedy="",
        )
    except SetupError as error:
        raise UnreachableError(error.problem) from error
