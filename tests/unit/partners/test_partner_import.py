"""Lists of others as records: what can be said is said, what cannot is told, nothing is lost."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.partners.partner_files import record
from tests.unit.partners.test_partner_format import domains as any_domain
from tests.unit.partners.test_partner_format import every_partner
from tests.unit.partners.test_partner_format import partners as any_partner
from tlsgate import cli
from tlsgate.commands.partners_export import to_postfix
from tlsgate.partners.import_csv import COLUMNS, read_csv
from tlsgate.partners.import_eff import read_eff
from tlsgate.partners.import_postfix import read_postfix
from tlsgate.partners.importing import Defaults, Row, Source, new_files, read_rows
from tlsgate.partners.model import Mode, Outbound, Partner, Verify
from tlsgate.render.partner_maps import compile_partners

AGREED = Defaults(date(2026, 10, 1), date(2027, 10, 1))
PIN = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"
COLONS = ":".join(PIN[i : i + 2].upper() for i in range(0, 64, 2))
Reader = Callable[[Source], Iterator[Row]]


def imported(reader: Reader, text: str) -> tuple[list[Partner], Source]:
    source = Source("list", text)
    drafts = read_rows(reader(source), source, AGREED)
    return [draft.partner for draft in drafts if draft.partner is not None], source


def problems(reader: Reader, text: str) -> list[str]:
    partners, source = imported(reader, text)
    assert not partners
    return [str(problem) for problem in source.problems]


def only(reader: Reader, text: str) -> Partner:
    partners, source = imported(reader, text)
    assert source.problems == []
    (partner,) = partners
    return partner


# Postfix


@pytest.mark.parametrize(
    ("text", "subdomains", "outbound"),
    [
        ("a.example secure", False, Outbound()),
        ("a.example secure match=nexthop:dot-nexthop", False, Outbound()),
        ("a.example secure match=.a.example match=a.example", False, Outbound()),
        ("A.example\tsecure, match=nexthop", False, Outbound(Verify.PKIX, ("a.example",))),
        ("a.example secure match=mx.b.example", False, Outbound(Verify.PKIX, ("mx.b.example",))),
        ("a.example secure\n.a.example secure", True, Outbound()),
        ("a.example secure match=a.example:.a.example\n.a.example secure", True, Outbound()),
        (
            "a.example secure match=.b.example\n.a.example secure match=.b.example",
            True,
            Outbound(Verify.PKIX, (".b.example",)),
        ),
        (
            "a.example secure match=a.example:.a.example\n"
            ".a.example secure match=a.example:.a.example",
            True,
            Outbound(Verify.PKIX, (".a.example", "a.example")),
        ),
        ("# head\n\na.example\n  # inside\n  dane-only", False, Outbound(Verify.DANE)),
        ("a.example dane-only\n.a.example dane-only", True, Outbound(Verify.DANE)),
        (f"a.example fingerprint match={COLONS}", False, Outbound(Verify.PIN, (), (PIN,))),
        (
            f"a.example fingerprint match={COLONS}|{'00:' * 31}00",
            False,
            Outbound(Verify.PIN, (), ("0" * 64, PIN)),
        ),
    ],
)
def test_a_postfix_entry_becomes_a_record(text: str, subdomains: bool, outbound: Outbound) -> None:
    partner = only(read_postfix, text)
    assert partner.domains == ("a.example",)
    assert (partner.subdomains, partner.outbound) == (subdomains, outbound)
    assert (partner.contact, partner.mode) == ("postmaster@a.example", Mode.ENFORCE)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("a.example may", "too-weak", "list:1: a.example: the level `may` sends in plaintext"),
        ("a.example none", "too-weak", "sends without TLS"),
        ("a.example encrypt", "too-weak", "proves nobody's identity"),
        ("a.example verify", "too-weak", "believes the server's name that DNS gave"),
        ("a.example dane", "too-weak", "falls back to opportunistic TLS"),
        ("a.example secur", "too-weak", "the level `secur` is no level of a TLS policy"),
        ("a.example", "too-weak", "the level `` is no level"),
        ("a.example secure match=hostname", "too-weak", "`match=hostname` believes"),
        ("a.example secure tafile=/x.pem", "not-said", "`tafile=/x.pem` cannot be said"),
        ("a.example secure protocols=>=TLSv1.3", "not-said", "cannot be said in a record"),
        ("a.example secure protocols=!TLSv1.2", "not-said", "cannot be said in a record"),
        ("a.example secure policy_ttl=1", "not-said", "cannot be said in a record"),
        ("a.example fingerprint match=AA:BB", "not-sha256", "is no SHA-256"),
        ("a.example fingerprint", "not-sha256", "is no SHA-256"),
        ("[mx.a.example] secure", "not-a-domain", "is a next hop, not a mail domain"),
        ("a.example:587 secure", "not-a-domain", "is a next hop"),
        (".a.example secure", "below-only", "Write an entry for a.example too"),
        ("a.example secure\na.example may", "doubled", "list:2: a.example: is in the table twice"),
        ("a.example secure\n.a.example dane-only", "two-rules", "demands something else than"),
        (
            "a.example secure\n.a.example secure match=mx.a.example",
            "two-rules",
            "demands something else than .a.example",
        ),
        ("a.example secure\n.a.example may", "too-weak", "list:2: .a.example: the level `may`"),
        ("co.uk secure", "bad-domain", "is a public suffix"),
        ("bücher.example secure", "bad-domain", "Write xn--bcher-kva.example"),
        ("a.example secure match=.com", "bad-mx", "outbound.mx[0]"),
    ],
)
def test_what_no_record_says_is_a_problem(text: str, code: str, said: str) -> None:
    partners, source = imported(read_postfix, text)
    assert code in {problem.code for problem in source.problems}
    assert said in str(source.problems[0])
    assert len(partners) == (code == "doubled")


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ("protocols=>=TLSv1.2", "not-taken"),
        ("protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1", "not-taken"),
        ("protocols=TLSv1.2:TLSv1.3", "not-taken"),
        ("ciphers=high", "not-taken"),
        ("servername=mx.a.example", "not-taken"),
    ],
)
def test_what_the_gateway_does_for_all_is_a_note(attribute: str, code: str) -> None:
    partners, source = imported(read_postfix, f"a.example secure {attribute}")
    assert len(partners) == 1
    assert [note.code for note in source.notes] == [code]
    assert attribute in str(source.notes[0])


def outbound_rules(partners: list[Partner]) -> dict[str, object]:
    """The compiled map; names that a certificate may have in any order."""
    return {
        key: (policy.partition("match=")[0], frozenset(policy.partition("match=")[2].split(":")))
        for key, policy in compile_partners(partners).outbound
    }


def apart(partners: list[Partner]) -> list[Partner]:
    """Those whose domains no other has."""
    seen: set[str] = set()
    kept = []
    for number, partner in enumerate(partners):
        if seen.isdisjoint(partner.domains):
            seen.update(partner.domains)
            kept.append(replace(partner, name=f"P{number}"))
    return kept


@given(st.lists(any_partner, max_size=4).map(apart))
def test_a_list_exported_to_postfix_and_imported_again_demands_the_same(
    partners: list[Partner],
) -> None:
    again, source = imported(read_postfix, to_postfix(partners))
    assert source.problems == []
    assert outbound_rules(again) == outbound_rules(partners)
    assert (
        to_postfix(again).splitlines()[2:]
        == to_postfix(imported(read_postfix, to_postfix(again))[0]).splitlines()[2:]
    )


WORDS = """a.example .a.example b.example secure may dane-only fingerprint match= match=nexthop :
    match=b.example protocols=x # [mx] nexthop hostname"""
