"""The image, built once per run, and a world for each test module."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.integration.postfix.pki import key_pem
from tests.integration.postfix.world import LABELS, MODERN, NONE, OLD, ROOT, World

IMAGE, HELPER = "tg-postfix-gateway", "tg-postfix-helper"


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    """The engine."""
    engine = docker.from_env(timeout=120)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def image(client: docker.DockerClient) -> str:
    """The gateway's image, built from this tree; by its id, so that two trees can be tested."""
    built, _ = client.images.build(
        path=str(ROOT), dockerfile="images/postfix/Dockerfile", tag=IMAGE, labels=LABELS, rm=True
    )
    return str(built.id)


@pytest.fixture(scope="session")
def helper_image(client: docker.DockerClient) -> str:
    """The policy helper's image, built from this tree."""
    built, _ = client.images.build(
        path=str(ROOT), dockerfile="images/policy/Dockerfile", tag=HELPER, labels=LABELS, rm=True
    )
    return str(built.id)


@pytest.fixture(scope="module")
def world(client: docker.DockerClient, image: str) -> Iterator[World]:
    """Peers, names and policies; the gateway is started by the module's own fixture."""
    made = World(client, image)
    try:
        made.add_peer("internal", MODERN, ["internal.example"], made.server_pem(["internal"]))
        shared = ["one.example", "two.example", "free.example", "strict.example", "sub.one.example"]
        shared += ["pinned.example", "sts.example", "public.example", "xn--bcher-kva.example"]
        made.add_peer("shared", MODERN, shared, made.server_pem(["mx.one.example"]))
        made.add_peer("spare", MODERN, ["spare.example"], made.server_pem(["mx.spare.example"]))
        made.zone["twin.example"] = {"MX": ["mx.one.example", "mx.spare.example"]}
        strange = ["strange.example", "loose.example", "private.example", "rolled.example"]
        strange += ["watched.example", "ended.example"]
        made.add_peer("strange", MODERN, strange, stranger_pem(made))
        made.add_peer("old", OLD, ["old.example", "oldfree.example"], made.server_pem(["x"]))
        made.add_peer("plain", NONE, ["plain.example", "plainfree.example"])
        made.add_names(
            # The operator of a subdomain may publish a policy that fits his own server.
            {
                "sts.example": "secure match=mx.sts.example",
                "sub.one.example": "secure match=mx.one.example",
            },
            {".one.example": "secure match=nexthop:dot-nexthop"},
        )
        yield made
    finally:
        made.close()


def stranger_pem(world: World) -> str:
    """A certificate of a root that the public does not trust."""
    key = world.stranger_key
    return key_pem(key) + world.stranger.issue(["mx.strange.example"], key=key)
