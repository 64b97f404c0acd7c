"""One Knot server for all tests of this folder; every test uses different names."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import docker
import pytest

from tests.integration.dns.knot_server import ZONES, Knot, Start, build, network, running


@pytest.fixture(scope="session")
def start(client: docker.DockerClient) -> Iterator[Start]:
    """A function that starts another server on the tests' network."""
    image = build(client)
    with network(client) as net:
        yield lambda zones: running(client, image, net, zones)


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    made = docker.from_env()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def knot(start: Start) -> Iterator[Knot]:
    with start(ZONES) as server:
        yield server


@pytest.fixture
def label() -> str:
    """A label that no other test uses; it sorts before `mta-sts` and `mx1`."""
    return f"c{secrets.token_hex(4)}"
