"""Two environments to run a stack in: the oldest that tlsgate allows, and the newest there is.

The oldest is Python's and Pulumi's lower bound in pyproject.toml, with all else as locked. The
newest is the newest Python that the tests run on, with Pulumi as locked, which is kept up to date.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from toolchain.context import Context, this_clone
from toolchain.interpreters import environment, interpreter
from toolchain.progress import Progress
from toolchain.python_environment import find_or_install_uv
from toolchain.versions import NEWEST_PYTHON

REPOSITORY = Path(__file__).parents[3]


def oldest_versions() -> tuple[str, str]:
    """Return the lower bounds of Python (`3.11`) and Pulumi (`3.220.0`)."""
    project = (REPOSITORY / "pyproject.toml").read_text()
    python = re.search(r'^requires-python = ">=(3\.\d+)"$', project, re.M)
    pulumi = re.search(r'^ *"pulumi>=(3\.\d+)"', project, re.M)
    assert python
    assert pulumi
    return python[1], f"{pulumi[1]}.0"


def newest_versions() -> tuple[str, str]:
    """Return the newest Python that is tested, and the Pulumi that is locked."""
    packages = tomllib.loads((REPOSITORY / "uv.lock").read_text())["package"]
    return NEWEST_PYTHON, next(str(p["version"]) for p in packages if p["name"] == "pulumi")


def oldest(folder: Path) -> Path:
    """Make the environment in `folder` and return where its programs are."""
    python, pulumi = oldest_versions()
    context = this_clone(dict(os.environ), Progress(sys.stderr))
    uv, _ = find_or_install_uv(context)
    program, _ = interpreter(context, uv, python)
    folder.mkdir()
    locked, older = folder / "locked.txt", folder / "older.txt"
    older.write_text(f"pulumi=={pulumi}\n")
    export = ("export", "--frozen", "--no-default-groups", "--group", "deploy")
    _run(uv, *export, "--no-emit-project", "--no-hashes", "--quiet", "--output-file", str(locked))
    _run(uv, "venv", "--quiet", "--python", str(program), str(folder / "env"))
    install = ("pip", "install", "--quiet", "--python", str(folder / "env/bin/python"))
    _run(uv, *install, "--requirement", str(locked), "--override", str(older))
    return folder / "env/bin"


def newest() -> Path:
    """Bring the environment up to date and return where its programs are."""
    context: Context = this_clone(dict(os.environ), Progress(sys.stderr))
    return environment(context, NEWEST_PYTHON).parent


def _run(uv: Path, *arguments: str) -> None:
    done = subprocess.run(
        [str(uv), *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
