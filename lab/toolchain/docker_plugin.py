"""Pulumi's Docker plugin: the vendor's, else the lab's stand-in for it (lab/docker_plugin).

The stand-in is put on PATH only where the vendor's cannot be had, and is taken away where it can:
it must never be found first.
"""

from __future__ import annotations

import os
import shlex
import tomllib
from pathlib import Path
from typing import Final

from lab.toolchain.commands import run_logged
from lab.toolchain.context import Context
from lab.toolchain.errors import SetupError, UnreachableError
from lab.toolchain.progress import Done
from lab.toolchain.pulumi_cli import Cli

PROGRAM: Final = "pulumi-resource-docker"
DOWNLOADS: Final = "https://get.pulumi.com/releases/plugins"


def locked_version(lock: str) -> str:
    """Return the version of the plugin: that of the Python package in uv.lock's text."""
    packages = tomllib.loads(lock)["package"]
    return str(next(p["version"] for p in packages if p["name"] == "pulumi-docker"))


def wrapper(repository: Path) -> str:
    """Return the program that starts the stand-in from any directory (see lab/docker_plugin)."""
    python = repository / ".venv/bin/python"
    return (
        "#!/bin/sh\n"
        "# Written by set-up: the lab's stand-in for Pulumi's Docker plugin.\n"
        f"PYTHONPATH={shlex.quote(str(repository))} "
        f'exec {shlex.quote(str(python))} -P -m lab.docker_plugin "$@"\n'
    )


def docker_plugin(context: Context, cli: Cli) -> tuple[bool, Done]:
    """See to a plugin; tell whether it is the stand-in."""
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
    changed = _write_program(stand_in, wrapper(context.repository))
    return True, Done(
        f"Docker plugin {version}", "the lab's stand-in", changed, notes if changed else ()
    )


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


def _write_program(path: Path, text: str) -> bool:
    if path.exists() and path.read_text() == text and os.access(path, os.X_OK):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(0o755)
    new.rename(path)
    return True
