"""Whether a key and its chain can serve a host: a TLS handshake with itself, in memory.

OpenSSL decides, as it will when the server uses them: the key belongs to the certificate, today
is within its validity, it is for servers, and it covers the names (RFC 5280, RFC 9525). Whether
its issuer is trusted is not checked here.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)
_HAS_EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED."""


@dataclass(frozen=True, slots=True)
class CertificateFault:
    """Why a certificate is refused; `expired`: for no other reason than its age."""

    reason: str
    expired: bool = False


def check(pem: Path, names: Sequence[str]) -> CertificateFault | None:
    """What is wrong with the key and chain in one file for these host names, if anything is."""
    try:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pem)
        leaf = _BLOCK.search(pem.read_text("ascii"))
        if leaf is None:
            return CertificateFault("the chain holds no certificate")
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        client.load_verify_locations(cadata=leaf[0])
        for name in names:
            _handshake(server, client, name)
    except ssl.SSLCertVerificationError as fault:
        return CertificateFault(fault.verify_message, expired=fault.verify_code == _HAS_EXPIRED)
    except (ssl.SSLError, ValueError) as fault:
        what = "the key does not belong to the certificate"
        return CertificateFault(
            what if "KEY_VALUES_MISMATCH" in str(fault) else f"cannot be used: {fault}"
        )
    return None


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Raises ssl.SSLError, SSLCertVerificationError above all, if the client refuses."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname=name),
        server.wrap_bio(up, down, server_side=True),
    ]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
