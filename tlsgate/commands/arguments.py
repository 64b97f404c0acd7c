"""Arguments that several commands take in the same words."""

from __future__ import annotations

import argparse
from pathlib import Path

from tlsgate.partners.domains import host_fault
from tlsgate.problems import shown


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
        help="a domain of your own, which no partner may list; may be repeated",
    )


def _own_domain(text: str) -> str:
    fault = host_fault(text)
    if fault:
        raise argparse.ArgumentTypeError(f"{shown(text)} {fault[0]}. {fault[1]}")
    return text
