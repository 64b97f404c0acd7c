"""What a gateway tells about itself, and how a value that is not known yet is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, TypeVar

import pulumi

T = TypeVar("T")
U = TypeVar("U")


class IssuedCertificate(TypedDict):
    """A certificate in service."""

    name: str
    """The host's or the group's, and the folder of its key."""
    names: list[str]
    """The DNS names in it."""
    issuer: str
    spki_sha256: str | None
    """Of its key, in hex, as of the last `up` that issued; a roll-over since then is not in it."""


class PartnerSummary(TypedDict):
    """The list that is in force."""

    count: int
    digest: str
    """SHA-256 of the list in its canonical form, in hex."""


def then(value: T | pulumi.Output[T], function: Callable[[T], U]) -> U | pulumi.Output[U]:
    """Return the function of a value: at once if it is known, else as an Output."""
    return value.apply(function) if isinstance(value, pulumi.Output) else function(value)
