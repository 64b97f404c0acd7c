"""What one server showed to the TLS offer that a partner gets, and to weaker ones after it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tlsgate.certificates.certificate import Certificate, read_certificate
from tlsgate.smtp.dialogue import Fault, Session
from tlsgate.smtp.offers import Offer
from tlsgate.smtp.requirement import Terms
from tlsgate.smtp.sessions import SessionPool

_WEAK_KEY = 66
"""X509_V_ERR_EE_KEY_TOO_SMALL of OpenSSL's x509_vfy.h, looked for before anything else."""

_IN_TLS = frozenset({None, Fault.HANDSHAKE, Fault.UNTRUSTED, Fault.AFTER_TLS})


@dataclass(frozen=True, slots=True)
class ServerContact:
    """`strict`: the offer as the gateway makes it, verified by OpenSSL.

    `lenient`: made only if `strict` failed in TLS, with the same server name: with the same terms
    where the chain is not trusted, else with weaker ones, which are `lenient_terms`.
    """

    host: str
    address: str
    strict: Session
    lenient: Session | None = None
    certificate: Certificate | None = None
    lenient_terms: Terms | None = None

    @property
    def place(self) -> str:
        """The server for people."""
        return f"{self.host} [{self.address}]"

    @property
    def reached(self) -> bool:
        """Whether a connection came about."""
        return self.strict.fault is not Fault.UNREACHABLE

    @property
    def offers_tls(self) -> bool:
        """Whether the server came as far as a handshake, however that ended."""
        return self.strict.fault in _IN_TLS

    @property
    def shown(self) -> Session:
        """The session that got as far as TLS."""
        return self.strict if self.strict.version or self.lenient is None else self.lenient

    @property
    def weak_key(self) -> bool:
        """Whether the key of the server's certificate is too weak for the offer's terms."""
        return self.strict.fault is Fault.UNTRUSTED and self.strict.code == _WEAK_KEY


async def contact_server(
    sessions: SessionPool, host: str, address: str, offer: Offer
) -> ServerContact:
    """Makes the (verified) `offer`, and others after it if it fails in TLS."""
    strict = await sessions.session(address, offer)
    lenient: Session | None = None
    lenient_terms: Terms | None = None
    for terms in _next(strict.fault, offer.terms):
        lenient_terms = terms
        lenient = await sessions.session(
            address, replace(offer, terms=terms, verified=False, anchors="")
        )
        if lenient.version:
            break
    chain = strict.chain or (lenient.chain if lenient else ())
    certificate = read_certificate(chain[0]) if chain else None
    return ServerContact(host, address, strict, lenient, certificate, lenient_terms)


def _next(fault: Fault | None, terms: Terms) -> tuple[Terms, ...]:
    if fault is Fault.UNTRUSTED:
        return (terms,)
    if fault is not Fault.HANDSHAKE:
        return ()
    return (Terms.COMPATIBLE, Terms.ANY) if terms is Terms.STRONG else (Terms.ANY,)
