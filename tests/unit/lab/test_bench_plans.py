"""The pure parts of the benchmarks with containers: plans, percentiles, what parties say."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.bench import flood, party
from lab.bench.containers import Memory, memory_of
from lab.bench.flood_plan import attacks, delays, measured, percentile, records
from lab.bench.gateways import name_server, partner_domain, partners
from tests.support.loopback import serves_on_loopback
from tlsgate.render.partner_maps import PARTNER, compile_partners

DNS = list(records("192.0.2.1", "192.0.2.2", "192.0.2.3"))


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([1.0], 95, 1.0),
        ([1.0], 0, 1.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([float(n) for n in range(1, 101)], 95, 95.0),
        ([float(n) for n in range(1, 21)], 95, 19.0),
        ([1.0, 2.0, 3.0], 100, 3.0),
    ],
)
def test_a_percentile_is_one_of_the_values(
    values: list[float], percent: float, expected: float
) -> None:
    assert percentile(values, percent) == expected


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_as_many_values_as_said_do_not_exceed_a_percentile(
    values: list[float], percent: float
) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values) * (1 - 1e-9)


def test_nothing_measured_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 95)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ({"a": 11.5, "b": 12.0}, ([1.5, 1.0], 0)),
        ({"a": 11.5}, ([1.5, 9.0], 1)),
        ({}, ([10.0, 9.0], 2)),
        ({"a": 11.5, "b": 12.0, "stranger": 1.0}, ([1.5, 1.0], 0)),
    ],
)
def test_what_waits_counts_with_the_time_it_has_waited(
    received: dict[str, float], expected: tuple[list[float], int]
) -> None:
    assert delays({"a": 10.0, "b": 11.0}, received, 20.0) == expected


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_every_message_of_an_attack_has_a_destination_of_its_own_in_dns(scale: float) -> None:
    known = {record.split(". ")[0] for record in DNS}
    for attack in attacks(scale):
        ends = [
            message[0 if attack.outside else 1].partition("@")[2] for message in attack.messages
        ]
        assert ends, attack.name
        assert set(ends) <= known, attack.name
        assert max(Counter(ends).values()) == 1, attack.name
        assert len({recipient for _, recipient in attack.messages}) == len(attack.messages)


def test_the_attacks_are_as_large_as_promised() -> None:
    sizes = {attack.name: len(attack.messages) for attack in attacks()}
    assert sizes["bounces"] >= 110
    assert sizes["sts"] >= 400
    # More than there are processes for other destinations.
    assert min(sizes["hung"], sizes["dead"]) > 100
    assert [attack.name for attack in attacks()][-1] == "dead"


def test_measured_mail_goes_to_partners_whose_transport_asks_no_helper() -> None:
    listed = compile_partners(partners(20, range(10), "mx.partner.example"))
    routes = dict(listed.transports)
    messages = measured(60)
    assert len({recipient for _, recipient in messages}) == 60
    assert {routes[recipient.partition("@")[2]] for _, recipient in messages} == {f"{PARTNER}:"}


def test_hosted_partners_are_verified_by_the_host_s_name() -> None:
    policies = dict(compile_partners(partners(2, [1], "mx.host.example")).outbound)
    assert policies[partner_domain(0)] == "secure match=p0.example:.p0.example"
    assert policies[partner_domain(1)] == "secure match=mx.host.example"


def test_a_text_record_keeps_its_quotes() -> None:
    text = name_server(DNS)
    assert """    local-data: '_mta-sts.sts0.example. TXT "v=STSv1; id=1"'\n""" in text
    assert not any("'" in record for record in DNS)


@pytest.mark.parametrize(
    "stats",
    [
        {
            "usage": 30 * 2**20,
            "stats": {"total_inactive_file": 10 * 2**20, "total_rss": 5 * 2**20, "rss": 0},
        },
        {"usage": 30 * 2**20, "stats": {"inactive_file": 10 * 2**20, "anon": 5 * 2**20}},
    ],
    ids=["cgroup-v1", "cgroup-v2"],
)
def test_memory_is_read_from_either_version_of_control_groups(stats: dict[str, object]) -> None:
    assert memory_of(stats) == Memory(20.0, 5.0)


@pytest.mark.parametrize(
    "arguments",
    [["--only", "nothing"], ["--messages", "0"], ["--scale", "0"], ["--scale", "1.5"]],
    ids=" ".join,
)
def test_the_command_line_refuses(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        flood.main(arguments)
    assert ended.value.code == 2
    assert "error" in capsys.readouterr().err


@pytest.mark.parametrize("refused", ["", "corp.example"])
@serves_on_loopback
def test_a_party_takes_a_message_or_refuses_its_content(
    refused: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def talk() -> None:
        handler = party.session_of(tmp_path / "none.pem", refused)
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        plan = {
            "host": "127.0.0.1",
            "port": port,
            "rate": 0,
            "sessions": 1,
            "bytes": 200,
            "messages": [("a@b.example", "c@corp.example")],
        }
        async with server:
            await party.send(plan)
            # Until the session has seen its end.
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0)

    asyncio.run(talk())
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(one["recipient"] == "c@corp.example" for one in said)
    if refused:
        assert "554" in said[0]["fault"]
    else:
        stored, accepted = said
        assert stored["at"] <= accepted["at"]
        assert not stored["tls"]
