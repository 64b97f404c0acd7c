"""Whether a server's chain matches its TLSA records (RFC 7671, RFC 7672, section 3.1).

Only DANE-EE(3) and DANE-TA(2) count in SMTP. With 3 the key or certificate is all that is
compared: neither names nor dates. With 2 the chain up to the trust anchor must hold: signatures,
dates, the CA flag, and a name of `names`. An anchor that the server does not send is found only
if the record holds it whole (`2 0 0`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from dns.rdtypes.ANY.TLSA import TLSA

from tlsgate.certificates.certificate import read_certificate, spki
from tlsgate.certificates.names import accepted

DANE_TA, DANE_EE = 2, 3
_DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension)


def matching_record(
    chain: Sequence[bytes], records: Sequence[TLSA], names: Sequence[str], now: datetime
) -> TLSA | None:
    """The first of the usable `records` that the chain (DER, the leaf first) satisfies.

    `names`: the names accepted in the leaf under DANE-TA (RFC 7672, section 3.2.3).
    """
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
    except _UNREADABLE:
        return None
    if not certificates:
        return None
    for record in records:
        if record.usage == DANE_EE and _matches(record, certificates[0]):
            return record
        if record.usage == DANE_TA and _anchored(record, certificates, names, now):
            return record
    return None


def _matches(record: TLSA, certificate: x509.Certificate) -> bool:
    try:
        data = certificate.public_bytes(Encoding.DER) if record.selector == 0 else spki(certificate)
    except _UNREADABLE:
        return False
    digest = _DIGESTS.get(record.mtype)
    return bytes(record.cert) == (digest(data).digest() if digest else data)


def _anchored(
    record: TLSA, chain: Sequence[x509.Certificate], names: Sequence[str], now: datetime
) -> bool:
    leaf = chain[0]
    facts = read_certificate(leaf.public_bytes(Encoding.DER))
    if facts is None or accepted(names, facts.names) is None or not _is_current(leaf, now):
        return False
    candidates = [*chain[1:], *_whole_anchor(record)]
    current = leaf
    while candidates:
        issuer = next((one for one in candidates if _issued(one, current)), None)
        if issuer is None or not _is_ca(issuer) or not _is_current(issuer, now):
            return False
        if _matches(record, issuer):
            return True
        candidates.remove(issuer)
        current = issuer
    return False


def _whole_anchor(record: TLSA) -> list[x509.Certificate]:
    if (record.selector, record.mtype) != (0, 0):
        return []
    try:
        return [x509.load_der_x509_certificate(bytes(record.cert))]
    except _UNREADABLE:
        return []


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_UNREADABLE):
        return False
    return True


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *_UNREADABLE):
        return False


def _is_current(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
