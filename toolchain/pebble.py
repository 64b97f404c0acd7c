"""Pebble, Let's Encrypt's own test CA: the lab's public CA. Its image copies this program."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from toolchain import go_tools, versions
from toolchain.context import Context
from toolchain.progress import Done

_KEY: Final = f"pebble-{versions.PEBBLE}"
_MODULE: Final = Path(__file__).parent / "go/pebble"
_PACKAGE: Final = "github.com/letsencrypt/pebble/v2/cmd/pebble"


def pebble_program(context: Context) -> Path:
    """Return where the program is, or will be."""
    return context.cache.path(_KEY) / "pebble"


def pebble(context: Context) -> Done:
    """Build it once, as a static program."""

    def make(folder: Path) -> None:
        go = go_tools.find_or_fetch_go(context)
        go_tools.build(context, go, _MODULE, _PACKAGE, folder / "pebble")

    changed = context.cache.provide(_KEY, make)
    return Done(f"Pebble {versions.PEBBLE}", "built from source", changed=changed)
