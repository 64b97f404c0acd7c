"""Mandatory-TLS mail gateways as Pulumi components (docs/kit.md).

The names here are public and stable. The modules behind them are private, with one exception: the
state of a stack refers to the dynamic providers by module and class, so these never move.
"""

from tlsgate.partners.load import load_partners
from tlsgate_pulumi.arguments import (
    AcmeArgs,
    AgentArgs,
    DnsArgs,
    EabArgs,
    FallbackArgs,
    GatewayHostArgs,
    ImagesArgs,
    InboundArgs,
    InternalArgs,
    LimitArgs,
    LimitsArgs,
    MailGatewayArgs,
    MtaStsArgs,
    NetworkArgs,
    PortsArgs,
    QueueArgs,
    ResolverArgs,
)
from tlsgate_pulumi.docker_engine import DockerEngine
from tlsgate_pulumi.gateway import MailGateway
from tlsgate_pulumi.inputs import read_inputs
from tlsgate_pulumi.outputs import IssuedCertificate, PartnerSummary

__all__ = [
    "AcmeArgs",
    "AgentArgs",
    "DnsArgs",
    "DockerEngine",
    "EabArgs",
    "FallbackArgs",
    "GatewayHostArgs",
    "ImagesArgs",
    "InboundArgs",
    "InternalArgs",
    "IssuedCertificate",
    "LimitArgs",
    "LimitsArgs",
    "MailGateway",
    "MailGatewayArgs",
    "MtaStsArgs",
    "NetworkArgs",
    "PartnerSummary",
    "PortsArgs",
    "QueueArgs",
    "ResolverArgs",
    "load_partners",
    "read_inputs",
]
