"""The commands about accounts: their URIs for CAA records, and other keys."""

from __future__ import annotations

import pytest

from tests.support.memory_ca import MemoryCa
from tests.support.memory_world import Router
from tests.unit.acme.acme_bench import NAMES, Capture, World, events
from tlsgate.acme.ca.account import Accounts
from tlsgate.acme.faults import AcmeFault


def accounts(world: World, *, second: bool = True) -> Accounts:
    fallback = {"directory": world.other.directory} if second else None
    config = world.configure([NAMES], fallback=fallback)
    return Accounts(config, world.paths, world.time, Router([world.ca, world.other]))


def first(ca: MemoryCa) -> str:
    return f"{ca.base}/account/1"


def test_both_are_registered_before_any_order(world: World) -> None:
    assert accounts(world).known() == [None, None]
    assert accounts(world).opened() == [first(world.ca), first(world.other)]
    assert accounts(world).opened() == accounts(world).known()
    assert [len(ca.accounts) for ca in (world.ca, world.other)] == [1, 1]
    assert accounts(world, second=False).known() == [first(world.ca)]


def test_the_first_has_to_be_known(world: World) -> None:
    world.ca.down = True
    with pytest.raises(AcmeFault, match="cannot be reached"):
        accounts(world).opened()
    assert world.other.accounts == {}


def test_a_ca_that_is_down_keeps_what_is_known(world: World, capsys: Capture) -> None:
    world.other.down = True
    assert accounts(world).opened() == [first(world.ca), None]
    world.ca.down = True
    assert accounts(world).opened() == [first(world.ca), None]
    assert [alert["what"] for alert in events(capsys, "alert")] == [
        f"the account at {directory} could not be checked"
        for directory in (world.other.directory, world.ca.directory, world.other.directory)
    ]


def test_every_account_that_is_registered_gets_another_key(world: World) -> None:
    world.other.down = True
    accounts(world).opened()
    world.other.down = False
    keys = dict(world.ca.keys)
    assert accounts(world).change_keys() == [first(world.ca)]
    assert list(world.ca.keys.values()) == list(keys.values())
    assert list(world.ca.keys) != list(keys)
    assert world.other.keys == {}
