"""Orders on CAs that limit, fail, refuse and hang; each attempt is a process of its own."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.memory_ca import Call, Reply, problem, window
from tests.unit.acme.acme_bench import (
    DAY,
    HOUR,
    MINUTE,
    NAMES,
    START,
    Capture,
    World,
    answering,
    events,
    look,
    refused,
    served,
    wanted,
)
from tlsgate.acme.certificate import facts
from tlsgate.acme.renewal.failures import Failures

SECOND = timedelta(seconds=1)


def with_window(world: World) -> None:
    world.ca.window = lambda _id: window(START + 60 * DAY, START + 61 * DAY)


@pytest.mark.parametrize(
    ("status", "kind", "repeated"),
    [
        (403, "unauthorized", True),
        (409, "alreadyReplaced", True),
        (404, "malformed", True),
        (400, "malformed", True),
        (400, "rejectedIdentifier", False),
        (500, "serverInternal", True),
        (429, "rateLimited", False),
    ],
)
def test_an_order_is_repeated_without_what_it_replaces(
    world: World, capsys: Capture, status: int, kind: str, repeated: bool
) -> None:
    with_window(world)
    one = wanted(world.configure([NAMES]))
    assert world.renewer().attempt(one) is None

    def answer(call: Call) -> Reply | None:
        replaces = call.resource == "order" and not call.rest and "replaces" in call.payload
        return problem(status, kind, "no") if replaces else None

    world.ca.answer = answer
    world.time.now = START + 62 * DAY
    before = world.ca.count("order")
    fault = world.renewer().attempt(one)
    assert (fault is None) is repeated
    assert [entry.replaces for entry in world.ca.issued] == [None] * (1 + repeated)
    assert len(events(capsys, "order-repeated")) == repeated
    assert world.ca.count("order") - before == 1 + repeated


def test_too_many_requests_are_waited_for_whatever_is_restarted(world: World) -> None:
    one = wanted(world.configure([NAMES]))
    limited = problem(429, "rateLimited", "too many", {"Retry-After": "86400"})
    world.ca.answer = answering("order", limited, times=1)
    fault = refused(world, one)
    assert fault.retry_at == START + DAY
    assert "The CA allows no request before 2026-11-26 12:00:00 UTC" in fault.reason
    asked = len(world.ca.calls)
    for _ in range(5):
        world.time.now += HOUR
        again = refused(world, one)
        assert again.untried
        assert again.retry_at == START + DAY
        assert "too many" in again.reason
    assert len(world.ca.calls) == asked
    failure = Failures(world.paths.failures).get("policy/a.example")
    assert failure is not None
    assert (failure.count, failure.next_try) == (1, START + DAY)
    world.time.now = START + DAY
    assert world.renewer().attempt(one) is None


def test_unavailable_until_a_date(world: World) -> None:
    one = wanted(world.configure([NAMES]))
    date = {"Retry-After": "Wed, 25 Nov 2026 15:00:00 GMT"}
    world.ca.answer = answering("dir", Reply(503, "maintenance", date), times=1)
    assert refused(world, one).retry_at == START + 3 * HOUR
    look(world, 4 * HOUR)
    assert [entry.at - START for entry in world.ca.issued] == [3 * HOUR]


def test_five_hundreds_are_backed_off_from(world: World) -> None:
    world.configure([NAMES])
    world.ca.answer = answering("order", problem(500, "serverInternal", "a fault"))
    look(world, DAY, 5 * MINUTE)
    assert (world.ca.count("order"), len(world.ca.orders)) == (4, 0)
    world.ca.answer = lambda _call: None
    look(world, DAY, HOUR)
    assert len(world.ca.issued) == 1


def test_a_name_that_never_validates_keeps_the_limits_under_restarts(world: World) -> None:
    """A person who runs `up` over and over orders no more than the CA allows."""
    one = wanted(world.configure([NAMES]))
    world.ca.never_valid = lambda name: name == "a.example"
    for _ in range(50):
        refused(world, one)
        world.time.now += MINUTE
    times = [at for at, _ in world.ca.failed]
    assert len(times) == 5
    assert len(world.ca.orders) == 5
    world.time.now = times[0] + HOUR - SECOND
    assert refused(world, one).untried
    world.time.now = times[0] + HOUR
    assert not refused(world, one).untried
    assert len(world.ca.failed) == 6


def test_duplicates_keep_the_limit(world: World) -> None:
    one = wanted(world.configure([NAMES]))
    for count in range(1, 9):
        world.ca.window = None
        world.renewer().attempt(one)
        assert len(world.ca.issued) == min(count, 5)
        (served(world, one).path / "fullchain.pem").write_text("spoilt")
        world.time.now += HOUR
    world.time.now = START + 7 * DAY + HOUR
    assert world.renewer().attempt(one) is None


def test_a_window_that_is_always_past_does_not_order_without_end(world: World) -> None:
    world.ca.window = lambda _id: window(START - 2 * DAY, START - DAY, 60)
    world.configure([NAMES])
    look(world, 3 * HOUR)
    assert len(world.ca.issued) == 21
    assert len([entry for entry in world.ca.issued if entry.replaces is None]) == 1
    look(world, 5 * DAY, HOUR)
    assert len(world.ca.issued) == 21


def test_limits_are_the_configurations(world: World) -> None:
    world.ca.window = lambda _id: window(START - 2 * DAY, START - DAY, 60)
    world.configure([NAMES], limits={"replacements": {"count": 2, "seconds": 7 * 86_400}})
    look(world, HOUR)
    assert len(world.ca.issued) == 3


def test_an_order_stuck_in_processing_is_bounded_and_gone_on_with(
    world: World, capsys: Capture
) -> None:
    one = wanted(world.configure([NAMES]))
    world.ca.processing = True
    fault = refused(world, one)
    assert "was not ready in time" in fault.reason
    assert timedelta(minutes=3) < world.time.now - START < timedelta(minutes=4)
    refused(world, one)
    assert len(world.ca.orders) == 1
    world.ca.processing = False
    events(capsys)
    assert world.renewer().attempt(one) is None
    assert [event["resumed"] for event in events(capsys, "order")] == ["valid"]
    assert (len(world.ca.orders), len(world.ca.issued)) == (1, 1)
    assert facts(served(world, one).chain).names == NAMES


@pytest.mark.parametrize("resource", ["authz", "challenge", "finalize", "certificate"])
def test_an_order_outlives_a_lost_answer(world: World, resource: str) -> None:
    one = wanted(world.configure([NAMES]))
    world.ca.answer = answering(resource, Reply(502, "a proxy's words"), times=1)
    refused(world, one)
    assert world.renewer().attempt(one) is None
    assert len(world.ca.orders) == 1


def test_an_order_that_the_ca_forgot_is_placed_anew(world: World) -> None:
    one = wanted(world.configure([NAMES]))
    world.ca.processing = True
    refused(world, one)
    world.ca.processing = False

    def answer(call: Call) -> Reply | None:
        lost = call.resource == "order" and call.rest == "1"
        return problem(404, "malformed", "no such order") if lost else None

    world.ca.answer = answer
    assert world.renewer().attempt(one) is None
    assert len(world.ca.orders) == 2


def test_an_invalid_order_is_placed_anew(world: World) -> None:
    one = wanted(world.configure([NAMES]))
    world.ca.processing = True
    refused(world, one)
    world.ca.processing = False
    world.ca.orders["1"].status = "invalid"
    assert world.renewer().attempt(one) is None
    assert len(world.ca.orders) == 2


def test_other_names_do_not_go_on_with_the_order(world: World) -> None:
    world.ca.processing = True
    refused(world, wanted(world.configure([NAMES])))
    world.ca.processing = False
    more = wanted(world.configure([(*NAMES, "c.example")]))
    assert world.renewer().attempt(more) is None
    assert [order.names for order in world.ca.orders.values()] == [NAMES, more.names]


def test_one_unreachable_ca_is_not_waited_for_by_every_certificate(world: World) -> None:
    world.configure([(f"{number}.example",) for number in range(20)])
    world.ca.down = True
    world.agent().look()
    assert Failures(world.paths.failures).get("policy/19.example") is not None
    world.ca.down = False
    look(world, 2 * MINUTE)
    assert len(world.ca.issued) == 20


@pytest.mark.parametrize(
    ("minutes", "words"), [(10, "0:10:00 behind that of"), (-10, "0:10:00 ahead of that of")]
)
def test_a_clock_that_is_ten_minutes_off(
    world: World, capsys: Capture, minutes: int, words: str
) -> None:
    """The CA's certificate begins in our future: that is served, and the clock complained of."""
    error = minutes * MINUTE
    world.ca.clock = lambda: world.time.now + error
    one = wanted(world.configure([NAMES]))
    assert world.renewer().attempt(one) is None
    assert facts(served(world, one).chain).not_before == START + error
    assert world.renewer().attempt(one) is None
    assert len(world.ca.issued) == 1
    alerts = [event["reason"] for event in events(capsys, "alert")]
    assert alerts == [f"it is {words} https://ca.example/dir"]


@pytest.mark.parametrize("minutes", [0, 1])
def test_a_clock_that_is_right_enough(world: World, capsys: Capture, minutes: int) -> None:
    world.ca.clock = lambda: world.time.now + minutes * MINUTE
    one = wanted(world.configure([NAMES]))
    assert world.renewer().attempt(one) is None
    assert events(capsys, "alert") == []
