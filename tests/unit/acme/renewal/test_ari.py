"""Renewal information (RFC 9773): what is chosen, kept, looked for, and what never blocks."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.support.memory_ca import Reply, problem, window
from tests.unit.acme.acme_bench import (
    DAY,
    HOUR,
    MINUTE,
    NAMES,
    START,
    Capture,
    World,
    events,
    issued,
    served,
    wanted,
)
from tests.unit.acme.acme_pki import NOW, Root
from tlsgate.acme.ca.renewal_info import Suggestion, Window, _base64url, certificate_id
from tlsgate.acme.certificate import Meta, facts
from tlsgate.acme.keys import new_key
from tlsgate.acme.orders.authorities import CertificateAuthorities
from tlsgate.acme.orders.request import Issued
from tlsgate.acme.renewal import ari
from tlsgate.acme.renewal.decision import renewal_time
from tlsgate.acme.renewal.renewal_info import RenewalInfo

VALIDITY = NOW, NOW + 90 * DAY
LATEST = NOW + 75 * DAY


def suggestion(start: float, end: float, look_at: datetime | None = None) -> Suggestion:
    return Suggestion(Window(NOW + start * DAY, NOW + end * DAY), look_at)


def taken(found: Suggestion, before: ari.Advice | None = None, random: float = 0.5) -> ari.Advice:
    return ari.after_answer(before, found, VALIDITY, NOW, lambda: random)


@pytest.mark.parametrize(
    ("start", "end", "random", "chosen"),
    [
        (50, 60, 0.0, NOW + 50 * DAY),
        (50, 60, 0.5, NOW + 55 * DAY),
        (-3, -1, 0.5, NOW - 2 * DAY),
        (70, 90, 0.5, NOW + 72.5 * DAY),  # what is later than sensible is not chosen
        (75, 75.5, 0.5, LATEST),
        (76, 80, 0.5, None),
        (400, 401, 0.5, None),
    ],
)
def test_the_instant_is_chosen_within_the_window(
    start: float, end: float, random: float, chosen: datetime | None
) -> None:
    advice = taken(suggestion(start, end), random=random)
    assert advice.chosen == chosen
    assert (advice.error is None) == (chosen is not None)


def test_the_instant_is_kept_while_it_is_in_the_window() -> None:
    first = taken(suggestion(50, 60))
    assert first.chosen == NOW + 55 * DAY
    assert taken(suggestion(50, 60), first, 0.9).chosen == first.chosen
    assert taken(suggestion(54, 90), first, 0.0).chosen == first.chosen
    assert taken(suggestion(-2, -1), first, 0.0).chosen == NOW - 2 * DAY
    assert taken(suggestion(76, 80), first).chosen is None


OWN = NOW + 60 * DAY


@pytest.mark.parametrize(
    ("advice", "expected"),
    [
        (None, OWN),
        (ari.Advice(NOW), OWN),
        (ari.Advice(NOW, chosen=NOW - DAY), NOW - DAY),
        (ari.Advice(NOW, chosen=NOW + 70 * DAY), NOW + 70 * DAY),
        (ari.Advice(NOW, chosen=NOW + 70 * DAY, error="down", errors=1), OWN),
        (ari.Advice(NOW, chosen=NOW + 50 * DAY, error="down", errors=1), NOW + 50 * DAY),
    ],
)
def test_renewal(advice: ari.Advice | None, expected: datetime) -> None:
    assert ari.renewal(advice, OWN) == expected


@pytest.mark.parametrize(
    ("look_at", "wait"),
    [
        (None, 6 * HOUR),
        (NOW + 3 * HOUR, 3 * HOUR),
        (NOW + 7 * DAY, 12 * HOUR),  # at least twice a day
        (NOW + MINUTE / 2, MINUTE),
        (NOW - DAY, MINUTE),
    ],
)
def test_the_next_look_is_the_cas(look_at: datetime | None, wait: timedelta) -> None:
    assert taken(suggestion(50, 60, look_at)).next_look == NOW + wait


def test_looks_after_errors_become_rarer_and_keep_what_was_known() -> None:
    advice = first = taken(suggestion(50, 60))
    waits = []
    for _ in range(5):
        advice = ari.after_error(advice, "down", None, NOW)
        waits.append(advice.next_look - NOW)
    assert waits == [MINUTE, 10 * MINUTE, 100 * MINUTE, 6 * HOUR, 6 * HOUR]
    assert (advice.chosen, advice.window, advice.error) == (first.chosen, first.window, "down")
    assert taken(suggestion(50, 60), advice).errors == 0
    later = ari.after_error(None, "down", NOW + 2 * HOUR, NOW)
    assert later.next_look == NOW + 2 * HOUR


@pytest.mark.parametrize(
    ("next_look", "looks"),
    [(NOW, True), (NOW - DAY, True), (NOW + HOUR, False), (NOW + 13 * HOUR, True)],
)
def test_a_clock_that_was_set_back_puts_nothing_off(next_look: datetime, looks: bool) -> None:
    assert ari.should_ask(ari.Advice(next_look), NOW) is looks
    assert ari.should_ask(None, NOW)


def test_certificate_id_of_the_rfc() -> None:
    """RFC 9773, section 4.1: the example's key identifier and serial, as base64url of DER."""
    chain = Root().sign(["a.example"], new_key())
    leaf = x509.load_pem_x509_certificate(chain)
    identifier = certificate_id(chain)
    assert identifier is not None
    key, _, serial = identifier.partition(".")
    assert "=" not in identifier
    assert len(key) == 27  # SHA-1
    assert _base64url(bytes.fromhex("0087654321")) == "AIdlQyE"
    octets = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1, "big")
    assert serial == _base64url(octets)