words = st.sampled_from(WORDS.split()) | st.text(max_size=4)
lines = st.lists(st.lists(words, max_size=5).map(" ".join), max_size=6).map("\n".join)


@given(lines)
def test_every_key_of_any_table_is_a_record_or_a_problem(text: str) -> None:
    partners, source = imported(read_postfix, text)
    said = {problem.key for problem in source.problems}
    records = {domain for partner in partners for domain in partner.domains}
    for line in text.split("\n"):
        key = "".join(line.split()[:1]).lower()
        if key in ("a.example", "b.example") and not line[0].isspace():
            # The key below may be the one at fault: a record says both or neither.
            told = {key, f".{key}"} & said or any(p.code.startswith("bad") for p in source.problems)
            assert key in records or told


# EFF


def policy_list(policies: object, **more: object) -> str:
    return json.dumps({"version": "0.1", "policies": policies, **more})


def test_an_eff_list_becomes_records_aliases_and_modes_too() -> None:
    partners, source = imported(
        read_eff,
        policy_list(
            {
                "a.example": {"mode": "enforce", "mxs": [".mx.a.example", "MX.b.example"]},
                "b.example": {"policy-alias": "big"},
            },
            **{
                "policy-aliases": {
                    "big": {"mode": "enforce", "mxs": ["*.big.example"]},
                    "old": {"mode": "none"},
                }
            },
        ),
    )
    assert source.problems == []
    assert [(one.domains, one.mode, one.subdomains, one.outbound.mx) for one in partners] == [
        (("a.example",), Mode.ENFORCE, False, (".mx.a.example", "mx.b.example")),
        (("b.example",), Mode.ENFORCE, False, (".big.example",)),
    ]
    assert [note.code for note in source.notes] == ["pattern", "not-used"]


