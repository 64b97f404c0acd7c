"""The agent's files on deployed volumes are read; what cannot be read loses nobody's entries."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.acme.acme_parts import MX, STS, Parts, settings
from tlsgate.acme.agent.status import Status
from tlsgate.acme.ca.account import account_uri
from tlsgate.acme.ca.rate_limits import ACCOUNT, RateLimiter
from tlsgate.acme.ca.renewal_info import Window
from tlsgate.acme.certificate import Meta
from tlsgate.acme.challenges.responses import ChallengeResponses
from tlsgate.acme.config.ca import CaTurns
from tlsgate.acme.config.limits import Limit, Limits
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.orders.open_orders import PlacedOrder
from tlsgate.acme.renewal.ari import Advice
from tlsgate.acme.renewal.failures import Failure, Failures
from tlsgate.acme.renewal.forced import ForcedRenewals
from tlsgate.acme.rollover.saved import Rollovers
from tlsgate.acme.rollover.state_machine import Rollover, Step
from tlsgate.acme.rollover.tlsa_records import Published, PublishedRecords
from tlsgate.state import StateFile, StateMap

Capture = pytest.CaptureFixture[str]
AT = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
T = "2026-11-25T12:00:00.123456+00:00"
NEXT_DAY = "2026-11-26T12:00:00.123456+00:00"

# File → what tlsgate wrote to it before there were versions, and what that means.
FAILURE = {"count": 1, "at": T, "next_try": NEXT_DAY, "reason": "refus\u00e9"}
WINDOW = {"start": T, "end": NEXT_DAY, "url": "https://ca.example/why"}
ADVICE = {"next_look": T, "window": WINDOW, "chosen": T, "error": None, "errors": 0}
NO_ADVICE = {"next_look": T, "window": None, "chosen": None, "error": "none", "errors": 0}
ROLLOVER = {
    "step": "settle",
    "reason": "schedule",
    "begun": T,
    "old": "aa",
    "new": "bb",
    "now": False,
    "revoke": False,
    "switched": T,
}
TLSA = {"values": ["3 1 1 aa", "3 1 1 bb"], "ttl": 60, "seen": T, "cached_until": NEXT_DAY}
OLD: list[tuple[str, type[Any], dict[str, Any], dict[str, Any]]] = [
    (
        "failures.json",
        Failure,
        {"mx/a": FAILURE, "mx/b": {**FAILURE, "holds": {"https://ca.example/dir": NEXT_DAY}}},
        {
            "mx/a": Failure(1, AT, AT + DAY, "refusé"),
            "mx/b": Failure(1, AT, AT + DAY, "refusé", {"https://ca.example/dir": AT + DAY}),
        },
    ),
    (
        "renewals.json",
        Advice,
        {"A.B": ADVICE, "C.D": NO_ADVICE},
        {
            "A.B": Advice(AT, Window(AT, AT + DAY, "https://ca.example/why"), AT),
            "C.D": Advice(AT, error="none"),
        },
    ),
    (
        "rollovers.json",
        Rollover,
        {"mx/a": ROLLOVER, "mx/b": {**ROLLOVER, "step": "key", "new": "", "switched": None}},
        {
            "mx/a": Rollover(Step.SETTLE, "schedule", AT, "aa", "bb", switched=AT),
            "mx/b": Rollover(Step.KEY, "schedule", AT, "aa"),
        },
    ),
    ("forced.json", str, {"mx/a": "20261125T120000Z-00"}, {"mx/a": "20261125T120000Z-00"}),
    (
        "tlsa.json",
        Published,
        {"_25._tcp.a.example": TLSA},
        {"_25._tcp.a.example": Published(("3 1 1 aa", "3 1 1 bb"), 60, AT, AT + DAY)},
    ),
    (
        "orders.json",
        PlacedOrder,
        {"3f6f55bdea35987f": {"uri": "https://ca.example/order/1", "replaces": True, "at": T}},
        {"3f6f55bdea35987f": PlacedOrder("https://ca.example/order/1", replaces=True, at=AT)},
    ),
]


@pytest.mark.parametrize(("name", "entry", "old", "meant"), OLD, ids=[one[0] for one in OLD])
def test_a_map_on_a_deployed_volume_is_read(
    tmp_path: Path, name: str, entry: type[Any], old: dict[str, Any], meant: dict[str, Any]
) -> None:
    (tmp_path / name).write_text(json.dumps(old) + "\n")
    file = StateMap(tmp_path / name, entry, loss="")
    assert file.all() == meant
    gone, *left = meant
    file.put(gone, None)
    assert file.all() == {key: meant[key] for key in left}
    assert json.loads((tmp_path / name).read_text())["version"] == 1


def test_a_deployed_account_is_known(tmp_path: Path) -> None:
    values = {"directory": "https://ca.example/dir", "uri": "https://ca.example/1", "contact": []}
    (tmp_path / "account.json").write_text(json.dumps(values))
    assert account_uri(tmp_path) == "https://ca.example/1"


def test_what_a_ca_counted_before_still_counts(tmp_path: Path) -> None:
    (tmp_path / "ledger.json").write_text(json.dumps({"uses": [["orders", "account", T]]}))
    limiter = RateLimiter(tmp_path / "ledger.json", Limits(orders=Limit(1, 60)), lambda: AT)
    with pytest.raises(AcmeFault, match="1 new orders"):
        limiter.check("orders", ACCOUNT)


class Dns:
    """A solver that says what it removes."""

    type = "dns-01"

    def __init__(self) -> None:
        self.removed: list[str] = []

    def remove(self, proof: Any) -> None:
        self.removed.append(proof.name)

    def place(self, proof: Any) -> None: ...

    def wait(self, proof: Any) -> None: ...

    def where(self, proof: Any) -> str:
        return str(proof.name)


def test_answers_that_an_older_process_left_are_removed(tmp_path: Path) -> None:
    proof = {"name": "a.example", "token": "t", "authorization": "a"}
    (tmp_path / "proofs.json").write_text(json.dumps({"type": "dns-01", "proofs": [proof]}))
    solver = Dns()
    ChallengeResponses(solver, tmp_path / "proofs.json").clean()
    assert solver.removed == ["a.example"]


@pytest.mark.parametrize("made", [None, T])
def test_a_deployed_certificate_is_served(tmp_path: Path, made: str | None) -> None:
    parts = Parts(tmp_path)
    assert parts.renewer().attempt(MX) is None
    directory = parts.served().path
    saved = StateFile(directory / "meta.json", Meta, loss="").read()
    assert saved is not None
    values = {"directory": saved.directory, "profile": saved.profile}
    (directory / "meta.json").write_text(
        json.dumps({**values, **({"key_made": made} if made else {})})
    )
    assert parts.served().meta == saved
    assert parts.served().meta.key_made == (AT if made else None)
    assert parts.renewer().reason(MX) is None


def fails(*_: object) -> bytes:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@dataclass
class Change:
    """How a file is changed for one certificate."""

    name: str
    put: Callable[[Path, str], object]


def _fail(path: Path, name: str) -> None:
    Failures(path).add(name, AcmeFault("refused", ""), AT, CaTurns(("https://ca.example/dir",)))


CHANGES = [
    Change("failures", _fail),
    Change(
        "rollovers", lambda path, name: Rollovers(path).put(name, Rollover(Step.KEY, "", AT, "a"))
    ),
    Change("forced", lambda path, name: ForcedRenewals(path).put(name, "1")),
    Change("tlsa", lambda path, name: PublishedRecords(path).put(name, Published((), 60, AT, AT))),
    Change(
        "ledger",
        lambda path, name: RateLimiter(path, Limits(), lambda: AT).count("orders", [name]),
    ),
]


@pytest.mark.parametrize("change", CHANGES, ids=[one.name for one in CHANGES])
def test_a_file_that_cannot_be_read_loses_no_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    """Before, TLSA records, roll-overs and wishes of other certificates were lost here."""
    path = tmp_path / "file.json"
    change.put(path, "mx/a")
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fails)
        patch.setattr(Path, "read_text", fails)
        with pytest.raises(OSError, match="Input/output"):
            change.put(path, "mx/b")
    assert path.read_bytes() == before
    change.put(path, "mx/b")
    assert {"mx/a", "mx/b"} <= set(path.read_text().split('"'))


def test_damage_to_one_file_is_told_and_the_others_stay(tmp_path: Path, capsys: Capture) -> None:
    parts = Parts(tmp_path)
    parts.paths.state.mkdir()
    for wanted in (MX, STS):
        ForcedRenewals(parts.paths.forced).put(wanted.id, "1")
        _fail(parts.paths.failures, wanted.id)
    parts.paths.failures.write_text("{")
    entries = Status(settings(MX, STS), parts.paths, lambda: AT).all()
    assert [entry["failure"] for entry in entries] == [None] * len(entries)
    (alert,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert alert["what"] == f"the state file {parts.paths.failures} was damaged"
    assert alert["next"].endswith("Failed attempts are counted again from zero.")
    assert ForcedRenewals(parts.paths.forced).get(STS.id) == "1"
