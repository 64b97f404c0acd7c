"""The arguments of a MailGateway: what a stack's config says, as plain dataclasses.

Every field is a key of the config with the same meaning, checks and default; docs/kit.md and
Pulumi.yaml describe them. An argument that may come from another resource is a `pulumi.Input`.
All other values decide what is declared, so they must be known when the program runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from tlsgate.partners.model import Partner
from tlsgate_pulumi.docker_engine import DockerEngine


@dataclass(frozen=True, kw_only=True)
class GatewayHostArgs:
    """An MX host: its name in one of the domains, and its public addresses."""

    name: str
    addresses: Sequence[pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class InternalArgs:
    """Your own mail server (`host:port`) and networks behind the gateway.

    `tls`: the level towards the server: none, may, encrypt or secure. `require_tls`: refuse
    plaintext from the networks. `senders`: domains, `.domain` and addresses that the networks may
    send as, besides your domains. `recipients`: verify (ask the server), any, or list, which reads
    the files of `recipients_folder`.
    """

    server: str
    networks: Sequence[str] = ()
    tls: str = "encrypt"
    require_tls: bool = True
    senders: Sequence[str] = ()
    recipients: str = "verify"
    recipients_folder: str | None = None


@dataclass(frozen=True, kw_only=True)
class InboundArgs:
    """Port 25. `null_sender`: whose bounces need TLS: partners (only theirs) or tls (everybody's).

    `own_senders`: refuse or accept mail from outside with a sender in one of your own domains.
    """

    null_sender: str = "partners"
    own_senders: str = "refuse"


@dataclass(frozen=True, kw_only=True)
class EabArgs:
    """External account binding (RFC 8555, section 7.3.4): the key's id and the file of the key."""

    key_id: str
    hmac_key_file: str


@dataclass(frozen=True, kw_only=True)
class LimitArgs:
    """A rate limit: at most `count` in `seconds`."""

    count: int
    seconds: int


@dataclass(frozen=True, kw_only=True)
class LimitsArgs:
    """The rate limits of a CA, if they differ from Let's Encrypt's."""

    orders: LimitArgs | None = None
    duplicates: LimitArgs | None = None
    replacements: LimitArgs | None = None
    failed_authorizations: LimitArgs | None = None


@dataclass(frozen=True, kw_only=True)
class FallbackArgs:
    """The second CA, which is used after `after` successive failures at the first one."""

    directory: str
    contact: Sequence[str] = ()
    profile: str | None = None
    ca_file: str | None = None
    eab: EabArgs | None = None
    after: int = 3


@dataclass(frozen=True, kw_only=True)
class AcmeArgs:
    """The public CA (RFC 8555). `challenge`: dns-01 or http-01. `contact`: mailto: URLs.

    `ca_file`: a PEM file of the roots that the directory's own HTTPS is checked with.
    """

    directory: str = "https://acme-v02.api.letsencrypt.org/directory"
    contact: Sequence[str] = ()
    profile: str | None = None
    challenge: str = "dns-01"
    ca_file: str | None = None
    eab: EabArgs | None = None
    fallback: FallbackArgs | None = None
    limits: LimitsArgs | None = None


@dataclass(frozen=True, kw_only=True)
class AgentArgs:
    """The certificate agent. `rotate_days`: the age in days at which a key is replaced; 0: never.

    `tlsa_ttl`: the TTL of TLSA records in seconds; 0: the same as other records. `metrics_port`:
    the port of its metrics; 0: none. `webhook_file`: a file with the https URL for alerts.
    """

    rotate_days: int = 90
    tlsa_ttl: int = 0
    metrics_port: int = 9464
    webhook_file: str | None = None


@dataclass(frozen=True, kw_only=True)
class DnsArgs:
    """Where records are published, and with which keys (paths of key files, never keys).

    `sink`: rfc2136, or manual for DNS that is changed by ticket. `server`: the `host:port` for the
    deploying machine; `agent_server`: the one for the agent's container. `ttl`: seconds.
    `caa_issuers`: the CAs' domains; `caa_account_uri`: allow your own accounts only (RFC 8657).
    """

    sink: str = "rfc2136"
    server: str | None = None
    agent_server: str | None = None
    zones: Sequence[str] = ()
    tsig_key_file: str | None = None
    agent_tsig_key_file: str | None = None
    ttl: int = 300
    caa_issuers: Sequence[str] = ()
    caa_account_uri: bool = False


@dataclass(frozen=True, kw_only=True)
class MtaStsArgs:
    """MTA-STS (RFC 8461): the public addresses of the policy host; `mode`: enforce, testing or
    none; `max_age`: seconds.
    """

    addresses: Sequence[pulumi.Input[str]]
    mode: str = "testing"
    max_age: int = 604_800


@dataclass(frozen=True, kw_only=True)
class QueueArgs:
    """How long mail waits, when its sender is warned, and when delivery is tried again.

    Durations such as 5d, 1h, 5m or 300s.
    """

    lifetime: str = "5d"
    delay_warning: str = "1h"
    retry_shortest: str = "5m"
    retry_longest: str = "1h"


@dataclass(frozen=True, kw_only=True)
class PortsArgs:
    """Where the Docker host publishes each port: `host:port`, or none.

    By default, `internal` is 0.0.0.0:2525 if there are internal networks, and `http` is 0.0.0.0:80
    for the challenge http-01; otherwise they are not published.
    """

    smtp: str = "0.0.0.0:25"
    internal: str | None = None
    https: str = "0.0.0.0:443"
    http: str | None = None


@dataclass(frozen=True, kw_only=True)
class ResolverArgs:
    """The validating resolver. `stub_zones`: zones that it looks up at their own name servers
    (zone → addresses). `trust_anchor_file`: a file of trust anchors. `probe`: a signed name that
    the health check looks up.
    """

    stub_zones: Mapping[str, Sequence[str]] = field(default_factory=dict)
    trust_anchor_file: str | None = None
    probe: str = "."


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """The Docker network. `subnet`: IPv4; the containers have fixed addresses in it.

    `existing`: the name of a network to join; without it, the gateway creates its own.
    """

    subnet: str = "172.31.25.0/24"
    existing: pulumi.Input[str] | None = None


@dataclass(frozen=True, kw_only=True)
class ImagesArgs:
    """How images are built. `base`: the base image. `build_ca_file`: for the package index.

    `ids`: the ids of images that were built elsewhere, by role; these are not built.
    """

    base: str = "debian:trixie-slim"
    build_ca_file: str | None = None
    ids: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MailGatewayArgs:
    """A mandatory-TLS mail gateway.

    `domains`: the mail domains that it receives for. `gateways`: its MX host; one for now.
    `partners`: the folder of partner files, or a list from `load_partners`. `routes`: next hops
    that differ from the MX, by domain, `.domain` or `*`. `message_size`: bytes. `milters`: mail
    filters, such as inet:filter.example.org:11332. `delete_data`: whether `pulumi destroy` also
    deletes the queue and the keys. `accept_weakening`: the digest that a refused preview shows.

    `engine`: the Docker engine, by its address; without it, the engine of the Docker provider in
    the component's options, of `docker:host`, or of the environment. `stack`: part of every name on
    the engine: containers are called `tlsgate-<stack>-gateway` and so on; the default is the names
    of the Pulumi stack and of the component, such as `prod-mail`. `build_folder`: the folder that
    images are built from; the program writes it, and all its gateways share it.
    """

    domains: Sequence[str]
    gateways: Sequence[GatewayHostArgs]
    internal: InternalArgs
    mta_sts: MtaStsArgs
    partners: str | os.PathLike[str] | Sequence[Partner]
    dns: DnsArgs = field(default_factory=DnsArgs)
    acme: AcmeArgs = field(default_factory=AcmeArgs)
    agent: AgentArgs = field(default_factory=AgentArgs)
    inbound: InboundArgs = field(default_factory=InboundArgs)
    ports: PortsArgs = field(default_factory=PortsArgs)
    queue: QueueArgs = field(default_factory=QueueArgs)
    resolver: ResolverArgs = field(default_factory=ResolverArgs)
    network: NetworkArgs = field(default_factory=NetworkArgs)
    images: ImagesArgs = field(default_factory=ImagesArgs)
    routes: Mapping[str, str] = field(default_factory=dict)
    relayhost: str | None = None
    postmaster: str | None = None
    tls_rpt: str | None = None
    message_size: int = 52_428_800
    milters: Sequence[str] = ()
    extra_ca_file: str | None = None
    accept_weakening: str | None = None
    delete_data: bool = False
    engine: DockerEngine | str | None = None
    stack: str | None = None
    build_folder: str = ".tlsgate"
