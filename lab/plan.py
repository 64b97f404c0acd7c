"""What the lab consists of: names, addresses, zones and the table of peers. Pure.

Every peer is a mail server for two domains: `<peer>.example`, which is on the partner list in
lab/partners/, and its twin `<peer>-free.example`, which is not. A peer is special
only in its TLS, certificate or DNS; the rest of it is an ordinary Postfix.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

NETWORK = "tlsgate-lab"
SUBNET = "172.31.26.0/24"
HOST_ADDRESS = "172.31.26.1"
DYNAMIC_RANGE = "172.31.26.192/26"
"""Addresses that Docker assigns itself, so that it never assigns a fixed address.

The 64 addresses before it are for the containers of a second gateway. For its stack the network
is 172.31.26.128/25, and its short-lived containers get addresses of the dynamic range.
"""

PARENT_ZONE = "example"
"""Static; contains the infrastructure and every peer, and delegates the organisation's domains."""
ORGANISATION_ZONES = ("corp.example", "brand.example")
"""Dynamic: the gateway's stack and its agent change them (RFC 2136)."""
ZONES = (PARENT_ZONE, *ORGANISATION_ZONES)

GATEWAY_HOST = "mx1.corp.example"
GATEWAY_ADDRESS = "172.31.26.3"
GATEWAY_INTERNAL_PORT = 2525

NAME_SERVER = "ns.lab.example"
CA_HOST = "ca.lab.example"
INTERNAL_HOST = "mail.lab.example"
POLICY_SERVER = "policies.lab.example"

DNS_ADDRESS = "172.31.26.10"
CA_ADDRESS = "172.31.26.11"
INTERNAL_ADDRESS = "172.31.26.12"
POLICY_ADDRESS = "172.31.26.13"
RESOLVER_ADDRESS = "172.31.26.14"
FIRST_PEER = 20

DNS_HOST_PORT = 2053
ACME_PORT = 14000
ACME_MANAGEMENT_PORT = 15000


class Certificate(StrEnum):
    """The kind of certificate that the peer has."""

    PUBLIC = "signed by the lab's public CA"
    SELF_SIGNED = "self-signed, right name"
    UNKNOWN_CA = "signed by a CA that nobody trusts, right name"
    WRONG_NAME = "signed by the lab's public CA, another name"
    EXPIRED = "signed by the lab's public CA, ended last month"


class Transport(StrEnum):
    """Which TLS the peer offers."""

    TLS = "STARTTLS, TLS 1.2 and later"
    OLD_TLS = "STARTTLS, TLS 1.0 and 1.1 only"
    NO_TLS = "no STARTTLS"
    STRIPPED = "a proxy in between removes STARTTLS"


class Tlsa(StrEnum):
    """The TLSA record in DNS for the server's key (RFC 6698)."""

    NONE = "no record"
    MATCHING = "3 1 1 of the server's key"
    OTHER_KEY = "3 1 1 of a key that the server does not use"


@dataclass(frozen=True, slots=True)
class Peer:
    """One mail server.

    `host`: the name that its MX records give. `sts`: which of its domains publish an MTA-STS
    policy; `sts_mx`: the host that the policy allows.
    """

    name: str
    address: str
    host: str
    certificate: Certificate = Certificate.PUBLIC
    transport: Transport = Transport.TLS
    tlsa: Tlsa = Tlsa.NONE
    sts: tuple[str, ...] = ()
    sts_mx: str = ""

    @property
    def domain(self) -> str:
        """The domain on the partner list."""
        return f"{self.name}.example"

    @property
    def free_domain(self) -> str:
        """Its twin, on no list."""
        return f"{self.name}-free.example"

    @property
    def domains(self) -> tuple[str, str]:
        """Both domains."""
        return (self.domain, self.free_domain)

    @property
    def is_spoofed(self) -> bool:
        """Whether DNS names an attacker's host instead of the one in the policy."""
        return bool(self.sts) and self.sts_mx != self.host

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """The names in the certificate."""
        if self.certificate is Certificate.WRONG_NAME:
            return ("mx.somebody-else.example",)
        return (self.host,)


def container_name(role: str) -> str:
    """The name of the container with this role."""
    return f"{NETWORK}-{role}"


def _peers() -> tuple[Peer, ...]:
    rows: tuple[dict[str, object], ...] = (
        {"name": "good"},
        {"name": "dane", "certificate": Certificate.SELF_SIGNED, "tlsa": Tlsa.MATCHING},
        {"name": "dane-broken", "certificate": Certificate.SELF_SIGNED, "tlsa": Tlsa.OTHER_KEY},
        {"name": "selfsigned", "certificate": Certificate.SELF_SIGNED},
        {"name": "unknownca", "certificate": Certificate.UNKNOWN_CA},
        {"name": "wrongname", "certificate": Certificate.WRONG_NAME},
        {"name": "expired", "certificate": Certificate.EXPIRED},
        {"name": "plain", "transport": Transport.NO_TLS},
        {"name": "stripped", "transport": Transport.STRIPPED},
        {"name": "oldtls", "transport": Transport.OLD_TLS},
        {"name": "hosted", "host": "mx.provider.example"},
        # DNS names an attacker's host, whose certificate is valid for its own name. MTA-STS
        # protects the twin: its policy names the right host.
        {
            "name": "spoofed",
            "host": "mx.attacker.example",
            "sts": ("spoofed-free.example",),
            "sts_mx": "mx.spoofed-free.example",
        },
        {"name": "sts", "sts": ("sts.example", "sts-free.example")},
        {
            "name": "sts-broken",
            "certificate": Certificate.SELF_SIGNED,
            "sts": ("sts-broken.example", "sts-broken-free.example"),
        },
        # These two differ only in what the gateway requires from them as senders.
        {"name": "pinned"},
        {"name": "fixednet"},
    )
    peers = []
    for number, row in enumerate(rows, start=FIRST_PEER):
        host = row.get("host", f"mx.{row['name']}.example")
        values = {"sts_mx": host, **row, "host": host, "address": f"172.31.26.{number}"}
        peers.append(Peer(**values))  # type: ignore[arg-type]  # the table above is the check
    return tuple(peers)


PEERS = _peers()
BY_NAME = {peer.name: peer for peer in PEERS}
POLICY_DOMAINS = tuple(domain for peer in PEERS for domain in peer.sts)

SILENT = "silent.example"
"""Its mail server accepts connections and never answers (`lab/images/peer/bin/policy-server`)."""
FORGED = "forged.example"
"""On the list; an attacker's DNS says that it accepts no mail (a null MX, RFC 7505)."""
FORGED_FREE = "forged-free.example"
"""Its twin, on no list."""
NOBODY = "nosuch"
"""Local parts with this prefix exist on no server of the lab."""

STRANGER = "stranger.example"
"""A sender's domain without a partner record."""
FOREIGN = "elsewhere.example"
"""A recipient's domain outside the lab: mail to it through port 25 would be relaying."""
