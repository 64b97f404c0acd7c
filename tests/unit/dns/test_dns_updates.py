"""Publishing and withdrawing: what is changed, what is reported, and what is left alone."""

from __future__ import annotations

from dataclasses import replace

import dns.message
import dns.rcode
import pytest

from tests.unit.dns.fake_server import ZONES, FakeServer
from tlsgate.dns.errors import ConflictError, DnsError, KeyRefusedError, ZoneError
from tlsgate.dns.plan import BATCH_OCTETS
from tlsgate.dns.records import Record
from tlsgate.dns.updates import live, publish, rehearse, withdraw

MX = Record("corp.example", "MX", 300, ("10 mx1.corp.example.",))
A = Record("mx1.corp.example", "A", 300, ("192.0.2.1",))
STS = Record("_mta-sts.brand.example", "TXT", 300, ("v=STSv1; id=1;",))
WANTED = (MX, A, STS)


def test_what_is_absent_is_published_and_what_is_there_is_left() -> None:
    fake = FakeServer([A])
    outcome = publish(fake.name_server(), ZONES, WANTED)
    assert outcome.changed == ("_mta-sts.brand.example TXT", "corp.example MX")
    assert [fake.holds(r.name, r.type) for r in WANTED] == [MX, A, STS]
    fake.updates.clear()
    assert publish(fake.name_server(), ZONES, WANTED, WANTED).changed == ()
    assert fake.updates == []


def test_values_are_swapped_and_dropped_names_removed() -> None:
    fake = FakeServer(WANTED)
    other = replace(A, values=("192.0.2.2", "192.0.2.3"))
    outcome = publish(fake.name_server(), ZONES, (other, STS), WANTED)
    assert outcome.changed == ("mx1.corp.example A",)
    assert outcome.removed == ("corp.example MX",)
    assert fake.holds("mx1.corp.example", "A") == other
    assert fake.holds("corp.example", "MX") is None
    assert fake.holds("_mta-sts.brand.example", "TXT") == STS


def test_another_ttl_is_set_whoever_published_the_values() -> None:
    fake = FakeServer([replace(MX, ttl=86400)])
    assert publish(fake.name_server(), ZONES, [MX]).changed == ("corp.example MX",)
    assert fake.holds("corp.example", "MX") == MX


def test_all_conflicts_are_reported_at_once_and_nothing_is_changed() -> None:
    theirs = (
        replace(MX, values=("5 old.test.", "10 mx1.corp.example.")),
        Record("mx1.corp.example", "CNAME", 300, ("host.test.",)),
    )
    fake = FakeServer(theirs)
    with pytest.raises(ConflictError) as caught:
        publish(fake.name_server(), ZONES, WANTED)
    assert caught.value.conflicts == (
        "corp.example MX holds 10 mx1.corp.example., 5 old.test., which this stack did not make.",
        "mx1.corp.example A holds the alias host.test., which this stack did not make.",
    )
    assert "Nothing was changed" in str(caught.value)
    assert fake.updates == []
    assert fake.holds("_mta-sts.brand.example", "TXT") is None


def test_what_someone_changed_is_a_conflict_until_it_is_known() -> None:
    theirs = replace(A, values=("192.0.2.99",))
    fake = FakeServer([MX, theirs, STS])
    with pytest.raises(ConflictError, match=r"192\.0\.2\.99"):
        publish(fake.name_server(), ZONES, WANTED, WANTED)
    publish(fake.name_server(), ZONES, WANTED, (MX, theirs, STS))
    assert fake.holds("mx1.corp.example", "A") == A


def test_what_someone_changed_is_not_removed_but_noted() -> None:
    theirs = replace(A, values=("192.0.2.99",))
    fake = FakeServer([MX, theirs])
    outcome = withdraw(fake.name_server(), ZONES, WANTED)
    assert outcome.removed == ("corp.example MX",)
    assert outcome.notes == ("mx1.corp.example A is left: it holds 192.0.2.99, which is not ours",)
    assert fake.holds("mx1.corp.example", "A") == theirs
    assert withdraw(fake.name_server(), ZONES, [MX]).removed == ()


def test_a_change_between_reading_and_writing_is_never_overwritten() -> None:
    fake = FakeServer([A])
    theirs = replace(A, values=("192.0.2.99",))

    def meanwhile(query: dns.message.Message) -> None:
        fake.put(theirs)

    fake.before_update = meanwhile
    with pytest.raises(ConflictError, match=r"same moment; it holds 192\.0\.2\.99") as caught:
        publish(fake.name_server(), ZONES, [replace(A, values=("192.0.2.2",)), MX], [A])
    assert caught.value.conflicts[0].startswith("mx1.corp.example A was changed")
    assert fake.holds("mx1.corp.example", "A") == theirs
    assert fake.holds("corp.example", "MX") is None


def failing_in(zone: str, code: dns.rcode.Rcode, until: int = 10**6):  # type: ignore[no-untyped-def]
    left = [until]

    def answer(query: dns.message.Message) -> dns.rcode.Rcode | None:
        left[0] -= 1
        is_there = query.sections[0][0].name.to_text() == f"{zone}."
        return code if is_there or left[0] < 0 else None

    return answer


