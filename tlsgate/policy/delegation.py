"""Postfix's policy delegation protocol (SMTPD_POLICY_README): bytes to a request and back.

A request is lines `name=value`, ended by an empty line; an answer is one line `action=…` and an
empty line.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

REQUEST_LIMIT = 16 * 1024
"""Octets; Postfix's own attributes take well under 4 KiB."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class MalformedRequest(ValueError):
    """Not the protocol: the connection is closed, and Postfix defers by its own default."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the gateway's Postfix says about a client and its sender.

    `protocol`: the version of TLS (`TLSv1.3`), "" for a session in plaintext; `cipher`: OpenSSL's
    name of its suite.
    `sender_domain`, `recipient_domain`: lower-case A-labels, "" for the null sender or without
    a recipient, None for an address without a usable domain. `client`: None if unknown;
    IPv4-mapped IPv6 is IPv4. `public_key`: SHA-256 of the client's SubjectPublicKeyInfo in
    lower-case hex, "" if it showed no certificate. `context`: what the question is about
    (tlsgate.render.postfix_main). `message`: the same for all of a message's recipients, and for
    no other message.
    """

    sender_domain: str | None
    client: Address | None
    protocol: str
    public_key: str
    recipient_domain: str | None = ""
    context: str = ""
    message: str = ""
    cipher: str = ""

    @property
    def encrypted(self) -> bool:
        """Whether the session is under TLS."""
        return bool(self.protocol)


def parse_request(block: bytes) -> Request:
    """One request without its final empty line. Raises MalformedRequest."""
    if b"\0" in block:
        raise MalformedRequest("an attribute holds a NUL")
    attributes: dict[str, str] = {}
    for line in block.decode("utf-8", "surrogateescape").split("\n"):
        name, equals, value = line.partition("=")
        if not equals or not name:
            raise MalformedRequest("a line is not name=value")
        if name in attributes:
            raise MalformedRequest(f"attribute {name[:40]!r} is given twice")
        attributes[name] = value
    if attributes.get("request") != "smtpd_access_policy":
        raise MalformedRequest("the request is not smtpd_access_policy")
    if "sender" not in attributes or "client_address" not in attributes:
        raise MalformedRequest("sender or client_address is missing")
    return Request(
        sender_domain=_domain(attributes["sender"]),
        client=_address(attributes["client_address"]),
        protocol=attributes.get("encryption_protocol", ""),
        cipher=attributes.get("encryption_cipher", ""),
        public_key=attributes.get("ccert_pubkey_fingerprint", "").replace(":", "").lower(),
        recipient_domain=_domain(attributes.get("recipient", "")),
        context=attributes.get("policy_context", ""),
        message=attributes.get("instance", ""),
    )


def answer(action: str) -> bytes:
    """An access(5) action as the protocol's answer."""
    return f"action={action}\n\n".encode("ascii", "replace")


def _domain(mailbox: str) -> str | None:
    if not mailbox:
        return ""
    domain = mailbox.rpartition("@")[2] if "@" in mailbox else ""
    try:
        # Under SMTPUTF8 a domain may come as U-labels; the list holds A-labels.
        return domain.rstrip(".").encode("idna").decode("ascii").lower() or None
    except UnicodeError:
        return None


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
