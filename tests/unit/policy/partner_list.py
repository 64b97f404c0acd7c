"""A partner list as the gateway's generation holds it for the helper."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from tlsgate.partners.model import (
    Allow,
    Direction,
    ExceptionRule,
    Inbound,
    Mode,
    Outbound,
    Partner,
)
from tlsgate.policy.rules import Rules, load_rules
from tlsgate.render.partner_maps import compile_partners
from tlsgate.tls import Strength

LAST_DAY = date(2026, 12, 24)
END = datetime(2026, 12, 25, tzinfo=UTC)
BEFORE = END - timedelta(seconds=1)


def partner(
    domain: str,
    *exceptions: ExceptionRule,
    name: str = "",
    inbound: Inbound = Inbound(),  # noqa: B008  # frozen
    outbound: Outbound = Outbound(),  # noqa: B008
    subdomains: bool = False,
    observe: bool = False,
    tls: Strength = Strength.STRONG,
) -> Partner:
    """A record for one domain."""
    return Partner(
        name=name or domain.partition(".")[0].title(),
        contact=f"postmaster@{domain}",
        agreed=date(2026, 10, 1),
        review=date(2027, 10, 1),
        mode=Mode.OBSERVE if observe else Mode.ENFORCE,
        tls=tls,
        domains=(domain,),
        subdomains=subdomains,
        outbound=outbound,
        inbound=inbound,
        exceptions=exceptions,
    )


def until_last_day(direction: Direction, allow: Allow, day: date = LAST_DAY) -> ExceptionRule:
    return ExceptionRule(day, direction, allow, "late", "security@corp.example")


def rules_json(*partners: Partner) -> str:
    """The content of partner_rules.json."""
    return compile_partners(partners).rules.to_json()


def rules(*partners: Partner) -> Rules:
    """As the helper reads it."""
    return load_rules(rules_json(*partners).encode())
