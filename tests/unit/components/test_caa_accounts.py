"""CAA records that allow the stack's own ACME accounts only (RFC 8657)."""

from __future__ import annotations

from pathlib import Path

import pytest
from pulumi.output import Unknown

from tests.unit.components import gateway_parts
from tests.unit.components.program import ACCOUNT, Program, RecordingMonitor, config_in
from tests.unit.components.stack_config import as_pulumi_gives
from tlsgate.problems import ProblemsError
from tlsgate.render.dns_records import with_accounts
from tlsgate_pulumi.inputs import Inputs, parse_inputs, raw_values
from tlsgate_pulumi.records import published_records

ISSUERS = "    caaIssuers: [pebble.letsencrypt.org]\n"
BOUND = "    caaIssuers: [pebble.letsencrypt.org, other.example]\n    caaAccountUri: true\n"
SECOND = "https://other.example/account/7"


def inputs_of(folder: Path, wanted: str) -> Inputs:
    return parsed(folder, (ISSUERS, wanted))


def parsed(folder: Path, *changes: tuple[str, str]) -> Inputs:
    folder.mkdir(exist_ok=True)
    raw = raw_values(as_pulumi_gives(config_in(folder, *changes)))
    return parse_inputs({**raw, "partners": str(folder / "partners")}, lambda _: ("", 0))


def declared(inputs: Inputs, engine: RecordingMonitor | None = None) -> Program:
    return gateway_parts.declared(inputs, engine)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return inputs_of(tmp_path_factory.mktemp("caa"), BOUND)


def test_the_account_comes_first_then_the_records_then_the_orders(inputs: Inputs) -> None:
    program = declared(inputs)
    records = program.of_type("DnsRecords")
    kinds = {
        name: {line.split()[3] for line in one.inputs["wanted"]} for name, one in records.items()
    }
    assert kinds["caa"] == {"CAA"}
    assert kinds["addresses"] == {"A"}
    jobs = program.of_type("Job")
    assert ("Job", "account") in program.before(records["caa"])
    assert ("DnsRecords", "caa") in program.before(jobs["issue"])
    assert jobs["account"].inputs["command"][-1] == "account"
    assert jobs["account"].inputs["read_command"][-1] == "accounts"
    assert "delete_command" not in jobs["account"].inputs
    assert jobs["account"].inputs["mounts"] == jobs["issue"].inputs["mounts"]


def test_the_records_name_the_live_accounts(inputs: Inputs) -> None:
    program = declared(inputs)
    wanted = program.of_type("DnsRecords")["caa"].inputs["wanted"]
    name = "mta-sts.brand.example. 60 IN CAA 0"
    assert [line for line in wanted if line.startswith(name)] == [
        f'{name} issue "other.example"',
        f'{name} issue "pebble.letsencrypt.org; accounturi={ACCOUNT}"',
        f'{name} issuewild ";"',
    ]
    assert set(wanted) < set(program.outputs["records"])


def test_before_the_account_is_known_its_records_are_not(inputs: Inputs) -> None:
    program = declared(inputs, RecordingMonitor(preview=True))
    assert isinstance(program.of_type("DnsRecords")["caa"].inputs["wanted"], Unknown)


def test_without_the_option_nothing_names_an_account(tmp_path: Path) -> None:
    program = declared(inputs_of(tmp_path, ISSUERS))
    assert "account" not in program.of_type("Job")
    assert "caa" not in program.of_type("DnsRecords")
    assert not [line for line in program.outputs["records"] if "accounturi" in line]


def test_an_account_without_a_ca_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError) as caught:
        inputs_of(tmp_path, "    caaAccountUri: true\n")
    (problem,) = caught.value.problems
    assert problem.key == "tlsgate:dns.caaAccountUri"
    assert "caaIssuers names no CA" in problem.message


def test_a_second_ca_that_caa_forbids_is_a_mistake(tmp_path: Path) -> None:
    eab = "    eab: {keyId: kid-1, hmacKeyFile: eab.key}\n"
    fallback = (eab, f"{eab}    fallback: {{directory: 'https://other.example/dir'}}\n")
    with pytest.raises(ProblemsError) as caught:
        parsed(tmp_path / "one", fallback)
    assert [problem.key for problem in caught.value.problems] == ["tlsgate:dns.caaIssuers"]
    both = (ISSUERS, "    caaIssuers: [pebble.letsencrypt.org, other.example]\n")
    assert parsed(tmp_path / "both", fallback, both).settings.acme.fallback is not None


@pytest.mark.parametrize(
    ("accounts", "issuers"),
    [
        ([], ("a.example", "b.example")),
        ([ACCOUNT], (f"a.example; accounturi={ACCOUNT}", "b.example")),
        ([None, SECOND], ("a.example", f"b.example; accounturi={SECOND}")),
        ([None, None, SECOND], ("a.example", "b.example")),
    ],
)
def test_accounts_go_to_the_issuers_in_their_order(
    accounts: list[str | None], issuers: tuple[str, ...]
) -> None:
    assert with_accounts(("a.example", "b.example"), accounts) == issuers


def test_every_name_of_a_certificate_has_them(inputs: Inputs) -> None:
    names = {
        one.name
        for one in published_records(inputs.settings, [ACCOUNT])
        if one.type == "CAA" and any(f"accounturi={ACCOUNT}" in value for value in one.values)
    }
    assert names == {"mx1.corp.example", "mta-sts.corp.example", "mta-sts.brand.example"}
