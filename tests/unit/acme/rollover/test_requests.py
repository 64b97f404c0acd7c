"""What a person asks of the agent: undo, revoke, rotate; refused before anything is done."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.unit.acme.acme_bench import Capture, events
from tests.unit.acme.rollover_world import NAME, TTL, World, raising
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.rollover.state_machine import HOLD
from tlsgate.problems import ProblemsError


@pytest.mark.parametrize("looks", [1, 2])
def test_undo_before_the_switch(world: World, looks: int) -> None:
    world.configure(rotate_days=90)
    first = world.served_key()
    world.look(90 * 86400)
    assert world.step_of_rollover() == "spread"
    (said,) = world.operator().undo([NAME])
    assert said == f"{NAME}: the roll-over is cancelled; the served key stays."
    for _ in range(looks):
        world.look(1)
    assert world.zone == (f"3 1 1 {first}",)
    assert world.step_of_rollover() == "held"
    assert world.store.next_key() is None
    held = datetime.fromisoformat(world.status()["rollover"]["begun"])
    assert world.status()["next_rollover"] == (held + HOLD).isoformat()
    with pytest.raises(ProblemsError, match="nothing can be restored"):
        world.operator().undo([NAME])
    world.look(HOLD.total_seconds())
    world.look(1)
    assert world.step_of_rollover() == "spread"


def test_undo_after_the_switch(world: World) -> None:
    first = world.store.current()
    world.operator().rotate([NAME], now=False, revoke=False)
    world.look()
    world.look(2 * TTL)
    assert world.step_of_rollover() == "settle"
    assert world.store.current() != first
    (said,) = world.operator().undo([NAME])
    assert first is not None
    assert said.startswith(f"{NAME}: back to generation {first.id}, valid until 2027-02-23")
    world.look(1)
    assert world.store.current() == first
    assert len(set(world.zone)) == 2
    world.look(2 * TTL)
    assert world.zone == (f"3 1 1 {world.served_key()}",)
    assert world.step_of_rollover() == "held"
    world.assert_no_peer_was_locked_out()


def test_undo_of_a_renewal(world: World) -> None:
    first = world.store.current()
    world.operator().renew([NAME])
    world.look(60)
    assert world.store.current() != first
    world.operator().undo([NAME])
    world.look(1)
    assert world.store.current() == first
    assert world.orders == 2
    assert world.shown == (world.store.path / "current/fullchain.pem").read_bytes()


def test_nobody_goes_back_to_a_compromised_key(world: World) -> None:
    world.operator().rotate([NAME], now=False, revoke=True)
    world.look()
    world.ca_fault = AcmeFault("the CA does not answer", "wait")
    world.look(2 * TTL)
    world.ca_fault = None
    world.look(60)
    with pytest.raises(ProblemsError, match=r"the previous key is compromised|no certificate"):
        world.operator().undo([NAME])


def test_a_revocation_that_fails_is_tried_again(world: World, capsys: Capture) -> None:
    serial = world.status()["served"]["serial"]
    lines = world.operator().rotate([NAME], now=True, revoke=True)
    assert f"for up to {TTL} s" in " ".join(lines)
    world.look()
    assert world.revoked == [serial]
    assert world.step_of_rollover() is None

    serial = world.status()["served"]["serial"]
    world.operator().rotate([NAME], now=False, revoke=True)
    world.look(1)
    fault = AcmeFault("the CA does not answer", "wait")
    world.revoke = raising(fault)  # type: ignore[method-assign]
    capsys.readouterr()
    world.look(2 * TTL)
    assert world.step_of_rollover() == "revoke"
    assert events(capsys, "alert")[0]["reason"] == "the CA does not answer"
    del world.revoke
    world.settle()
    assert world.revoked[1:] == [serial]


def test_dns_by_hand(world: World) -> None:
    world.configure(tlsa=None, rotate_days=1)
    world.look(2 * 86400)
    assert world.step_of_rollover() is None
    assert world.status()["next_rollover"] is None
    with pytest.raises(ProblemsError, match="its TLSA records are not the agent's to write"):
        world.operator().rotate([NAME], now=True, revoke=True)


def test_names_are_checked_before_anything_is_done(world: World) -> None:
    with pytest.raises(ProblemsError) as refused:
        world.operator().rotate([NAME, "mx2.corp.example"], now=False, revoke=False)
    assert "mx2.corp.example: is not the name of a certificate" in str(refused.value)
    assert f"Certificates here: {NAME}" in str(refused.value)
    assert world.step_of_rollover() is None
