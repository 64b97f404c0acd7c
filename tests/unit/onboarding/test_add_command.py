"""`tlsgate partners add` on the command line: what it writes, and when it writes nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from tests.unit.onboarding.observed_partner import ACME_FILE, TODAY
from tests.unit.partners.ca_certificates import ca_pem
from tlsgate import cli
from tlsgate.commands import partners_add
from tlsgate.onboarding import own_domains
from tlsgate.onboarding.own_domains import OwnDomain, OwnHost
from tlsgate.partners.load import load_partners
from tlsgate.partners.model import Mode, Verify
from tlsgate.probe import probe
from tlsgate.probe.published import Sts
from tlsgate.probe.result import ProbeResult

OURS = ["--own-domain", "corp.example"]
YES = [*OURS, "--name", "Beta & Söhne", "--non-interactive"]
KEY = "ab" * 32
BETA = """\
name: "Beta & Söhne"
contact: postmaster@beta.example
agreed: 2026-11-24
review: 2027-11-24
mode: observe
tls: strong
domains: [beta.example]
subdomains: true
outbound:
  verify: pkix
inbound:
  require: tls
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one partner; `names.example` is ready by its servers' names alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "partners").mkdir()
    (tmp_path / "partners/acme.yaml").write_text(ACME_FILE)
    monkeypatch.setattr(partners_add, "_today", lambda: TODAY)

    def probe_domains(domains: Sequence[str], settings: object) -> list[ProbeResult]:
        return [
            ProbeResult(one, frozenset(), f"{one} is not ready.", mx_names=("mx.p.example",))
            if one.startswith("names")
            else ProbeResult(one, frozenset({Verify.PKIX}), f"{one} is ready.", public_keys=(KEY,))
            for one in domains
        ]

    def look(domains: Sequence[str], resolver: object, extra_ca: str) -> tuple[OwnDomain, ...]:
        host = OwnHost("mx1.corp.example")
        return tuple(OwnDomain(one, (host,), Sts.NONE) for one in domains)

    monkeypatch.setattr(probe, "probe_domains", probe_domains)
    monkeypatch.setattr(own_domains, "look_up_own_domains", look)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return tmp_path / "partners"


def test_the_file_and_the_letter(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["partners", "add", "BETA.example.", "beta.example", *YES]) == 0
    said = capsys.readouterr()
    assert (folder / "beta-s-hne.yaml").read_text() == BETA
    assert said.out.startswith("To: postmaster@beta.example\nSubject: Encrypted mail between corp")
    assert said.out.endswith(
        "Please send questions and notice of changes to postmaster@corp.example\n"
    )
    assert said.err.splitlines() == [
        "beta.example is ready.",
        "partners/beta-s-hne.yaml: written, in mode observe",
    ]
    assert cli.main(["partners", "fmt", "--check"]) == 0
    assert [one.mode for one in load_partners(folder)] == [Mode.OBSERVE] * 2


def test_the_letter_in_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    letter = folder.parent / "letter.txt"
    command = ["partners", "add", "beta.example", *YES, "--letter", "letter.txt"]
    assert cli.main([*command, "--own-contact", "security@corp.example"]) == 0
    assert capsys.readouterr().out == ""
    assert letter.read_text().endswith("security@corp.example\n")
    assert sorted(path.name for path in folder.parent.iterdir()) == ["letter.txt", "partners"]


def test_every_option_reaches_the_record(folder: Path) -> None:
    (folder.parent / "ca.pem").write_text(ca_pem())
    dates = ["--agreed", "2026-03-01", "--review", "2026-12-01", "--contact", "tls@beta.example"]
    inbound = ["--inbound", "certificate", "--client-key", KEY, "--network", "192.0.2.0/28"]
    outbound = ["--ca", "ca.pem", "--mx", ".mx.beta.example", "--mx", "mx.p.example"]
    command = ["partners", "add", "beta.example", "gamma.example", *YES, "--no-subdomains"]
    assert cli.main([*command, *dates, *inbound, *outbound]) == 0
    _, beta = load_partners(folder)
    assert (beta.agreed, beta.review) == (date(2026, 3, 1), date(2026, 12, 1))
    assert (beta.contact, beta.subdomains) == ("tls@beta.example", False)
    assert beta.domains == ("beta.example", "gamma.example")
    assert beta.outbound.verify is Verify.PRIVATE_CA
    assert beta.outbound.mx == (".mx.beta.example", "mx.p.example")
    assert beta.outbound.ca.startswith("-----BEGIN CERTIFICATE-----")
    assert beta.inbound.public_keys == (KEY,)
    assert beta.inbound.networks == ("192.0.2.0/28",)


@pytest.mark.parametrize(
    ("options", "verify", "keys"),
    [
        (["--server-key", KEY], Verify.PIN, (KEY,)),
        (["--verify", "dane"], Verify.DANE, ()),
        ([], Verify.PKIX, ()),
    ],
)
def test_how_the_servers_prove_themselves(
    options: list[str], verify: Verify, keys: tuple[str, ...], folder: Path
) -> None:
    assert cli.main(["partners", "add", "beta.example", *YES, *options]) == 0
    _, beta = load_partners(folder)
    assert (beta.outbound.verify, beta.outbound.public_keys) == (verify, keys)


