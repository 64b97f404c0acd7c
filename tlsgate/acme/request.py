"""What is asked of a CA for one certificate, and what it gave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tlsgate.acme.keys import Key
from tlsgate.acme.store import Meta


@dataclass(frozen=True, slots=True)
class Issued:
    """A chain in PEM, leaf first, and who issued it by which profile."""

    chain: bytes
    meta: Meta


@dataclass(frozen=True, slots=True)
class Request:
    """`certificate`: `<volume>/<name>`, by which failures are counted. `replaces`: the one in
    service, which the CA is told is replaced (RFC 9773, section 5); None without one.
    """

    certificate: str
    names: tuple[str, ...]
    key: Key
    replaces: Issued | None


Obtain = Callable[[Request], Issued]
"""Orders at a CA. Raises AcmeFault, or Stopped."""
