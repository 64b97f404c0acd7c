"""What a certificate says, read from its DER; a hostile one says nothing and raises nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tlsgate.problems import visible

_NAME_LIMIT = 255
_NAMES_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Certificate:
    """`names`: the DNS names, or without any the common names, as OpenSSL looks for them.

    `issuer`: the issuer's common name or organisation. `spki_sha256`: of the public key, in
    lower-case hex, as a partner record's `public_keys` wants it.
    """

    names: tuple[str, ...]
    issuer: str
    self_issued: bool
    not_before: datetime
    not_after: datetime
    spki_sha256: str


def read_certificate(der: bytes) -> Certificate | None:
    """The certificate's facts; None if it cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        return Certificate(
            names=_names(certificate),
            issuer=_issuer(certificate.issuer),
            self_issued=certificate.issuer == certificate.subject,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            spki_sha256=hashlib.sha256(spki(certificate)).hexdigest(),
        )
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension):
        return None


def fingerprints(der: bytes) -> frozenset[str]:
    """SHA-256 in lower-case hex of what a pin can name: the certificate and its public key."""
    facts = read_certificate(der)
    found = {hashlib.sha256(der).hexdigest()}
    return frozenset(found | {facts.spki_sha256} if facts else found)


def spki(certificate: x509.Certificate) -> bytes:
    """The SubjectPublicKeyInfo in DER. Raises ValueError, UnsupportedAlgorithm."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    if not names:
        names = _values(certificate.subject, x509.NameOID.COMMON_NAME)
    return tuple(visible(name[:_NAME_LIMIT]) for name in names[:_NAMES_LIMIT])


def _issuer(name: x509.Name) -> str:
    found = _values(name, x509.NameOID.COMMON_NAME) or _values(name, x509.NameOID.ORGANIZATION_NAME)
    return visible(found[0][:80]) if found else "an unnamed issuer"


def _values(name: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in name.get_attributes_for_oid(oid)]
