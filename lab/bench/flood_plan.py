"""The messages of each attack of `lab.bench.flood`, and the DNS records for them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.bench.gateways import OWN_DOMAIN, partner_domain

PARTNERS = 10
"""Number of partners whose mail is measured, in turn."""
PARTNER_HOST, OTHER_HOST, SILENT_HOST = (
    "mx.partner.example",
    "mx.other.example",
    "mx.silent.example",
)
BOUNCES, STS, OTHERS = 120, 400, 150

Message = tuple[str, str]
"""Envelope sender and recipient."""


@dataclass(frozen=True, slots=True)
class Attack:
    """`outside`: the messages go to port 25, otherwise to 2525. `helper`: what is done to it.

    `rate`: messages per second; a higher one would measure the attacker's use of this machine.
    """

    name: str
    title: str
    messages: tuple[Message, ...]
    rate: float
    outside: bool = False
    helper: str = ""


def attacks(scale: float = 1.0) -> tuple[Attack, ...]:
    """All attacks; `scale`: factor for the messages. `dead` is last, for the helper stays dead."""
    others = tuple(_internal("other", OTHERS, scale))
    return (
        Attack(
            "bounces",
            "messages that bounce to an MX which sleeps at EHLO",
            tuple(
                (f"x@bounce{number}.example", f"b{number}@{OWN_DOMAIN}")
                for number in range(round(BOUNCES * scale))
            ),
            rate=20,
            outside=True,
        ),
        Attack(
            "sts",
            "destinations whose MTA-STS host takes the connection and hangs",
            tuple(_internal("sts", STS, scale)),
            rate=40,
        ),
        Attack(
            "hung",
            "messages to others while the policy helper hangs",
            others,
            rate=20,
            helper="hung",
        ),
        Attack(
            "dead",
            "messages to others while the policy helper is dead",
            others,
            rate=20,
            helper="dead",
        ),
    )


def measured(count: int) -> list[Message]:
    """Messages to partners, each with another recipient."""
    return [
        (f"a@{OWN_DOMAIN}", f"m{number}@{partner_domain(number % PARTNERS)}")
        for number in range(count)
    ]


def records(partner: str, other: str, silent: str) -> Iterator[str]:
    """All DNS records in master-file form; the arguments are the three servers' addresses."""
    for host, address in ((PARTNER_HOST, partner), (OTHER_HOST, other), (SILENT_HOST, silent)):
        yield f"{host}. A {address}"
    for number in range(PARTNERS):
        yield f"{partner_domain(number)}. MX 10 {PARTNER_HOST}."
    for number in range(BOUNCES):
        yield f"bounce{number}.example. MX 10 {SILENT_HOST}."
    for number in range(OTHERS):
        yield f"other{number}.example. MX 10 {OTHER_HOST}."
    for number in range(STS):
        yield f"sts{number}.example. MX 10 {OTHER_HOST}."
        yield f'_mta-sts.sts{number}.example. TXT "v=STSv1; id=1"'
        yield f"mta-sts.sts{number}.example. A {silent}"


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the least value that `percent` of the values do not exceed.

    Raises ValueError without values.
    """
    if not values:
        raise ValueError("nothing was measured")
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def delays(
    accepted: Mapping[str, float], received: Mapping[str, float], now: float
) -> tuple[list[float], int]:
    """Seconds from acceptance to delivery, by recipient, and the number of undelivered messages.

    An undelivered message counts with its time until `now`.
    """
    seconds = [received.get(recipient, now) - at for recipient, at in accepted.items()]
    return seconds, len(accepted.keys() - received.keys())


def _internal(name: str, count: int, scale: float) -> Iterator[Message]:
    for number in range(round(count * scale)):
        yield f"a@{OWN_DOMAIN}", f"{name[0]}{number}@{name}{number}.example"
