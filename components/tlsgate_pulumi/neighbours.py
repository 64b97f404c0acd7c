"""What two gateways of one program must not share: names, subnets and ports on a Docker engine.

Docker itself notices most of this only in the middle of `up`, and one thing never: a volume that is
there already is taken over. So a gateway would mount another's keys. The names are the stack's with
a role behind, so they can also be the same where the stacks are not: `tlsgate-a-b-config` is the
volume `config` of `a-b` and would be `b-config` of `a`.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import pulumi
from pulumi.runtime.settings import get_monitor

from tlsgate_pulumi.docker_engine import Address
from tlsgate_pulumi.settings import ROLES, Endpoint, Settings

VOLUMES = (
    *("mx-keys", "policy-keys", "challenge", "config", "policy-state", "spool", "data"),
    *("resolver-config", "policy-host-config", "agent-config", "acme"),
)
LOCAL = "unix:///var/run/docker.sock"
JOBS = ("account", "issue", "policy-served")
HELPERS = ("gateway-delivery", "policy-host-delivery", "resolver-config-writer")
"""Containers that write into volumes, besides `agent-config-writer`."""
CONTAINERS = (*ROLES, *JOBS, *HELPERS, "agent-config-writer")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a gateway takes on its engine.

    `name`, `parent`: the component's name and its parent's type; Pulumi itself refuses two that
    have both in common. `stack`: names its parts.
    """

    name: str
    parent: str
    stack: str
    settings: Settings
    is_network_joined: bool = False

    def containers(self) -> set[str]:
        """Return the names of its containers, jobs included."""
        return {f"tlsgate-{self.stack}-{role}" for role in CONTAINERS}

    def volumes(self) -> set[str]:
        """Return the names of its volumes."""
        return {f"tlsgate-{self.stack}-{role}" for role in VOLUMES}

    def addresses(self) -> set[str]:
        """Return the containers' addresses."""
        return {self.settings.network.address(role) for role in ROLES}

    def ports(self) -> Iterator[Endpoint]:
        """Return what the engine's host publishes."""
        ports = self.settings.ports
        for one in (ports.smtp, ports.internal, ports.http, ports.https):
            if one is not None:
                yield one


_CLAIMS: WeakKeyDictionary[Any, dict[str, dict[tuple[str, str], Claim]]] = WeakKeyDictionary()
"""By run of a program (its monitor; a test's `set_mocks` makes a new one), engine and component."""


def claim(mine: Claim, engine: Address | None) -> Address | None:
    """Note what a gateway takes on its engine, and return the engine.

    Raises pulumi.RunError if another gateway of this run has something of it.
    """
    monitor = get_monitor()
    host = (engine or {}).get("host") or os.environ.get("DOCKER_HOST") or LOCAL
    there = _CLAIMS.setdefault(monitor, {}).setdefault(host, {})
    key = (mine.parent, mine.name)
    others = [other for at, other in there.items() if at != key]
    if found := [line for other in others for line in clashes(mine, other)]:
        raise pulumi.RunError("\n".join(found))
    there[key] = mine
    return engine


def clashes(mine: Claim, other: Claim) -> list[str]:
    """Return what two gateways on one engine both take; several containers count as one thing."""
    where = f"MailGateway {mine.name}"
    found = []
    for kind, names in (
        ("containers", mine.containers() & other.containers()),
        ("volumes", mine.volumes() & other.volumes()),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            found.append(
                f"{where}: stack: {mine.stack!r} gives {kind} the same names as {other.stack!r} of"
                f" MailGateway {other.name} ({min(names)}{more}). Give each gateway a stack name"
                " that does not begin with the other's"
            )
    own, theirs = (ipaddress.ip_network(one.settings.network.subnet) for one in (mine, other))
    joined = mine.is_network_joined and other.is_network_joined
    apart = joined and not mine.addresses() & other.addresses()
    if own.overlaps(theirs) and not apart:
        found.append(
            f"{where}: network.subnet: {own} overlaps with {theirs} of MailGateway {other.name} on"
            " the same Docker engine. Choose another subnet"
        )
    found += [
        f"{where}: ports: {one} is published by MailGateway {other.name} on the same Docker engine,"
        f" as {two}. Choose another address or port"
        for one in mine.ports()
        for two in other.ports()
        if _same_port(one, two)
    ]
    return found


def _same_port(one: Endpoint, two: Endpoint) -> bool:
    first, second = ipaddress.ip_address(one.host), ipaddress.ip_address(two.host)
    if one.port != two.port or first.version != second.version:
        return False
    return first == second or first.is_unspecified or second.is_unspecified
