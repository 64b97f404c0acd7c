"""A second CA: asked when the first fails, left when the first is back, and never drift."""

from __future__ import annotations

from tests.support.memory_ca import problem
from tests.unit.acme.acme_bench import (
    DAY,
    HOUR,
    MINUTE,
    NAMES,
    START,
    World,
    answering,
    look,
    refused,
    served,
    wanted,
)
from tlsgate.acme.ca.account import account_uri
from tlsgate.acme.certificate import facts
from tlsgate.acme.renewal.failures import Failures

FALLBACK = {"directory": "https://other.example/dir", "contact": ["mailto:a@corp.example"]}


def test_a_day_without_the_ca(world: World) -> None:
    """Alone: the certificate in service stays, and is renewed when the CA is back."""
    one = wanted(world.configure([NAMES]))
    assert world.renewer().attempt(one) is None
    first = served(world, one)
    world.time.now = START + 60 * DAY
    world.ca.down = True
    look(world, DAY, 10 * MINUTE)
    assert served(world, one) == first
    world.ca.down = False
    look(world, DAY, 30 * MINUTE)
    assert served(world, one).id > first.id
    assert world.time.now < facts(first.chain).not_after - 25 * DAY


def test_a_day_without_the_ca_but_with_a_second_one(world: World) -> None:
    one = wanted(world.configure([NAMES], fallback=FALLBACK))
    assert world.renewer().attempt(one) is None
    world.time.now = START + 60 * DAY
    world.ca.down = True
    look(world, DAY, 10 * MINUTE)
    second = served(world, one)
    assert second.meta.directory == world.other.directory
    assert [entry.at - START - 60 * DAY < 2.5 * HOUR for entry in world.other.issued] == [True]
    assert world.other.issued[0].replaces is None
    assert account_uri(world.paths.account(world.other.directory)) in world.other.accounts
    assert world.other.accounts[next(iter(world.other.accounts))]["contact"] == [
        "mailto:a@corp.example"
    ]

    # That is no drift, and the first CA is back at the next renewal.
    world.ca.down = False
    look(world, DAY, HOUR)
    assert served(world, one) == second
    assert world.renewer().reason(one) is None
    world.time.now += 60 * DAY
    look(world, HOUR)
    assert served(world, one).meta.directory == world.ca.directory
    assert (len(world.ca.issued), len(world.other.issued)) == (2, 1)
    assert world.ca.issued[1].replaces is None


def test_a_certificate_of_a_ca_that_is_configured_no_more_is_replaced(world: World) -> None:
    one = wanted(world.configure([NAMES], fallback={**FALLBACK, "after": 1}))
    world.ca.down = True
    refused(world, one)
    assert world.renewer().attempt(one) is None
    world.ca.down = False
    world.configure([NAMES])
    assert "its issuer is https://other.example/dir" in str(world.renewer().reason(one))
    assert world.renewer().attempt(one) is None
    assert served(world, one).meta.directory == world.ca.directory


def test_both_cas_take_turns_while_both_fail(world: World) -> None:
    world.configure([NAMES], fallback={**FALLBACK, "after": 2})
    for ca in (world.ca, world.other):
        ca.answer = answering("order", problem(500, "serverInternal", "a fault"))
    for _ in range(8):
        world.agent().look()
        failure = Failures(world.paths.failures).get("policy/a.example")
        assert failure is not None
        world.time.now = failure.next_try
    assert [ca.count("order") for ca in (world.ca, world.other)] == [5, 3]


def test_a_held_first_ca_does_not_hold_the_second(world: World) -> None:
    one = wanted(world.configure([NAMES], fallback=FALLBACK))
    week = problem(429, "rateLimited", "too many", {"Retry-After": f"{7 * 86400}"})
    world.ca.answer = answering("order", week)
    refused(world, one)
    look(world, 5 * MINUTE)
    assert served(world, one).meta.directory == world.other.directory
    assert world.ca.count("order") == 1