@pytest.mark.parametrize(
    ("number", "octets"), [(0x87654321, "0087654321"), (0x7F, "7f"), (0x80, "0080")]
)
def test_serials_as_der_has_them(number: int, octets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x509, "random_serial_number", lambda: number)
    identifier = certificate_id(Root().sign(["a.example"], new_key()))
    assert identifier is not None
    assert identifier.endswith("." + _base64url(bytes.fromhex(octets)))


def first_issue(world: World) -> None:
    world.ca.window = lambda _id: window(START + 50 * DAY, START + 52 * DAY)
    config = world.configure([NAMES])
    assert world.renewer().attempt(wanted(config)) is None


def test_looked_at_as_often_as_the_ca_says_and_kept(world: World, capsys: Capture) -> None:
    first_issue(world)
    config = world.configure([NAMES])
    start = world.time.now
    for hours in range(25):
        world.time.now = start + hours * HOUR
        world.agent().look()
    assert world.ca.count("renewal") == 5
    said = events(capsys, "renewal-info")
    assert len(said) == 1
    chosen = datetime.fromisoformat(said[0]["chosen"])
    assert START + 50 * DAY <= chosen <= START + 52 * DAY
    world.time.now = chosen - MINUTE
    assert world.renewer().attempt(wanted(config)) is None
    assert len(world.ca.issued) == 1
    world.time.now = chosen
    assert world.renewer().attempt(wanted(config)) is None
    assert len(world.ca.issued) == 2


def identifier(world: World) -> str:
    found = certificate_id(served(world, wanted(world.configure([NAMES]))).chain)
    assert found is not None
    return found


