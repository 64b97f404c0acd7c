"""The lint of design decision D10: the policy table is asked for the verbatim next hop.

Postfix looks a partner's TLS policy up by the next hop, not by the recipient's domain. A route or
a relay host that changes the next hop of a partner's domain makes its entry silently stop
applying, so it is an error before anything is deployed. `smtp:` alone, or the domain itself, is
a route that changes nothing: it takes a partner out of a wider route or of the relay host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tlsgate.partners.model import Partner
from tlsgate.problems import Problem

ROUTES = "tlsgate:routes"
RELAYHOST = "tlsgate:relayhost"


def lint_nexthops(
    partners: Sequence[Partner],
    routes: Mapping[str, str],
    own_domains: Sequence[str],
    relayhost: str,
) -> tuple[Problem, ...]:
    """All routes that change the next hop of a partner or of an own domain, sorted.

    `routes`: as in transport(5), the key a domain, `.domain` or `*`. `relayhost`: "" for none.
    One problem for each route, however many partners it affects.
    """
    problems = [_own_domain(domain) for domain in own_domains if domain in routes]
    hit: dict[str, set[str]] = defaultdict(set)
    covered = {domain: p.subdomains for p in partners for domain in p.domains}
    for domain, subdomains in covered.items():
        # With subdomains: also any of them that has no route of its own.
        for name in (domain, f"*.{domain}") if subdomains else (domain,):
            for key in _effective(name, routes, relayhost):
                hit[key].add(domain)
    for key, hop in routes.items():
        if _changes(hop, key):
            for domain in parent_names(key):
                if covered.get(domain):
                    hit[key].add(domain)
    problems += [_diverted(key, sorted(hit[key]), routes, relayhost) for key in hit]
    return tuple(sorted(problems))


def _effective(name: str, routes: Mapping[str, str], relayhost: str) -> Iterator[str]:
    """The key that transport(5) finds for the name, if its route changes the next hop."""
    for key in _search(name):
        if key in routes:
            if _changes(routes[key], name):
                yield key
            return
    if relayhost:
        yield ""


def _search(name: str) -> Iterator[str]:
    """The keys in transport(5)'s order: the name, `.parent` by `.parent`, `*`."""
    yield name
    yield from (f".{parent}" for parent in parent_names(name))
    yield "*"


def parent_names(name: str) -> Iterator[str]:
    """The domains above a name, the nearest first."""
    while "." in name:
        name = name.partition(".")[2]
        yield name


def _changes(hop: str, name: str) -> bool:
    return hop.removeprefix("smtp:").lower() not in {"", name}


def _diverted(
    key: str, domains: Sequence[str], routes: Mapping[str, str], relayhost: str
) -> Problem:
    more = f" and {len(domains) - 1} more" if len(domains) > 1 else ""
    hop = routes[key] if key else relayhost
    return Problem(
        file="",
        line=0,
        key=f"{ROUTES}[{key}]" if key else RELAYHOST,
        code="partner-diverted",
        message=(
            f"next hop {hop} takes the mail of partner domain {domains[0]}{more}: the partner's "
            "TLS policy, which Postfix looks up by the next hop, would not apply"
        ),
        remedy=(
            f"Remove it, or write routes `{domains[0]}: 'smtp:'` and, for subdomains, "
            f"`.{domains[0]}: 'smtp:'`, so that this mail goes to the partner's own MX"
        ),
    )


def _own_domain(domain: str) -> Problem:
    return Problem(
        file="",
        line=0,
        key=f"{ROUTES}[{domain}]",
        code="own-domain-routed",
        message="mail for an own domain goes to the internal server, and this is one",
        remedy="Remove the route, or remove the domain from tlsgate:domains",
    )
