"""Answers to challenges: in place while they are needed, and noted so that none is left behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.acme.acme_pki import NOW
from tlsgate.acme.challenges.dns01 import Dns01
from tlsgate.acme.challenges.http01 import Http01
from tlsgate.acme.challenges.responses import ChallengeResponse, ChallengeResponses
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.rollover.tlsa_records import PublishedRecords, Tlsa, value
from tlsgate.dns.errors import DnsError

ONE = ChallengeResponse("a.example", "token-1", "token-1.thumb")
TWO = ChallengeResponse("b.example", "token-2", "token-2.thumb")
DIGEST = "ab" * 32


class FakeZone:
    """A zone in memory; `down` makes it fail."""

    def __init__(self) -> None:
        self.sets: dict[tuple[str, str], set[str]] = {}
        self.down = False
        self.waited: list[tuple[str, str, str]] = []

    def add_text(self, name: str, value: str, ttl: int) -> None:
        self._check()
        self.sets.setdefault((name, "TXT"), set()).add(value)

    def remove_text(self, name: str, value: str) -> None:
        self._check()
        self.sets.get((name, "TXT"), set()).discard(value)

    def read(self, name: str, rtype: str) -> tuple[str, ...]:
        self._check()
        return tuple(sorted(self.sets.get((name, rtype), ())))

    def set_tlsa(self, name: str, values: Sequence[str], ttl: int) -> None:
        self._check()
        self.sets[name, "TLSA"] = set(values)

    def wait_visible(self, name: str, rtype: str, value: str, timeout: float) -> None:
        self._check()
        self.waited.append((name, rtype, value))

    def _check(self) -> None:
        if self.down:
            raise DnsError("192.0.2.1:53: no answer")


def test_dns_01(tmp_path: Path) -> None:
    zone, owner = FakeZone(), ("_acme-challenge.a.example", "TXT")
    zone.sets[owner] = {"somebody else's"}
    responses = ChallengeResponses(Dns01(zone, 60), tmp_path / "proofs.json")
    with responses.in_place([ONE]):
        assert zone.sets[owner] == {"somebody else's", ONE.text}
        assert zone.waited == [(*owner, ONE.text)]
        where = responses.solver.where(ONE)
        assert f'TXT _acme-challenge.a.example "{ONE.text}"' in where
        assert "somebody else's" in where
    assert zone.sets[owner] == {"somebody else's"}


def test_the_text_is_what_rfc_8555_says() -> None:
    """JsonObject 8.4: base64url of the SHA-256 of the key authorization, without padding."""
    assert ONE.text == "3pN1lKSlQCOOihJcInCRARBPy_duMZigcLLtGlALoj8"


def test_http_01(tmp_path: Path) -> None:
    solver = Http01(tmp_path / "challenge")
    folder = tmp_path / "challenge/.well-known/acme-challenge"
    with ChallengeResponses(solver, tmp_path / "proofs.json").in_place([ONE, TWO]):
        assert {path.name: path.read_text() for path in folder.iterdir()} == {
            "token-1": "token-1.thumb",
            "token-2": "token-2.thumb",
        }
        assert (folder / "token-1").stat().st_mode & 0o777 == 0o644
    assert list(folder.iterdir()) == []
    assert "http://a.example/.well-known/acme-challenge/token-1 " in solver.where(ONE)


def test_http_01_without_a_volume(tmp_path: Path) -> None:
    (tmp_path / "challenge").touch()
    with pytest.raises(AcmeFault, match="Mount the challenge volume"):
        Http01(tmp_path / "challenge").place(ONE)


def test_removed_even_if_the_block_fails(tmp_path: Path) -> None:
    zone = FakeZone()
    with (
        pytest.raises(RuntimeError),
        ChallengeResponses(Dns01(zone, 60), tmp_path / "proofs.json").in_place([ONE, TWO]),
    ):
        raise RuntimeError
    assert all(not values for values in zone.sets.values())


def test_removed_if_the_second_cannot_be_placed(tmp_path: Path) -> None:
    class Full(FakeZone):
        def add_text(self, name: str, value: str, ttl: int) -> None:
            if TWO.name in name:
                raise DnsError("192.0.2.1:53: refused")
            super().add_text(name, value, ttl)

    zone = Full()
    with (
        pytest.raises(AcmeFault, match=r"publishing TXT _acme-challenge\.b\.example: 192"),
        ChallengeResponses(Dns01(zone, 60), tmp_path / "proofs.json").in_place([ONE, TWO]),
    ):
        pass
    assert zone.sets["_acme-challenge.a.example", "TXT"] == set()


class Killed(BaseException):
    """The process is gone."""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    class Killing(FakeZone):
        def remove_text(self, name: str, value: str) -> None:
            raise Killed

    zone, journal = Killing(), tmp_path / "proofs.json"
    with pytest.raises(Killed), ChallengeResponses(Dns01(zone, 60), journal).in_place([ONE]):
        pass
    assert zone.sets["_acme-challenge.a.example", "TXT"] == {ONE.text}

    later = FakeZone()
    later.sets = zone.sets
    ChallengeResponses(Dns01(later, 60), journal).clean()
    assert later.sets["_acme-challenge.a.example", "TXT"] == set()
    assert json.loads(journal.read_text())["data"]["proofs"] == []


def test_what_cannot_be_removed_is_said_and_kept_for_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zone, journal = FakeZone(), tmp_path / "proofs.json"
    with ChallengeResponses(Dns01(zone, 60), journal).in_place([ONE]):
        zone.down = True
    alert = json.loads(capsys.readouterr().out)
    assert alert["what"] == "the dns-01 response for a.example is still in place"
    assert "no answer" in alert["reason"]
    zone.down = False
    ChallengeResponses(Dns01(zone, 60), journal).clean()
    assert zone.sets["_acme-challenge.a.example", "TXT"] == set()


@pytest.mark.parametrize("content", ["", "[]", '{"type": "dns-01"}', '{"type": "http-01", "p": 1}'])
def test_a_journal_that_says_nothing(tmp_path: Path, content: str) -> None:
    journal = tmp_path / "proofs.json"
    journal.write_text(content)
    ChallengeResponses(Dns01(FakeZone(), 60), journal).clean()
    (aside,) = tmp_path.glob("proofs.json.damaged-*")
    assert aside.read_text() == content
    assert not journal.exists()


def test_tlsa(tmp_path: Path) -> None:
    zone, owner = FakeZone(), "_25._tcp.a.example"
    tlsa = Tlsa(zone, 60, PublishedRecords(tmp_path / "tlsa.json"), lambda: NOW)
    tlsa.publish([owner], [DIGEST])
    assert zone.sets[owner, "TLSA"] == {value(DIGEST)}
    assert zone.waited == [(owner, "TLSA", f"3 1 1 {DIGEST}")]
    tlsa.publish([owner], [DIGEST])
    assert len(zone.waited) == 1
    zone.sets[owner, "TLSA"] = {value(DIGEST), "3 1 1 00"}
    tlsa.publish([owner], [DIGEST])
    assert zone.sets[owner, "TLSA"] == {value(DIGEST)}
    tlsa.withdraw([owner])
    assert zone.sets[owner, "TLSA"] == set()
    zone.down = True
    with pytest.raises(AcmeFault, match=r"publishing TLSA _25\._tcp\.a\.example: 192\.0\.2\.1"):
        tlsa.publish([owner], [DIGEST])
