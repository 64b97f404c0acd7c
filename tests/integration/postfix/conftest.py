"""The image, built once a run, and a world for each test module."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.integration.postfix.world import LABELS, MODERN, NONE, OLD, ROOT, World

IMAGE = "tg-postfix-gateway"


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    """The engine."""
    engine = docker.from_env(timeout=120)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def image(client: docker.DockerClient) -> str:
    """The gateway's image, built from this tree."""
    client.images.build(
        path=str(ROOT), dockerfile="images/postfix/Dockerfile", tag=IMAGE, labels=LABELS, rm=True
    )
    return IMAGE


@pytest.fixture(scope="module")
def world(client: docker.DockerClient, image: str) -> Iterator[World]:
    """Peers, names and policies; the gateway is started by the module's own fixture."""
    made = World(client, image)
    try:
        made.add_peer("internal", MODERN, ["internal.example"], made.server_pem(["internal"]))
        shared = ["one.example", "two.example", "free.example", "strict.example", "sub.one.example"]
        shared += ["pinned.example", "sts.example"]
        made.add_peer("shared", MODERN, shared, made.server_pem(["mx.one.example"]))
        made.add_peer("strange", MODERN, ["strange.example", "loose.example"], stranger_pem())
        made.add_peer("old", OLD, ["old.example", "oldfree.example"], made.server_pem(["x"]))
        made.add_peer("plain", NONE, ["plain.example", "plainfree.example"])
        made.add_names({"sts.example": "secure match=mx.sts.example"})
        yield made
    finally:
        made.close()


def stranger_pem() -> str:
    """A certificate of a root that nobody trusts."""
    from tests.integration.postfix.pki import Authority, key_pem, new_key

    key = new_key()
    return key_pem(key) + Authority("stranger").issue(["mx.strange.example"], key=key)
