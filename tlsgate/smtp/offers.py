"""What TLS the gateway offers to a server: to a partner, and to others (DESIGN §5, D21).

The probe and `tlsgate check` make the gateway's own offers, in its order. A verified one leaves the
chain to OpenSSL, with the same roots and the same security level as in Postfix. If it fails, one
that is not verified shows what the server has and why, for with Python's ssl a handshake whose
verification fails does not give the chain away. Verifying that chain by
`cryptography.x509.verification` instead would apply the Web PKI's rules, which Postfix does not
know.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from tlsgate.smtp.requirement import Terms
from tlsgate.tls import Strength, cipher_list

_CIPHERS = {
    Terms.STRONG: cipher_list(Strength.STRONG),
    Terms.COMPATIBLE: cipher_list(Strength.COMPATIBLE),
    # Postfix sets level 1 by itself where it verifies (its tls_client.c), whatever OpenSSL's is.
    Terms.MANDATORY: "HIGH:!aNULL:!eNULL:@SECLEVEL=1",
    Terms.ANY: "aNULL:-aNULL:HIGH:MEDIUM:!eNULL:@SECLEVEL=0",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to start TLS. `verified`: OpenSSL breaks off where the chain is not trusted.

    `sni`: the server name sent, empty for none. `anchors`: the file of the private CA that is
    trusted instead of the public ones; empty for those.
    """

    terms: Terms
    sni: str = ""
    verified: bool = False
    anchors: str = ""


class Contexts:
    """The TLS contexts of a run.

    `extra_ca`: PEM, roots besides the system's. `anchors`: file name → PEM of private CAs.
    """

    def __init__(self, extra_ca: str = "", anchors: Mapping[str, str] | None = None) -> None:
        self._extra_ca = extra_ca
        self._anchors = anchors or {}
        self._made: dict[tuple[Terms, bool, str], ssl.SSLContext] = {}

    def of(self, offer: Offer) -> ssl.SSLContext:
        """The context that makes the offer. Raises KeyError for anchors that are not given."""
        key = (offer.terms, offer.verified, offer.anchors if offer.verified else "")
        if key not in self._made:
            self._made[key] = self._make(*key)
        return self._made[key]

    def _make(self, terms: Terms, verified: bool, anchors: str) -> ssl.SSLContext:
        context = _context(terms)
        if not verified:
            context.verify_mode = ssl.CERT_NONE
        elif anchors:
            # As with Postfix's `tafile`: any certificate that is named is an anchor, root or not.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(cadata=self._anchors[anchors])
        else:
            context.load_default_certs()
            if self._extra_ca.strip():
                context.load_verify_locations(cadata=self._extra_ca)
        return context


def _context(terms: Terms) -> ssl.SSLContext:
    # Not create_default_context: from Python 3.13 on it refuses chains that Postfix accepts.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the names are the policy's matter: tlsgate.certificates.names
    with warnings.catch_warnings():
        # TLS 1.0 is deprecated for use, and whether it is in use is to be found out.
        warnings.simplefilter("ignore", DeprecationWarning)
        old = terms is Terms.ANY
        context.minimum_version = ssl.TLSVersion.TLSv1 if old else ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS[terms])
    return context
