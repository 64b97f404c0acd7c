"""DnsRecords' provider on a server in memory: what it asks, expects, changes and says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dns.rcode
import pulumi
import pytest
from pulumi.output import UNKNOWN

from tests.support.loopback import serves_on_loopback
from tests.unit.dns.fake_server import ZONES, FakeServer
from tlsgate.dns.records import Record
from tlsgate.dns.server import NameServer
from tlsgate.dns.sets import from_lines, to_lines
from tlsgate_pulumi import dns as component
from tlsgate_pulumi.dns import DnsRecords, DnsRecordsArgs, DnsRecordsProvider, expected
from tlsgate_pulumi.engine import DeploymentError
from tlsgate_pulumi.settings import Endpoint

MX = Record("corp.example", "MX", 300, ("10 mx1.corp.example.",))
A = Record("mx1.corp.example", "A", 300, ("192.0.2.1",))
STS = Record("_mta-sts.brand.example", "TXT", 300, ("v=STSv1; id=1;",))
WANTED = (MX, A, STS)


def inputs(*records: Record, **changed: Any) -> dict[str, Any]:
    return {
        "wanted": to_lines(records),
        "sink": "rfc2136",
        "server": "ns.test",
        "port": 53.0,
        "zones": list(ZONES),
        "tsig_key_file": "stack.key",
        "records": None,
    } | changed


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    server = FakeServer()
    monkeypatch.setattr(component, "name_server", lambda props, timeout: server.name_server())
    return server


PROVIDER = DnsRecordsProvider()


def failures(olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    return [failure.reason for failure in PROVIDER.check(olds, news).failures]


def test_a_stacks_life_on_one_provider(fake: FakeServer) -> None:
    news = inputs(*WANTED)
    assert failures({}, news) == []
    outs = PROVIDER.create(news).outs
    assert outs is not None
    assert outs["records"] == news["wanted"]
    assert not PROVIDER.diff("id", outs, inputs(*reversed(WANTED))).changes

    fake.put(replace(A, values=("192.0.2.99",)))
    seen = PROVIDER.read("id", outs).outs
    assert seen is not None
    assert "mx1.corp.example. 300 IN A 192.0.2.99" in seen["records"]
    assert PROVIDER.diff("id", seen, news).changes
    repaired = PROVIDER.update("id", seen, news).outs
    assert repaired == outs
    assert fake.holds("mx1.corp.example", "A") == A

    PROVIDER.delete("id", outs)
    assert [fake.holds(r.name, r.type) for r in WANTED] == [None, None, None]


def test_a_domain_leaves_the_configuration_with_its_zone(fake: FakeServer) -> None:
    outs = PROVIDER.create(inputs(*WANTED)).outs
    assert outs is not None
    news = inputs(MX, A, zones=["corp.example"])
    assert failures(outs, news) == []
    assert PROVIDER.diff("id", outs, news).changes
    PROVIDER.update("id", outs, news)
    assert fake.holds("_mta-sts.brand.example", "TXT") is None


def test_conflicts_fail_at_preview_for_a_new_stack_and_for_a_changed_one(
    fake: FakeServer,
) -> None:
    theirs = replace(MX, values=("5 old.test.",))
    fake.put(theirs)
    (reason,) = failures({}, inputs(*WANTED))
    assert reason.startswith("tlsgate:dns: corp.example MX holds 5 old.test.")

    outs = inputs(A, records=to_lines([A]))
    fake.put(A)
    assert failures(outs, inputs(*WANTED)) == []
    with pytest.raises(DeploymentError, match=r"corp\.example MX holds 5 old\.test\."):
        PROVIDER.diff("id", outs, inputs(*WANTED))
    assert fake.holds("corp.example", "MX") == theirs


def test_a_problem_names_its_config_key_once(fake: FakeServer) -> None:
    fake.before_update = lambda query: dns.rcode.REFUSED
    reasons = failures({}, inputs(*WANTED))
    assert [reason.partition(": ")[0] for reason in reasons] == ["tlsgate:dns.tsigKeyFile"] * 2
    (reason,) = failures({}, inputs(Record("a.test", "A", 60, ("192.0.2.1",))))
    assert reason.startswith("tlsgate:dns.zones: a.test is in none of the zones")


@serves_on_loopback
def test_a_server_that_does_not_answer_and_a_missing_key_file(tmp_path: Path) -> None:
    (reason,) = failures({}, inputs(*WANTED, tsig_key_file=str(tmp_path / "none.key")))
    assert reason.startswith(f"tlsgate:dns.tsigKeyFile: {tmp_path}/none.key: No such file")
    key = tmp_path / "stack.key"
    key.write_text('key "k" { algorithm hmac-sha256; secret "c2VjcmV0"; };')
    (reason,) = failures({}, inputs(*WANTED, server="127.0.0.1", port=1.0, tsig_key_file=str(key)))
    assert reason.startswith("tlsgate:dns.server: 127.0.0.1:1: Connection refused")


@pytest.mark.parametrize("changed", [{"sink": "manual"}, {"server": UNKNOWN}, {"wanted": UNKNOWN}])
def test_no_server_is_asked_about_unknown_or_manual_records(changed: dict[str, Any]) -> None:
    news = inputs(*WANTED, tsig_key_file="missing.key", **changed)
    assert failures({}, news) == []
    outs = inputs(records=[])
    assert PROVIDER.diff("id", outs, news).changes


@pytest.mark.parametrize(
    ("was", "seen", "wanted", "previous"),
    [
        ([A], [A], [A], [A]),
        ([A], [replace(A, values=("192.0.2.9",))], [A], [replace(A, values=("192.0.2.9",))]),
        ([A], [], [A], []),
        ([A, MX], [A, MX], [A], [A, MX]),
        ([A, MX], [A, replace(MX, values=("5 x.test.",))], [A], [A, MX]),
    ],
    ids=["unchanged", "drifted", "gone", "dropped", "dropped and drifted"],
)
def test_what_may_be_found_is_what_refresh_saw_or_what_was_published(
    was: list[Record], seen: list[Record], wanted: list[Record], previous: list[Record]
) -> None:
    olds = inputs(*was, records=to_lines(seen))
    assert sorted(expected(olds, inputs(*wanted))) == sorted(previous)
    assert expected({}, inputs(*wanted)) == []


def test_the_manual_sink_leaves_ttls_to_the_publisher(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(component, "NameServer", lambda host, port: fake.name_server(key=None))
    fake.put(replace(MX, ttl=60), replace(A, values=("192.0.2.9",)))
    news = inputs(*WANTED, sink="manual")
    with pytest.raises(DeploymentError) as caught:
        PROVIDER.create(news)
    assert str(caught.value).splitlines() == [
        "2 of 3 DNS record sets are not live. Publish these lines, then run `up` again:",
        *to_lines([A, STS]),
        "These records are live instead:",
        "mx1.corp.example. 300 IN A 192.0.2.9",
    ]
    fake.put(replace(A, ttl=5), STS)
    outs = PROVIDER.create(news).outs
    assert outs is not None
    assert outs["records"] == news["wanted"]
    PROVIDER.delete("id", outs)
    assert fake.updates == []


def test_without_a_server_the_machines_resolver_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[NameServer | None] = []

    def look_up(records: object, server: NameServer | None) -> tuple[Record, ...]:
        asked.append(server)
        return WANTED

    monkeypatch.setattr(component, "look_up", look_up)
    outs = PROVIDER.create(inputs(*WANTED, sink="manual", server=None, port=None)).outs
    assert outs is not None
    assert from_lines(outs["records"]) == tuple(sorted(WANTED))
    assert asked == [None]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (DnsRecordsArgs(WANTED, "rfc2136", None, ZONES, "k"), "needs tlsgate:dns.server"),
        (DnsRecordsArgs(WANTED, "rfc2136", Endpoint("ns", 53), ZONES), "dns.tsigKeyFile"),
        (DnsRecordsArgs([MX, replace(MX, ttl=1)], "manual"), "corp.example MX is wanted twice"),
        (DnsRecordsArgs([replace(A, values=("x",))], "manual"), "A: x cannot be read"),
    ],
)
def test_wrong_arguments_are_reported_without_a_stack_trace(
    args: DnsRecordsArgs, message: str
) -> None:
    with pytest.raises(pulumi.RunError, match=message):
        DnsRecords("records", args)
