"""Delivery: when a generation is installed, and that `up` waits until it is in force."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.output import UNKNOWN

from tests.unit.components.fake_engine import FakeContainer, FakeEngine
from tlsgate.generation.in_force import LACKS_CERTIFICATE
from tlsgate_pulumi.delivery import DeliveryProvider
from tlsgate_pulumi.engine import DeploymentError

PROPS: dict[str, Any] = {
    "kind": "postfix",
    "volume": "config",
    "image": "sha256:1",
    "server": "tlsgate-test-gateway",
    "user": "0",
    "files": {"main.cf": "a = b\n"},
    "labels": {"tlsgate.stack": "test"},
    "generation": "0123456789abcdef",
}
DONE = {**PROPS, "live": "live-1", "delivered": "live-1"}
SHOWN = b'{"live": "live-1"}'


@pytest.mark.parametrize(
    ("change", "changes", "replaces"),
    [
        ({}, False, []),
        ({"generation": "fedcba9876543210"}, True, []),
        ({"generation": UNKNOWN}, True, []),
        ({"image": "sha256:2"}, True, []),
        ({"image": UNKNOWN}, True, []),
        ({"server": "other"}, True, []),
        ({"volume": "other"}, True, ["volume"]),
        ({"__provider": "new code"}, False, []),
    ],
)
def test_which_changes_deliver_again(
    change: dict[str, Any], changes: bool, replaces: list[str]
) -> None:
    result = DeliveryProvider().diff("config", DONE, {**PROPS, **change})
    assert (result.changes, result.replaces) == (changes, replaces)


def test_a_generation_is_installed_by_its_own_image(engine: FakeEngine) -> None:
    engine.next_container = {"output": SHOWN}
    made = DeliveryProvider().create(PROPS)
    assert (made.id, made.outs) == ("config", DONE)
    assert engine.only.arguments["image"] == "sha256:1"
    assert engine.only.arguments["command"] == [
        *("python3", "-m", "tlsgate.generation", "install", "--kind", "postfix"),
        *("--from", "/incoming", "--expect", "0123456789abcdef"),
    ]
    assert engine.only.put == [("/incoming", {"main.cf": (0, 0o644, b"a = b\n")})]


def test_a_generation_that_fails_its_check_is_not_recorded(engine: FakeEngine) -> None:
    engine.next_container = {"code": 1, "errors": b"main.cf: unknown parameter"}
    with pytest.raises(DeploymentError, match=r"main\.cf: unknown parameter"):
        DeliveryProvider().update("config", DONE, PROPS)


def test_up_waits_until_the_running_server_has_it_in_force(engine: FakeEngine) -> None:
    engine.next_container = {"output": SHOWN}
    server = engine.running[PROPS["server"]] = FakeContainer({})
    assert DeliveryProvider().update("config", DONE, PROPS).outs == DONE
    assert server.executed == [
        [
            *("python3", "-m", "tlsgate.generation", "await", "0123456789abcdef"),
            *("--timeout", "60"),
        ]
    ]


@pytest.mark.parametrize("status", ["created", "exited", "restarting"])
def test_a_server_that_does_not_run_uses_it_when_it_starts(engine: FakeEngine, status: str) -> None:
    engine.next_container = {"output": SHOWN}
    server = engine.running[PROPS["server"]] = FakeContainer({}, status=status)
    assert DeliveryProvider().create(PROPS).outs == DONE
    assert server.executed == []


def test_a_server_that_refuses_it_makes_up_fail_with_the_reason(engine: FakeEngine) -> None:
    engine.next_container = {"output": SHOWN}
    refusing = FakeContainer({}, exec_answer=(1, b"refused: bad map\n"))
    engine.running[PROPS["server"]] = refusing
    with pytest.raises(DeploymentError) as error:
        DeliveryProvider().update("config", DONE, PROPS)
    assert str(error.value) == (
        "tlsgate-test-gateway did not accept the new configuration: refused: bad map\n"
        "The previous configuration stays in force. Fix the problem and run `up` again"
    )


@pytest.mark.parametrize(("kind", "accepted"), [("nginx", True), ("postfix", False)])
def test_a_policy_host_may_lack_only_certificates(
    engine: FakeEngine, kind: str, accepted: bool
) -> None:
    engine.next_container = {"output": SHOWN}
    lacking = FakeContainer({}, exec_answer=(LACKS_CERTIFICATE, b"no certificate policy-1\n"))
    engine.running[PROPS["server"]] = lacking
    props = {**PROPS, "kind": kind}
    if accepted:
        assert DeliveryProvider().update("config", DONE, props).outs == {**DONE, "kind": kind}
    else:
        with pytest.raises(DeploymentError, match="no certificate policy-1"):
            DeliveryProvider().update("config", DONE, props)


def test_refresh_shows_a_change_by_hand_and_the_next_up_reverts_it(engine: FakeEngine) -> None:
    engine.next_container = {"output": b'{"live": "live-2"}'}
    read = DeliveryProvider().read("config", DONE)
    assert engine.only.arguments["command"][-1] == "show"
    assert read.outs == {**DONE, "live": "live-2"}
    assert DeliveryProvider().diff("config", read.outs, PROPS).changes is True


def test_refresh_sees_no_drift_where_there_is_none(engine: FakeEngine) -> None:
    engine.next_container = {"output": SHOWN}
    assert DeliveryProvider().read("config", DONE).outs == DONE


def test_without_its_volume_a_delivery_is_gone(engine: FakeEngine) -> None:
    engine.existing.clear()
    assert DeliveryProvider().read("config", DONE).id == ""
    assert engine.made == []
