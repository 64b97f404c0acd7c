"""A partner's private CA, as its record holds it: public certificates in PEM (RFC 7468).

Certificates are read with `cryptography`, which is loaded only if a record has a CA: otherwise the
commands stay fast.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tlsgate.partners.values import InvalidValueError

if TYPE_CHECKING:
    from cryptography import x509

SIZE_LIMIT = 16 * 1024
COUNT_LIMIT = 5
"""The CA in use, the next one, and cross-signed forms of both."""

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s+(.*?)-----END \1-----", re.DOTALL)
_REMEDY = "Write the certificate of the partner's CA as PEM: `ca: |` and the text indented below it"


@dataclass(frozen=True, slots=True)
class Anchor:
    """One certificate of a CA: canonical PEM, and the end of its validity."""

    pem: str
    not_after: datetime


def parse_ca(text: str) -> str:
    """Return the certificates of a CA as canonical PEM, each once. Refuses all but CA certificates.

    Validity dates are not checked: a list that is valid today is valid tomorrow. No server is
    accepted by a certificate that has expired.
    """
    if "PRIVATE KEY" in text:
        remedy = "Delete it, replace that key wherever it is used, and write the certificate only"
        raise _refused("contains a private key, which must not be here", remedy)
    if len(text) > SIZE_LIMIT:
        raise _refused(
            f"is longer than {SIZE_LIMIT // 1024} KiB", "Write the CA's certificate only"
        )
    blocks = _BLOCK.findall(text)
    if not blocks or _BLOCK.sub("", text).strip():
        raise _refused("is not PEM", _REMEDY)
    found = sorted({_certificate(kind, body) for kind, body in blocks})
    if len(found) > COUNT_LIMIT:
        remedy = "Write the CA that signs the servers' certificates, and the next one"
        raise _refused(f"contains more than {COUNT_LIMIT} certificates", remedy)
    return "".join(map(_pem, found))


def anchors(pem: str) -> tuple[Anchor, ...]:
    """Return the certificates in the PEM of `parse_ca`, the first to expire first."""
    found = [
        Anchor(f"-----BEGIN {kind}-----\n{body}-----END {kind}-----\n", _not_after(_decoded(body)))
        for kind, body in _BLOCK.findall(pem)
    ]
    return tuple(sorted(found, key=lambda anchor: (anchor.not_after, anchor.pem)))


def file_name(pem: str) -> str:
    """Return the name of the file with exactly this PEM in the gateway's configuration."""
    return f"ca-{hashlib.sha256(pem.encode('ascii')).hexdigest()[:16]}.pem"


def _refused(message: str, remedy: str) -> InvalidValueError:
    return InvalidValueError("bad-ca", message, remedy, quoted=False)


def _certificate(kind: str, body: str) -> bytes:
    """Return the DER of one block."""
    if kind != "CERTIFICATE":
        raise _refused(f"contains a PEM block of another kind, {kind}", _REMEDY)
    try:
        der = _decoded(body)
        certificate = _load(der)
        is_ca = _may_sign(certificate)
        _public_key(certificate)
    except ValueError:
        raise _refused("contains a certificate that cannot be read", _REMEDY) from None
    if not is_ca:
        remedy = "Write the CA's own certificate; to name one server's key, write `verify: pin`"
        raise _refused("contains a certificate that is not a CA's", remedy)
    return der


def _decoded(body: str) -> bytes:
    """Raises ValueError."""
    return base64.b64decode("".join(body.split()), validate=True)


def _load(der: bytes) -> x509.Certificate:
    """Raises ValueError."""
    from cryptography import x509  # noqa: PLC0415

    return x509.load_der_x509_certificate(der)


def _reading(read: Callable[[x509.Certificate], object], certificate: x509.Certificate) -> object:
    """Return what `read` finds; None without the extension. Raises ValueError if unreadable."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    try:
        return read(certificate)
    except x509.ExtensionNotFound:
        return None
    except (TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as fault:
        raise ValueError(str(fault)) from fault


def _may_sign(certificate: x509.Certificate) -> bool:
    """RFC 5280, sections 4.2.1.3 and 4.2.1.9. Raises ValueError."""
    from cryptography import x509  # noqa: PLC0415

    constraints = _reading(
        lambda one: one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca,
        certificate,
    )
    usage = _reading(
        lambda one: one.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign,
        certificate,
    )
    return constraints is True and usage is not False


def _public_key(certificate: x509.Certificate) -> None:
    """Raises ValueError for a key that nothing can use."""
    _reading(lambda one: one.public_key(), certificate)


def _not_after(der: bytes) -> datetime:
    return _load(der).not_valid_after_utc.astimezone(UTC)


def _pem(der: bytes) -> str:
    text = base64.b64encode(der).decode("ascii")
    lines = "".join(f"{text[at : at + 64]}\n" for at in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n"
