"""Publishing and the agent's writes against a real Knot DNS server."""

from __future__ import annotations

import dataclasses
import time

import dns.update
import pytest

from tests.integration.dns.knot_server import ZONES, Knot, Start, new_key
from tlsgate.dns.agent import AgentZone
from tlsgate.dns.errors import (
    ConflictError,
    DnsError,
    KeyRefusedError,
    PrerequisiteError,
    ZoneError,
)
from tlsgate.dns.plan import Change, message
from tlsgate.dns.records import Record
from tlsgate.dns.sets import to_rdataset
from tlsgate.dns.tsig import TsigKey
from tlsgate.dns.updates import live, publish, rehearse, withdraw

pytestmark = pytest.mark.integration


def records(label: str) -> tuple[Record, ...]:
    """One set of each type that a stack publishes, at names of the test's own."""
    return tuple(
        sorted(
            [
                Record(f"_mta-sts.{label}.corp.example", "TXT", 300, ("v=STSv1; id=20260101;",)),
                Record(
                    f"_smtp._tls.{label}.brand.example", "TXT", 300, ("v=TLSRPTv1; rua=x" * 40,)
                ),
                Record(f"{label}.corp.example", "MX", 300, (f"10 mx1.{label}.corp.example.",)),
                Record(f"mx1.{label}.corp.example", "A", 300, ("192.0.2.1", "192.0.2.2")),
                Record(f"mx1.{label}.corp.example", "AAAA", 300, ("2001:db8::1",)),
                Record(f"mx1.{label}.corp.example", "CAA", 300, ('0 issue "ca.example"',)),
            ]
        )
    )


def test_records_are_published_changed_and_withdrawn(knot: Knot, label: str) -> None:
    server, wanted = knot.server(), records(label)
    assert len(publish(server, ZONES, wanted).changed) == len(wanted)
    assert live(server, ZONES, wanted) == wanted
    assert publish(server, ZONES, wanted, wanted).changed == ()
    changed = tuple(dataclasses.replace(record, ttl=60) for record in wanted[:-1])
    outcome = publish(server, ZONES, changed, wanted)
    assert (len(outcome.changed), len(outcome.removed)) == (len(changed), 1)
    assert live(server, ZONES, wanted) == changed
    withdraw(server, ZONES, changed)
    assert live(server, ZONES, wanted) == ()


def test_someone_elses_records_are_reported_together_and_kept(knot: Knot, label: str) -> None:
    server, wanted = knot.server(), records(label)
    theirs = (
        Record(f"{label}.corp.example", "MX", 300, ("5 old.test.",)),
        Record(f"mx1.{label}.corp.example", "CNAME", 300, ("host.test.",)),
    )
    publish(server, ZONES, theirs)
    with pytest.raises(ConflictError) as caught:
        publish(server, ZONES, wanted)
    assert len(caught.value.conflicts) == 4
    assert "MX holds 5 old.test." in str(caught.value)
    assert "A holds the alias host.test." in str(caught.value)
    assert live(server, ZONES, [wanted[0]]) == ()
    assert live(server, ZONES, theirs) == theirs


def test_a_stale_view_is_refused_by_the_server_itself(knot: Knot, label: str) -> None:
    server = knot.server()
    key = f"x.{label}.corp.example", "A"
    first, second, third = (
        Record(key[0], "A", 300, (f"192.0.2.{number}",)) for number in range(1, 4)
    )
    publish(server, ZONES, [first])
    stale = Change("corp.example", key, to_rdataset(second), to_rdataset(third))
    with pytest.raises(PrerequisiteError, match="NXRRSET"):
        server.update(message([stale]))
    absent = Change("corp.example", key, None, to_rdataset(third))
    with pytest.raises(PrerequisiteError, match="YXRRSET"):
        server.update(message([absent]))
    assert live(server, ZONES, [first]) == (first,)


def test_a_thousand_records(knot: Knot, label: str) -> None:
    server = knot.server()
    many = [
        Record(f"h{number:04}.{label}.corp.example", rtype, 300, values)
        for number in range(500)
        for rtype, values in (("A", ("192.0.2.1",)), ("TXT", (f"v={number}; " + "x" * 250,)))
    ]
    assert len(publish(server, ZONES, many).changed) == 1000
    assert live(server, ZONES, many) == tuple(sorted(many))
    assert publish(server, ZONES, many, many).changed == ()
    assert len(withdraw(server, ZONES, many).removed) == 1000
    assert live(server, ZONES, many) == ()


def test_a_wildcards_answer_is_not_taken_for_a_record(knot: Knot, label: str) -> None:
    server = knot.server()
    record = Record(f"{label}.wild.corp.example", "A", 300, ("192.0.2.80",))
    assert live(server, ZONES, [record]) == ()
    assert publish(server, ZONES, [record]).changed == (f"{label}.wild.corp.example A",)
    assert live(server, ZONES, [record]) == (record,)
    withdraw(server, ZONES, [record])
    assert withdraw(server, ZONES, [record]).removed == ()


