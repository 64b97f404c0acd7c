"""Puts the policy helper together: the generation it follows and its two listeners."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dns.resolver

from tlsgate.events import emit
from tlsgate.policy.delegation import REQUEST_LIMIT
from tlsgate.policy.generation import Generation
from tlsgate.policy.inbound import IdentityService
from tlsgate.policy.lookups import Lookups
from tlsgate.policy.outbound import Responder
from tlsgate.policy.sts import PolicyResolver


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """From the environment: see `settings_from`."""

    host: str = "0.0.0.0"  # noqa: S104  # the container's own network is the limit
    outbound_port: int = 8461
    inbound_port: int = 10040
    current: Path = Path("/config/current")
    nameservers: tuple[str, ...] = ()
    dns_port: int = 53
    https_port: int = 443


def settings_from(environment: Mapping[str, str]) -> ServeSettings:
    """`TLSGATE_RESOLVER`: the validating resolver's addresses, separated by spaces.

    Without it, what /etc/resolv.conf names. `TLSGATE_CONFIG`: the configuration volume's mount,
    /config by default. Raises ValueError on an address that is not one.
    """
    nameservers = environment.get("TLSGATE_RESOLVER", "").split()
    for address in nameservers:
        ipaddress.ip_address(address)
    if not nameservers:
        nameservers = [str(address) for address in dns.resolver.Resolver().nameservers]
    return ServeSettings(
        current=Path(environment.get("TLSGATE_CONFIG", "/config")) / "current",
        nameservers=tuple(nameservers),
    )


async def serve(settings: ServeSettings, ready: asyncio.Event | None = None) -> None:
    """Serves until SIGTERM or SIGINT. Raises OSError if a port cannot be had."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    lookups = Lookups(list(settings.nameservers), settings.dns_port)
    generation = Generation(settings.current)
    policies = PolicyResolver(lookups, generation.trust, settings.https_port)
    generation.on_change(policies.forget_failures)
    responder = Responder(lookups, policies, generation.covers)
    service = IdentityService(generation.identities)
    await generation.poll()
    outbound = await asyncio.start_server(
        responder.handler, settings.host, settings.outbound_port, backlog=512
    )
    inbound = await asyncio.start_server(
        service.handle, settings.host, settings.inbound_port, limit=REQUEST_LIMIT, backlog=512
    )
    follower = asyncio.create_task(generation.follow())
    emit("serving", resolver=list(settings.nameservers))
    if ready is not None:
        ready.set()
    stopped = asyncio.create_task(stop.wait())
    # A follower that dies would leave old lists in force for ever: the process ends instead.
    await asyncio.wait({stopped, follower}, return_when=asyncio.FIRST_COMPLETED)
    for server in (outbound, inbound):
        server.close()
    for task in (stopped, follower):
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await follower
    emit("stopped")


def run(environment: Mapping[str, str]) -> int:
    """The process's exit code."""
    try:
        asyncio.run(serve(settings_from(environment)))
    except (OSError, ValueError) as fault:
        print(f"tlsgate.policy cannot serve: {fault}", file=sys.stderr)
        return 1
    return 0
