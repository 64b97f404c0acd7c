"""Look-ups of hand-published records through the machine's resolver."""

from __future__ import annotations

from dataclasses import dataclass

import dns.exception
import dns.resolver
import dns.rrset
import pytest

from tests.unit.dns.fake_server import FakeServer
from tlsgate.dns.errors import UnreachableError
from tlsgate.dns.manual_records import look_up
from tlsgate.dns.records import Record

MX = Record("corp.example", "MX", 300, ("10 mx1.corp.example.",))
STS = Record("_mta-sts.corp.example", "TXT", 300, ("v=STSv1; id=1;",))
GONE = Record("gone.example", "A", 300, ("192.0.2.1",))
EMPTY = Record("empty.example", "A", 300, ("192.0.2.1",))


@dataclass
class Answer:
    rrset: dns.rrset.RRset | None


class FakeResolver:
    def resolve(self, name: str, rtype: str, **options: object) -> Answer:
        assert options == {"raise_on_no_answer": False, "lifetime": 10.0, "search": False}
        texts = {
            ("corp.example.", "MX"): "10 mx1.corp.example.",
            ("_mta-sts.corp.example.", "TXT"): '"v=STSv1; " "id=1;"',
        }
        if name == "gone.example.":
            raise dns.resolver.NXDOMAIN
        if name == "broken.example.":
            raise dns.exception.Timeout
        if (name, rtype) not in texts:
            return Answer(None)
        return Answer(dns.rrset.from_text(name, 17, "IN", rtype, texts[name, rtype]))


def test_what_the_resolver_answers_is_what_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns.resolver, "Resolver", FakeResolver)
    assert look_up([MX, STS, GONE, EMPTY], None) == (
        Record("_mta-sts.corp.example", "TXT", 17, ("v=STSv1; id=1;",)),
        Record("corp.example", "MX", 17, ("10 mx1.corp.example.",)),
    )


def test_a_failed_look_up_is_no_absent_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns.resolver, "Resolver", FakeResolver)
    with pytest.raises(UnreachableError, match=r"look-up of broken\.example A failed"):
        look_up([MX, Record("broken.example", "A", 300, ("192.0.2.1",))], None)


def test_a_machine_without_a_resolver_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver, "Resolver", none)
    with pytest.raises(UnreachableError, match=r"no DNS resolver.*tlsgate:dns\.server"):
        look_up([MX], None)


def test_a_name_server_is_asked_instead_where_one_is_given() -> None:
    assert look_up([MX, GONE], FakeServer([MX], ["example"]).name_server()) == (MX,)
