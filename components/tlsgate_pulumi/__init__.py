"""Mandatory-TLS mail gateways as Pulumi components (docs/kit.md).

What is named here is public and stays. The modules behind it are private, but for one thing: the
state of a stack names the dynamic providers by module and class, so these never move.
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
