"""The roll-over's state machine, without any effect."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.acme.acme_pki import NOW
from tlsgate.acme.renewal.forced import ForcedRenewals
from tlsgate.acme.rollover.saved import Rollovers
from tlsgate.acme.rollover.state_machine import (
    HOLD,
    UNDONE,
    Event,
    Rollover,
    Step,
    is_due,
    key_to_order,
    next_state,
    observed,
    published_keys,
    requested,
    resumed,
    settled_at,
    undone,
)

OLD, NEW, OTHER = "01" * 32, "02" * 32, "03" * 32
TTL = timedelta(seconds=60)
BEGUN = Rollover(Step.KEY, "schedule", NOW, OLD)


def at(step: Step, **changes: Any) -> Rollover:
    """Under way, at this step."""
    new = "" if step is Step.KEY else NEW
    switched = NOW if step in (Step.REVOKE, Step.SETTLE, Step.RETIRE) else None
    return replace(replace(BEGUN, step=step, new=new, switched=switched), **changes)


@pytest.mark.parametrize(
    ("step", "event", "then"),
    [
        (Step.KEY, Event.MADE, Step.PUBLISH),
        (Step.PUBLISH, Event.PUBLISHED, Step.SPREAD),
        (Step.SPREAD, Event.SPREAD, Step.ORDER),
        (Step.REVOKE, Event.REVOKED, Step.SETTLE),
        (Step.SETTLE, Event.SETTLED, Step.RETIRE),
    ],
)
def test_a_step_leads_to_the_next(step: Step, event: Event, then: Step) -> None:
    state = next_state(at(step), event, NOW, NEW if event is Event.MADE else "")
    assert state == replace(at(step), step=then, new=NEW)


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("event", Event)
def test_no_other_event_belongs_to_a_step(step: Step, event: Event) -> None:
    belongs = {
        Step.KEY: Event.MADE,
        Step.PUBLISH: Event.PUBLISHED,
        Step.SPREAD: Event.SPREAD,
        Step.REVOKE: Event.REVOKED,
        Step.SETTLE: Event.SETTLED,
        Step.RETIRE: Event.RETIRED,
    }
    if belongs.get(step) is not event:
        with pytest.raises(KeyError):
            next_state(at(step), event, NOW)


def test_the_end() -> None:
    assert next_state(at(Step.RETIRE), Event.RETIRED, NOW) is None
    held = next_state(at(Step.RETIRE, reason=UNDONE), Event.RETIRED, NOW)
    assert held == Rollover(Step.HELD, UNDONE, NOW, NEW)


@pytest.mark.parametrize(
    ("step", "keys"),
    [
        (Step.KEY, (OLD,)),
        (Step.PUBLISH, (OLD, NEW)),
        (Step.SPREAD, (OLD, NEW)),
        (Step.ORDER, (OLD, NEW)),
        (Step.REVOKE, (NEW, OLD)),
        (Step.SETTLE, (NEW, OLD)),
        (Step.RETIRE, (NEW,)),
        (Step.HELD, (OLD,)),
    ],
)
def test_what_is_published_at_each_step(step: Step, keys: tuple[str, ...]) -> None:
    assert published_keys(at(step), keys[0]) == keys


def test_what_is_published_otherwise() -> None:
    assert published_keys(None, OLD) == (OLD,)
    # A key in wrong hands goes out of DNS as soon as another one is served.
    assert published_keys(at(Step.REVOKE, now=True, revoke=True), NEW) == (NEW,)
    assert published_keys(at(Step.ORDER, now=True, revoke=True), OLD) == (OLD, NEW)


@pytest.mark.parametrize("step", Step)
def test_only_at_one_step_a_certificate_of_the_next_key_is_wanted(step: Step) -> None:
    assert key_to_order(at(step)) == (NEW if step is Step.ORDER else None)
    assert key_to_order(None) is None


LATER = NOW + timedelta(minutes=3)


@pytest.mark.parametrize(
    ("state", "served", "then"),
    [
        (at(Step.KEY), OLD, at(Step.KEY)),
        (at(Step.SPREAD), OLD, at(Step.SPREAD)),
        (at(Step.ORDER), OLD, at(Step.ORDER)),
        (at(Step.ORDER), NEW, at(Step.SETTLE, switched=LATER)),
        (at(Step.ORDER, revoke=True), NEW, at(Step.REVOKE, revoke=True, switched=LATER)),
        # The served key could not be read any more, and the published next one took its place.
        (at(Step.SPREAD), NEW, at(Step.SETTLE, switched=LATER)),
        (at(Step.SETTLE), NEW, at(Step.SETTLE)),
        (at(Step.RETIRE), NEW, at(Step.RETIRE)),
        # Somebody else put another key there: there is nothing to go on with.
        *[(at(step), OTHER, None) for step in Step if step is not Step.HELD],
        (at(Step.SETTLE), OLD, None),
        (at(Step.KEY), "", None),
        (at(Step.HELD), OTHER, at(Step.HELD)),
        (at(Step.HELD, begun=LATER - HOLD), OLD, None),
    ],
)
def test_what_is_served_decides(state: Rollover, served: str, then: Rollover | None) -> None:
    assert observed(state, served, LATER) == then


@pytest.mark.parametrize("step", Step)
def test_a_lost_next_key_is_made_again(step: Step) -> None:
    assert resumed(at(step), NEW) == at(step)
    lost = resumed(at(step), None)
    if step in (Step.PUBLISH, Step.SPREAD, Step.ORDER):
        assert lost == at(Step.KEY)
    else:
        assert lost == at(step)


@pytest.mark.parametrize(
    ("state", "then"),
    [
        (None, Step.KEY),
        (at(Step.HELD), Step.KEY),
        (at(Step.SPREAD), Step.SPREAD),
        (at(Step.REVOKE), Step.REVOKE),
        (at(Step.SETTLE), Step.REVOKE),
        (at(Step.RETIRE), Step.REVOKE),
    ],
)
def test_a_compromised_key_hurries_what_is_under_way(state: Rollover | None, then: Step) -> None:
    state = requested(state, replace(BEGUN, now=True, revoke=True))
    assert (state.step, state.now, state.revoke) == (then, True, True)


def test_asking_twice_is_asking_once() -> None:
    state = requested(at(Step.SETTLE, now=True, revoke=True), BEGUN)
    assert state == at(Step.SETTLE, now=True, revoke=True)


@pytest.mark.parametrize("step", [Step.KEY, Step.PUBLISH, Step.SPREAD, Step.ORDER])
def test_before_the_switch_undoing_needs_no_wait(step: Step) -> None:
    state = undone(at(step), LATER)
    assert state == Rollover(Step.HELD, UNDONE, LATER, OLD)
    assert published_keys(state, OLD) == (OLD,)


def test_after_the_switch_undoing_is_a_switch_the_other_way() -> None:
    state = undone(at(Step.SETTLE), LATER)
    assert published_keys(state, OLD) == (OLD, NEW)
    assert settled_at(state, TTL) == LATER + 2 * TTL
    assert observed(state, OLD, LATER) == state


@pytest.mark.parametrize(
    ("state", "until"),
    [
        (at(Step.SETTLE), NOW + 2 * TTL),
        (at(Step.SETTLE, now=True), None),
        (at(Step.ORDER), None),
    ],
)
def test_how_long_the_old_record_stays(state: Rollover, until: object) -> None:
    assert settled_at(state, TTL) == until


@pytest.mark.parametrize(
    ("days", "age", "due"), [(90, 89.9, False), (90, 90, True), (0, 10_000, False), (1, 1, True)]
)
def test_schedule(days: int, age: float, due: bool) -> None:
    assert is_due(NOW, days, NOW + timedelta(days=age)) is due


@pytest.mark.parametrize("step", Step)
def test_kept_on_the_volume(step: Step, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("state") / "rollovers.json"
    Rollovers(path).put("mx/a", at(step))
    Rollovers(path).put("mx/b", BEGUN)
    assert Rollovers(path).get("mx/a") == at(step)
    Rollovers(path).put("mx/a", None)
    assert Rollovers(path).get("mx/a") is None
    assert Rollovers(path).get("mx/b") == BEGUN


@pytest.mark.parametrize(
    "content", ["", "[]", "null", '{"mx/a": 1}', '{"mx/a": {"step": "key"}}', '{"mx/a": {}}']
)
def test_a_file_that_says_nothing(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    path = tmp_path_factory.mktemp("state") / "rollovers.json"
    path.write_text(content)
    assert Rollovers(path).get("mx/a") is None
    assert ForcedRenewals(path).get("mx/a") is None
    Rollovers(path).put("mx/a", BEGUN)
    assert Rollovers(path).get("mx/a") == BEGUN


def test_an_unknown_step_is_no_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("state") / "rollovers.json"
    Rollovers(path).put("mx/a", BEGUN)
    assert json.loads(path.read_text())["data"]["mx/a"]["step"] == "key"
    path.write_text(path.read_text().replace('"key"', '"dance"'))
    assert Rollovers(path).get("mx/a") is None
