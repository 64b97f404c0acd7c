"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tlsgate.partners.domains import host_fault
from tlsgate.problems import shown


def add_option(
    container: argparse._ActionsContainer, option: str, *, old: str, **settings: Any
) -> None:
    """Add an option, with an old spelling that is accepted and not in the help."""
    action = container.add_argument(option, **settings)
    hidden = {"dest": action.dest, "default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    container.add_argument(old, **{**settings, **hidden})


def add_folder(parser: argparse.ArgumentParser, *, old: str, purpose: str = "") -> None:
    """Add `--partners DIR`, the folder of partner files, as `folder`."""
    add_option(
        parser,
        "--partners",
        old=old,
        dest="folder",
        metavar="DIR",
        type=Path,
        default=Path("partners"),
        help=f"the folder of partner files{purpose} (default: partners)",
    )


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Add `DIR`, the folder of partner files, as `directory`."""
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        type=Path,
        default=Path("partners"),
        help="the folder of partner files (default: partners)",
    )


def add_own_domains(parser: argparse.ArgumentParser) -> None:
    """Add `--own-domain`, as the list `own_domains`."""
    parser.add_argument(
        "--own-domain",
        metavar="DOMAIN",
        dest="own_domains",
        action="append",
        type=_own_domain,
        default=[],
        help="one of your own domains, which no partner may list; can be repeated",
    )


def _own_domain(text: str) -> str:
    fault = host_fault(text)
    if fault:
        raise argparse.ArgumentTypeError(f"{shown(text)} {fault[0]}. {fault[1]}")
    return text
