"""A name server that would take the recorded stack's records."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.integration.dns.knot_server import Knot, build, network, running


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    made = docker.from_env()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def knot(client: docker.DockerClient) -> Iterator[Knot]:
    image = build(client)
    with network(client) as net, running(client, image, net) as server:
        yield server
