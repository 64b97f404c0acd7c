"""What the volumes say, for `pulumi up` and the health check: no network, no key is read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from tlsgate.acme.account import account_uri
from tlsgate.acme.certificate import ChainFault, Facts, facts
from tlsgate.acme.config import Config, Wanted
from tlsgate.acme.paths import Paths
from tlsgate.acme.store import Generation, Store

LATE = 6
"""Unhealthy when less than the sixth part of the lifetime is left: renewal is due at the third."""
SILENT = timedelta(minutes=5)
HEALTHY = "healthy"
"""What stands in the heartbeat's file if there is no fault; else the faults do."""


def result(config: Config, paths: Paths) -> dict[str, object]:
    """The account and the certificates in service, as the components take them.

    Public facts that neither a renewal nor a roll-over changes: no expiry, no serial, no key. Names
    are sorted. `issuer` is a directory URL: the first CA's also where the configured second one
    stood in for it, the real one's where that is not configured. A certificate that is not there
    is left out.
    """
    wanted_issuers = {ca.directory for ca in config.cas}
    return {
        "account": account_uri(paths.account(config.directory)),
        "certificates": [
            {
                "name": wanted.name,
                "names": list(found.names),
                "issuer": (
                    config.directory
                    if generation.meta.directory in wanted_issuers
                    else generation.meta.directory
                ),
            }
            for wanted, generation, found in _served(config, paths)
        ],
    }


def keys(config: Config, paths: Paths) -> dict[str, str]:
    """Certificate → SHA-256 of the public key (SPKI, hex), as of now: a roll-over changes it."""
    return {wanted.name: found.spki_sha256 for wanted, _, found in _served(config, paths)}


def faults(config: Config, paths: Paths, now: datetime) -> list[str]:
    """Why the agent's container is not healthy; empty if it is."""
    found = []
    try:
        silent = now.timestamp() - paths.heartbeat.stat().st_mtime
    except OSError:
        found.append("the agent's loop has not run yet")
    else:
        if silent > config.look_seconds + SILENT.total_seconds():
            found.append(f"the agent's loop has not run for {silent:.0f} s")
    return found + certificate_faults(config, paths, now)


def certificate_faults(config: Config, paths: Paths, now: datetime) -> list[str]:
    """What is wrong with the certificates in service, well before a peer would see it."""
    found = []
    served = {wanted: facts for wanted, _, facts in _served(config, paths)}
    for wanted in config.certificates:
        certificate = served.get(wanted)
        if certificate is None:
            found.append(f"certificate {wanted.name} is missing")
            continue
        lifetime = certificate.not_after - certificate.not_before
        if now > certificate.not_after - lifetime / LATE:
            until = f"{certificate.not_after:%Y-%m-%d %H:%M:%S} UTC"
            found.append(f"certificate {wanted.name} ends at {until} and was not renewed")
    return found


def _served(config: Config, paths: Paths) -> Iterator[tuple[Wanted, Generation, Facts]]:
    for wanted in config.certificates:
        generation = Store(paths.certificate(wanted.volume, wanted.name)).current()
        if generation is None:
            continue
        try:
            yield wanted, generation, facts(generation.chain)
        except ChainFault:
            continue
