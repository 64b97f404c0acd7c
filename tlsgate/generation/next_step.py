"""What the watcher does next, from what it found on the volumes. Pure.

| found | done |
| --- | --- |
| new generation, complete, its certificates usable | put in force |
| new generation, bad, or a certificate of it missing or bad | refused, the old one stays |
| new certificate, right | staged, server reloads |
| new certificate, bad | refused, the staged one stays |
| at the start, a certificate that is only expired | staged with an alert: a server with an
|   | expired certificate still receives from those who do not verify; no sender loses security |
| policy host without certificates yet | in force without HTTPS: port 80 is needed to get them |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tlsgate.generation import requirements
from tlsgate.generation.certificate import CertificateFault


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
class WantedGeneration:
    """A generation and the certificates that it names."""

    generation: str
    certificates: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class VolumeState:
    """What the watcher found on the volumes.

    `active`: in force, None at the start. `candidate`: a new generation, None if there is none,
    or why it is refused. `offered`: certificate → what is wrong with the one on the volume, None
    if nothing is; certificates that are not there are left out. `staged`: those in use that are
    valid for the generation wanted. `https`: whether HTTPS is on.
    """

    active: WantedGeneration | None
    candidate: WantedGeneration | Alert | None
    offered: Mapping[str, CertificateFault | None]
    staged: frozenset[str]
    https: bool = False


@dataclass(frozen=True, slots=True)
class NextStep:
    """`take`: the generation to put in force. `stage`: certificates to put in place first."""

    take: WantedGeneration | None = None
    stage: tuple[str, ...] = ()
    https: bool = False
    alerts: tuple[Alert, ...] = ()


def next_step(kind: str, state: VolumeState) -> NextStep:
    """The next step."""
    alerts = [state.candidate] if isinstance(state.candidate, Alert) else []
    candidate = state.candidate if isinstance(state.candidate, WantedGeneration) else None
    wanted = candidate or state.active
    if wanted is None:
        return NextStep(alerts=tuple(alerts))
    stage: list[str] = []
    missing: list[Alert] = []
    for name in sorted(wanted.certificates):
        fault = state.offered.get(name)
        if name in state.offered and fault is None:
            stage.append(name)
            continue
        if fault is not None:
            use = "The certificate in use stays, if there is one. The agent's log says more."
            alerts.append(Alert(f"certificate {name} refused", fault.reason, use))
        if name in state.staged:
            continue
        if fault is not None and fault.expired and state.active is None:
            stage.append(name)
            continue
        missing.append(refused(wanted.generation, f"no certificate {name}"))
    complete = not missing
    if complete or (kind == requirements.NGINX and not state.https):
        https = kind == requirements.NGINX and complete and bool(wanted.certificates)
        return NextStep(candidate, tuple(stage) if complete else (), https, tuple(alerts))
    if candidate is None:
        # The certificate in use is not on the volume any more: it stays in use.
        return NextStep(None, tuple(stage), state.https, tuple(alerts))
    return NextStep(None, (), state.https, (*alerts, *missing))
