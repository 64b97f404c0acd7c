"""What the watcher does next: pure, from what it saw to what it shall do.

| seen | done |
| --- | --- |
| new generation, whole, its certificates usable | taken up |
| new generation, bad, or a certificate of it missing or bad | refused, the old one stays |
| new certificate, right | staged, server reloads |
| new certificate, bad | refused, the staged one stays |
| at the start, a certificate that is bad only by its age | staged with an alert: a server with an
|   | expired certificate still receives from those who do not verify; nobody is lowered by it |
| policy host without certificates yet | taken up without HTTPS: its port 80 is how they come |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tlsgate.generation import needs
from tlsgate.generation.certificate import Fault


@dataclass(frozen=True, slots=True)
class Alert:
    """What was refused, why, and what happens next."""

    what: str
    reason: str
    next: str


def refused(generation: str, reason: str) -> Alert:
    """A generation that is not taken up."""
    return Alert(
        f"generation {generation} refused",
        reason,
        "What is in force stays. Correct the configuration and run `pulumi up` again.",
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """A generation and the certificates that it names."""

    generation: str
    certificates: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the watcher looked at.

    `active`: in force, None at the start. `candidate`: a new generation, None if there is none,
    or why it is refused. `offered`: certificate → what is wrong with the one on the volume, None
    if nothing is; certificates that are not there are left out. `staged`: those in use that are
    valid for the generation wanted. `https`: whether HTTPS is on.
    """

    active: Wanted | None
    candidate: Wanted | Alert | None
    offered: Mapping[str, Fault | None]
    staged: frozenset[str]
    https: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """`take`: the generation to put in force. `stage`: certificates to put in place first."""

    take: Wanted | None = None
    stage: tuple[str, ...] = ()
    https: bool = False
    alerts: tuple[Alert, ...] = ()


def decide(kind: str, seen: Seen) -> Decision:
    """The next step."""
    alerts = [seen.candidate] if isinstance(seen.candidate, Alert) else []
    candidate = seen.candidate if isinstance(seen.candidate, Wanted) else None
    wanted = candidate or seen.active
    if wanted is None:
        return Decision(alerts=tuple(alerts))
    stage: list[str] = []
    missing: list[Alert] = []
    for name in sorted(wanted.certificates):
        fault = seen.offered.get(name)
        if name in seen.offered and fault is None:
            stage.append(name)
            continue
        if fault is not None:
            use = "The certificate in use stays, if there is one. The agent's log says more."
            alerts.append(Alert(f"certificate {name} refused", fault.reason, use))
        if name in seen.staged:
            continue
        if fault is not None and fault.expired and seen.active is None:
            stage.append(name)
            continue
        missing.append(refused(wanted.generation, f"no certificate {name}"))
    complete = not missing
    if complete or (kind == needs.NGINX and not seen.https):
        https = kind == needs.NGINX and complete and bool(wanted.certificates)
        return Decision(candidate, tuple(stage) if complete else (), https, tuple(alerts))
    if candidate is None:
        # The certificate in use is not on the volume any more: it stays in use.
        return Decision(None, tuple(stage), seen.https, tuple(alerts))
    return Decision(None, (), seen.https, (*alerts, *missing))
