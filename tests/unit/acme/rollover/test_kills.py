"""Killed anywhere, as often as you like: the roll-over ends the same, and no peer is locked out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.acme.rollover_world import NAME, TTL, World
from tlsgate.problems import ProblemsError


@pytest.fixture(scope="module")
def quick_disk() -> Iterator[None]:
    """Nothing here outlives the test: the disk need not keep up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


@pytest.fixture(scope="module")
def begun(quick_disk: None, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The first certificate is in service; each test works on copies."""
    world = World(tmp_path_factory.mktemp("begun") / "world")
    world.look()
    world.take_up()
    assert world.zone == (f"3 1 1 {world.served_key()}",)
    return world


def assert_rolled_over(world: World, first: str) -> None:
    assert world.served_key() not in ("", first)
    assert world.zone == (f"3 1 1 {world.served_key()}",)
    world.assert_no_peer_was_locked_out()
    assert not (world.store.path / "next-key.pem").exists()
    assert not (world.store.path / "next").is_symlink()
    assert not (world.store.path / "before").is_symlink()
    for generation in (world.store.path / "generations").iterdir():
        names = {path.name for path in generation.iterdir()}
        assert names == {"key.pem", "fullchain.pem", "meta.json"}
        assert {path.stat().st_mode & 0o777 for path in generation.iterdir()} == {0o600}


def test_killed_at_each_step(begun: World, tmp_path: Path) -> None:
    killed_at: dict[str | None, int] = {}
    for steps in range(1000):
        world = begun.copy(tmp_path / str(steps))
        first = world.served_key()
        world.operator().rotate([NAME], now=False, revoke=False)
        done = False
        with world.killed_after(steps):
            world.settle()
            done = True
        world.take_up()
        step = world.step_of_rollover()
        killed_at[step] = killed_at.get(step, 0) + 1
        if step is not None:
            world.settle()
        assert_rolled_over(world, first)
        assert world.orders <= 3  # the first, the next, and at most one that was wasted
        if done:
            break
    else:
        raise AssertionError("the work never came to its end")
    # `settle` and `spread` are waits; what is done in them is little, but they were hit.
    assert killed_at.keys() >= {"key", "publish", "spread", "order", "settle", "retire", None}


def test_killed_at_each_step_of_a_revoking_one(begun: World, tmp_path: Path) -> None:
    for steps in range(1000):
        world = begun.copy(tmp_path / str(steps))
        first, serial = world.served_key(), world.status()["served"]["serial"]
        world.operator().rotate([NAME], now=True, revoke=True)
        done = False
        with world.killed_after(steps):
            world.settle()
            done = True
        if world.step_of_rollover() is not None:
            world.settle()
        world.take_up()
        assert world.served_key() != first
        assert world.zone == (f"3 1 1 {world.served_key()}",)
        assert set(world.revoked) == {serial}
        assert world.orders <= 3
        kept = [world.store.path / "generations" / name for name in world.status()["kept"]]
        assert kept == []  # nobody goes back to a key in wrong hands
        if done:
            break
    else:
        raise AssertionError("the work never came to its end")


def test_killed_at_each_step_of_a_renewal_that_is_not_shown(begun: World, tmp_path: Path) -> None:
    """The switch is undone, whoever undoes it; the new certificate is kept and needs no order."""
    for steps in range(1000):
        world = begun.copy(tmp_path / str(steps))
        first = world.store.current()
        assert first is not None
        world.operator().renew([NAME])
        world.deaf = True
        done = False
        with world.killed_after(steps):
            world.look()
            done = True
        world.look(120)
        assert world.store.current() == first
        world.deaf = False
        orders = world.orders
        assert orders <= 3
        world.look(86400)
        world.take_up()
        assert world.store.current() != first
        assert world.orders == orders
        assert world.shown == world.store.path.joinpath("current/fullchain.pem").read_bytes()
        assert world.store.unconfirmed() is None
        if done:
            return
    raise AssertionError("the work never came to its end")


@settings(max_examples=40, deadline=None)
@given(
    kills=st.lists(st.integers(0, 120), max_size=6),
    pauses=st.lists(st.floats(0, 2.5 * TTL), min_size=1, max_size=8),
    renewals=st.sets(st.integers(0, 5), max_size=2),
)
def test_any_kills_at_any_time(
    begun: World, kills: list[int], pauses: list[float], renewals: set[int]
) -> None:
    with TemporaryDirectory() as folder:
        world = begun.copy(Path(folder) / "world")
        first = world.served_key()
        world.operator().rotate([NAME], now=False, revoke=False)
        for number, steps in enumerate(kills):
            if number in renewals:
                world.operator().renew([NAME])
            with world.killed_after(steps):
                for pause in pauses:
                    world.look(pause)
            world.take_up()
        world.take_up()
        if world.step_of_rollover() is not None:
            world.settle()
        world.take_up()
        world.look(1)
        assert_rolled_over(world, first)
        assert world.orders <= 2 + 2 * len(kills)


@settings(max_examples=40, deadline=None)
@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(["rotate", "renew", "undo", "look", "deaf", "repaired"]),
            st.floats(0, 2.5 * TTL),
            st.none() | st.integers(0, 100),
        ),
        max_size=12,
    )
)
def test_whatever_a_person_asks_meanwhile(
    begun: World, acts: list[tuple[str, float, int | None]]
) -> None:
    """Roll-overs begun, undone, and begun again, renewals, a server that is stuck for a while."""
    with TemporaryDirectory() as folder:
        world = begun.copy(Path(folder) / "world")
        for act, pause, steps in acts:
            if act in ("deaf", "repaired"):
                world.deaf = act == "deaf"
            with suppress(ProblemsError):
                if act == "rotate":
                    world.operator().rotate([NAME], now=False, revoke=False)
                elif act == "renew":
                    world.operator().renew([NAME])
                elif act == "undo":
                    world.operator().undo([NAME])
            if steps is None:
                world.look(pause)
            else:
                with world.killed_after(steps):
                    world.look(pause)
            world.take_up()
        world.deaf = False
        for _ in range(60):
            world.take_up()
            world.look(2 * 86400 if world.status()["failure"] else 21)
            if world.step_of_rollover() in (None, "held") and not world.status()["failure"]:
                break
        world.look(1)
        world.take_up()
        assert world.zone == (f"3 1 1 {world.served_key()}",)
        assert world.shown == (world.store.path / "current/fullchain.pem").read_bytes()
        assert world.store.unconfirmed() is None
        world.assert_no_peer_was_locked_out()
