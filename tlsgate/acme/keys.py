"""Private keys: EC P-256, made here, stored as PKCS #8. They never leave a volume."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

Key = ec.EllipticCurvePrivateKey


class KeyFault(Exception):
    """A key file that cannot be used; the text says which and why."""


class KeyMissing(KeyFault):
    """There is no such file. No other error means that there is no key."""


def new_key() -> Key:
    """A fresh key."""
    return ec.generate_private_key(ec.SECP256R1())


def to_pem(key: Key) -> bytes:
    """PKCS #8, not encrypted: the volume's permissions protect it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def load_key(path: Path) -> Key:
    """Reads a key.

    Raises KeyMissing if there is no file, KeyFault if it holds no usable key, and any other
    OSError as it is: a key that cannot be read must never be replaced by a new one.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as fault:
        raise KeyMissing(f"{path} does not exist") from fault
    except (ValueError, TypeError) as fault:
        # Without OpenSSL's text: no part of a key may reach a log.
        raise KeyFault(f"{path} contains no readable key") from fault
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyFault(f"{path} contains a key that is not an EC key")
    return key


def spki_sha256(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the SubjectPublicKeyInfo, in hex: a pin, and the data of a TLSA `3 1 1`."""
    return hashlib.sha256(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).hexdigest()
