"""The running lab with the gateway in it; started if necessary, and kept running."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest
from docker.errors import NotFound

from lab import plan
from lab.bring_up import bring_up, engine
from lab.commands import GATEWAY, up
from lab.driver import Lab
from lab.endpoints import GATEWAY_ROLES, gateway_container


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    made = engine()
    if not all(_runs(made, name) for name in _needed()):
        bring_up(made)
        up(GATEWAY, made)
    yield made
    made.close()


@pytest.fixture(scope="session")
def lab(client: docker.DockerClient) -> Lab:
    return Lab(client)


def _needed() -> list[str]:
    peers = [plan.container_name(peer.name) for peer in plan.PEERS]
    return [*peers, *(gateway_container(role) for role in GATEWAY_ROLES)]


def _runs(client: docker.DockerClient, name: str) -> bool:
    try:
        return bool(client.containers.get(name).status == "running")
    except NotFound:
        return False
