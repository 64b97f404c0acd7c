"""The lab, brought up by its own Pulumi program; taken down again if it was not up before."""

from collections.abc import Iterator

import docker
import pytest

from lab import files
from lab.bring_up import bring_up, engine
from lab.commands import LAB, down
from lab.driver import Lab


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    made = engine()
    yield made
    made.close()


@pytest.fixture(scope="session")
def lab(client: docker.DockerClient) -> Iterator[Lab]:
    was_up = files.ENDPOINTS.exists()
    bring_up(client)
    yield Lab(client)
    if not was_up:
        down(LAB)
        files.ENDPOINTS.unlink()
