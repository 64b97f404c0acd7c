"""A roll-over when the CA, DNS, the server or the volume is at fault: nobody is locked out."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.unit.acme.acme_bench import Capture, events
from tests.unit.acme.acme_pki import NOW
from tests.unit.acme.rollover_world import NAME, TTL, World
from tlsgate.acme.agent.loop import Agent
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.keys import new_key, to_pem
from tlsgate.acme.process import Stop, Stopped
from tlsgate.dns.errors import DnsError


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
    assert unproven["reason"] == "192.0.2.25 port 25 (STARTTLS) serves no certificate"
    assert world.store.unconfirmed() is None
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
    store.make_current(staged)
    store.confirm()
    world.look(1)
    assert world.step_of_rollover() is None
    assert world.zone == (f"3 1 1 {world.served_key()}",)
    assert store.next_key() is None


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
