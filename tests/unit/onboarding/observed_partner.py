"""An observed partner, and possible counts of the gateway."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tlsgate.partners.model import Direction, Inbound, Mode, Outbound, Partner
from tlsgate.render.partner_rules import evidence_digest

TODAY = date(2026, 11, 24)
START = datetime(2026, 11, 10, 8, tzinfo=UTC)
ACME = Partner(
    name="Acme Motors AG",
    contact="postmaster@acme.example",
    agreed=date(2026, 10, 1),
    review=date(2027, 10, 1),
    mode=Mode.OBSERVE,
    domains=("acme.example",),
    subdomains=True,
    outbound=Outbound(),
    inbound=Inbound(),
    file="partners/acme.yaml",
)
ACME_FILE = """\
name: Acme Motors AG
contact: postmaster@acme.example
agreed: 2026-10-01
review: 2027-10-01
mode: observe
tls: strong
domains: [acme.example]
subdomains: true
outbound:
  verify: pkix
inbound:
  require: tls
"""
OTHER = replace(ACME, outbound=Outbound(mx=("mx.acme.example",)))
"""The same with another rule for mail to it."""


def counted(direction: Direction = Direction.OUTBOUND, **changes: Any) -> dict[str, Any]:
    """One entry of the gateway's counts: enough, unless changed."""
    return {
        "messages": 30,
        "would_hold": {},
        "since": at(0),
        "last": at(9),
        "clean": {"messages": 30, "since": at(0)},
        "rule": evidence_digest(ACME, direction),
        **changes,
    }


def at(days: float) -> str:
    return (START + timedelta(days=days)).isoformat()


def both(**changes: Any) -> dict[str, Any]:
    """The counts of both directions."""
    return {one.value: counted(one, **changes) for one in Direction}
