"""The agent and its operator: schedules, faults, wishes, and what `status` says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.acme.acme_pki import NOW
from tests.unit.acme.rotation_world import NAME, OWNER, TTL, World
from tlsgate.acme.agent import Agent
from tlsgate.acme.certificate import facts
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.keys import new_key, to_pem
from tlsgate.acme.rollover import HOLD
from tlsgate.acme.running import Stop, Stopped
from tlsgate.acme.status import in_words
from tlsgate.dns.errors import DnsError
from tlsgate.problems import ProblemsError

DAY = timedelta(days=1)
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """With the first certificate in service."""
    made = World(tmp_path / "world")
    made.look()
    made.take_up()
    return made


def events(capsys: Capture, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line["event"] == kind]


def steps_of(world: World, looks: int, seconds: float) -> Iterator[str | None]:
    for _ in range(looks):
        world.look(seconds)
        yield world.step_of_rollover()


def test_the_waits(world: World) -> None:
    """Two TTLs before the order, two after the switch; nothing else takes time."""
    first = world.served_key()
    world.operator().rotate([NAME], now=False, revoke=False)
    assert list(steps_of(world, 9, TTL / 2)) == [
        *("spread", "spread", "spread", "spread", "settle"),
        *("settle", "settle", "settle", None),
    ]
    assert world.served_key() != first
    assert [len(values) for _, values in world.zones] == [1, 2, 1]
    world.assert_no_peer_was_locked_out()


def test_without_tlsa_records_there_is_nothing_to_wait_for(world: World) -> None:
    """A policy host's key: one look, whatever time passes within it."""
    values = json.loads(world.paths.config.read_text())
    values["certificates"][0]["tlsa"] = []
    world.paths.config.write_text(json.dumps(values))
    first = world.served_key()
    world.operator().rotate([NAME], now=False, revoke=False)
    ticks = world.clock

    def clock() -> datetime:
        world.now += timedelta(milliseconds=1)
        return ticks()

    world.clock = clock  # type: ignore[method-assign]
    world.look()
    assert world.served_key() != first
    assert world.step_of_rollover() is None


def test_the_schedule(world: World) -> None:
    world.configure(rotate_days=30)
    assert world.status()["next_rollover"] == (NOW + 30 * DAY).isoformat()
    first = world.served_key()
    world.look(29.9 * 86400)
    assert world.step_of_rollover() is None
    world.look(0.1 * 86400)
    assert world.step_of_rollover() == "spread"
    world.settle()
    assert world.served_key() != first
    assert world.orders == 2
    made = datetime.fromisoformat(world.status()["served"]["key_made"])
    assert world.status()["next_rollover"] == (made + 30 * DAY).isoformat()
    assert made > NOW + 30 * DAY


def test_a_renewal_does_not_make_a_key_younger(world: World) -> None:
    world.configure(rotate_days=90)
    world.operator().renew([NAME])
    world.look(40 * 86400)
    assert world.orders == 2
    assert world.status()["next_rollover"] == (NOW + 90 * DAY).isoformat()


def test_a_renewal_goes_on_while_a_rollover_waits(world: World) -> None:
    first = world.served_key()
    world.operator().rotate([NAME], now=False, revoke=False)
    world.look()
    assert world.step_of_rollover() == "spread"
    world.operator().renew([NAME])
    world.look(1)
    assert world.orders == 2
    assert world.served_key() == first
    assert world.step_of_rollover() == "spread"
    world.settle()
    assert world.orders == 3
    world.assert_no_peer_was_locked_out()


def test_nothing_is_ordered_before_the_records_are_out(world: World, capsys: Capture) -> None:
    world.operator().rotate([NAME], now=True, revoke=False)
    world.dns_fault = DnsError("the server refuses")
    capsys.readouterr()
    agent = world.agent()
    for _ in range(3):
        agent.look()
    alerts = events(capsys, "alert")
    assert {alert["what"] for alert in alerts} == {
        f"the key of certificate {NAME} cannot be rolled over",
        f"certificate {NAME} is served, but its records are not right",
    }
    assert len(alerts) == 2  # each once, as long as it goes on
    assert all("the server refuses" in alert["reason"] for alert in alerts)
    assert world.orders == 1
    assert world.step_of_rollover() == "publish"
    world.dns_fault = None
    world.settle()
    assert world.orders == 2