def test_answers_are_prompted_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("Names Ltd\n\n\n\ncorp.example\ny\n"))
    assert cli.main(["partners", "add", "names.example"]) == 0
    said = capsys.readouterr()
    assert "Address of its postmaster [postmaster@names.example]: " in said.err
    assert said.out.startswith("To: postmaster@names.example\n")
    (names,) = [one for one in load_partners(folder) if one.name == "Names Ltd"]
    assert names.outbound.mx == ("mx.p.example",)


NAMED = ["--name", "Beta", *OURS]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["beta.example"], 2, ["--name NAME:", "--own-domain DOMAIN:"]),
        (
            ["names.example", "--non-interactive"],
            2,
            ["--name NAME:", "--own-domain DOMAIN:", "--mx NAME:"],
        ),
        (["acme.example", *NAMED], 1, ["partners/acme.yaml: acme.example: is already on the list"]),
        (["parts.acme.example", *NAMED], 1, ["acme.yaml"]),
        (["corp.example", *NAMED], 1, ["corp.example"]),
        (["beta.example", "--name", "acme motors ag", *OURS], 1, ["acme.yaml"]),
        (["beta.example", "--name", " ", *OURS], 1, ["name: ` ` has no letters or digits"]),
        (["beta.example", *NAMED, "--agreed", "2026-11-25"], 1, ["is in the future"]),
        (
            ["beta.example", *NAMED, "--network", "10.0.0.1/8", "--inbound", "certificate"],
            1,
            ["inbound.public_keys: is needed with `require: certificate`", "inbound.networks"],
        ),
        (["beta.example", *NAMED, "--verify", "private-ca"], 1, ["outbound.ca: is needed"]),
        (["beta.example", *NAMED, "--letter", "partners/acme.yaml"], 1, ["is not overwritten"]),
        (["beta.example", *NAMED, "--letter", "no/letter.txt"], 1, ["cannot be written"]),
        (["beta.example", *NAMED, "--partners", "nowhere"], 1, ["cannot be read as a folder"]),
    ],
)
def test_nothing_is_written(
    arguments: list[str],
    status: int,
    says: list[str],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["partners", "add", *arguments]) == status
    said = capsys.readouterr()
    assert said.out == ""
    for words in says:
        assert words in said.err
    assert [path.name for path in folder.iterdir()] == ["acme.yaml"]
    assert [path.name for path in folder.parent.iterdir()] == ["partners"]
    assert (folder / "acme.yaml").read_text() == ACME_FILE


def test_a_list_with_problems_must_be_fixed_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.yaml").write_text("name: [\n")
    assert cli.main(["partners", "add", "beta.example", *YES]) == 1
    assert "partners/bad.yaml" in capsys.readouterr().err
    assert not (folder / "beta-s-hne.yaml").exists()


def test_an_existing_file_is_never_overwritten(folder: Path) -> None:
    (folder / "beta.yaml").write_text(ACME_FILE.replace("acme", "other").replace("Acme", "Other"))
    before = (folder / "beta.yaml").read_text()
    assert cli.main(["partners", "add", "beta.example", "--name", "Beta", *OURS]) == 0
    assert (folder / "beta.yaml").read_text() == before
    assert "name: Beta\n" in (folder / "beta-2.yaml").read_text()


def test_a_file_created_meanwhile_is_not_changed_and_the_letter_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(domains: Sequence[str], resolver: object, extra_ca: str) -> tuple[OwnDomain, ...]:
        (folder / "beta.yaml").write_text("somebody else's")
        return (OwnDomain("corp.example", (OwnHost("mx1.corp.example"),), Sts.NONE),)

    monkeypatch.setattr(own_domains, "look_up_own_domains", look)
    command = ["partners", "add", "beta.example", "--name", "Beta", *OURS]
    assert cli.main([*command, "--letter", "letter.txt"]) == 1
    assert (folder / "beta.yaml").read_text() == "somebody else's"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["partners"]
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--contact", "nobody"], "`nobody` is not a mail address. Write one address"),
        (["--agreed", "soon"], "`soon` is not a date"),
        (["--ca", "nowhere.pem"], "No such file"),
        (["--own-domain", "corp"], "no dot"),
        (["--verify", "luck"], "invalid choice"),
    ],
)
def test_wrong_usage(
    option: list[str], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["partners", "add", "beta.example", *option])
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


def test_json_of_the_new_record_is_what_list_shows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["partners", "add", "beta.example", *YES])
    capsys.readouterr()
    assert cli.main(["partners", "list", "--json"]) == 0
    names = [one["name"] for one in json.loads(capsys.readouterr().out)["partners"]]
    assert names == ["Acme Motors AG", "Beta & Söhne"]
