"""The trusted roots of issued chains: the system's, and a file of additional ones."""

from __future__ import annotations

import os
import ssl
import warnings
from pathlib import Path

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from tlsgate.acme.faults import AcmeFault

_SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")


def system_roots() -> Path:
    """The system's bundle; OpenSSL's own environment variable takes precedence."""
    return Path(os.environ.get("SSL_CERT_FILE") or _SYSTEM)


def load_roots(extra: Path | None) -> tuple[x509.Certificate, ...]:
    """Reads them. Raises AcmeFault if a file cannot be read."""
    files = [system_roots(), *([extra] if extra else [])]
    return tuple(root for path in files for root in _bundle(path))


def _bundle(path: Path) -> list[x509.Certificate]:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=path)
    except (OSError, ssl.SSLError) as fault:
        raise AcmeFault(
            f"the trusted roots in {path} cannot be read: {fault.strerror}",
            "Give a PEM file with one or more CA certificates as tlsgate:extraCaFile",
        ) from fault
    return [root for der in context.get_ca_certs(binary_form=True) for root in _root(der)]


def _root(der: bytes) -> list[x509.Certificate]:
    """Nothing for one that breaks RFC 5280, as a few old roots in every bundle do: no CA that
    issues by ACME has one, and such a root only makes fewer chains trusted.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        try:
            return [x509.load_der_x509_certificate(der)]
        except (ValueError, CryptographyDeprecationWarning):
            return []
