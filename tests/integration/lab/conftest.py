"""Starts the lab with its own Pulumi program; it keeps running for the next tests."""

from collections.abc import Iterator

import docker
import pytest

from lab.bring_up import bring_up, engine
from lab.driver import Lab


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    made = engine()
    yield made
    made.close()


@pytest.fixture(scope="session")
def lab(client: docker.DockerClient) -> Lab:
    bring_up(client)
    return Lab(client)
