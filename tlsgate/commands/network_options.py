"""What `tlsgate probe` and `tlsgate check` share: network options, and reading the partner list."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlsgate.partners.domains import host_fault
from tlsgate.partners.entries import FolderEntry, folder_entries
from tlsgate.partners.load import load_entries
from tlsgate.partners.model import Partner
from tlsgate.problems import ProblemsError, shown

if TYPE_CHECKING:
    from tlsgate.dns.nameservers import Resolver

_FOLDER = Path("partners")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add `--partners`, `--resolver`, `--extra-ca` and `--json`."""
    parser.add_argument(
        "--partners",
        metavar="DIR",
        type=Path,
        help="the folder of partner files (default: partners, if there is one)",
    )
    add_network_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def add_network_options(parser: argparse._ActionsContainer) -> None:
    """Add `--resolver` and `--extra-ca`."""
    parser.add_argument(
        "--resolver",
        metavar="ADDRESS[:PORT]",
        type=_resolver,
        help="the validating DNS resolver; its DNSSEC results are trusted (default: those in"
        " /etc/resolv.conf, trusted if on this machine or with `options trust-ad`)",
    )
    parser.add_argument(
        "--extra-ca",
        metavar="FILE",
        type=_certificates,
        help="PEM file of root certificates to trust besides the system's",
    )


def mail_domain(text: str) -> str:
    """Return a domain argument as lower-case A-labels. Raises argparse.ArgumentTypeError."""
    name = text.strip().rstrip(".").lower()
    if not name.isascii():
        import idna  # noqa: PLC0415  # few names need it

        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise argparse.ArgumentTypeError(f"{shown(text)} is not a domain name") from None
    fault = host_fault(name)
    if fault:
        raise argparse.ArgumentTypeError(f"{shown(text)} {fault[0]}. {fault[1]}")
    return name


def read_list(options: argparse.Namespace, domains: Sequence[str]) -> tuple[Partner, ...] | None:
    """Return the partners that may list `domains`; None, with the problems printed, if invalid.

    Only files that may contain one of them are parsed: parsing thousands of files takes seconds.
    """
    folder = options.partners or _FOLDER
    if options.partners is None and not folder.is_dir():
        return ()
    # A listed parent of a domain has the same last two labels.
    ends = {".".join(domain.split(".")[-2:]).encode("ascii") for domain in domains}
    try:
        return load_entries(one for one in folder_entries(folder) if _may_name(one, ends))
    except ProblemsError as error:
        if options.json:
            problems = [problem.to_dict() for problem in error.problems]
            print(json.dumps({"problems": problems}, indent=2))
        else:
            print(error, file=sys.stderr)
        return None


def _may_name(entry: FolderEntry, ends: Collection[bytes]) -> bool:
    if entry.fault is not None:
        return True
    try:
        content = entry.read().lower()
    except OSError:
        return True
    # In YAML, a letter can be written in another way only with a backslash.
    return b"\\" in content or any(end in content for end in ends)


def resolver_of(options: argparse.Namespace) -> Resolver:
    """Return the resolver that was given, or this machine's."""
    from tlsgate.dns.nameservers import RESOLV_CONF, configured_resolver  # noqa: PLC0415

    if options.resolver is not None:
        chosen: Resolver = options.resolver
        return chosen
    return configured_resolver(RESOLV_CONF.read_text("utf-8") if RESOLV_CONF.exists() else "")


def _resolver(text: str) -> Resolver:
    from tlsgate.dns.nameservers import named_resolver  # noqa: PLC0415  # the DNS library is slow

    try:
        return named_resolver(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None


def _certificates(path: str) -> str:
    import ssl  # noqa: PLC0415

    try:
        text = Path(path).read_text("ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except OSError as fault:  # ssl.SSLError is one
        raise argparse.ArgumentTypeError(f"{path}: {fault.strerror or fault}") from None
    except ValueError:
        raise argparse.ArgumentTypeError(f"{path} is not a PEM file") from None
    return text
