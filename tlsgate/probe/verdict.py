"""What a domain is ready for, from what the probe found, and a sentence for its postmaster. Pure.

A domain is ready for a kind of proof (DESIGN §4, `outbound.verify`) if every server that answers
gives it, for the gateway may come to any of them. One that cannot be reached from here is reported
and otherwise ignored, unless none can be reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from tlsgate.certificates.names import accepted
from tlsgate.dns.mail_route import Dane, NoRoute, Route
from tlsgate.partners.model import Verify
from tlsgate.probe.published import Published, Sts
from tlsgate.probe.result import KINDS, ProbeResult, Server
from tlsgate.smtp.delivery import final_word
from tlsgate.smtp.reasons import Reason, dane_fault, pin_fault, pkix_fault
from tlsgate.smtp.requirement import Level, Requirement, allows_host

_SOON_DAYS = 14
_SHOWN = 2
_WAITS = "mail to it waits: DNS alone never returns mail to a partner"
_MX = "publish MX records that lead to a mail server"
_DNS = "check the domain's name servers and its DNSSEC signatures"
_DNSSEC = "sign the domain and its mail servers' names with DNSSEC and publish TLSA records (3 1 1)"


def judge(
    route: Route,
    servers: Sequence[Server],
    published: Published,
    requirement: Requirement | None,
    now: datetime,
) -> ProbeResult:
    """The verdict. `requirement`: the partner list's, None for a domain that is not on it."""
    domain = route.domain
    if not servers:
        reason = _without_server(route)
        return ProbeResult(
            domain,
            frozenset(),
            f"{domain} is not ready: {reason.text}. Please {reason.remedy}.",
            dict.fromkeys(KINDS, (reason,)),
            notes=(_WAITS,) if requirement and final_word(route, ()) else (),
            listed=_listed(requirement),
            route=route,
            published=published,
        )
    reached = [server for server in servers if server.contact.reached] or list(servers)
    wanted = requirement if requirement and requirement.level is not Level.DANE_ONLY else None
    names: tuple[str, ...] = (domain, f".{domain}")
    pins: tuple[str, ...] = ()
    if wanted and wanted.level is Level.SECURE:
        names = wanted.match
    elif wanted and wanted.level is Level.FINGERPRINT:
        pins = wanted.match
    found = {
        Verify.PKIX: _unique(pkix_fault(one.contact, names, now) for one in reached),
        Verify.DANE: _unique(_dane(route, one, now) for one in reached),
        Verify.PIN: _unique(pin_fault(one.contact, pins) for one in reached),
    }
    ready = frozenset(kind for kind in KINDS if not found[kind])
    listed = _listed(requirement)
    return ProbeResult(
        domain=domain,
        ready=ready,
        sentence=_sentence(domain, ready, found, reached, listed),
        reasons={kind: reasons for kind, reasons in found.items() if reasons},
        notes=(
            *_unreached(servers, reached),
            *_notes(route, reached, published, Verify.DANE in ready, now),
        ),
        mx_names=_mx_names(found[Verify.PKIX], reached, published),
        public_keys=tuple(
            sorted(
                {one.contact.certificate.spki_sha256 for one in reached if one.contact.certificate}
            )
        ),
        listed=listed,
        route=route,
        servers=tuple(servers),
        published=published,
    )


def _listed(requirement: Requirement | None) -> Verify | None:
    if requirement is None:
        return None
    return {Level.DANE_ONLY: Verify.DANE, Level.FINGERPRINT: Verify.PIN}.get(
        requirement.level, Verify.PKIX
    )


def _without_server(route: Route) -> Reason:
    if route.missing is not None:
        detail = f" ({route.detail})" if route.detail else ""
        looked_up = route.missing is not NoRoute.LOOKUP
        return Reason("mx", f"{route.missing.value}{detail}", _MX if looked_up else _DNS)
    faults = "; ".join(host.fault for host in route.hosts if host.fault)
    return Reason("mx", f"none of its mail servers has an address ({faults})", _MX)


def _dane(route: Route, server: Server, now: datetime) -> Reason | None:
    host = server.host
    if not route.secure:
        return Reason("dnssec", f"the MX of {route.domain} is not signed with DNSSEC", _DNSSEC)
    if not host.secure:
        return Reason("dnssec", f"the address of {host.name} is not signed with DNSSEC", _DNSSEC)
    if host.dane is not Dane.USABLE:
        words = {
            Dane.NONE: f"{host.name} has no TLSA record",
            Dane.UNUSABLE: f"{host.name} has TLSA records, but none with usage 2 or 3",
            Dane.FAILED: f"the TLSA records of {host.name} cannot be looked up",
        }
        return Reason("tlsa-records", words[host.dane], _DNSSEC)
    accepted_names = (host.tlsa_base, host.name, route.domain)
    return dane_fault(server.dane or server.contact, host.tlsa, accepted_names, now)


