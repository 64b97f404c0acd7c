"""The images, built once per run, and the scanned services."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import docker
import pytest

from tests.integration.edge.edge_lab import build
from tests.integration.postfix.pki import Key
from tests.integration.postfix.world import LABELS, ROOT
from tests.integration.scan.scan_world import ScanWorld, scanner_image


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    engine = docker.from_env(timeout=120)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def image(client: docker.DockerClient) -> str:
    """The gateway's image."""
    built, _ = client.images.build(
        path=str(ROOT),
        dockerfile="images/postfix/Dockerfile",
        tag="tg-scan-gateway",
        labels=LABELS,
        rm=True,
    )
    return str(built.id)


@pytest.fixture(scope="module")
def start(
    client: docker.DockerClient, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Callable[[], Key]], ScanWorld]]:
    """A function that starts gateway, policy host and scanners with keys of a kind."""
    made = ScanWorld(client, image)

    def begin(new_key: Callable[[], Key]) -> ScanWorld:
        made.start(
            build(client, "policy-host"),
            scanner_image(client),
            tmp_path_factory.mktemp("policy-host"),
            new_key,
        )
        return made

    try:
        yield begin
    finally:
        made.close()
