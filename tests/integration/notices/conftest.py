"""The gateway with its milter for notices, and peers that refuse, defer and accept mail."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.integration.notices.notices_world import NoticesWorld
from tests.integration.postfix.world import LABELS, ROOT


def _built(client: docker.DockerClient, name: str) -> str:
    image, _ = client.images.build(
        path=str(ROOT), dockerfile=f"images/{name}/Dockerfile", labels=LABELS, rm=True
    )
    return str(image.id)


@pytest.fixture(scope="module")
def world() -> Iterator[NoticesWorld]:
    """Everything runs and is healthy."""
    client = docker.from_env(timeout=120)
    made = NoticesWorld(client, _built(client, "postfix"))
    try:
        made.start(_built(client, "notices"))
        yield made
    finally:
        made.close()
        client.close()
