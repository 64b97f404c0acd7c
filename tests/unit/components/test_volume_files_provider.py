"""VolumeFiles: what writes a volume again, who may read it, and that secrets stay out of state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pulumi.output import UNKNOWN

from tests.unit.components.fake_engine import FakeEngine
from tlsgate_pulumi.engine import DeploymentError
from tlsgate_pulumi.volume_files import VolumeFilesProvider, content_digest

FILES = {"agent.json": "{}\n", "ca.pem": "PEM\n"}


@pytest.fixture
def props(project: Path) -> dict[str, Any]:
    (project / "agent.key").write_text("secret-1")
    secrets = {"agent.tsig": "agent.key"}
    return {
        "volume": "config",
        "image": "sha256:1",
        "labels": {"tlsgate.stack": "test"},
        "files": FILES,
        "secrets": secrets,
        "digest": content_digest(FILES, secrets),
    }


@pytest.mark.parametrize(
    ("change", "changes", "replaces"),
    [
        ({}, False, []),
        ({"digest": "other"}, True, []),
        ({"digest": UNKNOWN}, True, []),
        ({"secrets": {"agent.tsig": "moved.key"}}, True, []),
        ({"volume": "other"}, True, ["volume"]),
        ({"volume": UNKNOWN}, True, ["volume"]),
        ({"image": "sha256:2"}, False, []),
        ({"__provider": "new code"}, False, []),
    ],
)
def test_which_changes_write_again(
    props: dict[str, Any], change: dict[str, Any], changes: bool, replaces: list[str]
) -> None:
    result = VolumeFilesProvider().diff("config", props, {**props, **change})
    assert (result.changes, result.replaces) == (changes, replaces)


def test_the_digest_names_files_and_secrets(project: Path, props: dict[str, Any]) -> None:
    secrets = props["secrets"]
    assert content_digest({**FILES, "ca.pem": "other"}, secrets) != props["digest"]
    assert content_digest(FILES, {}) != props["digest"]
    assert content_digest(FILES, {"renamed": "agent.key"}) != props["digest"]
    (project / "agent.key").write_text("secret-2")
    assert content_digest(FILES, secrets) != props["digest"]


def test_a_write_replaces_all_and_only_the_agent_reads_secrets(
    engine: FakeEngine, props: dict[str, Any]
) -> None:
    made = VolumeFilesProvider().create(props)
    assert (made.id, made.outs) == ("config", props)
    assert "secret-1" not in str(made.outs)
    wiped = engine.only.arguments
    assert wiped["command"] == ["find", "/target", "-mindepth", "1", "-delete"]
    assert wiped["network"] is None
    assert engine.only.calls == ["start", "wait 60", "remove"]
    assert engine.only.put == [
        ("/target", {"agent.json": (10001, 0o644, b"{}\n"), "ca.pem": (10001, 0o644, b"PEM\n")}),
        ("/target", {"agent.tsig": (10001, 0o600, b"secret-1")}),
    ]


def test_a_write_records_what_it_wrote(
    project: Path, engine: FakeEngine, props: dict[str, Any]
) -> None:
    (project / "agent.key").write_text("replaced between preview and up")
    outs = VolumeFilesProvider().update("config", props, props).outs
    assert outs == {**props, "digest": content_digest(FILES, props["secrets"])}
    assert outs["digest"] != props["digest"]


def test_a_volume_that_cannot_be_emptied_is_not_written(
    engine: FakeEngine, props: dict[str, Any]
) -> None:
    engine.next_container = {"code": 1, "errors": b"read-only file system"}
    with pytest.raises(DeploymentError, match="read-only file system"):
        VolumeFilesProvider().create(props)
    assert engine.only.put == []


def test_a_secret_that_is_gone_fails_before_the_volume_is_touched(
    project: Path, engine: FakeEngine, props: dict[str, Any]
) -> None:
    (project / "agent.key").unlink()
    with pytest.raises(DeploymentError, match=r"agent\.key: No such file"):
        VolumeFilesProvider().update("config", props, props)
    assert engine.made == []


LIVE = {"agent.json": b"{}\n", "ca.pem": b"PEM\n", "agent.tsig": b"secret-1"}


@pytest.mark.parametrize(
    ("live", "drift"),
    [
        (LIVE, False),
        ({**LIVE, "agent.json": b"by hand"}, True),
        ({**LIVE, "more": b""}, True),
        ({name: LIVE[name] for name in FILES}, True),
        ({}, True),
    ],
)
def test_refresh_compares_what_is_there(
    engine: FakeEngine, props: dict[str, Any], live: dict[str, bytes], drift: bool
) -> None:
    engine.next_container = {"content": live}
    read = VolumeFilesProvider().read("config", props)
    assert (read.outs == props) is not drift
    assert VolumeFilesProvider().diff("config", read.outs or {}, props).changes is drift
    assert engine.only.calls == ["remove"]  # looked at, never run


def test_without_its_volume_the_content_is_gone(engine: FakeEngine, props: dict[str, Any]) -> None:
    engine.existing.clear()
    assert VolumeFilesProvider().read("config", props).id == ""
    assert engine.made == []
