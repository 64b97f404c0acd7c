"""Job: when it runs, what the state contains of it, and what refresh does."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.output import UNKNOWN

from tests.unit.components.fake_engine import FakeEngine
from tlsgate_pulumi.engine import DeploymentError
from tlsgate_pulumi.job import INPUTS, JobProvider, parse_result

MOUNT = {"volume": "keys", "target": "/keys", "read_only": False}
PROPS: dict[str, Any] = {
    "name": "tlsgate-test-issue",
    "image": "sha256:1",
    "command": ["issue"],
    "read_command": ["show"],
    "delete_command": ["withdraw"],
    "mounts": [MOUNT],
    "network": "net",
    "dns": ["192.0.2.2"],
    "user": "10001:10001",
    "capabilities": [],
    "files": {"a": "1"},
    "labels": {"tlsgate.stack": "test"},
    "timeout": 120,
    "triggers": {"config": "d1"},
    "engine": None,
}
LEFT: dict[str, Any] = {"account": None, "certificates": []}
DONE = {**PROPS, "result": LEFT, "settled": LEFT}
OTHERS: dict[str, Any] = {
    "name": "other",
    "image": "sha256:2",
    "command": ["issue", "--again"],
    "read_command": None,
    "delete_command": None,
    "mounts": [{**MOUNT, "volume": "others"}],
    "network": None,
    "dns": [],
    "user": None,
    "capabilities": ["CHOWN"],
    "files": {"a": "2"},
    "labels": {},
    "timeout": 60,
    "triggers": {"config": "d2"},
    "engine": {"host": "tcp://192.0.2.9:2376"},
}


def test_every_input_is_an_input_of_the_diff() -> None:
    assert set(INPUTS) == PROPS.keys() == OTHERS.keys()


@pytest.mark.parametrize("key", INPUTS)
@pytest.mark.parametrize("unknown", [False, True])
def test_a_changed_or_unknown_input_runs_the_job_again(key: str, unknown: bool) -> None:
    news = {**PROPS, key: UNKNOWN if unknown else OTHERS[key]}
    result = JobProvider().diff("id", DONE, news)
    assert result.changes is True
    assert result.replaces == []


def test_an_unknown_inside_an_input_runs_the_job_again() -> None:
    news = {**PROPS, "mounts": [{**MOUNT, "volume": UNKNOWN}], "triggers": {"config": UNKNOWN}}
    assert JobProvider().diff("id", DONE, news).changes is True


def test_nothing_changed_runs_nothing() -> None:
    # As it comes back from the state: numbers are floats, and the provider is among them.
    olds = {**DONE, "timeout": 120.0, "__provider": "old code"}
    assert JobProvider().diff("id", olds, {**PROPS, "__provider": "new code"}).changes is False


def test_the_result_is_the_last_line(engine: FakeEngine) -> None:
    engine.next_container = {"output": b'ordering\n{"account": null, "certificates": []}\n'}
    made = JobProvider().create(PROPS)
    assert made.id == "tlsgate-test-issue"
    assert made.outs == DONE
    assert engine.only.arguments["command"] == ["issue"]
    assert JobProvider().update("id", DONE, PROPS).outs == DONE


def test_a_job_needs_no_network_and_no_user(engine: FakeEngine) -> None:
    """Pulumi hands a provider no input that is None."""
    engine.next_container = {"output": b"{}\n"}
    JobProvider().create({k: v for k, v in PROPS.items() if k not in ("network", "user")})
    assert engine.only.arguments["network"] is None
    assert engine.only.arguments["user"] is None


def test_a_job_that_fails_is_not_recorded(engine: FakeEngine) -> None:
    engine.next_container = {"code": 1, "errors": b"the CA refuses the name"}
    with pytest.raises(DeploymentError, match="the CA refuses the name"):
        JobProvider().create(PROPS)


@pytest.mark.parametrize("output", ["", "\n", "done\n", '{"a": 1}\ndone\n', '{"a": '])
def test_a_job_without_its_result_line_fails(output: str) -> None:
    with pytest.raises(DeploymentError) as error:
        parse_result("tlsgate-test-issue", output)
    assert str(error.value) == f"tlsgate-test-issue ended without its result line:\n{output}"


def test_refresh_sees_another_result_and_the_next_up_runs_again(engine: FakeEngine) -> None:
    engine.next_container = {"output": b'{"account": null, "certificates": ["another"]}'}
    read = JobProvider().read("id", DONE)
    assert engine.only.arguments["command"] == ["show"]
    assert read.id == "id"
    assert read.outs == {**DONE, "result": {"account": None, "certificates": ["another"]}}
    assert JobProvider().diff("id", read.outs, PROPS).changes is True


def test_refresh_sees_no_drift_where_there_is_none(engine: FakeEngine) -> None:
    engine.next_container = {"output": b'{"certificates": [], "account": null}'}
    read = JobProvider().read("id", DONE)
    assert read.outs == DONE
    assert JobProvider().diff("id", read.outs, PROPS).changes is False


def test_without_its_volumes_a_job_is_gone(engine: FakeEngine) -> None:
    engine.existing.clear()
    assert JobProvider().read("id", DONE).id == ""
    assert engine.made == []


def test_a_job_without_a_read_command_keeps_its_result(engine: FakeEngine) -> None:
    done = {**DONE, "read_command": None}
    read = JobProvider().read("id", done)
    assert (read.id, read.outs) == ("id", done)
    assert engine.made == []


def test_destroy_undoes_what_the_job_made_elsewhere(engine: FakeEngine) -> None:
    JobProvider().delete("id", DONE)
    assert engine.only.arguments["command"] == ["withdraw"]


@pytest.mark.parametrize(("command", "volumes"), [(None, {"keys"}), (["withdraw"], set())])
def test_destroy_has_nothing_to_run(
    engine: FakeEngine, command: list[str] | None, volumes: set[str]
) -> None:
    engine.existing.intersection_update(volumes)
    JobProvider().delete("id", {**DONE, "delete_command": command})
    assert engine.made == []


def test_what_only_the_job_prints_is_no_drift(engine: FakeEngine) -> None:
    left = {**LEFT, "keys": {"mx1": "ab"}}
    engine.next_container = {"output": b'{"certificates": [], "account": null}'}
    done = {**DONE, "result": left, "settled": left}
    read = JobProvider().read("id", done)
    assert read.outs == done
    assert JobProvider().diff("id", read.outs, PROPS).changes is False
