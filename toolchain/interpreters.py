"""Other Python versions than the one that set-up runs on, got when somebody asks for one.

`python3 -m toolchain.interpreters 3.14` prints the path of a Python 3.14 whose environment is what
uv.lock says, kept in `.state/python`. What is installed, and what takes long, is told on standard
error. Exit codes: 0 it is there, 1 it cannot be had.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from toolchain.commands import answer, run_logged
from toolchain.context import Context, this_clone
from toolchain.errors import SetupError, UnreachableError
from toolchain.offline.debian_python import debian_python
from toolchain.progress import Progress
from toolchain.python_environment import find_or_install_uv, sync

RELEASES: Final = "https://github.com/astral-sh/python-build-standalone/releases"
"""Where uv gets CPython from."""
_VERSION: Final = "import sys; print('%d.%d' % sys.version_info[:2])"


def interpreter(context: Context, uv: Path, version: str) -> tuple[Path, str]:
    """Return a CPython of this version (such as `3.14`) and where it is from.

    In the order: the user's own, uv's, one made of Debian's packages. Raise SetupError.
    """
    for program in _own(context, version):
        if answer([str(program), "-c", _VERSION], context.environment) == version:
            return program, "your own"
    try:
        return _from_uv(context, uv, version), "from uv"
    except UnreachableError as error:
        context.progress.say(
            f"...     uv's Python {version} cannot be fetched ({error}): Debian's is used"
        )
        return debian_python(context, version), "made of Debian's packages"


def _own(context: Context, version: str) -> Iterator[Path]:
    found = context.which(f"python{version}")
    if found:
        yield found
    # What pyenv puts on PATH only works for the versions that are selected at the moment.
    root = Path(context.environment.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(root.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)


def _from_uv(context: Context, uv: Path, version: str) -> Path:
    folder = context.cache.root / "python-uv"
    environment = {**context.environment, "UV_PYTHON_INSTALL_DIR": str(folder)}
    find = [str(uv), "python", "find", "--no-project", "--managed-python", version]
    # Where it is not there, uv would download it at once, without a log.
    only_look = {**environment, "UV_PYTHON_DOWNLOADS": "never"}
    found = answer(find, only_look)
    if not found:
        context.fetcher.probe(RELEASES)
        context.progress.doing(f"Python {version} by uv")
        run_logged(
            [str(uv), "python", "install", "--no-bin", version],
            log=context.log(f"python-{version}"),
            progress=context.progress,
            environment=environment,
            remedy=f"install Python {version} by hand, then run again",
        )
        found = answer(find, only_look)
    if not found:
        raise SetupError(
            f"uv does not find the Python {version} that it installed in {folder}",
            f"install Python {version} by hand, then run again",
        )
    return Path(found)


def environment(context: Context, version: str) -> Path:
    """Return the Python of an environment of this version, brought to what uv.lock says."""
    uv, _ = find_or_install_uv(context)
    folder = context.state / "python" / version
    program = folder / "bin/python"
    # A Python that was removed, or an environment that was moved, is made again.
    if answer([str(program), "-c", _VERSION], context.environment) == version:
        sync(context, uv, folder)
    else:
        python, source = interpreter(context, uv, version)
        context.progress.doing(f"Python {version}, {source}: packages as uv.lock says")
        sync(context, uv, folder, python)
    return program


def main() -> int:
    """Print the path of the environment's Python."""
    parser = argparse.ArgumentParser(prog="python3 -m toolchain.interpreters", description=__doc__)
    parser.add_argument("version", help="such as 3.14")
    version = parser.parse_args().version
    if not re.fullmatch(r"3\.\d+", version):
        parser.error(f"{version!r} is not a Python version such as 3.14")
    context = this_clone(dict(os.environ), Progress(sys.stderr))
    try:
        program = environment(context, version)
    except SetupError as error:
        sys.stderr.write(f"{error}\n-> {error.remedy}\n")
        return 1
    sys.stdout.write(f"{program}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
