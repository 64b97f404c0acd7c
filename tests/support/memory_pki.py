"""The certificates of the CA in memory: a root, and leaves that are valid from the clock's time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.pki import signs_certificates

ROOT_LIFETIME = timedelta(days=3650)


class Signer:
    """A root CA."""

    def __init__(self, name: str, now: datetime) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.root = self._root(now)

    def sign(
        self, names: Sequence[str], key: Any, now: datetime, life: timedelta
    ) -> x509.Certificate:
        """A server's certificate without CN."""
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            self._builder(x509.Name([]), key, now, life)
            .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
            .add_extension(issuer, False)
            .sign(self._key, hashes.SHA256())
        )

    def _root(self, now: datetime) -> x509.Certificate:
        public = self._key.public_key()
        return (
            self._builder(self._name, public, now, ROOT_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .add_extension(signs_certificates(), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(
        self, subject: x509.Name, key: Any, now: datetime, life: timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + life)
        )
