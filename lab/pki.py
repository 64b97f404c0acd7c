"""The lab's certificates, created once and kept (RFC 5280).

The lab's public CA represents the CAs that everybody trusts; nobody trusts the second CA. Keys are
files of mode 0600 and never leave lab/.state. One key is different: the client key of the partner
`pinned` is derived from a fixed text, because its hash is in lab/partners/, which is in the
repository. It protects nothing outside the lab.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey

LIFETIME = timedelta(days=397)
_PINNED_SEED = b"tlsgate lab: the client key of the partner pinned, known to everybody"


@dataclass(frozen=True, slots=True)
class Issued:
    """A key and its certificate with the intermediate certificates, without the root."""

    key: Key
    chain: tuple[x509.Certificate, ...]

    def pem(self) -> str:
        """Key first, then the chain, as Postfix and Python's ssl read them from one file."""
        return key_pem(self.key) + self.chain_pem()

    def chain_pem(self) -> str:
        """The certificates alone."""
        return "".join(certificate_pem(certificate) for certificate in self.chain)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA: its key and its self-signed root."""

    key: Key
    root: x509.Certificate

    def pem(self) -> str:
        """The root."""
        return certificate_pem(self.root)

    def issue(self, names: Sequence[str], key: Key, *, ended: timedelta | None = None) -> Issued:
        """A server certificate for names and addresses; `ended`: how long ago it expired."""
        now = datetime.now(UTC)
        end = now - ended if ended else now + LIFETIME
        builder = _builder(x509.Name([]), self.root.subject, key.public_key())
        certificate = (
            builder.not_valid_before(end - LIFETIME if ended else now - timedelta(hours=1))
            .not_valid_after(end)
            .add_extension(_alternative_names(names), True)
            .add_extension(x509.BasicConstraints(False, None), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False
            )
            .sign(self.key, hashes.SHA256())
        )
        return Issued(key, (certificate,))


def new_key() -> Key:
    """A new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def pinned_client_key() -> Key:
    """The client key of the partner `pinned`: always the same, and no secret."""
    return ec.derive_private_key(
        int.from_bytes(hashlib.sha256(_PINNED_SEED).digest()), ec.SECP256R1()
    )


def new_authority(name: str) -> Authority:
    """A CA with a new key."""
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    root = (
        _builder(subject, subject, key.public_key())
        .not_valid_before(now - timedelta(days=800))
        .not_valid_after(now + 2 * LIFETIME)
        .add_extension(x509.BasicConstraints(True, 0), True)
        .add_extension(signs_certificates(), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, root)


def self_signed(names: Sequence[str], key: Key) -> Issued:
    """A self-signed server certificate."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    now = datetime.now(UTC)
    certificate = (
        _builder(subject, subject, key.public_key())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(_alternative_names(names), False)
        .add_extension(x509.BasicConstraints(False, None), True)
        .sign(key, hashes.SHA256())
    )
    return Issued(key, (certificate,))


def spki_sha256(key: Key) -> str:
    """The SHA-256 of the SubjectPublicKeyInfo, in lower-case hex: a pin, and TLSA `3 1 1`."""
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


def key_pem(key: Key) -> str:
    """PKCS #8, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def load_key(pem: str) -> Key:
    """The inverse of `key_pem`."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the lab's keys are elliptic-curve keys")
    return key


def certificate_pem(certificate: x509.Certificate) -> str:
    """One certificate."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
    )


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def signs_certificates() -> x509.KeyUsage:
    """Whether a key may sign certificates (RFC 5280, section 4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