def test_name_servers_that_lag_keep_the_rollover_back(world: World, capsys: Capture) -> None:
    """One of two authoritative servers is stale: its answers are cached as well."""
    world.operator().rotate([NAME], now=False, revoke=False)
    stale = DnsError("192.0.2.54:53 holds no such record")
    world.wait_visible = _raises(stale)  # type: ignore[method-assign]
    agent = world.agent()
    capsys.readouterr()
    for _ in range(5):
        world.now += timedelta(seconds=TTL)
        agent.look()
    assert world.step_of_rollover() == "publish"
    assert world.orders == 1
    assert all("192.0.2.54:53 holds no such record" in a["reason"] for a in events(capsys, "alert"))
    del world.wait_visible
    world.look(1)
    assert world.step_of_rollover() == "spread"
    until = datetime.fromisoformat(world.status()["rollover"]["until"])
    assert until == world.now + timedelta(seconds=2 * TTL)
    world.settle()
    world.assert_no_peer_was_locked_out()


def test_a_longer_ttl_from_before_is_waited_for(world: World) -> None:
    """The TTL was shortened: caches may hold what was published with the long one."""
    values = json.loads(world.paths.config.read_text())
    values["tlsa"]["ttl"] = 2
    world.paths.config.write_text(json.dumps(values))
    world.look(1)
    world.operator().rotate([NAME], now=False, revoke=False)
    world.look(1)
    until = datetime.fromisoformat(world.status()["rollover"]["until"])
    assert until == NOW + timedelta(seconds=1 + TTL)
    world.settle(seconds=3)
    world.assert_no_peer_was_locked_out()


def test_the_loop_sleeps_until_something_is_to_be_done(world: World) -> None:
    slept: list[float] = []

    class Sleeper(Stop):
        def pause(self, seconds: float) -> None:
            if seconds > 0:
                slept.append(seconds)
                world.now += timedelta(seconds=seconds)
            if sum(slept) > 300:
                raise Stopped

    world.operator().rotate([NAME], now=False, revoke=False)
    Agent(world.paths, world.clock, Sleeper(), world.build).run()
    times = [at for at, _ in world.zones]
    # Two TTLs, then two more: not a whole ordinary look of a minute later.
    assert times[1] == NOW
    assert times[2] - NOW <= timedelta(seconds=4 * TTL + 1)
    assert max(slept) <= 1.0


def test_a_fault_is_no_reason_for_a_busy_loop(world: World) -> None:
    looked: list[datetime] = []

    class Sleeper(Stop):
        def pause(self, seconds: float) -> None:
            world.now += timedelta(seconds=seconds)
            if world.now > NOW + timedelta(minutes=10):
                raise Stopped

    world.operator().rotate([NAME], now=False, revoke=False)
    world.look()

    def publish(*_: object) -> None:
        looked.append(world.now)
        raise DnsError("down")

    world.zone = ()
    world.set_tlsa = publish  # type: ignore[assignment, method-assign]
    Agent(world.paths, world.clock, Sleeper(), world.build).run()
    assert len(set(looked)) <= 12


def test_a_ca_that_refuses_is_left_alone_and_the_old_key_served(world: World) -> None:
    first = world.served_key()
    world.operator().rotate([NAME], now=True, revoke=False)
    world.ca_fault = AcmeFault("no", "wait")
    world.look()
    world.look(1)
    assert world.step_of_rollover() == "order"
    assert world.status()["failure"]["count"] == 1
    assert world.served_key() == first
    assert set(world.zone) > {f"3 1 1 {first}"}
    world.ca_fault = None
    world.look(1)
    assert world.served_key() == first  # the first minute is not over
    world.look(60)
    world.settle()
    assert world.served_key() != first
    assert world.status()["failure"] is None


def test_a_server_that_does_not_show_it_gets_the_old_key_back(
    world: World, capsys: Capture
) -> None:
    first = world.served_key()
    world.operator().rotate([NAME], now=False, revoke=False)
    world.look()
    world.deaf = True
    capsys.readouterr()
    world.look(2 * TTL)
    assert world.served_key() == first
    (alert,) = events(capsys, "alert")
    assert "the server shows another certificate" in alert["reason"]
    assert world.orders == 2
    world.deaf = False
    world.look(60)
    assert world.orders == 2  # the one from before was kept
    world.settle()
    world.assert_no_peer_was_locked_out()


def test_a_server_that_is_down_is_no_reason_to_go_back(world: World, capsys: Capture) -> None:
    world.down = True
    world.operator().renew([NAME])
    capsys.readouterr()
    world.look(1)
    (unproven,) = events(capsys, "unproven")
    assert unproven["reason"] == "192.0.2.25 port 25 (STARTTLS) shows no certificate"
    assert world.store.unproven() is None
    assert world.orders == 2
    world.look(1)
    assert world.orders == 2


