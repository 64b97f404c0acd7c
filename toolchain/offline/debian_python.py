"""A CPython made of Debian's packages, where neither the user nor uv has that version.

It is unpacked into the tool cache with all the libraries that it needs, the C library included, and
started through its own dynamic linker. So it runs on a system of another age, which stays as it is.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from toolchain.commands import run_logged
from toolchain.context import Context
from toolchain.debian import install
from toolchain.errors import SetupError
from toolchain.offline.debian_image import own_mirror

SUITES: Final = {"3.11": "bookworm", "3.13": "trixie", "3.14": "forky"}
"""Python versions, and the Debian release that has each."""
_LINKERS: Final = {
    "amd64": ("x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "arm64": ("aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
}


def launcher(root: Path, version: str, architecture: str) -> str:
    """Return the program that starts the interpreter below `root`.

    Python looks for its library and for a virtual environment from the name that it was called by.
    """
    triplet, linker = _LINKERS[architecture]
    libraries = root / "usr/lib" / triplet
    words = (libraries / linker, "--library-path", libraries)
    command = " ".join(shlex.quote(str(word)) for word in words)
    program = shlex.quote(str(root / f"usr/bin/python{version}.program"))
    return f'#!/bin/sh\nexec {command} --argv0 "$0" {program} "$@"\n'


def debian_python(context: Context, version: str) -> Path:
    """Return the interpreter in the tool cache; make it where it is missing. Raise SetupError."""
    suite, architecture = SUITES.get(version), context.machine.architecture
    if suite is None or architecture is None:
        raise SetupError(
            f"there is no Python {version} on PATH, uv cannot fetch it, and Debian has none"
            + (" for this machine" if suite else ""),
            f"install Python {version} by hand, then run again",
        )
    key = f"python-{version}-debian-{suite}"
    final = context.cache.path(key)

    def make(folder: Path) -> None:
        _unpack(context, version, suite, folder)
        program = folder / f"usr/bin/python{version}"
        program.rename(program.with_name(f"{program.name}.program"))
        program.write_text(launcher(final, version, architecture))
        program.chmod(0o755)

    context.cache.provide(key, make)
    return final / f"usr/bin/python{version}"


def _unpack(context: Context, version: str, suite: str, folder: Path) -> None:
    if context.which("mmdebstrap") is None:
        if not context.machine.installs:
            raise SetupError(
                f"there is no Python {version} on PATH, and uv cannot fetch it",
                f"install Python {version} by hand"
                + (", or mmdebstrap" if context.machine.debian else "")
                + ", then run again",
            )
        install(context, ["mmdebstrap"], f"Python {version}")
    mirror = own_mirror(context)
    context.progress.doing(f"Python {version} of Debian {suite} by mmdebstrap, about 15 s")
    run_logged(
        ["mmdebstrap", "--variant=extract",
         # Packages built for this Python are linked to the C++ library of the system's.
         f"--include=python{version},libstdc++6",
         # A mirror that was not renewed for a week does for tests; signatures are checked.
         '--aptopt=Acquire::Check-Valid-Until "false"',
         "--dpkgopt=path-exclude=/usr/share/doc/*",
         suite, str(folder), *([mirror] if mirror else [])],
        log=context.log(f"python-{version}"),
        progress=context.progress,
        environment=context.environment,
        remedy=f"make a Debian mirror reachable (apt's sources), or install Python {version} by "
        "hand, then run again",
    )  # fmt: skip
