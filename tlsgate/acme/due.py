"""Whether a certificate is to be ordered now, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tlsgate.acme.certificate import Facts

SHORT_LIFE = timedelta(days=10)


@dataclass(frozen=True, slots=True)
class Order:
    """What the configuration asks for."""

    names: tuple[str, ...]
    directory: str
    profile: str | None


@dataclass(frozen=True, slots=True)
class Served:
    """What is on the volume. `fault`: why a peer would not accept it, None if it would."""

    facts: Facts
    directory: str
    profile: str | None
    fault: str | None


def due(order: Order, served: Served | None, now: datetime) -> str | None:
    """The reason to order; None if there is none."""
    if served is None:
        return "there is no certificate yet"
    return _difference(order, served) or _decay(served, now)


def _difference(order: Order, served: Served) -> str | None:
    """It is not the certificate that is wanted."""
    found, wanted = set(served.facts.names), set(order.names)
    if found != wanted:
        more = [f"add {name}" for name in sorted(wanted - found)]
        less = [f"drop {name}" for name in sorted(found - wanted)]
        return f"its names differ: {', '.join(more + less)}"
    if served.directory != order.directory:
        return f"its issuer is {served.directory}, wanted is {order.directory}"
    if served.profile != order.profile:
        return f"its profile is {served.profile or 'none'}, wanted is {order.profile or 'none'}"
    return None


def _decay(served: Served, now: datetime) -> str | None:
    """It is the right one, but not for much longer."""
    if served.fault is not None:
        return f"peers would refuse it: {served.fault}"
    renewal = renewal_time(served.facts.not_before, served.facts.not_after)
    if now >= renewal:
        return f"it is to be renewed from {renewal:%Y-%m-%d %H:%M:%S} UTC on"
    return None


def renewal_time(not_before: datetime, not_after: datetime) -> datetime:
    """When one third of the lifetime is left, half of it if the lifetime is under 10 days."""
    lifetime = not_after - not_before
    return not_after - lifetime / (2 if lifetime < SHORT_LIFE else 3)
