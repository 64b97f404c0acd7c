"""What a CA is asked for, and what it issued."""

from __future__ import annotations

from dataclasses import dataclass

from tlsgate.acme.certificate import Meta
from tlsgate.acme.keys import Key


@dataclass(frozen=True, slots=True)
class Issued:
    """A chain in PEM, leaf first, and who issued it by which profile."""

    chain: bytes
    meta: Meta


@dataclass(frozen=True, slots=True)
class Request:
    """`replaces`: the one in service, which the CA is told is replaced (RFC 9773, section 5); None
    without one.
    """

    names: tuple[str, ...]
    key: Key
    replaces: Issued | None
