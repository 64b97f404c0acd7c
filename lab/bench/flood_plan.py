"""What is sent in each attack of `lab.bench.flood`, and what DNS says of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.bench.gateways import OWN_DOMAIN, partner_domain

PARTNERS = 10
"""Of the list, whose mail is measured, one after the other."""
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
    """`outside`: the messages come to port 25, else to 2525. `helper`: what is done to it.

    `rate`: messages a second; more would measure the attacker's own use of this machine.
    """

    name: str
    title: str
    messages: tuple[Message, ...]
    rate: float
    outside: bool = False
    helper: str = ""


def attacks(scale: float = 1.0) -> tuple[Attack, ...]:
    """All of them; `scale`: of the numbers of messages. The dead helper last: it stays dead."""
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
    """Messages to partners, each with a recipient of its own."""
    return [
        (f"a@{OWN_DOMAIN}", f"m{number}@{partner_domain(number % PARTNERS)}")
        for number in range(count)
    ]


def records(partner: str, other: str, silent: str) -> Iterator[str]:
    """The world's DNS, in master-file form; the three servers' addresses."""
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
    """The nearest rank: the least value that at least `percent` of them do not exceed.

    Raises ValueError without values.
    """
    if not values:
        raise ValueError("nothing was measured")
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def delays(
    accepted: Mapping[str, float], received: Mapping[str, float], now: float
) -> tuple[list[float], int]:
    """Seconds from acceptance to the partner's server, and how many are still waiting.

    By recipient. What waits has waited until `now`, and counts with that.
    """
    seconds = [received.get(recipient, now) - at for recipient, at in accepted.items()]
    return seconds, len(accepted.keys() - received.keys())


def _internal(name: str, count: int, scale: float) -> Iterator[Message]:
    for number in range(round(count * scale)):
        yield f"a@{OWN_DOMAIN}", f"{name[0]}{number}@{name}{number}.example"
