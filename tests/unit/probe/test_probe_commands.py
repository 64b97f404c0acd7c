"""`tlsgate probe` and `tlsgate check` on the command line: arguments, output, exit status."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.probe.probe_pki import issue
from tlsgate import cli
from tlsgate.certificates.certificate import read_certificate
from tlsgate.dns.mail_route import Dane, MxHost, Route
from tlsgate.dns.nameservers import Resolver
from tlsgate.partners.model import Verify
from tlsgate.probe import check, probe
from tlsgate.probe.prediction import Outcome, Prediction, Protection
from tlsgate.probe.probe import ProbeSettings
from tlsgate.probe.published import Published, Sts
from tlsgate.probe.result import ProbeResult, Server
from tlsgate.smtp.dialogue import Fault, Session
from tlsgate.smtp.requirement import Requirement, parse_policy
from tlsgate.smtp.server_contact import ServerContact

RECORD = """\
name: Acme
contact: postmaster@acme.example
agreed: 2026-10-01
review: 2027-10-01
mode: enforce
domains: [acme.example]
subdomains: true
outbound:
  verify: pkix
inbound:
  require: tls
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "partners").mkdir()
    (tmp_path / "partners/acme.yaml").write_text(RECORD)
    return tmp_path


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], ProbeSettings]]:
    """Domains that start with `good` are ready; `names` are, with other names."""
    calls: list[tuple[list[str], ProbeSettings]] = []

    def probe_domains(domains: Sequence[str], settings: ProbeSettings) -> list[ProbeResult]:
        calls.append((list(domains), settings))
        return [
            ProbeResult(
                domain,
                frozenset({Verify.PKIX} if domain.startswith("good") else ()),
                f"{domain} was probed.",
                notes=("a note",),
                mx_names=("mx.example",) if domain.startswith("names") else (),
            )
            for domain in domains
        ]

    monkeypatch.setattr(probe, "probe_domains", probe_domains)
    return calls


Probed = list[tuple[list[str], ProbeSettings]]


@pytest.mark.parametrize(
    ("domains", "status"), [(["good.example"], 0), (["good.example", "bad.example"], 1)]
)
def test_probe_says_whether_all_are_ready(
    domains: list[str],
    status: int,
    probed: Probed,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["probe", *domains]) == status
    expected = [line for one in domains for line in (f"{one} was probed.", "  note: a note")]
    assert capsys.readouterr().out.splitlines() == expected
    assert cli.main(["probe", "--json", *domains]) == status
    found = json.loads(capsys.readouterr().out)["domains"]
    assert [one["domain"] for one in found] == domains


def test_probe_names_the_names_that_would_do(
    probed: Probed, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["probe", "names.example"]) == 1
    assert "ready for pkix with mx: [mx.example]" in capsys.readouterr().out


def test_probe_passes_its_options_on(probed: Probed, folder: Path) -> None:
    pem = folder / "ca.pem"
    pem.write_text(issue(("CA",), ca=True).pem)
    arguments = ["--resolver", "192.0.2.1:5353", "--extra-ca", "ca.pem", "--helo", "gw.example"]
    bounds = ["--parallel", "7", "--timeout", "9"]
    cli.main(["probe", *arguments, *bounds, "GOOD.example.", "good.example", "bücher.acme.example"])
    ((domains, settings),) = probed
    assert domains == ["good.example", "xn--bcher-kva.acme.example"]
    assert settings.resolver == Resolver(("192.0.2.1",), 5353)
    assert settings.extra_ca == pem.read_text()
    assert (settings.limits.helo, settings.limits.session_seconds) == ("gw.example", 9)
    assert settings.at_once == 7
    assert [partner.name for partner in settings.partners] == ["Acme"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["probe"], "DOMAIN"),
        (["probe", "acme"], "`acme` has no dot"),
        (["probe", "*.acme.example"], "has a wildcard"),
        (["probe", "acme.example", "--resolver", "dns.example"], "is not ADDRESS"),
        (["probe", "acme.example", "--extra-ca", "none.pem"], "none.pem: No such file"),
        (["probe", "acme.example", "--extra-ca", "partners/acme.yaml"], "partners/acme.yaml"),
        (["probe", "acme.example", "--parallel", "0"], "is not a positive number"),
        (["check"], "ADDRESS"),
        (["check", "a@[192.0.2.1]"], "has an IP address instead of a domain"),
        (["check", "a@b@acme"], "`acme` has no dot"),
    ],
)
def test_wrong_usage(
    arguments: list[str], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("command", ["probe", "check"])
def test_a_list_with_problems_is_refused(
    command: str, folder: Path, probed: Probed, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "partners/beta.yaml").write_text("name: Beta\ndomains: [acme.example]\n")
    assert cli.main([command, "acme.example"]) == 1
    assert "partners/beta.yaml" in capsys.readouterr().err
    assert cli.main([command, "--json", "acme.example"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"]
    assert probed == []


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ("name: Beta\n", False),
        ("domains: [beta.example]\n", False),
        ("domains: [ACME.example]\n", True),
        ("domains: [other.sub.acme.example]\n", True),
        ('domains: ["\\x61cme.example"]\n', True),
    ],
)
def test_only_files_that_may_name_the_domain_are_parsed(
    content: str, read: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "partners/beta.yaml").write_text(content)
    assert cli.main(["check", "--offline", "parts.acme.example"]) == (1 if read else 0)
    assert ("partners/beta.yaml" in capsys.readouterr().err) is read


def test_what_is_no_record_file_is_told_all_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "partners/link.yaml").symlink_to("acme.yaml")
    assert cli.main(["check", "--offline", "acme.example"]) == 1
    assert "partners/link.yaml: is a symbolic link" in capsys.readouterr().err


