"""Five renewals and two key roll-overs under load: no connection fails, and no peer is locked out.

The load: at least twenty new STARTTLS connections per second from verifying senders, and sessions
in the middle of a message at every switch. The TLSA records are read all the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from lab.driver import Lab
from lab.handshakes import Load, load
from lab.rotation import (
    OpenSessions,
    Watch,
    all_faults,
    key_of,
    records,
    renew,
    rotate,
    serial_of,
    shown_pem,
    status,
    watching,
)
from tests.e2e.deployment import Deployment
from tests.e2e.smtp_session import SMTP, endpoint
from tlsgate.acme.rollover.tlsa_records import value

pytestmark = pytest.mark.e2e

RATE = 24.0
RENEWALS, ROLLOVERS, SESSIONS = 5, 2, 4


@dataclass
class RotationResult:
    """The result of all renewals and roll-overs."""

    serials: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    load: Load = field(default_factory=Load)
    watch: Watch = field(default_factory=lambda: Watch([]))
    ttl: float = 0.0


@pytest.fixture(scope="module")
def result(lab: Lab) -> Iterator[RotationResult]:
    found = RotationResult(ttl=status()["tlsa"][0]["ttl"])
    pem = shown_pem()
    found.serials.append(serial_of(pem))
    found.keys.append(key_of(pem))
    with watching() as found.watch, load(lab, RATE) as found.load:
        for number in range(RENEWALS + ROLLOVERS):
            sessions = OpenSessions(endpoint(SMTP), SESSIONS)
            if number in (2, 5):
                rotate()
            else:
                renew()
            pem = shown_pem()
            found.serials.append(serial_of(pem))
            found.keys.append(key_of(pem))
            found.broken += sessions.broken() + sessions.finish()
    yield found


def test_every_certificate_came_into_service(result: RotationResult) -> None:
    assert len(set(result.serials)) == 1 + RENEWALS + ROLLOVERS
    assert len(set(result.keys)) == 1 + ROLLOVERS
    changes = [a != b for a, b in zip(result.keys, result.keys[1:], strict=False)]
    assert changes == [False, False, True, False, False, True, False]
    shown = {serial_of(pem) for pem in result.load.leaves.values()}
    assert shown == set(result.serials)


def test_no_connection_was_refused_and_no_handshake_failed(result: RotationResult) -> None:
    assert result.load.failures == []
    assert result.load.rate >= 20.0


def test_no_open_session_broke(result: RotationResult) -> None:
    assert result.broken == []


def test_no_peer_that_verifies_dane_was_locked_out(result: RotationResult) -> None:
    made = [(at, result.load.leaves[digest]) for at, digest in result.load.made]
    assert all_faults(result.watch, made, result.ttl) == []
    assert records() == {value(result.keys[-1])}
    # Twice there were both records at once: the history includes the roll-overs.
    assert sum(len(found) == 2 for _, found in result.watch.sets) == ROLLOVERS


def test_neither_renewals_nor_rollovers_are_drift(result: RotationResult) -> None:
    said = Deployment().run("preview", "--refresh", "--expect-no-changes")
    assert said.code == 0, said.text
    refreshed = Deployment().run("refresh", "--preview-only", "--expect-no-changes")
    assert refreshed.code == 0, refreshed.text
