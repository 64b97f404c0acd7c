"""Certificates of private CAs, and other texts that are none, as PEM."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_KEY = ec.derive_private_key(7, ec.SECP256R1())


@cache
def ca_pem(
    name: str = "Acme CA",
    end: datetime = datetime(2036, 1, 1, tzinfo=UTC),
    *,
    ca: bool | None = True,
    signs: bool | None = True,
) -> str:
    """A certificate. `ca`, `signs`: its constraints and key usage, None without them."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(_KEY.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(end)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    if signs is not None:
        usage = x509.KeyUsage(False, False, False, False, False, signs, signs, False, False)
        builder = builder.add_extension(usage, critical=True)
    certificate = builder.sign(_KEY, hashes.SHA256(), ecdsa_deterministic=True)
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem() -> str:
    """A private key."""
    return _KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def yaml_ca(pem: str) -> str:
    """The value of `outbound` in a record: a private CA with this text."""
    return "\n  verify: private-ca\n  ca: |\n" + "".join(
        f"    {line}\n" for line in pem.splitlines()
    )