@pytest.mark.parametrize("expires", ["2014-06-06T14:30:16+00:00", "2099-01-01", 0])
def test_an_expired_list_protects_as_much_as_one_that_has_not_expired(expires: object) -> None:
    policies = {"a.example": {"mode": "enforce", "mxs": ["mx.a.example"]}}
    fresh, _ = imported(read_eff, policy_list(policies))
    expired, source = imported(read_eff, policy_list(policies, expires=expires))
    assert expired == fresh
    assert (source.problems, [note.code for note in source.notes]) == ([], ["no-expiry"])


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"mode": "none", "mxs": ["mx.a.example"]}, "too-weak"),
        ({"mxs": ["mx.a.example"]}, "too-weak"),
        ({"mode": "enforce"}, "too-weak"),
        ({"mode": "enforce", "mxs": []}, "too-weak"),
        ({"mode": "enforce", "mxs": "mx.a.example"}, "bad-policy"),
        ("enforce", "bad-policy"),
        ({"policy-alias": "none"}, "bad-alias"),
        ({"policy-alias": "big", "mode": "enforce"}, "bad-alias"),
        ({"policy-alias": ["big"]}, "bad-alias"),
        ({"mode": "enforce", "mxs": ["mx.a.example"], "min-tls-version": "1.3"}, "not-said"),
        ({"mode": "enforce", "mxs": [".com"]}, "bad-mx"),
        ({"mode": "enforce", "mxs": [7]}, "bad-mx"),
    ],
)
def test_a_policy_that_no_record_says_is_a_problem(policy: object, code: str) -> None:
    aliases = {"policy-aliases": {"big": {"mode": "enforce", "mxs": ["mx.a.example"]}}}
    partners, source = imported(read_eff, policy_list({"a.example": policy}, **aliases))
    assert (partners, [problem.code for problem in source.problems]) == ([], [code])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "bad-json"),
        ("[" * 100_000, "bad-json"),
        ('{"version": "0.1", "policies": {"a.example": {}, "a.example": {}}}', "bad-json"),
        ("[]", "bad-list"),
        ('{"version": "0.1", "policies": []}', "bad-list"),
        ('{"version": "1.0", "policies": {}}', "bad-version"),
        ('{"version": "0.1", "policies": {}, "tls-blocklist": {}}', "unknown-key"),
    ],
)
def test_what_is_no_such_list_is_a_problem(text: str, code: str) -> None:
    assert [line for line in problems(read_eff, text) if line.endswith(f"[{code}]")]


