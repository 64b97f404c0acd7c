"""DnsRecords through the real Pulumi CLI, on a real name server."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.integration.dns.knot_server import ZONES, Knot, new_key
from tests.integration.dns.records_project import RecordsProject
from tlsgate.dns.records import Record
from tlsgate.dns.sets import to_lines
from tlsgate.dns.updates import live, publish, withdraw

pytestmark = pytest.mark.integration


@pytest.fixture
def project(tmp_path: Path, knot: Knot) -> RecordsProject:
    return RecordsProject(tmp_path, knot)


@pytest.fixture
def wanted(label: str) -> tuple[Record, ...]:
    return (
        Record(f"_mta-sts.{label}.corp.example", "TXT", 300, ("v=STSv1; id=1;",)),
        Record(
            f"{label}.corp.example", "MX", 300, ("10 mx1.corp.example.", "20 mx2.corp.example.")
        ),
        Record(f"mta-sts.{label}.brand.example", "A", 300, ("192.0.2.1",)),
    )


def test_a_stacks_life(project: RecordsProject, knot: Knot, wanted: tuple[Record, ...]) -> None:
    """Up, unchanged, drift, repair, change, destroy; the state never has the key's secret."""
    server = knot.server()
    # A path is relative to the project's directory.
    project.program(wanted, tsig_key_file="'wide.key'")
    assert "2 to create" in project.ok("preview")
    assert live(server, ZONES, wanted) == ()
    project.up()
    assert live(server, ZONES, wanted) == wanted
    for line in to_lines(wanted):
        assert line.replace('"', '\\"') in project.ok("stack", "output", "records", "--json")

    project.program(tuple(reversed(wanted)), tsig_key_file="'wide.key'")
    project.ok("up", "--yes", "--skip-preview", "--expect-no-changes")
    project.ok("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    by_hand = Record(wanted[2].name, "A", 300, ("192.0.2.66",))
    publish(server, ZONES, [by_hand], [wanted[2]])
    withdraw(server, ZONES, [wanted[0]])
    said = project.ok("refresh", "--preview-only", "--diff")
    assert "192.0.2.66" in said
    assert f"_mta-sts.{wanted[1].name}" in said
    project.ok("refresh", "--yes", "--skip-preview")
    project.up()
    assert live(server, ZONES, wanted) == wanted

    changed = (Record(wanted[1].name, "MX", 60, ("10 mx9.corp.example.",)), wanted[2])
    project.program(changed, tsig_key_file="'wide.key'")
    project.up()
    assert live(server, ZONES, wanted) == changed

    secret = base64.b64encode(knot.wide.secret).decode()
    assert secret in project.key_file.read_text()
    assert secret not in project.state()
    project.ok("destroy", "--yes", "--skip-preview")
    assert live(server, ZONES, wanted) == ()


FIRST = """\
first = DnsRecords("first", DnsRecordsArgs({first}))
def bound(lines):
    uri = "https://ca.example/account/" + lines[0].split()[-1]
    return [Record({name!r}, "CAA", 300, (f'0 issue "ca.example; accounturi={{uri}}"',))]
"""


def test_records_that_follow_from_another_resource(
    project: RecordsProject, knot: Knot, wanted: tuple[Record, ...], label: str
) -> None:
    """As CAA records follow from an account: unknown at the first preview, changed with it."""
    name = f"caa.{label}.corp.example"

    def program(address: str) -> Record:
        source = Record(wanted[2].name, "A", 300, (address,))
        first = (
            f"[{source!r}], 'rfc2136', Endpoint({knot.address!r}, 53), "
            f"['corp.example', 'brand.example'], {str(project.key_file)!r}"
        )
        before = FIRST.format(first=first, name=name)
        project.program([], before, records="first.records.apply(bound)")
        uri = f"https://ca.example/account/{address}"
        return Record(name, "CAA", 300, (f'0 issue "ca.example; accounturi={uri}"',))

    bound = program("192.0.2.1")
    assert "3 to create" in project.ok("preview")
    project.up()
    assert live(knot.server(), ZONES, [bound]) == (bound,)
    project.ok("up", "--yes", "--skip-preview", "--expect-no-changes")

    bound = program("192.0.2.2")
    assert "2 to update" in project.ok("preview")
    project.up()
    assert live(knot.server(), ZONES, [bound]) == (bound,)


def test_destroy_keeps_and_reports_what_someone_changed(
    project: RecordsProject, knot: Knot, wanted: tuple[Record, ...]
) -> None:
    project.program(wanted)
    project.up()
    by_hand = Record(wanted[2].name, "A", 300, ("192.0.2.66",))
    publish(knot.server(), ZONES, [by_hand], [wanted[2]])
    said = project.ok("destroy", "--yes", "--skip-preview")
    assert f"{by_hand.name} A is left: it holds 192.0.2.66" in said
    assert live(knot.server(), ZONES, wanted) == (by_hand,)


def test_conflicts_are_errors_at_preview(
    project: RecordsProject, knot: Knot, wanted: tuple[Record, ...], label: str
) -> None:
    server = knot.server()
    theirs = (Record(f"{label}.corp.example", "MX", 300, ("5 old.test.",)),)
    publish(server, ZONES, theirs)
    project.program(wanted)
    assert "MX holds 5 old.test., which this stack did not make" in project.failing("preview")
    project.failing_up()
    assert live(server, ZONES, wanted) == theirs

    withdraw(server, ZONES, theirs)
    project.up()
    publish(server, ZONES, theirs, [wanted[1]])
    other = Record(f"{label}.corp.example", "MX", 300, ("10 mx3.corp.example.",))
    project.program([wanted[0], other, wanted[2]])
    said = project.failing("preview")
    assert "MX holds 5 old.test." in said
    assert "pulumi refresh" in said
    project.failing_up()
    assert live(server, ZONES, theirs) == theirs
    project.ok("refresh", "--yes", "--skip-preview")
    project.up()
    assert live(server, ZONES, theirs) == (other,)


def test_wrong_settings_are_errors_at_preview(
    project: RecordsProject, knot: Knot, wanted: tuple[Record, ...]
) -> None:
    table = [
        ({"server": f"Endpoint({knot.address!r}, 54)"}, "tlsgate:dns.server: "),
        ({"server": "None"}, "the sink rfc2136 needs tlsgate:dns.server"),
        ({"tsig_key_file": "'missing.key'"}, "tlsgate:dns.tsigKeyFile: missing.key: No such"),
    ]
    for changed, said in table:
        project.program(wanted, **changed)
        shown = project.failing("preview")
        assert said in shown
        assert "Traceback" not in shown
    project.program(wanted)
    project.use_key(new_key("wide"))
    assert "tlsgate:dns.tsigKeyFile: " in project.failing("preview")
    project.use_key(knot.narrow)
    assert 'the TSIG key "narrow" may not write' in project.failing("preview")
    assert 'the TSIG key "narrow" may not write' in project.failing_up()
    assert live(knot.server(), ZONES, wanted) == ()


def test_the_manual_sink_asks_for_lines_until_they_are_live(
    project: RecordsProject, knot: Knot, wanted: tuple[Record, ...]
) -> None:
    server = knot.server()
    project.program(wanted, sink="'manual'", tsig_key_file="None", zones="[]")
    publish(server, ZONES, [Record(wanted[2].name, "A", 60, ("192.0.2.9",))])
    project.ok("preview")
    said = project.failing_up()
    assert "3 of 3 DNS record sets are not live" in said
    assert "then run `up` again" in said
    for line in to_lines(wanted):
        assert line in said
    assert f"{wanted[2].name}. 60 IN A 192.0.2.9" in said

    by_ticket = tuple(Record(r.name, r.type, 60, r.values) for r in wanted)
    publish(server, ZONES, by_ticket, [Record(wanted[2].name, "A", 60, ("192.0.2.9",))])
    project.up()
    project.ok("up", "--yes", "--skip-preview", "--expect-no-changes")
    project.ok("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    withdraw(server, ZONES, by_ticket[:1])
    project.ok("refresh", "--yes", "--skip-preview")
    assert "1 of 3 DNS record sets are not live" in project.failing_up()
    project.ok("destroy", "--yes", "--skip-preview")
    assert live(server, ZONES, wanted) == by_ticket[1:]
