"""Why a server is not enough for a level of Postfix: in words for its postmaster, and what to do.

Each `…_fault` says why mail at that level would be held, None if it would go. The probe and
`tlsgate check` judge by the same ones, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from dns.rdtypes.ANY.TLSA import TLSA

from tlsgate.certificates.certificate import fingerprints
from tlsgate.certificates.names import accepted, described
from tlsgate.dns.tlsa import matching_record
from tlsgate.smtp.dialogue import Fault, Session
from tlsgate.smtp.requirement import Terms
from tlsgate.smtp.server_contact import ServerContact

MODERN = frozenset({"TLSv1.2", "TLSv1.3"})
RENEW = "install a certificate of a public CA and renew it by itself (ACME)"
NEXT_KEY = "tell us before a key changes, so that the next one is on our list in time"
NEXT_TLSA = "publish a TLSA record (3 1 1) of the key in use, and the next key's before it is used"
STRONGER = (
    "offer TLS 1.3, or TLS 1.2 with ECDHE and AES-GCM or ChaCha20, and a key of 2048 bits RSA"
    " or P-256"
)
NEWER = "offer TLS 1.2 or later"
_NAMES_SHOWN = 3

# X509_V_ERR_* of OpenSSL's x509_vfy.h
_NOT_YET_VALID, _EXPIRED = 9, 10
_SELF_SIGNED = 18
_UNKNOWN_ISSUER = frozenset({2, 19, 20, 21})
_WEAK_CHAIN = frozenset({67, 68})
"""A CA's key, a CA's signature."""

_WEAK_KEY_REMEDY = "install a certificate with a key of at least 2048 bits RSA, or P-256"
_WEAK_SUITES_REMEDY = "offer TLS 1.3, or TLS 1.2 with ECDHE and AES-GCM or ChaCha20"
_FIX_TLS = "fix its TLS set-up"


@dataclass(frozen=True, slots=True)
class Reason:
    """`code`: stable, for programs. `text` and `remedy`: for the postmaster, without full stop."""

    code: str
    text: str
    remedy: str


def pkix_fault(contact: ServerContact, patterns: Sequence[str], now: datetime) -> Reason | None:
    """At level `secure`: the chain must be trusted and the names match."""
    reason = _strength_fault(contact)
    if reason is not None:
        return reason
    if contact.strict.fault is Fault.UNTRUSTED:
        return _untrusted(contact, now)
    names = contact.certificate.names if contact.certificate else ()
    if accepted(patterns, names) is None:
        return Reason(
            "name",
            f"the certificate of {contact.place} is for {_some(names)},"
            f" not for {described(patterns)}",
            f"install a certificate for {described(patterns)}, or tell us which names yours has",
        )
    return None


def pin_fault(contact: ServerContact, pins: Collection[str]) -> Reason | None:
    """At level `fingerprint`; without `pins` any key is one that could be pinned."""
    reason = _strength_fault(contact)
    if reason is not None:
        return reason
    chain = contact.shown.chain
    if not chain:
        return _handshake(contact)
    if pins and not fingerprints(chain[0]) & set(pins):
        return Reason(
            "pin",
            f"{contact.place} shows a key that is not one of those agreed",
            NEXT_KEY,
        )
    return None


def dane_fault(
    contact: ServerContact, records: Sequence[TLSA], names: Sequence[str], now: datetime
) -> Reason | None:
    """Where `records` are usable. `contact`: with the TLSA base as server name."""
    reason = _strength_fault(contact)
    if reason is not None:
        return reason
    if matching_record(contact.shown.chain, records, names, now) is None:
        return Reason(
            "tlsa",
            f"{contact.place} shows a key that its TLSA records do not name",
            NEXT_TLSA,
        )
    return None


def transport_fault(contact: ServerContact) -> Reason | None:
    """Why there is no TLS as demanded, whoever the server is; None if there is."""
    if contact.strict.fault is Fault.HANDSHAKE:
        return _handshake(contact)
    return no_tls_fault(contact.place, contact.strict)


def _strength_fault(contact: ServerContact) -> Reason | None:
    """As `transport_fault`, and the server's key must be strong as well."""
    reason = transport_fault(contact)
    if reason is None and contact.weak_key:
        text = f"{contact.place} shows a certificate whose key is too weak"
        return Reason("weak", text, _WEAK_KEY_REMEDY)
    return reason


