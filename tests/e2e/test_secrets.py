"""No private key, ACME account key or TSIG secret is outside its intended place (D1).

Searched: the whole Pulumi backend (states, their backups and history), the outputs, the logs and
`docker inspect` of every container of the lab and the gateway, and the history of every image.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import files
from lab.commands import environment
from lab.endpoints import gateway_container
from tests.e2e.conftest import World
from tests.e2e.deployment import Deployment
from tests.e2e.secrets_search import found, key_secrets, tsig_secrets

pytestmark = pytest.mark.e2e

LABELS = ("tlsgate.stack=demo", "tlsgate.lab=lab")


@pytest.fixture(scope="module")
def secrets(world: World) -> dict[str, str]:
    agent = world.client.containers.get(gateway_container("agent"))
    keys = {
        **key_secrets(agent, "/keys/mx"),
        **key_secrets(agent, "/keys/policy"),
        **key_secrets(agent, "/acme"),
    }
    assert [name for name in keys if "account" in name]
    assert [name for name in keys if "mx1.corp.example" in name]
    assert [name for name in keys if "policy-1" in name]
    return {**keys, **tsig_secrets()}


def containers(world: World) -> list[str]:
    return [
        str(one.name)
        for label in LABELS
        for one in world.client.containers.list(all=True, filters={"label": label})
    ]


def backend(world: World) -> dict[str, str]:
    """Every file of the Pulumi backend; known words in it show that it was read."""
    root = Path(environment()["PULUMI_BACKEND_URL"].removeprefix("file://"))
    texts = {
        str(path.relative_to(root)): path.read_text(errors="replace")
        for path in root.rglob("*")
        if path.is_file()
    }
    state = texts[".pulumi/stacks/tlsgate/demo.json"]
    assert "tlsgate-demo-gateway" in state
    return texts


def outputs(world: World) -> dict[str, str]:
    texts = {"outputs": Deployment().run("stack", "output", "--json", "--show-secrets").text}
    assert '"certificates"' in texts["outputs"]
    return texts


def logs(world: World) -> dict[str, str]:
    texts = {name: world.log(name) for name in containers(world)}
    assert "postfix/qmgr" in texts[gateway_container("gateway")]
    assert "certificates" in texts[gateway_container("agent")]
    return texts


def inspections(world: World) -> dict[str, str]:
    texts = {
        name: json.dumps(world.client.api.inspect_container(name)) for name in containers(world)
    }
    assert "TLSGATE_DNSSEC_PROBE" in texts[gateway_container("gateway")]
    return texts


def image_histories(world: World) -> dict[str, str]:
    images = {world.client.containers.get(name).attrs["Image"] for name in containers(world)}
    texts = {}
    for name in images:
        image = world.client.images.get(name)
        texts[name] = json.dumps([image.history(), image.attrs])
    assert any("tlsgate.acme" in text for text in texts.values())
    return texts


def processes(world: World) -> dict[str, str]:
    """The arguments of all processes in a container."""
    return {name: json.dumps(world.client.api.top(name)) for name in containers(world)}


PLACES = (backend, outputs, logs, inspections, image_histories, processes)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_there_is_no_secret(
    world: World, secrets: dict[str, str], place: Callable[[World], dict[str, str]]
) -> None:
    texts = place(world)
    assert texts
    assert {name: hits for name, text in texts.items() if (hits := found(text, secrets))} == {}


def test_the_search_finds_every_secret(secrets: dict[str, str]) -> None:
    """Find secrets in JSON form; otherwise the tests above could not fail."""
    for name, secret in secrets.items():
        assert name in found(json.dumps({"state": f"x{secret}y"}), secrets)
    assert found(json.dumps({"state": "nothing"}), secrets) == []


@pytest.mark.parametrize(
    "planted",
    [
        (files.PKI / "public-ca.key").read_text,
        (files.DNS / "agent.key").read_text,
        lambda: '{"kty": "EC", "d": "0PkSkLC8jD7QgPZ6vR1Yz0PkSkLC8jD7QgPZ6vR1Yzk"}',
    ],
    ids=["PEM", "BIND", "JWK"],
)
def test_the_search_finds_the_typical_forms(world: World, planted: Callable[[], str]) -> None:
    assert found(planted(), {})
    assert found(json.dumps({"state": planted()}), {})
    assert found(json.dumps(json.dumps({"state": planted()})), {})
