"""Puts the parts together as the configuration says."""

from __future__ import annotations

from pathlib import Path

from tlsgate.acme.authority import Authority
from tlsgate.acme.config import Config, DnsUpdates, HttpTokens
from tlsgate.acme.dns01 import Dns01, Zone, dns_told
from tlsgate.acme.http01 import Http01
from tlsgate.acme.issue import Clock, Issuer
from tlsgate.acme.paths import Paths
from tlsgate.acme.proofs import Proofs, Solver
from tlsgate.acme.running import Pause
from tlsgate.acme.tlsa import Tlsa
from tlsgate.acme.trust import load_roots
from tlsgate.dns.agent import AgentZone
from tlsgate.dns.server import NameServer
from tlsgate.dns.tsig import read_tsig_key


def issuer(config: Config, paths: Paths, pause: Pause, clock: Clock) -> Issuer:
    """Everything that a certificate's life needs. Raises AcmeFault for unusable files."""
    authority = Authority(config, paths, proofs(config, paths), pause)
    tlsa = published(config)
    return Issuer(
        config,
        paths,
        roots=load_roots(config.roots_file),
        obtain=authority.obtain,
        publish=tlsa.publish if tlsa else None,
        clock=clock,
    )


def proofs(config: Config, paths: Paths) -> Proofs:
    """The answers to challenges. Raises AcmeFault."""
    return Proofs(_solver(config), paths.proofs)


def published(config: Config) -> Tlsa | None:
    """The TLSA records; None where DNS is not the agent's to write. Raises AcmeFault."""
    return Tlsa(agent_zone(config.tlsa), config.tlsa.ttl) if config.tlsa else None


def agent_zone(updates: DnsUpdates) -> Zone:
    """The zones that the agent's TSIG key may write to."""
    with dns_told("reading the TSIG key"):
        key = read_tsig_key(Path(updates.tsig_key_file))
        return AgentZone(NameServer(updates.server, updates.port, key), updates.zones)


def _solver(config: Config) -> Solver:
    match config.challenge:
        case HttpTokens(directory):
            return Http01(directory)
        case DnsUpdates() as updates:
            return Dns01(agent_zone(updates), updates.ttl)
