"""Contacts a partner's servers as the gateway would: look-ups and handshakes, no message."""

from __future__ import annotations

from datetime import UTC, datetime

from tlsgate.dns.lookups import DnsLookups
from tlsgate.dns.mail_route import find_route
from tlsgate.policy.generation import LoadedGeneration
from tlsgate.smtp.delivery import SimulatedDelivery
from tlsgate.smtp.dialogue import Limits
from tlsgate.smtp.offers import Contexts
from tlsgate.smtp.requirement import parse_policy
from tlsgate.smtp.sessions import SessionPool

NO_SERVER = "no-server"
AT_ONCE = 4


async def would_hold(
    lookups: DnsLookups, loaded: LoadedGeneration, domain: str, policy: str, port: int = 25
) -> str:
    """The code of the reason for which mail would be held (tlsgate.smtp.reasons); "" if not.

    `policy`: a value of Postfix's table. Raises ValueError for one that is not understood.
    """
    requirement = parse_policy(policy, domain)
    named = requirement.anchors
    anchors = {named: loaded.anchors(named)} if named else {}
    sessions = SessionPool(
        Contexts(loaded.extra_ca, anchors), Limits(port, loaded.host_name), AT_ONCE
    )
    route = await find_route(lookups, domain)
    made = await SimulatedDelivery(route, requirement, sessions, datetime.now(UTC)).attempts()
    if not made:
        return NO_SERVER
    return made[-1].reason.code if made[-1].reason else ""
