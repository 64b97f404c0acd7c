"""A CA and a DNS server for each test module; the agent's image is built once per run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.integration.acme.acme_world import World, agent_image


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    engine = docker.from_env(timeout=180)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def image(client: docker.DockerClient) -> str:
    return agent_image(client)


@pytest.fixture(scope="module")
def world(
    client: docker.DockerClient, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("acme")
    made = World(client, folder)
    try:
        yield made
    finally:
        made.close()