modes = st.sampled_from(["enforce", "none", "testing", "x"])
policies = st.fixed_dictionaries(
    {"mode": modes, "mxs": st.lists(any_domain.map(lambda name: f".{name}"), max_size=3)}
)


@given(st.dictionaries(any_domain, policies, max_size=5))
def test_every_eff_policy_is_a_record_as_strict_or_a_problem(
    given_policies: dict[str, dict[str, object]],
) -> None:
    partners, source = imported(read_eff, policy_list(given_policies, expires="2000-01-01"))
    records = {partner.domains[0]: partner for partner in partners}
    for domain, policy in given_policies.items():
        if policy["mode"] == "enforce" and policy["mxs"]:
            names = policy["mxs"]
            assert isinstance(names, list)
            assert records[domain].outbound.mx == tuple(sorted(set(names)))
            assert records[domain].mode is Mode.ENFORCE
        elif domain in records:
            assert (policy["mode"], records[domain].mode) == ("testing", Mode.OBSERVE)
        else:
            keys = {problem.key for problem in source.problems}
            assert f"policies.{domain}" in keys or "mode" in keys


# CSV


tabular = every_partner.map(lambda partner: replace(partner, exceptions=()))


def cells(partner: Partner) -> dict[str, str]:
    def cell(path: tuple[str, ...]) -> str:
        value: object = partner.to_dict()
        for key in path:
            assert isinstance(value, dict)
            value = value.get(key, "")
        return " ".join(value) if isinstance(value, list) else str(value)

    return {column: cell(path) for column, path in COLUMNS.items()}


@given(st.lists(tabular, min_size=1, max_size=3), st.sampled_from(",;"), st.booleans())
def test_a_list_as_csv_reads_back_the_same(
    partners: list[Partner], delimiter: str, spreadsheet: bool
) -> None:
    file = io.StringIO()
    writer = csv.DictWriter(file, sorted(COLUMNS), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(cells(partner) for partner in partners)
    mark = "\ufeff" if spreadsheet else ""
    again, source = imported(read_csv, mark + file.getvalue())
    assert source.problems == []
    assert again == [replace(partner, file="list") for partner in partners]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "list:1: has no column `domains`."),
        ("name\nAcme\n", "list:1: has no column `domains`."),
        ("domains,colour\n", "list:1: the column `colour` is not known, and is never ignored."),
        ("domains,domains\n", "the column `domains` is there twice."),
        ("domains\na.example,b.example\n", "list:2: has 2 cells for 1 columns."),
        ('domains\n"a.example\n', "is not CSV (unexpected end of data)"),
        ("domains,mode\n\na.example,off\n", "list:3: mode: `off` is not one of enforce, observe."),
        ("domains,subdomains\na.example,maybe\n", "list:2: subdomains: `maybe` is not true or"),
        ("domains,agreed\nA.example,soon\n", "list:2: agreed: `soon` is not a date."),
        ("domains,mx\na.example,*.a.example\n", "list:2: outbound.mx[0]: `*.a.example` has a"),
        ("domains,verify\na.example,pin\n", "list:2: outbound.public_keys: is needed"),
    ],
)
def test_what_is_wrong_in_a_table_is_told_with_its_line(text: str, said: str) -> None:
    assert any(line.startswith(said) or said in line for line in problems(read_csv, text))


def test_what_a_table_leaves_out_has_the_defaults() -> None:
    partner = only(read_csv, "Domains , MX\na.example b.example,.mx.a.example\n")
    assert (partner.name, partner.domains) == ("a.example", ("a.example", "b.example"))
    assert (partner.agreed, partner.review) == (AGREED.agreed, AGREED.review)
    assert partner.subdomains is True
    assert partner.outbound.mx == (".mx.a.example",)


# Files and the command


