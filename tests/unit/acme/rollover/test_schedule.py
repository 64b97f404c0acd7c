"""When keys roll over, and what each step waits for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

from tests.unit.acme.acme_bench import DAY, Capture, events
from tests.unit.acme.acme_pki import NOW
from tests.unit.acme.rollover_world import NAME, TTL, World, raising
from tlsgate.acme.agent.loop import Agent
from tlsgate.acme.process import Stop, Stopped
from tlsgate.dns.errors import DnsError


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
    world.wait_visible = raising(stale)  # type: ignore[method-assign]
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
