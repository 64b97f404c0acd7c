"""The whole agent on CAs in memory and a clock of its own; events read from the log."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.support.memory_ca import Call, Reply
from tests.support.memory_world import START, World
from tlsgate.acme.config.agent_json import Config, WantedCertificate
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.gateway.generations import CertificateGeneration, CertificateStore
from tlsgate.acme.orders.request import Issued

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
NAMES = ("a.example", "b.example")
Capture = pytest.CaptureFixture[str]
__all__ = ["START", "World"]


def wanted(config: Config, index: int = 0) -> WantedCertificate:
    """One of the configured certificates."""
    return config.certificates[index]


def served(world: World, one: WantedCertificate) -> CertificateGeneration:
    """What is in service."""
    current = CertificateStore(world.paths.certificate(one.volume, one.name)).current()
    assert current is not None
    return current


def issued(generation: CertificateGeneration) -> Issued:
    """As the CA gave it."""
    return Issued(generation.chain, generation.meta)


def refused(world: World, one: WantedCertificate) -> AcmeFault:
    """The fault of an attempt by a fresh process."""
    fault = world.renewer().attempt(one)
    assert fault is not None
    return fault


def events(capsys: Capture, *kinds: str) -> list[dict[str, Any]]:
    """What was said since the last look."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if not kinds or line["event"] in kinds]


def answering(resource: str, reply: Reply, times: int = 10**6) -> Callable[[Call], Reply | None]:
    """The first so many requests for a resource get this answer."""
    left = [times]

    def answer(call: Call) -> Reply | None:
        if call.resource != resource or (resource == "order" and call.rest) or not left[0]:
            return None
        left[0] -= 1
        return reply

    return answer


def look(world: World, until: timedelta, step: timedelta = MINUTE) -> None:
    """The agent, restarted again and again."""
    end, looks, agent = world.time.now + until, 0, world.agent()
    while world.time.now < end:
        agent.look()
        looks += 1
        if looks % 20 == 0:
            agent = world.agent()
        world.time.now += step
