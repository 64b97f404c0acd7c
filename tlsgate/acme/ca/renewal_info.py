"""When a CA suggests to renew a certificate: the requests and answers of ARI (RFC 9773)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime

from acme import messages
from cryptography import x509
from josepy.errors import Error as JoseError

from tlsgate.acme.ca.client import AcmeServer
from tlsgate.acme.faults import AcmeFault
from tlsgate.record import Record, Time


class Window(Record, frozen=True):
    """What the CA suggests; `end` is after `start`. `url`: its explanation, for people."""

    start: Time
    end: Time
    url: str | None = None


class WindowFault(Exception):
    """The times are no valid window."""


def window(start: datetime | None, end: datetime | None, url: str | None) -> Window:
    """Raises WindowFault (RFC 9773, section 4.2)."""
    if start is None or end is None:
        raise WindowFault("its start or its end is missing")
    if not start < end:
        raise WindowFault(f"it ends at {end}, and starts at {start}")
    return Window(start, end, url)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One answer. `look_at`: when the CA wants to be asked again, None if it does not say."""

    window: Window
    look_at: datetime | None


def suggestion(server: AcmeServer, identifier: str) -> Suggestion | None:
    """When the CA suggests to renew the certificate of this CertID.

    None if it gives no renewal information. Needs no account. Raises AcmeFault.
    """
    base = server.protocol.renewal_info
    if base is None:
        return None
    doing = "asking for renewal information"
    with server.explaining_errors(doing):
        values = server.network.get(f"{base.rstrip('/')}/{identifier}").json()
    try:
        found = messages.RenewalInfo.from_json(values).suggested_window
        suggested = window(found.start, found.end, _url(values))
    except (JoseError, WindowFault, AttributeError) as fault:
        raise AcmeFault(
            f"{doing}: the CA's answer is malformed: {fault}",
            "Nothing to do: the certificate is renewed in time without it",
            server.retry_at(),
        ) from fault
    return Suggestion(suggested, server.retry_at())


def certificate_id(chain: bytes) -> str | None:
    """The CertID (RFC 9773, section 4.1) of a chain's leaf; None if it names no issuer's key."""
    leaf = x509.load_pem_x509_certificate(chain)
    try:
        issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return None
    if issuer.key_identifier is None:
        return None
    serial = leaf.serial_number
    # As DER has it: with a leading zero where the first bit would make it negative.
    octets = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return f"{_base64url(issuer.key_identifier)}.{_base64url(octets)}"


def _url(values: object) -> str | None:
    found = values.get("explanationURL") if isinstance(values, dict) else None
    return found if isinstance(found, str) and found.startswith("https://") else None


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
