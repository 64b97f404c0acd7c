"""One Knot server for all tests of this folder; every test uses names of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import docker
import pytest

from tests.integration.dns.knot_server import Knot, build, running


@pytest.fixture(scope="session")
def dns_image() -> Iterator[str]:
    client = docker.from_env()
    try:
        yield build(client)
    finally:
        client.close()


@pytest.fixture(scope="session")
def knot(dns_image: str) -> Iterator[Knot]:
    client = docker.from_env()
    try:
        with running(client, dns_image) as server:
            yield server
    finally:
        client.close()


@pytest.fixture
def label() -> str:
    """A label that no other test uses; it sorts before `mta-sts` and `mx1`."""
    return f"c{secrets.token_hex(4)}"
