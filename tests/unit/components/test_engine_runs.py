"""Containers that run to their end: hardened, removed in any case, and failing with their log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import DockerException

from tests.unit.components.fake_engine import FakeContainer, FakeEngine
from tlsgate_pulumi.engine import (
    DeploymentError,
    Run,
    VolumeMount,
    archive,
    connect,
    created,
    digest_of,
    read_host_file,
    run_to_end,
)

RUN = Run(
    name="tlsgate-test-issue",
    image="sha256:1",
    command=["python3", "-m", "tlsgate.acme", "issue"],
    mounts=[VolumeMount("keys", "/keys"), VolumeMount("config", "/config", read_only=True)],
    network="net",
    dns=["192.0.2.2"],
    user="10001:10001",
    files={"a": b"1"},
    labels={"tlsgate.stack": "test"},
    timeout=7,
)


def test_a_run_has_least_privileges() -> None:
    fake = FakeEngine(output=b"out", errors=b"err")
    assert run_to_end(fake, RUN) == "out"  # type: ignore[arg-type]
    made = fake.only.arguments
    assert made["read_only"] is True
    assert made["cap_drop"] == ["ALL"]
    assert made["cap_add"] == []
    assert made["security_opt"] == ["no-new-privileges:true"]
    assert made["mem_limit"] == "1g"
    assert made["user"] == "10001:10001"
    assert made["labels"] == {"tlsgate.stack": "test"}
    assert [(m["Source"], m["Target"], m["ReadOnly"], m["Type"]) for m in made["mounts"]] == [
        ("keys", "/keys", False, "volume"),
        ("config", "/config", True, "volume"),
        (None, "/incoming", False, "volume"),
    ]
    assert fake.only.put == [("/incoming", {"a": (0, 0o644, b"1")})]
    assert fake.only.calls == ["start", "wait 7", "remove"]


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({"code": 1, "output": b"{event}\n", "errors": b"CA says no\n"}, "CA says no"),
        ({"code": 1, "output": b"line\n"}, "line"),
        ({"code": 137}, "(the container printed nothing)"),
        ({"code": 1, "errors": b"\xff no text"}, "\ufffd no text"),
        (
            {"hangs": True, "errors": b"waiting for DNS"},
            "tlsgate-test-issue did not end within 7 s (TimeoutError)\nwaiting for DNS",
        ),
    ],
)
def test_a_run_that_fails_reports_its_log_and_leaves_nothing(
    ends: dict[str, Any], expected: str
) -> None:
    fake = FakeEngine(**ends)
    with pytest.raises(DeploymentError) as error:
        run_to_end(fake, RUN)  # type: ignore[arg-type]
    assert str(error.value) == expected
    assert fake.only.calls[-1] == "remove"


def test_what_an_interrupted_run_left_is_removed_first() -> None:
    fake = FakeEngine()
    left = fake.running[RUN.name] = FakeContainer({})
    run_to_end(fake, RUN)  # type: ignore[arg-type]
    assert left.calls == ["remove"]


def test_a_container_is_removed_after_an_error() -> None:
    fake = FakeEngine()
    with pytest.raises(KeyboardInterrupt), created(fake, RUN):  # type: ignore[arg-type]
        raise KeyboardInterrupt
    assert fake.only.calls == ["remove"]


def test_without_an_engine_the_remedy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: Any) -> None:
        raise DockerException("connection refused")

    monkeypatch.setattr(docker, "from_env", refused)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    with pytest.raises(DeploymentError) as error:
        connect()
    assert str(error.value) == (
        "DOCKER_HOST: no Docker engine answers at /var/run/docker.sock (connection refused). "
        "Start it, or set DOCKER_HOST to the address of one that runs, and try again"
    )


def test_the_same_files_give_the_same_archive() -> None:
    assert archive({"a": b"1", "b": b"2"}) == archive({"b": b"2", "a": b"1"})


@pytest.mark.parametrize(
    "other",
    [
        {"a": b"1"},
        {"a": b"1", "b": b"3"},
        {"a": b"1", "c": b"2"},
        {"a": b"12", "b": b""},
        {"a": b"2", "b": b"1"},
        {},
    ],
)
def test_a_digest_names_files_and_contents(other: dict[str, bytes]) -> None:
    files = {"a": b"1", "b": b"2"}
    assert digest_of(files) == digest_of(dict(reversed(files.items())))
    assert digest_of(files) != digest_of(other)


def test_a_file_of_the_deploying_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_bytes(b"1")
    assert read_host_file("~/key") == read_host_file(str(tmp_path / "key")) == b"1"
    with pytest.raises(DeploymentError) as error:
        read_host_file("no/such.pem")
    assert (
        str(error.value) == "no/such.pem: No such file or directory. Check the path in the config"
    )


@pytest.mark.parametrize("volume", ["keys", "config"])
def test_another_stacks_volume_is_not_touched(volume: str) -> None:
    fake = FakeEngine("keys", "config")
    fake.volumes.labels = {volume: {"tlsgate.stack": "test-b"}}
    with pytest.raises(DeploymentError) as refused:
        run_to_end(fake, RUN)  # type: ignore[arg-type]
    assert str(refused.value) == (
        f"tlsgate-test-issue: the volume {volume} belongs to the stack test-b, and this is test."
        " Nothing was written. Give this gateway another stack name"
    )
    assert fake.made == []


@pytest.mark.parametrize("labels", [{}, {"other": "x"}, {"tlsgate.stack": "test"}])
def test_ones_own_volume_and_one_without_the_label_are_written(labels: dict[str, str]) -> None:
    fake = FakeEngine("keys")
    fake.volumes.labels = {"keys": labels}
    run_to_end(fake, RUN)  # type: ignore[arg-type]
    assert fake.only.calls[-1] == "remove"
