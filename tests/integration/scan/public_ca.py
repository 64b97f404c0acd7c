"""A CA whose certificates look like a public one's, so that no finding comes from the CA.

Like Let's Encrypt's profile `tlsserver`: an intermediate CA, no subject, critical names, an address
of revocation lists (CA/Browser Forum, Baseline Requirements, section 7.1.2). There are two
differences. The certificates are valid for 90 days, because the scanners report that 45 days end
soon. And they have no proofs of certificate transparency, which need public logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from tests.integration.postfix.pki import Key

DOMAIN_VALIDATED = x509.ObjectIdentifier("2.23.140.1.2.1")


class PublicCa:
    """A root, and the intermediate CA that signs for it."""

    def __init__(self) -> None:
        root_key, self._key = _new_key(), _new_key()
        root, self._issuer = _name("Test Root"), _name("Test Issuer")
        self._root = (
            _builder(root, root, root_key.public_key(), days=3650)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(_identifier(root_key), critical=False)
            .sign(root_key, hashes.SHA384())
        )
        self._intermediate = (
            _builder(self._issuer, root, self._key.public_key(), days=1095)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_identifier(self._key), critical=False)
            .add_extension(_signer(root_key), critical=False)
            .add_extension(_policies(), critical=False)
            .add_extension(_revocation("root"), critical=False)
            .sign(root_key, hashes.SHA384())
        )

    @property
    def pem(self) -> str:
        """The root's certificate."""
        return _pem(self._root)

    def chain(self, names: Sequence[str], key: Key) -> str:
        """A certificate for these names, and the intermediate CA's."""
        certificate = (
            _builder(x509.Name([]), self._issuer, key.public_key(), days=90)
            .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(enciphers=isinstance(key, rsa.RSAPrivateKey)), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_signer(self._key), critical=False)
            .add_extension(_policies(), critical=False)
            .add_extension(_revocation("issuer"), critical=False)
            .add_extension(
                x509.AuthorityInformationAccess(
                    [
                        x509.AccessDescription(
                            AuthorityInformationAccessOID.CA_ISSUERS,
                            x509.UniformResourceIdentifier("http://ca.example/issuer.crt"),
                        )
                    ]
                ),
                critical=False,
            )
            .sign(self._key, hashes.SHA384())
        )
        return _pem(certificate) + _pem(self._intermediate)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test CA"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    *,
    days: int,
) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days) - timedelta(seconds=1))
    )


def _usage(*, signs: bool = False, enciphers: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=enciphers,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _identifier(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _signer(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _policies() -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(DOMAIN_VALIDATED, None)])


def _revocation(name: str) -> x509.CRLDistributionPoints:
    where = x509.UniformResourceIdentifier(f"http://ca.example/{name}.crl")
    return x509.CRLDistributionPoints([x509.DistributionPoint([where], None, None, None)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
