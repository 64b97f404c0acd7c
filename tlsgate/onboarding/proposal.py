"""Proposes what a new partner's record can require, from what its servers show today. Pure.

The names and keys of the servers come from DNS alone, and a rule that relied on them would trust
whoever answers. So they are only proposed, and the partner must confirm them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tlsgate.partners.model import Mode, Partner, Verify
from tlsgate.probe.result import ProbeResult
from tlsgate.probe.verdict import judge
from tlsgate.render.partner_maps import compile_partners
from tlsgate.smtp.requirement import listed_policy, parse_policy


@dataclass(frozen=True, slots=True)
class Proposal:
    """`mx`, `public_keys`: must be confirmed by the partner; empty if there are none."""

    verify: Verify
    mx: tuple[str, ...] = ()
    public_keys: tuple[str, ...] = ()


def propose(results: Sequence[ProbeResult], verify: Verify | None = None) -> Proposal:
    """Return what fits all of a partner's domains. `verify`: the requested way, None for the best.

    The best is the first of `pkix` for the domains' own names, `dane`, and `pkix` for the servers'
    names. If the servers are not ready for any of them, it is `pkix`.
    """
    if verify is None:
        ready = frozenset.intersection(*(result.ready for result in results))
        if Verify.PKIX in ready:
            return Proposal(Verify.PKIX)
        if Verify.DANE in ready:
            return Proposal(Verify.DANE)
        return Proposal(Verify.PKIX, mx=_mx_names(results))
    if verify is Verify.PIN:
        keys = {key for result in results for key in result.public_keys}
        return Proposal(verify, public_keys=tuple(sorted(keys)))
    return Proposal(verify)


def _mx_names(results: Sequence[ProbeResult]) -> tuple[str, ...]:
    """Return the names that make every domain ready; empty if there are none.

    `outbound.mx` replaces the domain's own name. So the own name of a domain that is ready with it
    is added to them.
    """
    names: set[str] = set()
    for result in results:
        if Verify.PKIX in result.ready:
            names |= {result.domain, f".{result.domain}"}
        elif result.mx_names:
            names |= set(result.mx_names)
        else:
            return ()
    return tuple(sorted(names))


def compare_with_record(results: Sequence[ProbeResult], partner: Partner) -> list[ProbeResult]:
    """Return the same results, compared with what the partner's record requires once enforced.

    A private CA cannot be checked from here: its results stay as they are.
    """
    if partner.outbound.verify is Verify.PRIVATE_CA:
        return list(results)
    table = compile_partners([replace(partner, mode=Mode.ENFORCE, exceptions=())]).outbound
    found = []
    for result in results:
        policy = listed_policy(dict(table), result.domain)
        if result.route is None or policy is None:
            found.append(result)
            continue
        requirement = parse_policy(policy, result.domain)
        now = datetime.now(UTC)
        found.append(judge(result.route, result.servers, result.published, requirement, now))
    return found
