"""A CA as agent.json describes it: the first one, or the fallback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tlsgate.acme.config.json_object import JsonObject

FAILURES_BEFORE_FALLBACK = 3


@dataclass(frozen=True, slots=True)
class Eab:
    """External account binding (RFC 8555, section 7.3.4); the file holds base64url."""

    key_id: str
    hmac_key_file: Path


@dataclass(frozen=True, slots=True)
class Ca:
    """`directory`: its ACME directory's URL, which also names it. `profile`: to ask for, None for
    the CA's own choice. `ca_file`: roots for the directory's own HTTPS, the system's if None.
    """

    directory: str
    contact: tuple[str, ...] = ()
    profile: str | None = None
    ca_file: Path | None = None
    eab: Eab | None = None


@dataclass(frozen=True, slots=True)
class Fallback:
    """Another CA, asked when a certificate failed `after` times in a row."""

    ca: Ca
    after: int = FAILURES_BEFORE_FALLBACK


@dataclass(frozen=True, slots=True)
class CaTurns:
    """The directories, the first CA's first; `after`: the failures that bring the second in."""

    directories: Sequence[str]
    after: int = 1


def read_ca(section: JsonObject) -> Ca:
    """Reads the keys that every CA has; `finish` is left to the caller."""
    directory = section.text("directory")
    if directory and not directory.startswith("https://"):
        section.problem("directory", f"{directory} is not an https URL", "ACME needs HTTPS")
    contact = section.texts("contact", required=False)
    for uri in contact:
        if not uri.startswith("mailto:"):
            section.problem("contact", f"{uri} is not a mailto: address", f"Write mailto:{uri}")
    eab = section.section("eab")
    return Ca(
        directory=directory,
        contact=contact,
        profile=section.optional_text("profile"),
        ca_file=section.optional_file("ca_file"),
        eab=_eab(eab) if eab else None,
    )


def read_fallback(section: JsonObject | None, first: Ca) -> Fallback | None:
    """The fallback; reports a problem if it is the first CA again."""
    if section is None:
        return None
    fallback = Fallback(
        read_ca(section),
        section.number("after", default=FAILURES_BEFORE_FALLBACK, low=1, high=100),
    )
    section.finish()
    if fallback.ca.directory and fallback.ca.directory == first.directory:
        message = f"{first.directory} is the first CA already"
        section.problem("directory", message, "Name another CA, or leave `fallback` out")
    return fallback


def _eab(section: JsonObject) -> Eab:
    eab = Eab(section.text("key_id"), section.file("hmac_key_file"))
    section.finish()
    return eab
