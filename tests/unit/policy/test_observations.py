"""Evidence: counted once a message, kept on the disk, and about one set of rules only."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.loopback import serves_on_loopback
from tests.unit.dns.fake_dns import FakeLookups, Table
from tests.unit.policy.partner_list import partner, rules_json
from tests.unit.probe.probe_pki import issue
from tests.unit.probe.probe_servers import Script, serving
from tlsgate.partners.ca import parse_ca
from tlsgate.partners.model import Outbound, Partner, Verify
from tlsgate.policy.delivery_check import would_hold
from tlsgate.policy.generation import LoadedGeneration, load
from tlsgate.policy.observations import INBOUND, OUTBOUND, Observations, read
from tlsgate.policy.observed_mail import UNKNOWN, ObservedMail
from tlsgate.policy.rules import Evidence
from tlsgate.render.partner_maps import compile_partners

pytestmark = serves_on_loopback

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
ACME = {"Acme": Evidence("out1", "in1")}


def made(folder: Path) -> Observations:
    return Observations(folder, FakeClock(START.timestamp(), step=1).utc)


def test_counts_outlive_the_helper(tmp_path: Path) -> None:
    first = made(tmp_path)
    first.follow(ACME)
    first.count("Acme", OUTBOUND, "issuer", 3)
    first.count("Acme", OUTBOUND)
    first.write()
    second = made(tmp_path)
    second.follow(ACME)
    second.count("Acme", OUTBOUND)
    assert second.counts()["Acme"]["outbound"] == {
        "messages": 5,
        "would_hold": {"issuer": 3},
        "since": "2026-11-01T12:00:01+00:00",
        "last": "2026-11-01T12:00:01+00:00",
        "clean": {"messages": 2, "since": "2026-11-01T12:00:03+00:00"},
        "rule": "out1",
    }
    assert second.counts()["Acme"]["inbound"]["last"] is None


def test_clean_is_what_came_since_the_last_that_would_have_been_held(tmp_path: Path) -> None:
    observations = made(tmp_path)
    observations.follow(ACME)
    began = observations.counts()["Acme"]["inbound"]["since"]
    observations.count("Acme", INBOUND, messages=4)
    entry = observations.counts()["Acme"]["inbound"]
    assert entry["clean"] == {"messages": 4, "since": began}
    observations.count("Acme", INBOUND, "plaintext")
    entry = observations.counts()["Acme"]["inbound"]
    assert entry["clean"] == {"messages": 0, "since": entry["last"]}
    observations.count("Acme", INBOUND)
    entry = observations.counts()["Acme"]["inbound"]
    assert (entry["clean"]["messages"], entry["messages"]) == (1, 6)


def test_evidence_ends_with_the_rules_that_it_is_about(tmp_path: Path) -> None:
    observations = made(tmp_path)
    observations.follow(ACME)
    for direction in (OUTBOUND, INBOUND):
        observations.count("Acme", direction)
    observations.follow({"Acme": Evidence("out2", "in1")})
    counts = observations.counts()["Acme"]
    assert (counts["outbound"]["messages"], counts["inbound"]["messages"]) == (0, 1)
    observations.follow({})
    observations.count("Acme", INBOUND)
    observations.follow(ACME)
    assert observations.counts()["Acme"]["inbound"]["messages"] == 0


def test_a_message_is_one_whatever_the_number_of_its_recipients(tmp_path: Path) -> None:
    is_new = made(tmp_path).is_new
    assert [is_new("m1", "acme.example"), is_new("m1", "acme.example")] == [True, False]
    assert is_new("m1", "beta.example")
    assert is_new("", "acme.example")
    assert is_new("", "acme.example")


@pytest.mark.parametrize("content", ["", "[]", '{"Acme": 1}', '{"Acme": {"inbound": {"x": 1}}}'])
def test_a_damaged_file_is_told_and_is_no_evidence(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "observations.json").write_text(content)
    observations = made(tmp_path)
    (alert,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert alert["what"] == f"the state file {tmp_path / 'observations.json'} was damaged"
    assert alert["next"].endswith("Observed partners are counted again from zero.")
    (aside,) = tmp_path.glob("observations.json.damaged-*")
    assert aside.read_text() == content
    observations.follow(ACME)
    observations.write()
    assert read(tmp_path)["Acme"]["inbound"]["messages"] == 0


def test_a_disk_that_cannot_be_written_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    observations = made(tmp_path / "missing")
    observations.follow(ACME)
    observations.write()
    observations.write()
    assert capsys.readouterr().out.count("observations cannot be kept") == 1
    (tmp_path / "missing").mkdir()
    observations.write()
    assert json.loads((tmp_path / "missing/observations.json").read_text())["data"]["Acme"]


def test_a_file_that_cannot_be_read_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = made(tmp_path)
    first.follow(ACME)
    first.count("Acme", INBOUND)
    first.write()
    before = (tmp_path / "observations.json").read_bytes()

    def fails(_path: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fails)
        second = made(tmp_path)
    (alert,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (alert["what"], "Input/output error" in alert["reason"]) == (
        "observations cannot be read",
        True,
    )
    second.follow(ACME)
    second.count("Acme", INBOUND)
    second.write()
    assert (tmp_path / "observations.json").read_bytes() == before
    assert made(tmp_path).counts()["Acme"]["inbound"]["messages"] == 1


def test_a_file_from_before_there_were_versions_is_read(tmp_path: Path) -> None:
    clean = '{"messages": 1, "since": "2026-11-25T12:00:00+00:00"}'
    entry = (
        '{"messages": 2, "would_hold": {"issuer": 1}, "since": "2026-11-25T12:00:00+00:00",'
        f' "last": null, "clean": {clean}, "rule": "in1"}}'
    )
    (tmp_path / "observations.json").write_text(f'{{"Acme": {{"inbound": {entry}}}}}\n')
    assert read(tmp_path) == {"Acme": {"inbound": json.loads(entry)}}
    observations = made(tmp_path)
    observations.follow(ACME)
    observations.count("Acme", INBOUND)
    observations.write()
    assert read(tmp_path)["Acme"]["inbound"]["messages"] == 3


def test_a_domain_is_tried_once_in_ten_minutes_and_its_messages_wait_for_the_answer(
    tmp_path: Path,
) -> None:
    observations = made(tmp_path)
    observations.follow(ACME)
    now, tried = [0.0], []
    gate = asyncio.Event()
    answers: Iterator[str | Exception] = iter(["", "issuer", RuntimeError("broken")])

    async def check(domain: str, policy: str) -> str:
        tried.append((domain, policy))
        await gate.wait()
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run() -> None:
        observed_mail = ObservedMail(observations, check, lambda: now[0])

        def entry() -> dict[str, Any]:
            return dict(observations.counts()["Acme"]["outbound"])

        for _ in range(3):
            observed_mail.message("Acme", "acme.example", "dane-only")
        await asyncio.sleep(0)
        assert (entry()["messages"], len(tried)) == (0, 1)
        gate.set()
        await _until(lambda: entry()["messages"] == 3)
        now[0] = 599.0
        observed_mail.message("Acme", "acme.example", "dane-only")
        assert (entry()["messages"], entry()["would_hold"], len(tried)) == (4, {}, 1)
        observed_mail.message("Acme", "acme.example", "secure match=acme.example")  # another rule
        await _until(lambda: entry()["would_hold"] == {"issuer": 1})
        now[0] = 1200.0
        observed_mail.message("Acme", "acme.example", "dane-only")
        await _until(lambda: entry()["would_hold"] == {"issuer": 1, UNKNOWN: 1})
        assert entry()["messages"] == 6

    asyncio.run(run())


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)


CA, PRIVATE = issue(("Public CA",), ca=True), issue(("Private CA",), ca=True)
ZONE: Table = {
    ("acme.example", "MX"): (False, ["10 mx.acme.example."]),
    ("mx.acme.example", "A"): (False, ["127.0.0.1"]),
}


def generation(folder: Path, one: Partner) -> LoadedGeneration:
    directory = folder / "generations/1"
    directory.mkdir(parents=True)
    (directory / "partner_rules.json").write_text(rules_json(one))
    (directory / "extra-ca.pem").write_text(CA.pem)
    (directory / "main.cf").write_text("x = y\nmyhostname = mx1.corp.example\n")
    for name, pem in compile_partners([one]).anchors:
        (directory / name).write_text(pem)
    (folder / "current").symlink_to("generations/1")
    return load(folder / "current")


@pytest.mark.parametrize(
    ("outbound", "issuer", "reason"),
    [
        (Outbound(), CA, ""),
        (Outbound(mx=("other.example",)), CA, "name"),
        (Outbound(), PRIVATE, "issuer"),
        (Outbound(), None, "no-starttls"),
        (Outbound(Verify.PIN, public_keys=("ab" * 32,)), CA, "pin"),
        (Outbound(Verify.DANE), CA, "tlsa-records"),
        (Outbound(Verify.PRIVATE_CA, ca=parse_ca(PRIVATE.pem)), PRIVATE, ""),
        (Outbound(Verify.PRIVATE_CA, ca=parse_ca(PRIVATE.pem)), CA, "issuer"),
    ],
)
def test_an_observed_partners_servers_are_met_under_its_own_rule(
    tmp_path: Path, outbound: Outbound, issuer: object, reason: str
) -> None:
    loaded = generation(tmp_path, partner("acme.example", outbound=outbound, observe=True))
    rule = loaded.rules.destination("acme.example")
    assert rule is not None
    shown = issue(("acme.example",), issuer).context() if issuer else None  # type: ignore[arg-type]
    script = Script(shown) if shown else Script()
    with serving({"127.0.0.1": script.serve}) as port:
        policy = rule.at(START)
        found = asyncio.run(would_hold(FakeLookups(ZONE), loaded, "acme.example", policy, port))
    assert found == reason


def test_a_domain_without_a_server_would_be_held(tmp_path: Path) -> None:
    loaded = generation(tmp_path, partner("acme.example", observe=True))
    found = asyncio.run(would_hold(FakeLookups({}), loaded, "acme.example", "dane-only"))
    assert found == "no-server"
