"""Defines strong TLS, in one place for the gateway's files, its policy helper and all checks.

The rule for partners, in both directions (D21): at least 112 bits of security, forward secrecy,
no anonymous suite. TLS 1.3, or TLS 1.2 with authenticated encryption (AEAD); these are the suites
of Mozilla's intermediate profile, version 5.7. A record with `tls: compatible` also allows suites
of TLS 1.2 with CBC and SHA-2, for partners that have nothing better.

Sources: RFC 9325, section 4.2; BSI TR-02102-2, section 3.3; OpenSSL's ciphers(1) and
SSL_CTX_set_security_level(3).
"""

from __future__ import annotations

from enum import StrEnum

SECURITY_LEVEL = 2
"""OpenSSL's: 112 bits, so no RSA, DSA or DH below 2048 bits, no elliptic curve below 224 bits."""
MINIMUM_RSA_BITS = 2048
MINIMUM_EC_BITS = 224

STRONG_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "DHE-RSA-AES128-GCM-SHA256",
    "DHE-RSA-AES256-GCM-SHA384",
    "DHE-RSA-CHACHA20-POLY1305",
)
"""Suites of TLS 1.2 by OpenSSL's names, preferred first. All suites of TLS 1.3 are strong."""
COMPATIBLE_SUITES = (
    *STRONG_SUITES,
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "DHE-RSA-AES128-SHA256",
    "DHE-RSA-AES256-SHA256",
)
"""The strong suites, then suites with CBC and SHA-2."""

GROUPS = "*X25519MLKEM768/*X25519:prime256v1:secp384r1"
"""Groups for the key exchange, preferred first (SSL_CTX_set1_curves(3)).

The first one also resists quantum computers. The `/` selects it for every peer that supports it,
even if the peer began with another one. The `*` mark the groups that the gateway begins with as a
client: nearly every server supports one of them, so that no second round trip is needed.
"""


class Strength(StrEnum):
    """What a partner record's `tls` requires."""

    STRONG = "strong"
    """Only encryption that is strong today."""
    COMPATIBLE = "compatible"
    """Older encryption too: TLS 1.2 with CBC and SHA-2, for a partner that has nothing better."""


def suites(strength: Strength) -> tuple[str, ...]:
    """Return the TLS 1.2 suites that the strength allows."""
    return STRONG_SUITES if strength is Strength.STRONG else COMPATIBLE_SUITES


def cipher_list(strength: Strength) -> str:
    """Return the suites in OpenSSL's format, with the security level (ciphers(1))."""
    return ":".join((*suites(strength), f"@SECLEVEL={SECURITY_LEVEL}"))


def allows(strength: Strength, version: str, suite: str) -> bool:
    """Return whether this protocol version (`TLSv1.2`, …) and suite are strong enough."""
    return version == "TLSv1.3" or (version == "TLSv1.2" and suite in suites(strength))


def demand(strength: Strength) -> str:
    """Return what the strength requires, in a postmaster's words."""
    kind = "AEAD" if strength is Strength.STRONG else "SHA-2"
    return f"TLS 1.2 with forward secrecy and {kind}, or TLS 1.3"