def no_tls_fault(place: str, session: Session) -> Reason | None:
    """Why a session did not end under TLS; an untrusted chain is no reason here."""
    detail = session.detail
    match session.fault:
        case None | Fault.UNTRUSTED:
            return None
        case Fault.UNREACHABLE:
            text, remedy = f"cannot be reached ({detail})", "let us connect to port 25"
        case Fault.SLOW | Fault.CLOSED | Fault.PROTOCOL:
            text, remedy = f"breaks off the session ({detail})", "look at its log for our address"
        case Fault.REFUSED | Fault.REJECTED:
            text, remedy = f"turns us away ({detail})", "let our gateway connect"
        case Fault.NO_STARTTLS:
            text = "does not offer STARTTLS, or something on the way takes the offer out"
            remedy = "offer STARTTLS with TLS 1.2 or later, and check firewalls that inspect SMTP"
        case Fault.STARTTLS_REFUSED:
            text, remedy = f"offers STARTTLS but refuses it ({detail})", _FIX_TLS
        case Fault.INJECTED:
            text = "has text in the clear behind its answer to STARTTLS, as an attacker would add"
            remedy = "update the mail server, and check what stands before it"
        case Fault.HANDSHAKE:
            text, remedy = f"does not complete TLS ({detail})", _FIX_TLS
        case Fault.AFTER_TLS:
            text, remedy = f"ends the session under TLS ({detail})", "look at its log for our name"
    return Reason(session.fault.value, f"{place} {text}", remedy)


def _handshake(contact: ServerContact) -> Reason:
    if contact.lenient is not None and contact.lenient.version:
        return _old(contact.place, contact.lenient) or _weak(contact, contact.lenient)
    return Reason(
        Fault.HANDSHAKE.value,
        f"{contact.place} does not complete TLS ({contact.strict.detail})",
        _FIX_TLS,
    )


def _weak(contact: ServerContact, lenient: Session) -> Reason:
    if contact.lenient_terms is Terms.COMPATIBLE:
        return Reason(
            "weak",
            f"{contact.place} offers TLS 1.2 only with CBC, without authenticated encryption",
            f"{_WEAK_SUITES_REMEDY}; until it does, `tls: compatible` in the partner's record"
            " would accept CBC with SHA-2, which is weaker",
        )
    if not lenient.chain:
        text = f"{contact.place} offers only anonymous TLS, without a certificate"
        return Reason("weak", text, f"install a certificate, and {_WEAK_SUITES_REMEDY}")
    return Reason(
        "weak",
        f"{contact.place} offers only key exchange or ciphers that are too weak"
        f" ({lenient.cipher}; {contact.strict.detail})",
        _WEAK_SUITES_REMEDY,
    )


def _old(place: str, session: Session) -> Reason | None:
    if session.version in MODERN:
        return None
    text = f"{place} offers {session.version or 'no TLS'} at most"
    return Reason("old-tls", text, NEWER)


def _untrusted(contact: ServerContact, now: datetime) -> Reason:
    leaf, code = contact.certificate, contact.strict.code
    if code in {_EXPIRED, _NOT_YET_VALID}:
        if leaf and leaf.not_after < now:
            text = f"the certificate of {contact.place} ended on {leaf.not_after:%Y-%m-%d}"
        elif leaf and leaf.not_before > now:
            text = (
                f"the certificate of {contact.place} is not valid before {leaf.not_before:%Y-%m-%d}"
            )
        else:
            text = f"{contact.place} sends an intermediate certificate that is out of its dates"
        return Reason("dates", text, RENEW)
    if code == _SELF_SIGNED:
        return Reason("self-signed", f"{contact.place} shows a self-signed certificate", RENEW)
    if code in _UNKNOWN_ISSUER:
        issuer = leaf.issuer if leaf else "an unknown issuer"
        return Reason(
            "issuer",
            f"{contact.place} shows a certificate of {issuer!r}, which leads to no public CA",
            f"send the intermediate certificates with it, or {RENEW}",
        )
    if code in _WEAK_CHAIN:
        return Reason(
            "weak",
            f"{contact.place} shows a certificate that a CA with too weak a key or signature issued"
            f" ({contact.strict.detail})",
            "install a certificate of a CA with keys of at least 2048 bits RSA and no SHA-1",
        )
    return Reason(
        "untrusted",
        f"the certificate of {contact.place} is not accepted ({contact.strict.detail})",
        RENEW,
    )


def _some(names: Sequence[str]) -> str:
    if not names:
        return "no name at all"
    more = len(names) - _NAMES_SHOWN
    text = ", ".join(names[:_NAMES_SHOWN])
    return f"{text} and {more} more" if more > 0 else text
