"""Without a Docker engine that can run the stack, nothing is declared."""

from __future__ import annotations

from typing import Any

import pytest
from docker.errors import DockerException
from pulumi.output import Unknown

from tests.unit.components.fake_engine import FakeEngine
from tlsgate_pulumi.delivery import DeliveryProvider
from tlsgate_pulumi.engine import DeploymentError, require_engine
from tlsgate_pulumi.job import JobProvider
from tlsgate_pulumi.volume_files import VolumeFilesProvider

HOST = "unix:///run/other/docker.sock"


class FakeClient:
    """The part of `docker.DockerClient` that returns the version."""

    def __init__(self, api: str) -> None:
        self.api = api
        self.closed = False

    def version(self) -> dict[str, Any]:
        return {"ApiVersion": self.api, "Version": "19.03.15"}

    def close(self) -> None:
        self.closed = True


def provide(monkeypatch: pytest.MonkeyPatch, api: str) -> FakeClient:
    client = FakeClient(api)
    monkeypatch.setenv("DOCKER_HOST", HOST)
    monkeypatch.setattr("docker.from_env", lambda timeout: client)
    return client


@pytest.mark.parametrize("api", ["1.41", "1.52", "2.0"])
def test_a_recent_engine_is_accepted(monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    client = provide(monkeypatch, api)
    require_engine()
    assert client.closed


@pytest.mark.parametrize("api", ["1.40", "1.9", "0.99"])
def test_an_old_engine_is_refused(monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    client = provide(monkeypatch, api)
    with pytest.raises(DeploymentError) as refused:
        require_engine()
    assert str(refused.value) == (
        f"DOCKER_HOST: the Docker engine at {HOST} is too old: version 19.03.15 speaks API {api}, "
        "and 1.41 (Docker 20.10) or later is needed. Upgrade it, or set DOCKER_HOST to the address "
        "of another, and try again"
    )
    assert client.closed


def test_a_missing_engine_is_reported_with_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(timeout: int) -> None:
        error = DockerException("Error while fetching server API version: ((…))")
        error.__context__ = FileNotFoundError(2, "No such file or directory")
        raise error

    monkeypatch.setenv("DOCKER_HOST", HOST)
    monkeypatch.setattr("docker.from_env", connect)
    with pytest.raises(DeploymentError) as refused:
        require_engine()
    assert str(refused.value) == (
        f"DOCKER_HOST: no Docker engine answers at {HOST} ([Errno 2] No such file or directory). "
        "Start it, or set DOCKER_HOST to the address of one that runs, and try again"
    )


PROVIDERS = [DeliveryProvider(), JobProvider(), VolumeFilesProvider()]
AT = {"host": "tcp://far:2376"}


def failures(provider: Any, at: Any) -> list[str]:
    result = provider.check({}, {"engine": at, "files": {}})
    return [failure.reason for failure in result.failures]


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: type(one).__name__)
def test_a_program_of_others_gets_no_old_engine_either(engine: FakeEngine, provider: Any) -> None:
    engine.api = "1.40"
    (refused,) = failures(provider, AT)
    assert refused.startswith("docker:host: the Docker engine at tcp://far:2376 is too old: ")


def test_every_engine_is_asked_once(engine: FakeEngine) -> None:
    for at in (None, AT, {"host": "tcp://other:2376"}):
        for provider in PROVIDERS:
            assert failures(provider, at) == []
    assert engine.asked == 3


def test_an_engine_that_is_not_known_at_a_preview_is_not_asked(engine: FakeEngine) -> None:
    engine.api = "1.40"
    for provider in PROVIDERS:
        assert failures(provider, Unknown()) == []  # type: ignore[no-untyped-call]
    assert engine.asked == 0
