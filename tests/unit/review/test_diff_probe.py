"""The probe's part of the report: which domains are looked at, and how it is reported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.partners.partner_files import record
from tests.unit.review.git_lists import ACME, BETA
from tlsgate import cli
from tlsgate.commands import diff_sections
from tlsgate.partners.model import Verify
from tlsgate.probe import probe
from tlsgate.probe.probe import ProbeSettings
from tlsgate.probe.result import ProbeResult


class FakeProbe:
    """Reports each domain as ready for pkix, except those with `evil` in the name."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.partners: list[str] = []

    def __call__(self, domains: Sequence[str], settings: ProbeSettings) -> list[ProbeResult]:
        self.asked += domains
        self.partners += [partner.name for partner in settings.partners]
        return [self._result(domain) for domain in domains]

    def _result(self, domain: str) -> ProbeResult:
        ready = frozenset() if "evil" in domain else frozenset([Verify.PKIX])
        said = f"{domain} says `<b>hello</b>`" if "evil" in domain else f"{domain} is ready"
        return ProbeResult(domain, ready, said, listed=Verify.PKIX)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProbe:
    monkeypatch.chdir(tmp_path)
    for name in ("old", "new"):
        Path(name).mkdir()
        Path(name, "acme.yaml").write_text(ACME)
    Path("new/beta.yaml").write_text(BETA)
    found = FakeProbe()
    monkeypatch.setattr(probe, "probe_domains", found)
    return found


def diff(*arguments: str) -> int:
    return cli.main(["partners", "diff", "./old", "./new", "--probe", *arguments])


def test_the_domains_with_a_new_rule_are_probed_and_no_others(
    fake: FakeProbe, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = record(name="Evil", domains="[evil.example, moved.example]")
    Path("new/evil.yaml").write_text(evil)
    assert diff() == 0
    assert fake.asked == ["beta.example", "evil.example", "moved.example"]
    assert fake.partners == ["Beta", "Evil"]
    assert capsys.readouterr().out.endswith(
        "### What the servers show today\n\n"
        "- ready: `beta.example is ready`\n"
        "- **not ready**: `` evil.example says `<b>hello</b>` ``\n"
        "- ready: `moved.example is ready`\n"
    )


def test_the_json_is_the_probe_s_own(fake: FakeProbe, capsys: pytest.CaptureFixture[str]) -> None:
    assert diff("--json") == 0
    reported = json.loads(capsys.readouterr().out)["probe"]
    assert reported["left_out"] == 0
    assert [(one["domain"], one["satisfied"]) for one in reported["domains"]] == [
        ("beta.example", True)
    ]


def test_removed_domains_are_not_probed_and_large_changes_only_in_part(
    fake: FakeProbe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diff_sections, "PROBED", 1)
    Path("new/acme.yaml").unlink()
    Path("new/gamma.yaml").write_text(record(name="Gamma", domains="[gamma.example]"))
    assert diff() == 3
    assert fake.asked == ["beta.example"]
    assert "- and 1 more domains, which were not probed\n" in capsys.readouterr().out


def test_a_probe_that_fails_is_reported(
    fake: FakeProbe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(domains: Sequence[str], settings: ProbeSettings) -> list[ProbeResult]:
        raise OSError("no roots")

    monkeypatch.setattr(probe, "probe_domains", fail)
    assert diff() == 2
    assert "the probe failed: no roots" in capsys.readouterr().err
