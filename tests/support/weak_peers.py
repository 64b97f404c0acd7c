"""Mail servers with one weakness each, and the expected result for mail to a partner there.

The unit tests start them on this machine, the integration tests in a container, from the same
settings: a JSON object that `server_context` of tests/integration/postfix/weak_peer.py understands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.integration.postfix.pki import Authority, Key, key_pem, spki_sha256
from tlsgate.partners.model import Verify

# Of 1024 bits: Oakley group 2 (RFC 2409, section 6.2).
_SMALL_GROUP = """\
-----BEGIN DH PARAMETERS-----
MIGHAoGBAP//////////yQ/aoiFowjTExmKLgNwc0SkCTgiKZ8x0Agu+pjsTmyJR
Sgh5jjQE3e+VGbPNOkMbMCsKbfJfFDdP4TVtbVHCReSFtXZiXn7G9ExC6aY37WsL
/1y29Aa37e44a/taiZ+lrp8kEXxLH+ZJKGZR7OZTgf//////////AgEC
-----END DH PARAMETERS-----
"""


@dataclass(frozen=True)
class WeakPeer:
    """One server, alone behind `<name>.example`.

    `key`: `rsa-<bits>` or a curve. `maximum`: of the protocol, as ssl.TLSVersion names it.
    `dh`: whether its DHE group has 1024 bits only. `verify` and `compatible`: what the partner's
    record says. `code`: of the reason why mail is held; empty if it is sent.
    """

    name: str
    code: str
    key: str = "rsa-2048"
    maximum: str = "TLSv1_2"
    ciphers: str = "ALL"
    dh: bool = False
    refuses: bool = False
    """Aborts every handshake, like a server that supports none of the offered suites."""
    verify: Verify = Verify.PKIX
    compatible: bool = False

    @property
    def domain(self) -> str:
        return f"{self.name}.example"

    @property
    def host(self) -> str:
        return f"mx.{self.domain}"

    @property
    def policy(self) -> str:
        """What the record compiles to, in the words of Postfix's table."""
        pin = pin_of(self).upper()
        pairs = ":".join(pin[at : at + 2] for at in range(0, len(pin), 2))
        proof = {
            Verify.PKIX: f"secure match={self.domain}:.{self.domain}",
            Verify.DANE: "dane-only",
            Verify.PIN: f"fingerprint match={pairs}",
        }[self.verify]
        return f"{proof} ciphers=medium" if self.compatible else proof

    def settings(self, pem: str) -> dict[str, Any]:
        """For the server; `pem`: key and certificate."""
        return {
            "pem": pem,
            "maximum": self.maximum,
            # The client's security level is tested, so the server itself has no restriction.
            "ciphers": f"{self.ciphers}:@SECLEVEL=0",
            "dh": _SMALL_GROUP if self.dh else "",
            "refuses": self.refuses,
        }


_CBC = "ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384"
_GCM = "ECDHE-RSA-AES128-GCM-SHA256"

_ONE_BY_ONE = (
    WeakPeer("good", "", maximum="TLSv1_3"),
    WeakPeer("good-twelve", "", ciphers=_GCM),
    WeakPeer("good-curve", "", "secp256r1", "TLSv1_3"),
    # The offer names no such curve.
    WeakPeer("ec-192", "handshake", "secp192r1", ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"),
    WeakPeer("rsa-1024", "weak", "rsa-1024", "TLSv1_3"),
    WeakPeer("rsa-1024-twelve", "weak", "rsa-1024", ciphers=_GCM),
    WeakPeer("rsa-1536", "weak", "rsa-1536", "TLSv1_3"),
    WeakPeer("dhe-1024", "weak", ciphers="DHE-RSA-AES128-GCM-SHA256", dh=True),
    WeakPeer("static-rsa", "weak", ciphers="AES128-GCM-SHA256"),
    WeakPeer("cbc-sha1", "weak", ciphers="ECDHE-RSA-AES128-SHA"),
    WeakPeer("cbc-sha2", "weak", ciphers=_CBC),
    WeakPeer("anonymous", "weak", ciphers="aNULL"),
    WeakPeer("no-common-suite", "handshake", refuses=True),  # 3DES or RC4 alone: nobody has them
    WeakPeer("tls-eleven", "old-tls", maximum="TLSv1_1"),
)


def _as(peer: str, suffix: str, **changes: Any) -> WeakPeer:
    (found,) = (one for one in _ONE_BY_ONE if one.name == peer)
    return replace(found, name=f"{peer}-{suffix}", **changes)


PEERS = (
    *_ONE_BY_ONE,
    # A pinned key, or one that a TLSA record names, must be as strong as any.
    *(
        _as(peer, verify.value, verify=verify)
        for verify in (Verify.PIN, Verify.DANE)
        for peer in ("good", "rsa-1024", "rsa-1024-twelve", "dhe-1024", "static-rsa", "cbc-sha2")
    ),
    # `tls: compatible` allows older suites, and nothing else.
    _as("cbc-sha2", "compatible", compatible=True, code=""),
    _as("cbc-sha1", "compatible", compatible=True),
    _as("rsa-1024", "compatible", compatible=True),
    _as("dhe-1024", "compatible", compatible=True),
    _as("static-rsa", "compatible", compatible=True),
    _as("tls-eleven", "compatible", compatible=True),
)


def key_of(peer: WeakPeer) -> Key:
    """The server's key; servers with the same kind of key share it."""
    return _key(peer.key)


@cache
def _key(kind: str) -> Key:
    name, _, bits = kind.partition("-")
    if name == "rsa":
        return rsa.generate_private_key(65537, int(bits))
    curves = {"secp256r1": ec.SECP256R1, "secp192r1": ec.SECP192R1}
    return ec.generate_private_key(curves[name]())


def server_pem(peer: WeakPeer, authority: Authority) -> str:
    """Key and certificate; only the key can be weak."""
    key = key_of(peer)
    return key_pem(key) + authority.issue([peer.host], key=key)


def pin_of(peer: WeakPeer) -> str:
    """SHA-256 of the server's public key, in lower-case hex."""
    return spki_sha256(key_of(peer))
