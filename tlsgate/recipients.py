"""The recipients in your own domains: the files behind `tlsgate:internal.recipients: list`.

There is one text file per domain, with the domain as its name. A line is a local part (`jane`) or a
whole address (`jane@corp.example`); text after a `#` is a comment. Letter case is ignored, as
Postfix does (RFC 5321, section 2.4, leaves that to the receiving domain).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tlsgate.problems import Problem, ProblemsError, shown

_LOCAL = re.compile(r"[a-z0-9_+=-]+(\.[a-z0-9_+=-]+)*")


def load_recipients(folder: Path, domains: Sequence[str]) -> tuple[str, ...]:
    """Return every address of the files, in lower case and sorted.

    Raises ProblemsError with all problems: a file that is missing or belongs to no domain, and each
    line that is not an address of its domain or appears twice.
    """
    problems: list[Problem] = []
    found: set[str] = set()
    for domain in domains:
        try:
            text = (folder / domain).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            why = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8"
            message = f"the recipients of {domain} cannot be read ({why})"
            remedy = (
                "Write its addresses there, one per line, or tlsgate:internal.recipients: verify"
            )
            problems.append(Problem(str(folder / domain), 0, "", "no-recipients", message, remedy))
            continue
        addresses, faults = parse_recipients(text, domain, str(folder / domain))
        found.update(addresses)
        problems += faults
    problems += _of_no_domain(folder, domains)
    if problems:
        raise ProblemsError(problems)
    return tuple(sorted(found))


def parse_recipients(text: str, domain: str, file: str) -> tuple[list[str], list[Problem]]:
    """Return the addresses of one file in order, and what is wrong with its lines. Pure."""
    addresses: list[str] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.partition("#")[0].strip().lower()
        if not entry:
            continue
        local, _, host = entry.partition("@")
        if not _LOCAL.fullmatch(local) or host not in ("", domain):
            message = f"{shown(entry)} is not an address of {domain}"
            remedy = f"Write a local part such as jane, or jane@{domain}"
            problems.append(Problem(file, number, "", "bad-recipient", message, remedy))
            continue
        address = f"{local}@{domain}"
        if address in seen:
            message = f"{address} appears twice"
            problems.append(Problem(file, number, "", "doubled", message, "Write it once"))
        seen.add(address)
        addresses.append(address)
    return addresses, problems


def _of_no_domain(folder: Path, domains: Sequence[str]) -> list[Problem]:
    """Report files that are not used: with a misspelt name, all mail of a domain is refused."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return []  # each domain's file is reported as missing
    return [
        Problem(
            str(folder / name),
            0,
            "",
            "unknown-domain",
            f"{shown(name)} is not one of tlsgate:domains",
            "Rename the file to its domain, or delete it",
        )
        for name in names
        if name not in domains and not name.startswith(".") and name != "README.md"
    ]
