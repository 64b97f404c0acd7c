"""A CA as agent.json describes it: the first one, or the fallback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from tlsgate.acme.config.typed_json import Text
from tlsgate.record import Record

FAILURES_BEFORE_FALLBACK = 3

HttpsUrl = Annotated[
    str,
    Meta(
        pattern=r"\Ahttps://",
        extra={"wrong": "is not an https URL", "remedy": "Write one: ACME needs HTTPS"},
    ),
]
MailUri = Annotated[
    str,
    Meta(
        pattern=r"\Amailto:",
        extra={"wrong": "is not a mailto: address", "remedy": "Write mailto: before the address"},
    ),
]


class Eab(Record, frozen=True):
    """External account binding (RFC 8555, section 7.3.4); the file holds base64url."""

    key_id: Text
    hmac_key_file: Path


class Ca(Record, frozen=True):
    """`directory`: its ACME directory's URL, which also names it. `profile`: to ask for, None for
    the CA's own choice. `ca_file`: roots for the directory's own HTTPS, the system's if None.
    """

    directory: HttpsUrl
    contact: tuple[MailUri, ...] = ()
    profile: Text | None = None
    ca_file: Path | None = None
    eab: Eab | None = None


class Fallback(Ca, frozen=True):
    """Another CA, asked when a certificate failed `after` times in a row."""

    after: Annotated[int, Meta(ge=1, le=100)] = FAILURES_BEFORE_FALLBACK


@dataclass(frozen=True, slots=True)
class CaTurns:
    """The directories, the first CA's first; `after`: the failures that bring the second in."""

    directories: Sequence[str]
    after: int = 1