def test_each_record_gets_a_file_of_its_own() -> None:
    source = Source("list", "name,domains\nAcme AG,a.example\nACME ag!,b.example\n本社,c.example\n")
    drafts = read_rows(read_csv(source), source, AGREED)
    names = [name for name, _ in new_files(drafts, ["acme-ag.yaml"])]
    assert names == ["acme-ag-2.yaml", "acme-ag-3.yaml", "c-example.yaml"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("partners")


def run(*arguments: str) -> int:
    return cli.main(["partners", "import", *arguments])


def test_import_writes_files_that_load_and_export_gives_the_table_back(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = "a.example dane-only\nb.example secure match=mx.b.example\n"
    Path("map").write_text(table)
    assert (
        run("--from", "postfix", "map", "--agreed", "2026-10-01", "--contact", "s@c.example") == 0
    )
    assert capsys.readouterr().out.split() == ["partners/a-example.yaml", "partners/b-example.yaml"]
    assert (
        "contact: s@c.example\nagreed: 2026-10-01\nreview: 2027-10-01\n"
        in (folder / "a-example.yaml").read_text()
    )
    assert cli.main(["partners", "fmt", "--check"]) == 0
    assert cli.main(["partners", "export", "--to", "postfix"]) == 0
    assert capsys.readouterr().out.endswith(table)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": "observe"}, "is only observed: the table would hold its mail"),
        (
            {
                "exceptions": "[{until: 2099-01-01, direction: outbound, allow: plaintext,"
                " reason: late, approved_by: s@corp.example}]"
            },
            "has an exception, which a table cannot end",
        ),
    ],
)
def test_what_a_table_cannot_say_is_not_exported_in_silence(
    folder: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], said: str
) -> None:
    folder.mkdir()
    (folder / "acme.yaml").write_text(record(**changes))
    (folder / "beta.yaml").write_text(record(name="Beta", domains="[beta.example]"))
    assert cli.main(["partners", "export", "--to", "postfix"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert f"partners/acme.yaml: Acme Motors AG {said}" in told.err
    assert cli.main(["partners", "export", "--to", "postfix", "--partly"]) == 1
    told = capsys.readouterr()
    assert "acme.example" not in told.out
    assert "\nbeta.example secure" in told.out
    assert said in told.err


def test_with_problems_nothing_is_written_but_partly(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("map").write_text("a.example dane-only\nb.example may\n")
    assert run("--from", "postfix", "map") == 1
    assert not folder.exists()
    assert "--partly writes what can be said." in capsys.readouterr().err
    assert run("--from", "postfix", "map", "--partly", "--dry-run") == 1
    assert not folder.exists()
    assert run("--from", "postfix", "map", "--partly") == 1
    assert [path.name for path in folder.iterdir()] == ["a-example.yaml"]
    written = (folder / "a-example.yaml").read_text()
    assert run("--from", "postfix", "map", "--partly") == 1
    assert "`a.example` is already in partners/a-example.yaml." in capsys.readouterr().err
    assert (folder / "a-example.yaml").read_text() == written


def test_records_that_collide_are_never_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    (folder / "acme.yaml").write_text(record())
    Path("list.csv").write_text("domains\nparts.acme.example\nb.example\n")
    assert run("--from", "csv", "list.csv", "--partly", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [problem["code"] for problem in told["problems"]] == ["domain-overlap"]
    assert told["files"] == []
    assert [path.name for path in folder.iterdir()] == ["acme.yaml"]


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "unreadable"), (b"\xff", "not-utf-8"), (b"x" * 40_000_000, "file-too-large")],
)
def test_a_source_that_cannot_be_read_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, code: str
) -> None:
    if content is not None:
        Path("list.csv").write_bytes(content)
    assert run("--from", "csv", "list.csv") == 1
    assert f"[{code}]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["map"],
        ["--from", "bind", "map"],
        ["--from", "csv", "map", "--agreed", "1.10.2026"],
        ["--from", "csv", "map", "--contact", "nobody"],
    ],
)
def test_wrong_usage_of_import_is_status_2(folder: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
