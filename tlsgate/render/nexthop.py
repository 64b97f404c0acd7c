"""The lint of design decision D10: the policy table is asked for the verbatim next hop.

Postfix looks a partner's TLS policy up by the next hop, not by the recipient's domain. A route or
a relay host that changes the next hop of a partner's domain makes its entry silently stop
applying, so it is an error before anything is deployed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tlsgate.partners.model import Partner
from tlsgate.problems import Problem


def lint_nexthops(
    partners: Sequence[Partner],
    routes: Mapping[str, str],
    own_domains: Sequence[str],
    relayhost: str,
) -> tuple[Problem, ...]:
    """All routes that change the next hop of a partner or of an own domain, sorted.

    `routes`: as in transport(5), the key a domain, `.domain` or `*`. `relayhost`: "" for none.
    """
    raise NotImplementedError
