"""The settings of a stack's config, as frozen dataclasses (read by `settings_reader.py`)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

ROLES = ("resolver", "gateway", "policy-host", "policy", "agent", "notices")
"""The containers of a stack, in the order of their addresses, which start at the subnet's third."""


@dataclass(frozen=True, slots=True)
class GatewayHost:
    """One gateway: an MX host with its own name, public addresses, queue and agent (D11)."""

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
    """The TLS level to the internal server: none, may, encrypt or secure."""
    require_tls: bool
    """Refuse plaintext from the internal networks (`internal_tls: required`)."""
    senders: tuple[str, ...]
    """Domains, `.domain` and addresses that the networks may also send as."""
    recipients: str
    """How recipients in the own domains are checked: verify, list or any."""
    recipients_folder: str
    """The folder of the files for `list`, one file per domain."""


@dataclass(frozen=True, slots=True)
class InboundSettings:
    """What port 25 requires of senders that are not partners."""

    null_sender: str
    """Whose bounces need TLS: partners (only theirs) or tls (everybody's)."""
    own_senders: str
    """What happens to mail from outside with a sender in the own domains: refuse or accept."""


@dataclass(frozen=True, slots=True)
class FallbackSettings:
    """The second CA, which is used after `after` successive failures at the first one."""

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
    """Rate limits that differ from Let's Encrypt's: kind, count, seconds."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What the agent does by itself, and how it is monitored."""

    rotate_days: int
    """The age at which a key is replaced; 0: never."""
    tlsa_ttl: int | None
    """Seconds; None: the same as other records."""
    metrics_port: int | None
    """On the stack's own network; None: no metrics."""
    webhook_file: str | None
    """Contains the URL that alerts are sent to."""


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """Where records are published, and with which keys (paths, never keys; D1)."""

    sink: str
    server: Endpoint | None
    """The address for the deploying machine."""
    agent_server: Endpoint | None
    """The address for the agent's container."""
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
    """MTA-STS (RFC 8461): the policy, and the public addresses of its host."""

    mode: str
    max_age: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """How long mail waits, and when its sender is warned (Postfix durations)."""

    lifetime: str
    delay_warning: str
    retry_shortest: str
    retry_longest: str


@dataclass(frozen=True, slots=True)
class PortSettings:
    """Where the Docker host publishes each port; None: not published."""

    smtp: Endpoint | None
    internal: Endpoint | None
    http: Endpoint | None
    https: Endpoint | None


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The Docker network of the stack's containers, in which they have fixed addresses."""

    subnet: str
    existing: str | None
    """An existing network to join; None: the stack creates its own."""

    def address(self, role: str) -> str:
        """Return the fixed address of a role, one of `ROLES`."""
        return str(ipaddress.ip_network(self.subnet)[ROLES.index(role) + 2])


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """The validating resolver's own zones and trust anchors; empty for the public DNS."""

    stub_zones: tuple[tuple[str, tuple[str, ...]], ...]
    trust_anchor_file: str | None
    probe: str
    """A signed name: the gateway is healthy only while the answer for it is authenticated."""


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """How images are built."""

    base: str
    build_ca_file: str | None
    """An extra CA bundle, in images/, for the package index while images are built."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a stack's config."""

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
    """The digest of the change of the list that was confirmed; "" for none."""
    postmaster: str
    """Who gets mail to postmaster@ and abuse@; "": these addresses at the internal server."""
    delete_data: bool
    """Whether `pulumi destroy` also deletes the queue and the keys."""
    recipient_list: tuple[str, ...] = ()
    """The addresses of `internal.recipients: list`, read from its files."""