def test_a_list_that_is_named_must_be_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", "--offline", "--partners", "elsewhere", "acme.example"]) == 1
    assert "elsewhere" in capsys.readouterr().err


def test_check_offline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--offline", "buyer@acme.example", "parts.acme.example"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "buyer@acme.example: Mandatory: only over TLS to a certificate of acme.example or a name"
        " below acme.example.",
        "parts.acme.example: Mandatory: only over TLS to a certificate of parts.acme.example or a"
        " name below parts.acme.example.",
    ]
    assert cli.main(["check", "--offline", "--json", "buyer@other.example"]) == 1
    (entry,) = json.loads(capsys.readouterr().out)["addresses"]
    assert (entry["address"], entry["protection"]) == ("buyer@other.example", "unknown")


SECURE = parse_policy("secure match=acme.example", "acme.example")


@pytest.mark.parametrize(
    ("protection", "outcome", "requirement", "status"),
    [
        (Protection.MANDATORY, Outcome.SENT, SECURE, 0),
        (Protection.MANDATORY, Outcome.HELD, SECURE, 1),
        (Protection.DANE, Outcome.SENT, None, 0),
        (Protection.MTA_STS, Outcome.SENT, SECURE, 0),
        (Protection.OPPORTUNISTIC, Outcome.SENT, None, 1),
        (Protection.OPPORTUNISTIC, Outcome.RETURNED, None, 1),
        (Protection.UNKNOWN, Outcome.HELD, None, 1),
    ],
)
def test_check_answers_by_its_exit_status(
    *,
    protection: Protection,
    outcome: Outcome,
    requirement: Requirement | None,
    status: int,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = Prediction("acme.example", protection, outcome, requirement, "why", "mx", "TLSv1.3")
    monkeypatch.setattr(check, "predict_all", lambda *_: [answer])
    assert cli.main(["check", "a@acme.example", "b@acme.example"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"a@acme.example: {answer.sentence}"
    now = "  now: would be sent to mx over TLSv1.3"
    assert (now in lines) is (status == 0)
    assert lines[-1] in {now, f"b@acme.example: {answer.sentence}"}


def test_what_stands_below_the_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leaf = issue(("mx.d.example",), ends=datetime(2030, 1, 2, tzinfo=UTC), common_name="Self")
    shown = Session(version="TLSv1.3", chain=leaf.chain)
    host = MxHost("mx.d.example", 10, ("192.0.2.1", "192.0.2.2"), dane=Dane.USABLE)
    clear = Session(Fault.NO_STARTTLS, "not offered")
    result = ProbeResult(
        "d.example",
        frozenset(),
        "d.example was probed.",
        route=Route("d.example", True, hosts=(host,)),
        servers=(
            Server(
                host, ServerContact(host.name, "192.0.2.1", shown, None, read_certificate(leaf.der))
            ),
            Server(host, ServerContact(host.name, "192.0.2.2", clear)),
        ),
        published=Published(Sts.TESTING, reports=("mailto:tls@d.example",)),
    )
    monkeypatch.setattr(probe, "probe_domains", lambda *_: [result])
    assert cli.main(["probe", "d.example"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "d.example was probed.",
        "  mx.d.example [192.0.2.1]: TLSv1.3, a certificate of Self until 2030-01-02",
        "  mx.d.example [192.0.2.2]: no-starttls",
        "  DNSSEC: signed, TLSA: usable, MTA-STS: testing, TLS-RPT: mailto:tls@d.example",
    ]


@pytest.mark.parametrize(
    ("command", "target"),
    [
        ("probe", "tlsgate.probe.probe.probe_domains"),
        ("check", "tlsgate.commands.check.compile_partners"),
    ],
)
def test_a_record_that_cannot_be_enforced_is_told(
    command: str,
    target: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("Acme: verify magic cannot be enforced")

    monkeypatch.setattr(target, refuse)
    assert cli.main([command, "acme.example"]) == 1
    told = capsys.readouterr().err
    assert told == ("The partner list cannot be compiled: Acme: verify magic cannot be enforced.\n")
