"""Builds the agent's parts as the configuration says."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from requests.adapters import BaseAdapter

from tlsgate.acme.ca.trusted_roots import load_roots
from tlsgate.acme.challenges.dns01 import Dns01
from tlsgate.acme.challenges.http01 import Http01
from tlsgate.acme.challenges.responses import ChallengeResponses, Solver
from tlsgate.acme.config.agent_json import Config, DnsUpdates, HttpTokens
from tlsgate.acme.dns_zone import Zone, explaining_dns_errors
from tlsgate.acme.gateway.install import Installer
from tlsgate.acme.gateway.tls_probe import Servers
from tlsgate.acme.orders.authorities import CaContext, CertificateAuthorities
from tlsgate.acme.process import Pause
from tlsgate.acme.renewal.renewal_info import RenewalInfo
from tlsgate.acme.renewal.renewer import Renewer
from tlsgate.acme.rollover.roller import Roller
from tlsgate.acme.rollover.tlsa_records import PublishedRecords, Tlsa
from tlsgate.acme.state.paths import Paths
from tlsgate.clock import Clock
from tlsgate.dns.agent import AgentZone
from tlsgate.dns.server import NameServer
from tlsgate.dns.tsig import read_tsig_key


def renewer(
    config: Config,
    paths: Paths,
    pause: Pause,
    clock: Clock,
    *,
    elapsed: Callable[[], float] = time.monotonic,
    transport: BaseAdapter | None = None,
) -> Renewer:
    """Everything that a certificate's life needs; the last two as in `CaContext`.

    Raises AcmeFault for unusable files.
    """
    context = CaContext(responses(config, paths), config.limits, pause, clock, elapsed, transport)
    cas = CertificateAuthorities(config, paths, context)
    return Renewer(
        config,
        paths,
        roots=load_roots(config.roots_file),
        cas=cas,
        renewals=RenewalInfo(paths.renewals, clock),
        roller=Roller(config, paths, published(config, paths, clock), cas, clock),
        installer=Installer(Servers(pause)),
        clock=clock,
    )


def responses(config: Config, paths: Paths) -> ChallengeResponses:
    """The responses to challenges. Raises AcmeFault."""
    return ChallengeResponses(_solver(config), paths.proofs)


def published(config: Config, paths: Paths, clock: Clock) -> Tlsa | None:
    """The TLSA records; None where DNS is not the agent's to write. Raises AcmeFault."""
    if config.tlsa is None:
        return None
    return Tlsa(agent_zone(config.tlsa), config.tlsa.ttl, PublishedRecords(paths.tlsa), clock)


def agent_zone(updates: DnsUpdates) -> Zone:
    """The zones that the agent's TSIG key may write to."""
    with explaining_dns_errors("reading the TSIG key"):
        key = read_tsig_key(Path(updates.tsig_key_file))
        return AgentZone(NameServer(updates.server, updates.port, key), updates.zones)


def _solver(config: Config) -> Solver:
    match config.challenge:
        case HttpTokens(directory):
            return Http01(directory)
        case DnsUpdates() as updates:
            return Dns01(agent_zone(updates), updates.ttl)