def test_a_window_in_the_past_renews_at_once_and_says_what_is_replaced(world: World) -> None:
    first_issue(world)
    one, first = wanted(world.configure([NAMES])), identifier(world)
    past = window(START - 2 * DAY, START - DAY)
    later = window(START + 60 * DAY, START + 61 * DAY)
    world.ca.window = lambda found: past if found == first else later
    world.time.now += HOUR
    assert world.renewer().attempt(one) is None
    assert [entry.replaces for entry in world.ca.issued] == [None, first]
    world.time.now += 7 * HOUR
    assert world.renewer().attempt(one) is None
    assert len(world.ca.issued) == 2


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(200, "<html>"), id="no JSON"),
        pytest.param(Reply(200, {}), id="empty"),
        pytest.param(Reply(200, []), id="a list"),
        pytest.param(Reply(200, {"suggestedWindow": {}}), id="no times"),
        pytest.param(
            Reply(200, {"suggestedWindow": {"start": "soon", "end": "later"}}), id="no dates"
        ),
        pytest.param(window(START + 2 * DAY, START + DAY), id="ends before it starts"),
        pytest.param(window(START + DAY, START + DAY), id="no length"),
        pytest.param(window(START + 80 * DAY, START + 81 * DAY), id="too late"),
        pytest.param(window(START + 900 * DAY, START + 901 * DAY), id="after the end"),
        pytest.param(problem(404, "malformed", "no such certificate"), id="404"),
        pytest.param(problem(500, "serverInternal", "a fault"), id="500"),
        pytest.param(Reply(500, "oops"), id="500 without words"),
        pytest.param(problem(429, "rateLimited", "slow", {"Retry-After": "9999999"}), id="429"),
    ],
)
def test_whatever_is_wrong_leaves_the_fall_back_rule(
    world: World, capsys: Capture, reply: Reply
) -> None:
    config = world.configure([NAMES])
    world.ca.window = lambda _id: reply
    assert world.renewer().attempt(wanted(config)) is None
    found = facts(served(world, wanted(config)).chain)
    due = renewal_time(found.not_before, found.not_after, found.serial)
    for when, orders in ((START + DAY, 1), (due - MINUTE, 1), (due, 2)):
        world.time.now = when
        assert world.renewer().attempt(wanted(config)) is None
        assert len(world.ca.issued) == orders, when
    assert [event["chosen"] for event in events(capsys, "renewal-info")] == [None]


def test_a_ca_without_renewal_information(world: World) -> None:
    config = world.configure([NAMES])
    for when in (START, START + 61 * DAY):
        world.time.now = when
        assert world.renewer().attempt(wanted(config)) is None
    assert (world.ca.count("renewal"), len(world.ca.issued)) == (0, 2)
    assert [entry.replaces for entry in world.ca.issued] == [None, None]


def test_an_expired_certificate_is_not_asked_about(world: World) -> None:
    first_issue(world)
    config = world.configure([NAMES])
    world.time.now = START + 100 * DAY
    assert world.renewer().attempt(wanted(config)) is None
    assert (world.ca.count("renewal"), len(world.ca.issued)) == (0, 2)


@pytest.mark.parametrize("content", ["", "[]", '{"x": 1}', '{"x": {}}'])
def test_a_memory_that_somebody_else_wrote_is_asked_anew(world: World, content: str) -> None:
    first_issue(world)
    one = wanted(world.configure([NAMES]))
    world.paths.renewals.write_text(content)
    assert world.renewer().attempt(one) is None
    assert world.ca.count("renewal") == 1


def test_what_is_no_certificate_is_not_asked_about(tmp_path: Path) -> None:
    class NotAsked(CertificateAuthorities):
        def __init__(self) -> None:
            pass

        def suggestion(self, directory: str, identifier: str) -> Suggestion | None:
            raise AssertionError

    chain = Root().sign(NAMES, new_key())
    renewals = RenewalInfo(tmp_path / "renewals.json", lambda: NOW + 91 * DAY)
    renewals.refresh(Issued(chain, Meta("https://ca.example/dir", None)), NotAsked())
    assert renewals.advice(chain) is None


def test_two_looks_choose_one_instant(world: World) -> None:
    first_issue(world)
    one = wanted(world.configure([NAMES]))
    generation = served(world, one)
    assert world.renewer().attempt(one) is None
    kept = RenewalInfo(world.paths.renewals, world.time).advice(generation.chain)
    assert kept is not None
    world.time.now += 13 * HOUR
    assert world.renewer().attempt(one) is None
    again = RenewalInfo(world.paths.renewals, world.time)
    assert again.advice(issued(generation).chain) is not None
    assert again.time(generation.chain) == kept.chosen