def test_the_narrow_key_writes_its_names_and_no_others(knot: Knot, label: str) -> None:
    server = knot.server(knot.narrow)
    server.check("corp.example")
    agent = AgentZone(server, ZONES)
    challenge, tlsa = f"_acme-challenge.{label}.corp.example", f"_25._tcp.{label}.corp.example"
    agent.add_text(challenge, "token", 60)
    agent.set_tlsa(tlsa, ["3 1 1 " + "ab" * 32], 60)
    assert agent.read(challenge, "TXT") == ("token",)
    address = Record(f"mx1.{label}.corp.example", "A", 300, ("192.0.2.1",))
    refused = rf'"narrow" may not write mx1\.{label}\.corp\.example A .*update policy'
    with pytest.raises(KeyRefusedError, match=refused):
        rehearse(server, ZONES, [address])
    with pytest.raises(KeyRefusedError, match=refused):
        publish(server, ZONES, [address])
    with pytest.raises(KeyRefusedError, match=rf"may not write {label}\.corp\.example TXT"):
        agent.add_text(f"{label}.corp.example", "token", 60)
    assert live(knot.server(), ZONES, [address]) == ()


def test_a_challenge_leaves_its_neighbours(knot: Knot, label: str) -> None:
    name = f"_acme-challenge.{label}.corp.example"
    wide, narrow = AgentZone(knot.server(), ZONES), AgentZone(knot.server(knot.narrow), ZONES)
    wide.add_text(name, "someone else's; with a semicolon", 300)
    narrow.add_text(name, "ours", 60)
    narrow.wait_visible(name, "TXT", "ours", 5)
    narrow.remove_text(name, "ours")
    assert wide.read(name, "TXT") == ("someone else's; with a semicolon",)


def test_a_tlsa_set_rolls_over(knot: Knot, label: str) -> None:
    name = f"_25._tcp.{label}.corp.example"
    agent = AgentZone(knot.server(knot.narrow), ZONES)
    old, new = "3 1 1 " + "ab" * 32, "3 1 1 " + "cd" * 32
    for values in ([old], [old, new], [new]):
        agent.set_tlsa(name, values, 60)
        assert agent.read(name, "TLSA") == tuple(values)
        agent.wait_visible(name, "TLSA", values[-1], 5)
    agent.set_tlsa(name, [], 60)
    assert agent.read(name, "TLSA") == ()


def test_wrong_keys_are_reported_before_anything_is_sent(knot: Knot) -> None:
    table = [
        (new_key("wide"), "corp.example", "another secret.*BADSIG"),
        (TsigKey("wide", "hmac-sha512", knot.wide.secret), "corp.example", '"wide" may not update'),
        (new_key("unknown"), "corp.example", '"unknown" may not update zone corp'),
        (knot.wide, "locked.example", '"wide" may not update zone locked'),
    ]
    for key, zone, said in table:
        with pytest.raises(KeyRefusedError, match=said):
            knot.server(key).check(zone)


def test_a_wrong_clock_is_reported(knot: Knot, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 4000)
    with pytest.raises(KeyRefusedError, match=r"BADTIME.*clock"):
        knot.server().check("corp.example")


def test_missing_zones_are_reported(knot: Knot) -> None:
    with pytest.raises(ZoneError, match="REFUSED"):
        knot.server().check("nowhere.example")
    with pytest.raises(ZoneError, match="is not the top of a zone"):
        knot.server().check("mail.corp.example")
    with pytest.raises(ZoneError, match=r"not authoritative for a\.sub\.corp\.example"):
        publish(knot.server(), ZONES, [Record("a.sub.corp.example", "A", 300, ("192.0.2.1",))])
    with pytest.raises(DnsError, match="NOTZONE"):
        knot.server().update(
            message([Change("corp.example", ("x.brand.example", "A"), None, None)])
        )


def test_a_server_that_lags_behind_is_named(start: Start, label: str) -> None:
    """Two servers that do not transfer the zone to each other: the second is updated by hand."""
    zone = ["two.example"]
    name = f"_acme-challenge.{label}.two.example"
    with start(zone) as first, start(zone) as second:
        hosts = [
            Record(f"ns{number}.two.example", "A", 300, (server.address,))
            for number, server in enumerate((first, second))
        ]
        publish(first.server(), zone, hosts)
        names = dns.update.UpdateMessage("two.example")
        names.add("two.example.", 300, "NS", *(f"{host.name}." for host in hosts))
        first.server().update(names)
        agent = AgentZone(first.server(), zone)
        agent.add_text(name, "token", 60)
        with pytest.raises(DnsError, match=rf"{second.address}:53 holds nothing"):
            agent.wait_visible(name, "TXT", "token", 1)
        AgentZone(second.server(), zone).add_text(name, "token", 60)
        agent.wait_visible(name, "TXT", "token", 5)
