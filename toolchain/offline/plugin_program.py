"""The program `pulumi-resource-docker` that starts the Docker plugin's stand-in."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def wrapper(repository: Path) -> str:
    """Return the program that starts the stand-in from any directory (see docker_plugin/)."""
    python = repository / ".venv/bin/python"
    return (
        "#!/bin/sh\n"
        "# Written by set-up: the stand-in for Pulumi's Docker plugin.\n"
        f"PYTHONPATH={shlex.quote(str(repository))} "
        f'exec {shlex.quote(str(python))} -P -m toolchain.offline.docker_plugin "$@"\n'
    )


def write_program(path: Path, repository: Path) -> bool:
    """Write the program by rename; return whether it had to be written."""
    text = wrapper(repository)
    if path.exists() and path.read_text() == text and os.access(path, os.X_OK):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(0o755)
    new.rename(path)
    return True
