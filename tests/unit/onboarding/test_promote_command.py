"""`tlsgate partners promote` on the command line: evidence, override, refusals, exit status."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.onboarding.observed_partner import ACME_FILE, TODAY, at, both
from tlsgate import cli
from tlsgate.commands import partners_promote

GROUND = (
    "# Enforced since 2026-11-24: outbound 30 messages in 9 days, inbound 30 messages in 9 days,"
    " all clean.\n"
)
SHORT = "outbound: 3 of 20 messages in 9 of 7 days, observed since 2026-11-10 08:00 UTC."


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one observed partner; beside it, evidence that is enough and that is not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    monkeypatch.setattr(partners_promote, "_today", lambda: TODAY)
    (tmp_path / "partners").mkdir()
    name = "Acme Motors AG"
    short = both(clean={"messages": 3, "since": at(0)})
    (tmp_path / "enough.json").write_text(json.dumps({name: both()}))
    (tmp_path / "short.json").write_text(
        json.dumps({name: {**both(), "outbound": short["outbound"]}})
    )
    path = tmp_path / "partners/acme.yaml"
    path.write_text(ACME_FILE)
    path.chmod(0o640)
    return path


def promote(*arguments: str) -> int:
    return cli.main(["partners", "promote", *arguments])


@pytest.mark.parametrize(
    "name", ["Acme Motors AG", "acme motors ag", "acme", "acme.yaml", "ACME.example"]
)
def test_with_enough_evidence(name: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert promote(name, "--evidence", "enough.json") == 0
    reported = "partners/acme.yaml: Acme Motors AG is enforced from the next `pulumi up`\n"
    assert capsys.readouterr().out == reported
    assert file.read_text() == ACME_FILE.replace("mode: observe", f"{GROUND}mode: enforce")
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in file.parent.iterdir()] == ["acme.yaml"]
    assert promote(name, "--evidence", "enough.json") == 0
    assert "is already enforced" in capsys.readouterr().out


def test_what_is_missing_is_reported(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert promote("acme", "--evidence", "short.json") == 3
    assert capsys.readouterr().out.splitlines() == [
        "partners/acme.yaml: Acme Motors AG stays observed; missing:",
        f"  {SHORT}",
    ]
    assert file.read_text() == ACME_FILE
    assert promote("acme", "--evidence", "short.json", "--json") == 3
    assert json.loads(capsys.readouterr().out) == {
        "problems": [],
        "partner": "Acme Motors AG",
        "file": "partners/acme.yaml",
        "mode": "observe",
        "changed": False,
        "missing": [SHORT],
    }


def test_thresholds_can_be_set(file: Path) -> None:
    assert promote("acme", "--evidence", "enough.json", "--min-days", "10") == 3
    assert promote("acme", "--evidence", "enough.json", "--min-inbound", "31") == 3
    assert promote("acme", "--evidence", "short.json", "--min-outbound", "3") == 0
    assert "outbound 3 messages in 9 days" in file.read_text()


@pytest.mark.parametrize("evidence", [[], ["--evidence", "short.json"]])
def test_an_override_goes_into_the_file(
    evidence: list[str], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "they never write to us, ticket 4711"
    assert promote("acme", *evidence, "--override", reason, "--json") == 0
    reported = json.loads(capsys.readouterr().out)
    assert (reported["mode"], reported["changed"], bool(reported["missing"])) == (
        "enforce",
        True,
        True,
    )
    comment = f"# Enforced since 2026-11-24 without enough evidence: {reason}\n"
    assert file.read_text() == ACME_FILE.replace("mode: observe", f"{comment}mode: enforce")
    assert cli.main(["partners", "fmt", "--check"]) == 0


def test_an_override_that_was_not_needed_is_not_written(file: Path) -> None:
    assert promote("acme", "--evidence", "enough.json", "--override", "to be sure") == 0
    assert file.read_text() == ACME_FILE.replace("mode: observe", f"{GROUND}mode: enforce")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["acme"], "there is no evidence. Give the gateway's stack with --stack"),
        (["acmee", "--stack", "x"], "there is no partner `acmee`. Did you mean `Acme Motors AG`?"),
        (["acme", "--evidence", "no.json"], "no.json cannot be read (No such file or directory)"),
        (["acme", "--evidence", "partners/acme.yaml"], "this is not evidence from the gateway"),
        (["acme", "--stack", "nowhere"], "tlsgate-nowhere-policy cannot be used: no engine"),
        (["acme", "--stack", "broken"], "tlsgate-broken-policy has no evidence: it is broken."),
    ],
)
def test_refusals(
    arguments: list[str],
    says: str,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine(monkeypatch)
    assert promote(*arguments) == 1
    assert says in capsys.readouterr().err
    assert file.read_text() == ACME_FILE


def test_a_list_with_problems(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("name: Acme\n")
    assert promote("acme", "--evidence", "enough.json", "--json") == 1
    assert {one["code"] for one in json.loads(capsys.readouterr().out)["problems"]} == {"missing"}


@pytest.mark.parametrize(
    "option",
    [
        ["--min-days", "-1"],
        ["--min-outbound", "many"],
        ["--override", " "],
        ["--override", "a\nmode: enforce"],
        ["--stack", "prod", "--evidence", "enough.json"],
    ],
)
def test_wrong_usage(option: list[str], file: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        promote("acme", *option)
    assert stopped.value.code == 2
    assert file.read_text() == ACME_FILE


def test_the_running_gateway_gives_the_evidence(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = engine(monkeypatch)
    monkeypatch.setenv("PULUMI_STACK", "prod")
    assert promote("acme") == 0
    assert asked == [("tlsgate-prod-policy", "python3 -m tlsgate.policy observations")]
    assert "mode: enforce" in file.read_text()


def test_without_the_library_it_says_what_to_do(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(partners_promote._PromotionError, match="uv sync --group deploy"):
        partners_promote._ask("tlsgate-prod-policy")


class _EngineError(Exception):
    pass


def engine(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """An engine with the stacks `prod` and `broken`; returns the commands run in its containers."""
    asked: list[tuple[str, str]] = []

    def get(name: str) -> Any:
        if name == "tlsgate-nowhere-policy":
            raise _EngineError("no engine")

        def exec_run(command: list[str], demux: bool) -> Any:
            asked.append((name, " ".join(command)))
            if name == "tlsgate-broken-policy":
                return SimpleNamespace(exit_code=1, output=(None, b"it is broken\n"))
            output = json.dumps({"Acme Motors AG": both()}).encode()
            return SimpleNamespace(exit_code=0, output=(output, None))

        return SimpleNamespace(exec_run=exec_run)

    client = SimpleNamespace(containers=SimpleNamespace(get=get), close=lambda: None)
    library = SimpleNamespace(
        from_env=lambda timeout: client, errors=SimpleNamespace(DockerException=_EngineError)
    )
    monkeypatch.setattr(partners_promote, "_docker", lambda: library)
    return asked
