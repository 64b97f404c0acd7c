"""Puts the policy helper together: the generation it follows and its two listeners."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import resource
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import dns.resolver

from tlsgate.dns.lookups import Lookups
from tlsgate.events import emit
from tlsgate.mta_sts.cache import PolicyCache
from tlsgate.mta_sts.cache_file import PolicyFile
from tlsgate.mta_sts.fetch import PolicyFetcher
from tlsgate.mta_sts.policies import StsPolicies
from tlsgate.policy.address_book import AddressBook
from tlsgate.policy.contract import INBOUND_PORT, OUTBOUND_PORT
from tlsgate.policy.delegation import REQUEST_LIMIT
from tlsgate.policy.generation import GenerationFollower
from tlsgate.policy.inbound import PartnerService
from tlsgate.policy.observations import Observations
from tlsgate.policy.observed_mail import ObservedMail
from tlsgate.policy.outbound import Responder


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """From the environment: see `settings_from`."""

    host: str = "0.0.0.0"  # noqa: S104  # the container's own network is the limit
    outbound_port: int = OUTBOUND_PORT
    inbound_port: int = INBOUND_PORT
    current: Path = Path("/config/current")
    nameservers: tuple[str, ...] = ()
    dns_port: int = 53
    https_port: int = 443
    smtp_port: int = 25
    state: Path = Path("/state")


def settings_from(environment: Mapping[str, str]) -> ServeSettings:
    """`TLSGATE_RESOLVER`: the validating resolver's addresses, separated by spaces.

    Without it, what /etc/resolv.conf names. `TLSGATE_CONFIG`: the configuration volume's mount,
    /config by default. `TLSGATE_STATE`: where the helper keeps its files, /state by default. Raises
    ValueError on an address that is not one.
    """
    nameservers = environment.get("TLSGATE_RESOLVER", "").split()
    for address in nameservers:
        ipaddress.ip_address(address)
    if not nameservers:
        nameservers = [str(address) for address in dns.resolver.Resolver().nameservers]
    return ServeSettings(
        current=Path(environment.get("TLSGATE_CONFIG", "/config")) / "current",
        nameservers=tuple(nameservers),
        state=state_folder(environment),
    )


def state_folder(environment: Mapping[str, str]) -> Path:
    """Where observations, MTA-STS policies and the partners' addresses are kept."""
    return Path(environment.get("TLSGATE_STATE", "/state"))


async def serve(settings: ServeSettings, ready: asyncio.Event | None = None) -> None:
    """Serves until SIGTERM or SIGINT. Raises OSError if a port cannot be had."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    lookups = Lookups(list(settings.nameservers), settings.dns_port)
    generation = GenerationFollower(settings.current)
    policies = StsPolicies(
        PolicyFetcher(lookups, generation.trust, settings.https_port),
        PolicyCache(PolicyFile(settings.state)),
    )
    generation.on_change(policies.forget_failures)
    observations = Observations(settings.state)
    generation.on_change(lambda: observations.follow(generation.observed()))
    # Look-ups for partners have a limit of their own: all those for other domains may hang.
    apart = Lookups(list(settings.nameservers), settings.dns_port)
    observed_mail = ObservedMail(
        observations, _delivery_check(apart, generation, settings.smtp_port), loop.time
    )
    responder = Responder(lookups, policies, generation.rules)
    seldom = Lookups(list(settings.nameservers), settings.dns_port, cached=False)
    book = AddressBook(seldom, settings.state, loop.time)
    generation.on_change(lambda: book.follow(generation.null_senders()))
    service = PartnerService(generation.rules, observations, observed_mail, book)
    await generation.poll()
    outbound = await asyncio.start_server(
        responder.handler, settings.host, settings.outbound_port, backlog=512
    )
    inbound = await asyncio.start_server(
        service.handle, settings.host, settings.inbound_port, limit=REQUEST_LIMIT, backlog=512
    )
    follower = asyncio.create_task(generation.follow())
    keepers = [asyncio.create_task(one.keep()) for one in (observations, policies, book)]
    emit("serving", resolver=list(settings.nameservers))
    if ready is not None:
        ready.set()
    stopped = asyncio.create_task(stop.wait())
    # If this task died, an old list would stay in force for ever: the process ends instead.
    await asyncio.wait({stopped, follower, *keepers}, return_when=asyncio.FIRST_COMPLETED)
    for server in (outbound, inbound):
        server.close()
    for task in (stopped, follower, *keepers):
        task.cancel()
    for task in (follower, *keepers):
        with contextlib.suppress(asyncio.CancelledError):
            await task
    observations.write()
    policies.write()
    book.write()
    emit("stopped")


def _delivery_check(
    lookups: Lookups, generation: GenerationFollower, port: int
) -> Callable[[str, str], Awaitable[str]]:
    async def check(domain: str, policy: str) -> str:
        # Half a second to load, and only where a partner is observed.
        from tlsgate.policy.delivery_check import would_hold  # noqa: PLC0415

        loaded = generation.loaded
        if loaded is None:
            raise LookupError("no generation is in force")
        return await would_hold(lookups, loaded, domain, policy, port)

    return check


def run(environment: Mapping[str, str]) -> int:
    """The process's exit code."""
    # Each connection, look-up and fetch has a descriptor; the usual soft limit is 1024 of them.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        asyncio.run(serve(settings_from(environment)))
    except (OSError, ValueError) as fault:
        emit(
            "alert",
            what="the policy helper cannot serve",
            reason=str(fault),
            next="The container ends and is started again.",
        )
        return 1
    return 0
