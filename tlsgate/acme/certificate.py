"""What a chain contains, and whether it may be served (RFC 5280, RFC 9525).

Pure: chains are PEM bytes, the time is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from tlsgate.acme.keys import spki_sha256
from tlsgate.record import Record, Time

CLOCK_ERROR = timedelta(minutes=15)
"""A certificate that begins only so soon is valid already: it is this machine's clock that is
slow, and the peers', like the CA's, are right.
"""


class ChainFault(Exception):
    """The bytes are not a certificate chain with an EC key."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The contents of a leaf certificate. `names`: sorted. Times are UTC."""

    names: tuple[str, ...]
    spki_sha256: str
    serial: str
    not_before: datetime
    not_after: datetime


class Meta(Record, frozen=True, eq=False):
    """What the certificate itself does not say: the CA's directory and the profile asked for.

    `key_made`: when its key was (UTC); None where an earlier version wrote no time. Two are equal
    whenever that was.
    """

    directory: str
    profile: str | None
    key_made: Time | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Meta) and self._issuer() == other._issuer()

    def __hash__(self) -> int:
        return hash(self._issuer())

    def _issuer(self) -> tuple[str, str | None]:
        return self.directory, self.profile


@lru_cache(maxsize=128)  # the agent asks at every look for each chain that it keeps
def facts(chain: bytes) -> Facts:
    """Reads the leaf. Raises ChainFault."""
    leaf = _load(chain)[0]
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ChainFault("the certificate's key is not an EC key")
    return Facts(
        names=tuple(sorted(_names(leaf))),
        spki_sha256=spki_sha256(key),
        serial=f"{leaf.serial_number:x}",
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )


def chain_fault(
    chain: bytes, names: Sequence[str], roots: Sequence[x509.Certificate], now: datetime
) -> str | None:
    """Why a peer that knows these roots would not accept the chain for all names; None if it would.

    Cases with a simple cause are checked first: the verifier's messages for
    them are hard to read.
    """
    try:
        leaf, *others = _load(chain)
    except ChainFault as fault:
        return str(fault)
    if not leaf.not_valid_before_utc - CLOCK_ERROR <= now <= leaf.not_valid_after_utc:
        return (
            f"it is valid from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M:%S} to "
            f"{leaf.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC, and now is "
            f"{now:%Y-%m-%d %H:%M:%S}"
        )
    if not names:
        return "it names no host"
    missing = sorted(set(names) - set(_names(leaf)))
    if missing:
        return f"it does not name {', '.join(missing)}"
    if not _for_servers(leaf):
        return "it is not for TLS servers (extended key usage serverAuth)"
    return _distrust(leaf, others, names, roots, now)


def _distrust(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    names: Sequence[str],
    roots: Sequence[x509.Certificate],
    now: datetime,
) -> str | None:
    if not roots:
        return "no root is trusted"
    time = max(now, leaf.not_valid_before_utc)
    verifiers = PolicyBuilder().store(Store(list(roots))).time(time)
    try:
        # One name is enough: all are in the leaf, and the name constraints of the CAs above are
        # checked against every one of them. Certificates of 25 names are looked at each minute.
        verifiers.build_server_verifier(x509.DNSName(names[0])).verify(leaf, list(others))
    except VerificationError as fault:
        top = [leaf, *others][-1].issuer.rfc4514_string()
        # Without a path to any root the verifier has nothing more to say.
        why = "" if "no interior errors" in str(fault) else f": {fault}"
        return f"its chain, up to the issuer {top}, does not lead to a trusted root{why}"
    return None


def _load(chain: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(chain)
    except ValueError as fault:
        raise ChainFault(f"it is not a chain of certificates: {fault}") from fault


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return names.value.get_values_for_type(x509.DNSName)


def _for_servers(leaf: x509.Certificate) -> bool:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.SERVER_AUTH in usage.value
