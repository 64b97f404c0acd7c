"""What a stack's config says, as frozen dataclasses (read by `settings_reader.py`)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

ROLES = ("resolver", "gateway", "policy-host", "policy", "agent", "notices")
"""The containers of a stack, in the order of their addresses, from the third of the subnet on."""


@dataclass(frozen=True, slots=True)
class GatewayHost:
    """One gateway: an MX host with a name, public addresses, queue and agent of its own (D11)."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class InternalSettings:
    """The organisation's own mail server and networks behind the gateway."""

    networks: tuple[str, ...]
    server: Endpoint
    tls: str
    """Level towards the internal server: none, may, encrypt or secure."""
    require_tls: bool
    """Refuse plaintext from the internal networks (`internal_tls: required`)."""
    senders: tuple[str, ...]
    """Domains, `.domain` and addresses that the networks may send as, besides the own domains."""
    recipients: str
    """How a recipient of an own domain is known: verify, list or any."""
    recipients_folder: str
    """Of the files behind `list`, one a domain."""


@dataclass(frozen=True, slots=True)
class InboundSettings:
    """What port 25 demands of senders that are on no list."""

    null_sender: str
    """From whom bounces need TLS: partners or tls (everybody)."""
    own_senders: str
    """What becomes of mail in the name of the own domains: refuse or accept."""


@dataclass(frozen=True, slots=True)
class FallbackSettings:
    """The CA that stands in for the first one after `after` failures in a row."""

    directory: str
    contact: tuple[str, ...]
    profile: str | None
    ca_file: str | None
    eab_key_id: str | None
    eab_hmac_key_file: str | None
    after: int


@dataclass(frozen=True, slots=True)
class AcmeSettings:
    """The public CA."""

    directory: str
    contact: tuple[str, ...]
    profile: str | None
    challenge: str
    ca_file: str | None
    eab_key_id: str | None
    eab_hmac_key_file: str | None
    fallback: FallbackSettings | None
    limits: tuple[tuple[str, int, int], ...]
    """The CA's, where they are not Let's Encrypt's: kind, count, seconds."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What the agent does by itself, and how it is watched."""

    rotate_days: int
    """How old a key may get; 0: any age."""
    tlsa_ttl: int | None
    """Seconds; None: as the other records'."""
    metrics_port: int | None
    """On the stack's own network; None: no metrics."""
    webhook_file: str | None
    """Holds the URL that alerts go to."""


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """Where records are published, and with which keys (files; never values, D1)."""

    sink: str
    server: Endpoint | None
    """As the deploying machine reaches it."""
    agent_server: Endpoint | None
    """As the agent's container reaches it."""
    zones: tuple[str, ...]
    tsig_key_file: str | None
    agent_tsig_key_file: str | None
    ttl: int
    caa_issuers: tuple[str, ...]
    """The CAs' domains, in the order of `tlsgate:acme` and its `fallback`."""
    caa_account_uri: bool
    """Whether CAA records allow the stack's own accounts only (RFC 8657)."""


@dataclass(frozen=True, slots=True)
class MtaStsSettings:
    """RFC 8461: the policy, and the public addresses of its host."""

    mode: str
    max_age: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """How long mail waits, and when its sender is told (Postfix durations)."""

    lifetime: str
    delay_warning: str
    retry_shortest: str
    retry_longest: str


@dataclass(frozen=True, slots=True)
class PortSettings:
    """Where the deploying host publishes a port; None where it does not."""

    smtp: Endpoint | None
    internal: Endpoint | None
    http: Endpoint | None
    https: Endpoint | None


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The Docker network that the stack's containers are on; their addresses are fixed in it."""

    subnet: str
    existing: str | None
    """A network that is there already, and is joined; None: the stack makes one of its own."""

    def address(self, role: str) -> str:
        """Return the fixed address of a role, one of `ROLES`."""
        return str(ipaddress.ip_network(self.subnet)[ROLES.index(role) + 2])


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """The validating resolver's own zones and trust anchors; empty for the public DNS."""

    stub_zones: tuple[tuple[str, tuple[str, ...]], ...]
    trust_anchor_file: str | None
    probe: str
    """A signed name: the gateway is healthy only while its answer is authenticated."""


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """How images are built."""

    base: str
    build_ca_file: str | None
    """An extra CA bundle, below images/, for the package index while images are built."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a stack's config says."""

    domains: tuple[str, ...]
    gateways: tuple[GatewayHost, ...]
    internal: InternalSettings
    inbound: InboundSettings
    acme: AcmeSettings
    agent: AgentSettings
    dns: DnsSettings
    mta_sts: MtaStsSettings
    tls_rpt: str | None
    queue: QueueSettings
    message_size: int
    """Bytes."""
    ports: PortSettings
    milters: tuple[str, ...]
    extra_ca_file: str | None
    resolver: ResolverSettings
    network: NetworkSettings
    routes: tuple[tuple[str, str], ...]
    relayhost: str | None
    images: ImageSettings
    partners: str
    accept_weakening: str
    """The digest of the one change of the list that may weaken as much as it does; "" for none."""
    postmaster: str
    """Where mail for postmaster@ and abuse@ goes; "": to these addresses at the internal server."""
    delete_data: bool
    """Whether `pulumi destroy` also deletes the queue and the keys."""
    recipient_list: tuple[str, ...] = ()
    """The addresses of `internal.recipients: list`, read from its files."""
