"""The agent's writes, and its wait until every name server shows them."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import dns.message
import pytest

from tests.unit.dns.fake_server import KEY, ZONES, FakeNet, FakeServer
from tlsgate.dns.agent import AgentZone
from tlsgate.dns.errors import DnsError, PrerequisiteError, ZoneError
from tlsgate.dns.records import Record
from tlsgate.dns.server import NameServer

CHALLENGE = "_acme-challenge.mx1.corp.example"
TLSA_NAME = "_25._tcp.mx1.corp.example"
OLD, NEW = (f"3 1 1 {octet * 32}" for octet in ("ab", "cd"))


def agent(fake: FakeServer) -> AgentZone:
    return AgentZone(fake.name_server(), ZONES)


def test_a_challenge_is_added_beside_others_and_removed_alone() -> None:
    fake = FakeServer([Record(CHALLENGE, "TXT", 60, ("theirs; with; semicolons",))])
    zone = agent(fake)
    zone.add_text(CHALLENGE, "mine", 60)
    zone.add_text(CHALLENGE, "mine", 60)
    assert zone.read(CHALLENGE, "TXT") == ("mine", "theirs; with; semicolons")
    assert len(fake.updates) == 1
    zone.remove_text(CHALLENGE, "mine")
    zone.remove_text(CHALLENGE, "mine")
    assert zone.read(CHALLENGE, "TXT") == ("theirs; with; semicolons",)
    zone.remove_text(CHALLENGE, "theirs; with; semicolons")
    assert zone.read(CHALLENGE, "TXT") == ()


def test_a_tlsa_set_is_replaced_as_a_whole() -> None:
    fake = FakeServer()
    zone = agent(fake)
    zone.set_tlsa(TLSA_NAME, [OLD], 60)
    zone.set_tlsa(TLSA_NAME, [NEW, OLD], 60)
    assert zone.read(TLSA_NAME, "TLSA") == (OLD, NEW)
    count = len(fake.updates)
    zone.set_tlsa(TLSA_NAME, [OLD, NEW.upper()], 60)
    assert len(fake.updates) == count
    zone.set_tlsa(TLSA_NAME, [NEW], 300)
    assert fake.holds(TLSA_NAME, "TLSA") == Record(TLSA_NAME, "TLSA", 300, (NEW,))
    zone.set_tlsa(TLSA_NAME, [], 60)
    zone.set_tlsa(TLSA_NAME, [], 60)
    assert fake.holds(TLSA_NAME, "TLSA") is None


def test_a_tlsa_set_that_changes_meanwhile_is_not_overwritten() -> None:
    fake = FakeServer([Record(TLSA_NAME, "TLSA", 60, (OLD,))])
    theirs = Record(TLSA_NAME, "TLSA", 60, ("3 1 1 " + "ee" * 32,))

    def meanwhile(query: dns.message.Message) -> None:
        fake.put(theirs)

    fake.before_update = meanwhile
    with pytest.raises(PrerequisiteError, match="changed by someone else"):
        agent(fake).set_tlsa(TLSA_NAME, [NEW], 60)
    assert fake.holds(TLSA_NAME, "TLSA") == theirs


def test_an_alias_in_the_way_is_named() -> None:
    fake = FakeServer([Record(name, "CNAME", 60, ("x.test.",)) for name in (CHALLENGE, TLSA_NAME)])
    with pytest.raises(DnsError, match=r"is an alias of x\.test\., so no TXT"):
        agent(fake).add_text(CHALLENGE, "mine", 60)
    with pytest.raises(DnsError, match=r"is an alias of x\.test\., so no TLSA"):
        agent(fake).set_tlsa(TLSA_NAME, [NEW], 60)
    assert fake.updates == []


def test_a_name_outside_the_zones_is_reported() -> None:
    with pytest.raises(ZoneError, match=r"none of the zones corp\.example"):
        AgentZone(FakeServer(zones=["other.example"]).name_server(), ["corp.example"]).add_text(
            "_acme-challenge.other.example", "mine", 60
        )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that passes by sleeping only; holds how long each sleep was."""
    sleeps: list[float] = []
    monkeypatch.setattr(time, "sleep", sleeps.append)
    monkeypatch.setattr(time, "monotonic", lambda: sum(sleeps))
    return sleeps


SHOWN = Record(CHALLENGE, "TXT", 60, ("mine",))
NS = Record("corp.example", "NS", 300, ("ns1.test.", "ns2.test."))


def in_net(net: FakeNet) -> AgentZone:
    return AgentZone(NameServer("primary", 53, KEY, exchange=net.exchange), ZONES)


def resolving(monkeypatch: pytest.MonkeyPatch, **addresses: list[str]) -> None:
    """Let the system resolver know these hosts of the zone `test`, and no others."""

    def getaddrinfo(name: str, port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        host = name.removesuffix(".test")
        if host not in addresses:
            raise OSError(name)
        return [(0, 0, 0, "", (address, port)) for address in addresses[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_it_waits_for_the_last_name_server(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = FakeServer()
    net = FakeNet(primary=FakeServer([SHOWN, NS]), one=FakeServer([SHOWN]), two=late)
    resolving(monkeypatch, ns1=["one"], ns2=["two"])

    def sleep(seconds: float) -> None:
        clock.append(seconds)
        if len(clock) == 3:
            late.put(SHOWN)

    monkeypatch.setattr(time, "sleep", sleep)
    in_net(net).wait_visible(CHALLENGE, "TXT", "mine", 60)
    assert len(clock) == 3
    assert clock == sorted(clock)


def test_a_time_out_names_each_server_that_lags(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = FakeServer([replace(SHOWN, values=("older",))])
    net = FakeNet(primary=FakeServer([SHOWN, NS]), one=stale)
    resolving(monkeypatch, ns1=["one"], ns2=["gone"])
    with pytest.raises(DnsError) as caught:
        in_net(net).wait_visible(CHALLENGE, "TXT", "mine", 30)
    message = str(caught.value)
    assert 'one:53 holds "older"' in message
    assert "gone:53 cannot be reached" in message
    assert "primary" not in message
    assert "within 30 s" in message
    assert sum(clock) == 30


def test_without_names_that_resolve_the_primary_alone_counts(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch)
    net = FakeNet(primary=FakeServer([SHOWN, NS]))
    in_net(net).wait_visible(CHALLENGE, "TXT", "mine", 1)
    with pytest.raises(DnsError, match="primary:53 holds"):
        in_net(net).wait_visible(CHALLENGE, "TXT", "another", 1)


def test_addresses_that_the_primary_knows_are_asked_there(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch)
    here = (
        Record("corp.example", "NS", 300, ("ns1.corp.example.",)),
        Record("ns1.corp.example", "A", 300, ("192.0.2.53",)),
    )
    net = FakeNet(primary=FakeServer([SHOWN, *here]))
    net.servers["192.0.2.53"] = FakeServer()
    with pytest.raises(DnsError, match=r"192\.0\.2\.53:53 holds nothing"):
        in_net(net).wait_visible(CHALLENGE, "TXT", "mine", 1)


def test_one_address_of_a_name_server_is_enough_if_the_other_has_no_way(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Record("corp.example", "NS", 300, ("ns1.test.",))
    net = FakeNet(primary=FakeServer([SHOWN, one]), four=FakeServer([SHOWN]))
    resolving(monkeypatch, ns1=["six", "four"])
    in_net(net).wait_visible(CHALLENGE, "TXT", "mine", 1)
    assert clock == []
