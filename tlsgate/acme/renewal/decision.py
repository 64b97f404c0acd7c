"""Whether a certificate is to be ordered now, and why. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from tlsgate.acme.certificate import Facts, Meta

SHORT_LIFE = timedelta(days=10)
LATE = 6
"""Renewal is late when less than one sixth of the lifetime is left."""
JITTER = 0.01


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the configuration requires."""

    names: tuple[str, ...]
    issuers: tuple[Meta, ...]
    """The CAs that may issue it, each with the profile to ask for; the first one is preferred."""


@dataclass(frozen=True, slots=True)
class Served:
    """What is on the volume. `fault`: why a peer would not accept it, None if it would. `renewal`:
    when it is to be renewed.
    """

    facts: Facts
    issuer: Meta
    fault: str | None
    renewal: datetime


def reason_to_order(requirements: Requirements, served: Served | None, now: datetime) -> str | None:
    """The reason to order; None if there is none."""
    if served is None:
        return "there is no certificate yet"
    return _difference(requirements, served) or _decay(served, now)


def _difference(requirements: Requirements, served: Served) -> str | None:
    """How the certificate differs from what is wanted."""
    found, wanted = set(served.facts.names), set(requirements.names)
    if found != wanted:
        more = [f"add {name}" for name in sorted(wanted - found)]
        less = [f"drop {name}" for name in sorted(found - wanted)]
        return f"its names differ: {', '.join(more + less)}"
    wanted_issuers = {issuer.directory: issuer for issuer in requirements.issuers}
    issuer = wanted_issuers.get(served.issuer.directory)
    if issuer is None:
        preferred = requirements.issuers[0].directory
        return f"its issuer is {served.issuer.directory}, wanted is {preferred}"
    if served.issuer.profile != issuer.profile:
        found_profile, profile = served.issuer.profile or "none", issuer.profile or "none"
        return f"its profile is {found_profile}, wanted is {profile}"
    return None


def _decay(served: Served, now: datetime) -> str | None:
    """Why the right certificate is due all the same."""
    if served.fault is not None:
        return f"peers would reject it: {served.fault}"
    if now >= served.renewal:
        return f"it is to be renewed from {served.renewal:%Y-%m-%d %H:%M:%S} UTC"
    return None


def renewal_time(not_before: datetime, not_after: datetime, serial: str = "0") -> datetime:
    """When one third of the lifetime is left, half of it if the lifetime is under 10 days.

    Earlier by a small part of the lifetime that depends on the serial (in hex), so that
    certificates of one day are not all renewed at once. A certificate's time never changes.
    """
    lifetime = not_after - not_before
    left = lifetime / (2 if lifetime < SHORT_LIFE else 3)
    digest = hashlib.sha256(serial.encode()).digest()
    jitter = int.from_bytes(digest[:4], "big") / 2**32 * JITTER * lifetime
    return not_after - left - jitter


def latest_renewal(not_before: datetime, not_after: datetime) -> datetime:
    """The CA's suggestion is followed up to this time, at which the health check fails."""
    return not_after - (not_after - not_before) / LATE