def test_a_key_that_was_lost_gives_way_to_the_published_one(world: World) -> None:
    world.operator().rotate([NAME], now=False, revoke=False)
    world.look()
    world.look(2 * TTL - 1)
    next_key = world.store.next_key()
    assert next_key is not None
    current = world.store.current()
    assert current is not None
    (current.path / "key.pem").unlink()
    world.look(0)
    served = world.store.current()
    assert served is not None
    assert served.key().public_key() == next_key.public_key()
    assert world.step_of_rollover() == "settle"
    world.settle()
    assert world.zone == (f"3 1 1 {world.served_key()}",)


def test_another_key_put_there_by_hand_ends_the_rollover(world: World) -> None:
    world.operator().rotate([NAME], now=False, revoke=False)
    world.look()
    store, key = world.store, new_key()
    store.begin(key, world.now)
    current = store.current()
    assert current is not None
    staged = store.complete(world.ca.sign([NAME], key, now=world.now), current.meta)
    store.switch(staged)
    store.proven()
    world.look(1)
    assert world.step_of_rollover() is None
    assert world.zone == (f"3 1 1 {world.served_key()}",)
    assert store.next_key() is None


@pytest.mark.parametrize("looks", [1, 2])
def test_undo_before_the_switch(world: World, looks: int) -> None:
    world.configure(rotate_days=90)
    first = world.served_key()
    world.look(90 * 86400)
    assert world.step_of_rollover() == "spread"
    (said,) = world.operator().undo([NAME])
    assert said == f"{NAME}: the roll-over is given up; the key that is served stays."
    for _ in range(looks):
        world.look(1)
    assert world.zone == (f"3 1 1 {first}",)
    assert world.step_of_rollover() == "held"
    assert world.store.next_key() is None
    held = datetime.fromisoformat(world.status()["rollover"]["begun"])
    assert world.status()["next_rollover"] == (held + HOLD).isoformat()
    with pytest.raises(ProblemsError, match="there is nothing to go back to"):
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
    with pytest.raises(ProblemsError, match=r"the key from before is compromised|no certificate"):
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
    world.revoke = _raises(fault)  # type: ignore[method-assign]
    capsys.readouterr()
    world.look(2 * TTL)
    assert world.step_of_rollover() == "revoke"
    assert events(capsys, "alert")[0]["reason"] == "the CA does not answer"
    del world.revoke
    world.settle()
    assert world.revoked[1:] == [serial]


def _raises(fault: Exception) -> Any:
    def act(*_: object) -> None:
        raise fault

    return act


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


def test_status(world: World) -> None:
    entry = world.status()
    served = entry["served"]
    assert (served["names"], served["issuer"]) == ([NAME], "https://ca.example/dir")
    assert entry["renewal"]["at"] < (NOW + 60 * DAY).isoformat()
    assert entry["tlsa"] == [
        {
            "owner": OWNER,
            "values": [f"3 1 1 {served['spki_sha256']}"],
            "ttl": TTL,
            "seen": NOW.isoformat(),
        }
    ]
    assert entry["failure"] is entry["rollover"] is None
    assert entry["kept"] == []
    world.operator().rotate([NAME], now=False, revoke=False)
    world.look(1)
    world.ca_fault = AcmeFault("the CA refused: too many\n  ask later", "wait")
    world.operator().renew([NAME])
    world.look(1)
    words = in_words(world.status())
    assert "  roll-over step spread (a person asked for it)" in words
    assert "until 2026-11-25 12:00:41 UTC" in words
    assert "  failed    1 in a row, again at 2026-11-25 12:01:02 UTC: the CA refused" in words
    assert facts((world.store.path / "current/fullchain.pem").read_bytes()).serial in words
    assert words.count("3 1 1 ") == 2


def test_status_before_anything_is_there(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    entry = world.status()
    assert entry["served"] is entry["renewal"] is entry["next_rollover"] is None
    assert in_words(entry) == f"{NAME} (mx)\n  not issued yet, for {NAME}"


def test_a_next_key_that_was_swapped_is_never_served(world: World) -> None:
    """The published key and the one on the volume must be the same."""
    world.operator().rotate([NAME], now=False, revoke=False)
    world.look()
    published = set(world.zone)
    (world.store.path / "next-key.pem").write_bytes(to_pem(new_key()))
    world.look(2 * TTL)
    assert world.step_of_rollover() == "spread"
    assert set(world.zone) != published
    world.settle()
    world.assert_no_peer_was_locked_out()
