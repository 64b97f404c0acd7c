"""Writes partner files into a new folder, loads them, and returns what the user sees."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from tlsgate.partners.load import load_partners
from tlsgate.partners.model import Partner
from tlsgate.problems import ProblemsError

TODAY = date(2026, 11, 24)
RECORD = """\
name: Acme Motors AG
contact: postmaster@acme.example
agreed: 2026-10-01
review: 2027-10-01
domains: [acme.example]
"""
FILE = "partners/acme.yaml"


def record(**changes: str) -> str:
    """The smallest record with keys replaced or added; an empty string removes a key."""
    lines = dict(line.split(": ", 1) for line in RECORD.splitlines())
    lines.update(changes)
    return "".join(f"{key}: {value}\n" for key, value in lines.items() if value)


def load(own_domains: Sequence[str] = (), **files: str | bytes) -> tuple[Partner, ...]:
    """Load the list made of the given files (name without `.yaml`, content)."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for stem, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (folder / f"{stem}.yaml").write_bytes(data)
        return load_partners(folder, own_domains=own_domains, today=TODAY)


def complaints(own_domains: Sequence[str] = (), **files: str | bytes) -> list[str]:
    """The lines that the user sees for a list, without the count; [] if there is no problem.

    The folder is called `partners` in them.
    """
    try:
        load(own_domains, **files)
    except ProblemsError as error:
        folders = {str(Path(one.file).parent) for one in error.problems if one.file}
        reported = str(error)
        for folder in folders:
            reported = reported.replace(folder, "partners")
        return reported.splitlines()[:-1]
    return []