def test_finished_zones_are_reverted_when_a_later_one_fails() -> None:
    fake = FakeServer([A])
    fake.before_update = failing_in("corp.example", dns.rcode.SERVFAIL)
    with pytest.raises(DnsError, match="SERVFAIL to an update of zone corp") as caught:
        publish(fake.name_server(), ZONES, WANTED)
    assert "Already published" not in str(caught.value)
    assert fake.holds("_mta-sts.brand.example", "TXT") is None
    fake.before_update = lambda query: None
    publish(fake.name_server(), ZONES, WANTED)
    assert [fake.holds(r.name, r.type) for r in WANTED] == [MX, A, STS]


def test_what_cannot_be_reverted_is_reported_and_the_run_can_be_repeated() -> None:
    fake = FakeServer()
    fake.before_update = failing_in("corp.example", dns.rcode.SERVFAIL, until=1)
    with pytest.raises(DnsError, match=r"Already published, and left: _mta-sts\.brand\.example"):
        publish(fake.name_server(), ZONES, WANTED)
    fake.before_update = lambda query: None
    assert publish(fake.name_server(), ZONES, WANTED).changed == (
        "corp.example MX",
        "mx1.corp.example A",
    )


def test_an_acceptance_that_did_nothing_is_an_error() -> None:
    fake = FakeServer()
    fake.before_update = lambda query: dns.rcode.NOERROR
    with pytest.raises(
        DnsError, match=r"accepted the update, and yet corp.example MX holds nothing"
    ):
        publish(fake.name_server(), ZONES, [MX])


def test_what_a_wildcard_answers_is_no_record_of_anybody() -> None:
    wildcard = Record("*.corp.example", "A", 300, ("192.0.2.80",))
    fake = FakeServer([wildcard])
    assert live(fake.name_server(), ZONES, [A]) == ()
    assert publish(fake.name_server(), ZONES, [A]).changed == ("mx1.corp.example A",)
    assert live(fake.name_server(), ZONES, [A]) == (A,)
    assert withdraw(fake.name_server(), ZONES, [A]).removed == ("mx1.corp.example A",)
    assert fake.holds("*.corp.example", "A") == wildcard


def test_a_record_is_distinguished_from_a_wildcard_with_the_same_value() -> None:
    mine = Record("mta-sts.corp.example", "A", 300, ("192.0.2.80",))
    fake = FakeServer([replace(mine, name="*.corp.example")])
    server = fake.name_server()
    assert publish(server, ZONES, [mine]).changed == ("mta-sts.corp.example A",)
    assert publish(server, ZONES, [mine], [mine]).changed == ()
    assert withdraw(server, ZONES, [mine]).removed == ("mta-sts.corp.example A",)
    assert withdraw(server, ZONES, [mine]).removed == ()


def test_every_name_outside_the_zones_is_reported() -> None:
    outside = [Record(f"{name}.test", "A", 300, ("192.0.2.1",)) for name in ("a", "b")]
    with pytest.raises(ZoneError, match=r"(?s)a\.test is in none.*b\.test is in none"):
        publish(FakeServer().name_server(), ZONES, [*outside, MX])


def test_large_sets_go_in_several_messages_that_fit() -> None:
    fake = FakeServer()
    many = [
        Record(f"_t{number}.corp.example", "TXT", 300, ("x" * 900, "y" * 900))
        for number in range(100)
    ]
    outcome = publish(fake.name_server(), ZONES, many)
    assert len(outcome.changed) == 100
    assert len(fake.octets) > 1
    assert max(fake.octets) <= BATCH_OCTETS
    fake.octets.clear()
    withdraw(fake.name_server(), ZONES, many)
    assert len(fake.octets) > 1
    assert max(fake.octets) <= BATCH_OCTETS


def test_a_rehearsal_changes_nothing_and_finds_what_would_be_refused() -> None:
    fake = FakeServer([A])
    before = dict(fake.sets)
    changed = replace(A, values=("192.0.2.2",))
    rehearse(fake.name_server(), ZONES, [MX, changed, STS], [A])
    assert len(fake.updates) == 2
    assert fake.sets == before
    with pytest.raises(ConflictError, match=r"mx1.corp.example A"):
        rehearse(fake.name_server(), ZONES, [MX, changed, STS])
    fake.before_update = lambda query: dns.rcode.REFUSED if query.sections[2] else None
    with pytest.raises(KeyRefusedError, match="may not write"):
        rehearse(fake.name_server(), ZONES, [MX])
    assert fake.sets == before


def test_live_shows_what_is_there_for_the_names_that_are_asked() -> None:
    alias = Record("mx1.corp.example", "CNAME", 60, ("host.test.",))
    fake = FakeServer(
        [replace(MX, ttl=60), alias, Record("x.corp.example", "A", 1, ("192.0.2.9",))]
    )
    assert live(fake.name_server(), ZONES, WANTED) == (replace(MX, ttl=60), alias)
