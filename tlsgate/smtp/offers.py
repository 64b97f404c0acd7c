"""What TLS the gateway offers to a server: to a partner, and to anybody (DESIGN §5).

The probe makes the gateway's two offers in its order. The strict one is made to every server, as
to a partner: TLS 1.2 and later, the chain verified by OpenSSL with the same roots and the same
defaults as in Postfix. If it fails, the lenient one shows what the server has and why, for with
Python's ssl a handshake whose verification fails does not give the chain away. Verifying the
lenient one's chain by `cryptography.x509.verification` instead would apply the Web PKI's rules,
which Postfix does not know.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

_HIGH = "HIGH:!aNULL:!eNULL"
_MEDIUM = "HIGH:MEDIUM:!aNULL:!eNULL:@SECLEVEL=0"


@dataclass(frozen=True, slots=True)
class Offer:
    """`strict`: as to a partner. `sni`: the server name sent, empty for none.

    Postfix sends none by itself (`smtp_tls_servername` is empty), the TLSA base domain under DANE
    and the host's name under MTA-STS.
    """

    strict: bool
    sni: str = ""
    anchors: str = ""
    """The file of the private CA that is trusted instead of the public ones; empty for those."""


class Contexts:
    """The TLS contexts of a run.

    `extra_ca`: PEM, roots besides the system's. `anchors`: file name → PEM of private CAs.
    """

    def __init__(self, extra_ca: str = "", anchors: Mapping[str, str] | None = None) -> None:
        self._strict = _strict()
        self._strict.load_default_certs()
        if extra_ca.strip():
            self._strict.load_verify_locations(cadata=extra_ca)
        self._lenient = _lenient()
        self._anchors = anchors or {}
        self._private: dict[str, ssl.SSLContext] = {}

    def of(self, offer: Offer) -> ssl.SSLContext:
        """The context that makes the offer. Raises KeyError for anchors that are not given."""
        if not offer.strict:
            return self._lenient
        if not offer.anchors:
            return self._strict
        if offer.anchors not in self._private:
            self._private[offer.anchors] = _private(self._anchors[offer.anchors])
        return self._private[offer.anchors]


def _private(pem: str) -> ssl.SSLContext:
    context = _strict()
    # As with Postfix's `tafile`: any certificate that is named is an anchor, root or not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=pem)
    return context


def _strict() -> ssl.SSLContext:
    # Not create_default_context: from Python 3.13 on it refuses chains that Postfix accepts.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the names are the policy's matter: tlsgate.smtp.names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_HIGH)
    return context


def _lenient() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        # Deprecated for use, and that is what is to be found out.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers(_MEDIUM)
    return context
