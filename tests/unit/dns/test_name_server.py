"""What a name server's answers become: sets, or errors of a kind with a remedy."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.tsig
import dns.update
import pytest

from tests.unit.dns.fake_server import KEY, FakeServer
from tlsgate.dns.errors import DnsError, KeyRefusedError, PrerequisiteError, ZoneError
from tlsgate.dns.records import Record
from tlsgate.dns.server import NameServer
from tlsgate.dns.tsig import TsigKey

MX = Record("corp.example", "MX", 300, ("10 mx1.corp.example.",))
ALIAS = Record("www.corp.example", "CNAME", 300, ("web.corp.example.",))


def an_update(*names: str) -> dns.update.UpdateMessage:
    message = dns.update.UpdateMessage("corp.example.")
    for name in names or ("a.corp.example.",):
        message.add(name, 300, "A", "192.0.2.1")
    return message


def test_sets_are_read_in_order_and_an_alias_shows_itself() -> None:
    server = FakeServer([MX, ALIAS]).name_server()
    mx, none, alias = server.read(
        [("corp.example", "MX"), ("corp.example", "A"), ("www.corp.example", "A")]
    )
    assert mx is not None and mx.to_text() == "300 IN MX 10 mx1.corp.example."
    assert none is None
    assert alias is not None and alias.to_text() == "300 IN CNAME web.corp.example."


def test_questions_ask_for_no_recursion_and_are_not_signed() -> None:
    seen: list[dns.message.Message] = []
    fake = FakeServer()

    def watch(host, port, queries, timeout):  # type: ignore[no-untyped-def]
        seen.extend(queries)
        return fake.exchange(host, port, queries, timeout)

    NameServer("ns.test", 53, KEY, exchange=watch).read([("corp.example", "MX")])
    assert not seen[0].flags & dns.flags.RD
    assert seen[0].keyring is None


def test_a_zone_that_is_not_served_is_an_error() -> None:
    with pytest.raises(ZoneError, match=r"ns.test:53: answers REFUSED to .* other.example SOA"):
        FakeServer().name_server().check("other.example")


def test_a_name_within_a_zone_is_no_zone() -> None:
    with pytest.raises(ZoneError, match=r"mail.corp.example is not the top of a zone"):
        FakeServer([MX]).name_server().check("mail.corp.example")


def test_an_answer_without_authority_is_an_error() -> None:
    def referral(host, port, queries, timeout):  # type: ignore[no-untyped-def]
        return [dns.message.make_response(query) for query in queries]

    with pytest.raises(ZoneError, match=r"is not authoritative for a.corp.example"):
        NameServer("ns.test", exchange=referral).read([("a.corp.example", "A")])


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (dns.rcode.YXRRSET, PrerequisiteError, "changed by someone else"),
        (dns.rcode.NXRRSET, PrerequisiteError, "changed by someone else"),
        (dns.rcode.YXDOMAIN, PrerequisiteError, "changed by someone else"),
        (dns.rcode.NXDOMAIN, PrerequisiteError, "changed by someone else"),
        (dns.rcode.NOTZONE, DnsError, "NOTZONE to an update of zone corp.example. Check"),
        (dns.rcode.NOTIMP, DnsError, "allow dynamic updates"),
        (dns.rcode.SERVFAIL, DnsError, "server's log"),
        (dns.rcode.FORMERR, DnsError, "FORMERR"),
    ],
    ids=lambda value: dns.rcode.to_text(value) if isinstance(value, dns.rcode.Rcode) else "",
)
def test_every_refusal_says_what_and_what_to_do(
    code: dns.rcode.Rcode, kind: type[DnsError], message: str
) -> None:
    fake = FakeServer()
    fake.before_update = lambda query: code
    with pytest.raises(kind, match=message) as caught:
        fake.name_server().update(an_update())
    assert str(caught.value).startswith("ns.test:53: ")


@pytest.mark.parametrize("code", [dns.rcode.REFUSED, dns.rcode.NOTAUTH], ids=dns.rcode.to_text)
def test_a_key_that_may_not_write_a_name_differs_from_one_that_may_not_update(
    code: dns.rcode.Rcode,
) -> None:
    fake = FakeServer()
    fake.before_update = lambda query: code if query.sections[2] else None
    with pytest.raises(KeyRefusedError, match=r'"stack" may not write a\.corp\.example A'):
        fake.name_server().update(an_update())
    fake.before_update = lambda query: code
    with pytest.raises(KeyRefusedError, match=r'"stack" may not update zone corp.example'):
        fake.name_server().update(an_update())
    with pytest.raises(KeyRefusedError, match=r"may not update zone corp.example"):
        fake.name_server().check("corp.example")


def test_a_refusal_of_many_sets_names_some() -> None:
    fake = FakeServer()
    fake.before_update = lambda query: dns.rcode.REFUSED if query.sections[2] else None
    with pytest.raises(KeyRefusedError, match=r"h04.corp.example A and 15 more"):
        fake.name_server().update(an_update(*(f"h{n:02}.corp.example." for n in range(20))))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (dns.tsig.PeerBadTime, "BADTIME.*clock"),
        (dns.tsig.PeerBadSignature, "another secret.*BADSIG"),
        (dns.tsig.PeerBadKey, 'does not know the TSIG key "stack".*BADKEY'),
        (dns.tsig.BadSignature, "another secret"),
        (dns.tsig.BadKey, "does not know the TSIG key"),
        (dns.tsig.BadTime, "too old or too new.*clock"),
    ],
)
def test_every_trouble_with_a_signature_has_its_sentence(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], message: str
) -> None:
    def raises(wire, **_):  # type: ignore[no-untyped-def]
        raise error

    fake = FakeServer()
    answer = fake._answer

    def answered(wire: bytes) -> bytes:
        made = answer(wire)
        monkeypatch.setattr(dns.message, "from_wire", raises)
        return made

    monkeypatch.setattr(fake, "_answer", answered)
    with pytest.raises(KeyRefusedError, match=message):
        fake.name_server().update(an_update())


def test_an_unsigned_acceptance_is_refused() -> None:
    def unsigned(host, port, queries, timeout):  # type: ignore[no-untyped-def]
        plain = [dns.update.UpdateMessage("corp.example.", id=query.id) for query in queries]
        return [dns.message.make_response(query) for query in plain]

    server = NameServer("ns.test", 53, TsigKey("k", "hmac-sha256", b"x"), exchange=unsigned)
    with pytest.raises(KeyRefusedError, match="did not sign its answer"):
        server.update(an_update())


def test_a_check_changes_nothing() -> None:
    fake = FakeServer([MX])
    before = dict(fake.sets)
    fake.name_server().check("corp.example")
    assert fake.sets == before
    assert [(len(u.sections[1]), len(u.sections[2])) for u in fake.updates] == [(0, 0)]
