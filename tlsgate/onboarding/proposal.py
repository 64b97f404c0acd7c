"""What a new partner's record can demand, from what its servers show today. Pure.

What the servers' own names or keys are, only DNS says, and a rule built on that alone would trust
whoever answers: names and keys are proposed, and must be confirmed by the partner.
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
    """`mx`, `public_keys`: to be confirmed by the partner; empty if there is nothing to."""

    verify: Verify
    mx: tuple[str, ...] = ()
    public_keys: tuple[str, ...] = ()


def propose(results: Sequence[ProbeResult], verify: Verify | None = None) -> Proposal:
    """Return what fits all of a partner's domains; `verify`: what is wanted, None for the best.

    The best is the first of `pkix` for the domains' own names, `dane`, and `pkix` for the servers'
    names. What is not ready for any of them is asked for `pkix`.
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
    """The names that make every domain ready; empty if none do.

    `outbound.mx` stands in the place of the domain's own name, so that a domain which is ready by
    its own gets it beside the others.
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


def judged(results: Sequence[ProbeResult], partner: Partner) -> list[ProbeResult]:
    """Return the same findings, held against what the partner's record demands when enforced.

    A private CA's servers cannot be told from here: theirs stay as they are.
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
