"""Containers and jobs never reach two Docker engines."""

from __future__ import annotations

import os
from typing import Any

import docker
import pytest

from tests.unit.components.fake_engine import FakeEngine
from tlsgate_pulumi.delivery import DeliveryProvider
from tlsgate_pulumi.docker_engine import choose_engine
from tlsgate_pulumi.engine import DeploymentError, connect, require_engine
from tlsgate_pulumi.volume_files import VolumeFilesProvider

FAR, NEAR = "tcp://far:2376", "unix:///run/near.sock"
HOSTS = {"far": FAR, "near": NEAR}
"""Docker contexts."""


@pytest.mark.parametrize(
    ("config", "environment", "chosen"),
    [
        ({}, {}, None),
        ({}, {"DOCKER_HOST": FAR, "DOCKER_CERT_PATH": "/certs"}, None),
        ({"host": FAR}, {}, {"host": FAR}),
        ({"host": FAR}, {"DOCKER_HOST": FAR}, {"host": FAR}),
        ({"host": FAR, "certPath": "/c"}, {}, {"host": FAR, "cert_path": "/c"}),
        ({"certPath": "/c"}, {"DOCKER_HOST": FAR}, {"cert_path": "/c"}),
        ({}, {"DOCKER_CONTEXT": "default"}, None),
        ({}, {"DOCKER_CONTEXT": "far", "DOCKER_HOST": FAR}, None),
        ({"host": FAR}, {"DOCKER_CONTEXT": "far"}, {"host": FAR}),
    ],
)
def test_one_engine_is_chosen(
    config: dict[str, str], environment: dict[str, str], chosen: dict[str, str] | None
) -> None:
    assert choose_engine(config, environment, HOSTS.get) == chosen


def test_two_engines_are_refused() -> None:
    with pytest.raises(DeploymentError) as refused:
        choose_engine({"host": FAR}, {"DOCKER_HOST": NEAR}, HOSTS.get)
    assert str(refused.value) == (
        f"docker:host: is {FAR}, but DOCKER_HOST is {NEAR}: two Docker engines for one gateway."
        " Set only one of them, or both to the same value"
    )


@pytest.mark.parametrize(
    ("config", "environment", "expected"),
    [
        ({}, {"DOCKER_CONTEXT": "far"}, "DOCKER_CONTEXT: the Docker context far is for " + FAR),
        ({}, {"DOCKER_CONTEXT": "far", "DOCKER_HOST": NEAR}, "DOCKER_HOST are for " + NEAR),
        ({"context": "far"}, {"DOCKER_HOST": NEAR}, "docker:context: the Docker context far"),
        ({}, {"DOCKER_CONTEXT": "lost", "DOCKER_HOST": NEAR}, "lost is for an unknown address"),
    ],
)
def test_a_context_of_another_engine_is_refused(
    config: dict[str, str], environment: dict[str, str], expected: str
) -> None:
    with pytest.raises(DeploymentError) as refused:
        choose_engine(config, environment, HOSTS.get)
    assert expected in str(refused.value)


def test_all_ways_to_a_second_engine_are_reported_at_once() -> None:
    config = {"host": FAR, "certPath": "/a", "context": "far", "keyMaterial": "secret"}
    environment = {"DOCKER_HOST": NEAR, "DOCKER_CERT_PATH": "/b", "DOCKER_CONTEXT": "lost"}
    with pytest.raises(DeploymentError) as refused:
        choose_engine(config, environment, HOSTS.get)
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [
        *["docker"] * 2,
        "DOCKER_CONTEXT",
        "docker",
    ]
    assert "secret" not in str(refused.value)


def recorded_connections(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of each connection that docker-py opens from now on."""
    found: list[dict[str, Any]] = []

    def from_env(**arguments: Any) -> FakeEngine:
        found.append(arguments)
        return FakeEngine()

    monkeypatch.setattr(docker, "from_env", from_env)
    return found


def test_an_address_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", NEAR)
    found = recorded_connections(monkeypatch)
    connect({"host": FAR, "cert_path": "/certs"})
    environment = found[0]["environment"]
    assert environment["DOCKER_HOST"] == FAR
    assert environment["DOCKER_CERT_PATH"] == "/certs"
    assert environment["DOCKER_TLS_VERIFY"] == "1"


def test_without_an_address_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    found = recorded_connections(monkeypatch)
    connect()
    connect({})
    assert "environment" not in found[0]
    assert found[1]["environment"] == dict(os.environ)


def test_an_error_of_the_configs_engine_names_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: Any) -> None:
        raise docker.errors.DockerException("connection refused")

    monkeypatch.setattr(docker, "from_env", refused)
    with pytest.raises(DeploymentError) as error:
        require_engine({"host": FAR})
    assert str(error.value) == (
        f"docker:host: no Docker engine answers at {FAR} (connection refused). "
        "Start it, or set docker:host to the address of one that runs, and try again"
    )


@pytest.mark.parametrize("provider", [DeliveryProvider(), VolumeFilesProvider()])
def test_an_older_state_without_an_engine_does_not_change(provider: Any) -> None:
    olds = {"volume": "v", "digest": "d", "secrets": {}, "generation": "g", "image": "i"}
    olds |= {"server": "s", "live": "l", "delivered": "l"}
    assert provider.diff("id", olds, {**olds, "engine": None}).changes is False
    moved = provider.diff("id", olds, {**olds, "engine": {"host": FAR}})
    assert (moved.changes, moved.replaces) == (True, [])


def test_a_provider_uses_the_engine_of_its_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = recorded_connections(monkeypatch)
    props = {"volume": "v", "engine": {"host": FAR}}
    assert DeliveryProvider().read("v", props).id == ""
    assert VolumeFilesProvider().read("v", props).id == ""
    assert [one["environment"]["DOCKER_HOST"] for one in found] == [FAR, FAR]
