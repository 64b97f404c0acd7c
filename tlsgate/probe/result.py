"""What a probe found out about a domain, as a value and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tlsgate.dns.mail_route import MxHost, Route
from tlsgate.partners.model import Verify
from tlsgate.probe.published import Published
from tlsgate.smtp.dialogue import Session
from tlsgate.smtp.reasons import Reason
from tlsgate.smtp.server_contact import ServerContact

KINDS = (Verify.PKIX, Verify.DANE, Verify.PIN)
"""What a domain can be ready for; a private CA cannot be found out from outside."""


@dataclass(frozen=True, slots=True)
class Server:
    """An address of an MX host.

    `dane`: as seen with the TLSA base as server name, where that is not the host's own.
    """

    host: MxHost
    contact: ServerContact
    dane: ServerContact | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a domain is ready for.

    `listed`: what the partner list demands, None for a domain that is not on it. `reasons`: for
    each kind that it is not ready for, why. `mx_names`: certificate names that make it ready for
    `pkix` as `outbound.mx`, where its own name is not in the certificates; they must be confirmed
    by the partner, for DNS alone named these servers. `public_keys`: of all servers, to pin.
    """

    domain: str
    ready: frozenset[Verify]
    sentence: str
    reasons: Mapping[Verify, tuple[Reason, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    mx_names: tuple[str, ...] = ()
    public_keys: tuple[str, ...] = ()
    listed: Verify | None = None
    route: Route | None = None
    servers: tuple[Server, ...] = ()
    published: Published = field(default_factory=Published)

    @property
    def satisfied(self) -> bool:
        """Ready for what the list demands; if it is not listed, for `pkix` or `dane`."""
        if self.listed is not None:
            return self.listed in self.ready
        return bool(self.ready & {Verify.PKIX, Verify.DANE})

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; its shape is documented in tlsgate.commands.probe."""
        return _result_json(self)


def _result_json(result: ProbeResult) -> dict[str, Any]:
    """One entry of `domains`."""
    route, published = result.route, result.published
    return {
        "domain": result.domain,
        "ready": [kind.value for kind in KINDS if kind in result.ready],
        "listed": result.listed.value if result.listed else None,
        "satisfied": result.satisfied,
        "sentence": result.sentence,
        "reasons": {
            kind.value: [
                {"code": one.code, "text": one.text, "remedy": one.remedy} for one in reasons
            ]
            for kind, reasons in result.reasons.items()
        },
        "notes": list(result.notes),
        "mx_names": list(result.mx_names),
        "public_keys": list(result.public_keys),
        "mx": {
            "dnssec": bool(route and route.secure),
            "implicit": bool(route and route.implicit),
            "missing": route.missing.name.lower() if route and route.missing else None,
            "hosts": [
                {
                    "name": host.name,
                    "preference": host.preference,
                    "dnssec": host.secure,
                    "tlsa": host.dane.value,
                    "tlsa_records": [record.to_text() for record in host.tlsa],
                    "fault": host.fault or None,
                    "servers": [_server(one) for one in result.servers if one.host == host],
                }
                for host in (route.hosts if route else ())
            ],
        },
        "mta_sts": {
            "state": published.sts.value,
            "detail": published.sts_detail,
            "mx": list(published.sts_mx),
        },
        "tls_rpt": list(published.reports),
    }


def _server(server: Server) -> dict[str, Any]:
    certificate = server.contact.certificate
    return {
        "address": server.contact.address,
        "strict": _session(server.contact.strict),
        "lenient": _session(server.contact.lenient) if server.contact.lenient else None,
        "certificate": certificate
        and {
            "names": list(certificate.names),
            "issuer": certificate.issuer,
            "not_before": certificate.not_before.isoformat(),
            "not_after": certificate.not_after.isoformat(),
            "spki_sha256": certificate.spki_sha256,
        },
    }


def _session(session: Session) -> dict[str, Any]:
    return {
        "fault": session.fault.value if session.fault else None,
        "detail": session.detail,
        "version": session.version,
        "cipher": session.cipher,
    }
