"""The policy pack with the real CLI: one preview for each severity, and an option of the schema.

The stacks are only previewed, never deployed, in a separate state; the lab is not needed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab import files
from tests.e2e.deployment import Deployment, PulumiResult, config_file, write_config

pytestmark = pytest.mark.e2e

DEMO_LEVELS = json.loads((files.REPOSITORY / "policies" / "demo.json").read_text())
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
Change = Callable[[dict[str, Any], Path], None]


def config(folder: Path, change: Change) -> dict[str, Any]:
    """A gateway with manual DNS, with a change in its config."""
    values: dict[str, Any] = {
        "domains": ["corp.example"],
        "gateways": [{"name": "mx1.corp.example", "addresses": ["192.0.2.3"]}],
        "partners": "lab/partners",
        "internal": {"networks": ["192.0.2.12/32"], "server": "mail.corp.example:25"},
        "acme": {"contact": ["mailto:postmaster@corp.example"], "challenge": "http-01"},
        "dns": {"sink": "manual"},
        "mtaSts": {"mode": "enforce", "addresses": ["192.0.2.4"]},
        "queue": {},
    }
    change(values, folder)
    return {"config": {f"tlsgate:{key}": value for key, value in values.items()}}


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Deployment]]:
    """A test stack and a production stack."""
    backend = {"PULUMI_BACKEND_URL": f"file://{tmp_path_factory.mktemp('backend')}"}
    made = {name: Deployment(name, variables=backend) for name in ("test-policies", "prod-test")}
    try:
        for stack in made.values():
            said = stack.run("stack", "init", "--no-select")
            assert said.code == 0, said.text
        yield made
    finally:
        for name in made:  # `stack init` writes the passphrase's salt there
            config_file(name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Pack:
    """Previews with the policy pack."""

    stacks: Mapping[str, Deployment]
    folder: Path

    def preview(
        self,
        change: Change,
        levels: Mapping[str, Any] | None = None,
        stack: str = "test-policies",
    ) -> PulumiResult:
        """Preview a stack; `levels`: levels and options of policies beside the demo's."""
        file = write_config(self.folder / "config.yaml", config(self.folder, change))
        chosen = self.folder / "levels.json"
        chosen.write_text(json.dumps({**DEMO_LEVELS, **(levels or {})}))
        pack = ("--policy-pack", "policies", "--policy-pack-config", str(chosen))
        return replace(self.stacks[stack], options=("--config-file", str(file), *pack)).preview()


@pytest.fixture
def pack(stacks: dict[str, Deployment], tmp_path: Path) -> Pack:
    return Pack(stacks, tmp_path)


def violations(said: PulumiResult) -> set[tuple[str, str]]:
    """Level and policy of every violation."""
    return set(re.findall(r"\[(advisory|mandatory)\]\s+(\S+)", said.text))


def nothing(_config: dict[str, Any], _folder: Path) -> None:
    """Change nothing."""


def short_queue(config: dict[str, Any], _folder: Path) -> None:
    config["queue"] = {"lifetime": "1d"}


def staging(config: dict[str, Any], _folder: Path) -> None:
    config["acme"]["directory"] = STAGING


def reviewed(days_ago: int) -> Change:
    """A list in which one partner's review date was so many days ago."""

    def change(config: dict[str, Any], folder: Path) -> None:
        partners = Path(shutil.copytree(files.LAB / "partners", folder / "partners"))
        config["partners"] = str(partners)
        today = datetime.now(UTC).date()
        dates = {"agreed": today - timedelta(days=400), "review": today - timedelta(days=days_ago)}
        file = partners / "good.yaml"
        text = file.read_text()
        for key, day in dates.items():
            text, count = re.subn(rf"^{key}: .*$", f"{key}: {day}", text, flags=re.M)
            assert count == 1
        file.write_text(text)

    return change


IMAGES = ("advisory", "images-pinned")
QUEUE = ("mandatory", "queue-life")
CA = ("mandatory", "production-ca")
DUE = ("advisory", "partner-review-due")
OVERDUE = ("mandatory", "partner-review-overdue")


def test_an_advisory_policy_only_warns(pack: Pack) -> None:
    said = pack.preview(nothing)
    assert said.code == 0, said.text
    assert violations(said) == {IMAGES}
    assert "debian:trixie-slim is not pinned" in said.text


def test_a_mandatory_policy_refuses(pack: Pack) -> None:
    said = pack.preview(short_queue)
    assert said.code != 0
    assert violations(said) == {IMAGES, QUEUE}
    assert "main.cf: held mail bounces after 1d. Set tlsgate:queue.lifetime to 2d" in said.text


def test_an_option_of_the_schema_changes_a_policy(pack: Pack) -> None:
    said = pack.preview(short_queue, {"queue-life": {"minimumDays": 1}})
    assert (said.code, violations(said)) == (0, {IMAGES}), said.text


def test_an_option_that_the_schema_does_not_allow_is_refused(pack: Pack) -> None:
    said = pack.preview(nothing, {"queue-life": {"minimumDays": "two"}})
    assert said.code != 0
    assert "minimumDays" in said.text


@pytest.mark.parametrize(("stack", "found"), [("test-policies", set()), ("prod-test", {CA})])
def test_a_production_stack_is_recognised_by_its_name(
    pack: Pack, stack: str, found: set[tuple[str, str]]
) -> None:
    said = pack.preview(staging, stack=stack)
    assert violations(said) == {IMAGES, *found}, said.text
    assert (said.code != 0) == bool(found)


@pytest.mark.parametrize(("days", "found"), [(30, {DUE}), (61, {DUE, OVERDUE})])
def test_an_old_review_date_is_first_a_warning_and_later_an_error(
    pack: Pack, days: int, found: set[tuple[str, str]]
) -> None:
    said = pack.preview(reviewed(days), {"partner-review-overdue": "mandatory"})
    assert violations(said) == {IMAGES, *found}, said.text
    assert (said.code != 0) == (OVERDUE in found)
