"""The types of a gateway's outputs, and a function for values that may not be known yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, TypeVar

import pulumi

T = TypeVar("T")
U = TypeVar("U")


class IssuedCertificate(TypedDict):
    """A certificate in service."""

    name: str
    """The name of the host or the group; also of the folder of its key."""
    names: list[str]
    """The DNS names in it."""
    issuer: str
    spki_sha256: str | None
    """Of its key, in hex, at the last `up` that issued; later roll-overs do not change it."""


class PartnerSummary(TypedDict):
    """A summary of the partner list in force."""

    count: int
    digest: str
    """SHA-256 of the list in its canonical form, in hex."""


def apply_to(value: T | pulumi.Output[T], function: Callable[[T], U]) -> U | pulumi.Output[U]:
    """Return `function(value)`: immediately if the value is known, otherwise as an Output."""
    return value.apply(function) if isinstance(value, pulumi.Output) else function(value)
