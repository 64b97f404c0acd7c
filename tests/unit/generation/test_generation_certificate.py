from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlsgate.generation.certificate import CertificateFault, check

KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def issue(
    *names: str,
    key: ec.EllipticCurvePrivateKey = KEY,
    start: int = -10,
    end: int = 10,
    usage: x509.ObjectIdentifier = SERVER,
) -> str:
    """A certificate of a CA that nobody here knows, without a subject; times in days from now."""
    now = datetime.now(UTC)
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "some CA")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=start))
        .not_valid_after(now + timedelta(days=end))
        .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(OTHER, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def pem(key: ec.EllipticCurvePrivateKey = KEY) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.mark.parametrize(
    ("content", "names", "fault"),
    [
        (pem() + issue("mx.example"), ["mx.example"], None),
        (pem() + issue("mx.example") + issue("ca.example", key=OTHER), ["mx.example"], None),
        (pem() + issue("a.example", "b.example"), ["a.example", "b.example"], None),
        (pem() + issue("*.example.org"), ["mx.example.org"], None),
        (pem() + issue("a.example"), ["a.example", "b.example"], "b.example"),
        (pem() + issue("mx.example", end=-1), ["mx.example"], "expired"),
        (pem() + issue("mx.example", start=1), ["mx.example"], "not yet valid"),
        (pem() + issue("mx.example", usage=CLIENT), ["mx.example"], "purpose"),
        (pem(OTHER) + issue("mx.example"), ["mx.example"], "does not belong"),
        (pem(), ["mx.example"], "cannot be used"),
        (issue("mx.example"), ["mx.example"], "cannot be used"),
        ("", ["mx.example"], "cannot be used"),
        ("\N{SNOWMAN}", ["mx.example"], "cannot be used"),
    ],
)
def test_check(tmp_path: Path, content: str, names: list[str], fault: str | None) -> None:
    file = tmp_path / "x.pem"
    file.write_text(content)
    found = check(file, names)
    if fault is None:
        assert found is None
        return
    assert isinstance(found, CertificateFault)
    assert fault in found.reason
    assert found.expired == (fault == "expired")
    assert "PRIVATE KEY" not in found.reason