def _unique(reasons: Iterable[Reason | None]) -> tuple[Reason, ...]:
    return tuple(dict.fromkeys(reason for reason in reasons if reason is not None))


def _sentence(
    domain: str,
    ready: frozenset[Verify],
    found: Mapping[Verify, tuple[Reason, ...]],
    servers: Sequence[Server],
    listed: Verify | None,
) -> str:
    kinds = _words([kind.value for kind in KINDS if kind in ready])
    if listed in ready or (listed is None and ready & {Verify.PKIX, Verify.DANE}):
        return f"{domain} is ready for {kinds}: {_praise(ready, servers)}."
    kind = listed or _likeliest(found, servers)
    reasons = found.get(kind) or found[Verify.PKIX]
    text = "; ".join(reason.text for reason in reasons[:_SHOWN])
    more = len(reasons) - _SHOWN
    if more > 0:
        text += f"; and {more} more"
    remedies = _words(list(dict.fromkeys(reason.remedy for reason in reasons[:_SHOWN])))
    rest = f", only for {kinds}" if ready else ""
    return f"{domain} is not ready for {kind.value}{rest}: {text}. Please {remedies}."


def _likeliest(found: Mapping[Verify, tuple[Reason, ...]], servers: Sequence[Server]) -> Verify:
    """The kind that the domain is on its way to: DANE if it publishes TLSA that do not match."""
    broken = any(reason.code == "tlsa" for reason in found[Verify.DANE])
    return Verify.DANE if broken and servers else Verify.PKIX


def _praise(ready: frozenset[Verify], servers: Sequence[Server]) -> str:
    first = servers[0].contact
    version = min(server.contact.shown.version for server in servers)
    if Verify.PKIX in ready and first.certificate:
        return (
            f"{first.host} offers {version} with a certificate of {first.certificate.issuer}"
            f" that is valid until {first.certificate.not_after:%Y-%m-%d}"
        )
    if Verify.DANE in ready:
        return f"{first.host} offers {version} with a key that its signed TLSA records name"
    return f"{first.host} offers {version} with a key that can be pinned"


def _unreached(servers: Sequence[Server], reached: Sequence[Server]) -> Iterable[str]:
    for server in servers:
        if server not in reached:
            detail = server.contact.strict.detail
            yield f"{server.contact.place} cannot be reached from here ({detail})"


def _notes(
    route: Route, reached: Sequence[Server], published: Published, dane: bool, now: datetime
) -> Iterable[str]:
    yield from (host.fault for host in route.hosts if host.fault)
    if route.left_out:
        yield f"{route.left_out} more of its servers and addresses were not looked at"
    for server in reached:
        leaf = server.contact.certificate
        if leaf and 0 <= (leaf.not_after - now).days < _SOON_DAYS:
            yield f"the certificate of {server.contact.place} ends on {leaf.not_after:%Y-%m-%d}"
    if not dane and any(one.host.dane is Dane.USABLE for one in reached):
        yield "it publishes TLSA records: senders that use DANE hold mail back as long as they fail"
    if published.sts in {Sts.BROKEN, Sts.UNKNOWN}:
        yield f"its MTA-STS policy cannot be used ({published.sts_detail})"
    for host in route.hosts:
        if not _allowed(published, host.name):
            yield f"its MTA-STS policy does not allow its mail server {host.name}"


def _mx_names(
    reasons: Sequence[Reason], servers: Sequence[Server], published: Published
) -> tuple[str, ...]:
    """The servers' own names, if each has a certificate for its own and nothing else is wrong."""
    if not reasons or any(reason.code != "name" for reason in reasons):
        return ()
    for server in servers:
        name, certificate = server.host.name, server.contact.certificate
        if certificate is None or accepted((name,), certificate.names) is None:
            return ()
        if not _allowed(published, name):
            return ()
    return tuple(sorted({server.host.name for server in servers}))


def _allowed(published: Published, host: str) -> bool:
    return published.sts is not Sts.ENFORCE or allows_host(published.sts_mx, host)


def _words(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
