"""The policy pack at the real CLI: one preview of each severity, and an option from the schema."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab import files
from tests.e2e.deployment import Deployment, Said, demo_config, write_config

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("world")]

DEMO_LEVELS = json.loads((files.REPOSITORY / "policies" / "demo.json").read_text())
Change = Callable[[dict[str, Any], Path], None]


def preview(
    folder: Path, change: Change | None = None, levels: Mapping[str, Any] | None = None
) -> Said:
    """A preview of the demo with its config changed and the policies' levels and options."""
    values = demo_config()
    if change:
        change(values["config"], folder)
    config = write_config(folder / "Pulumi.demo.yaml", values)
    chosen = folder / "levels.json"
    chosen.write_text(json.dumps({**DEMO_LEVELS, **(levels or {})}))
    pack = ("--policy-pack", "policies", "--policy-pack-config", str(chosen))
    return Deployment(options=("--config-file", str(config), *pack)).preview()


def told(said: Said) -> set[tuple[str, str]]:
    """Level and policy of every violation."""
    return set(re.findall(r"^\s*- \[(\w+)\]\s+(\S+)", said.text, re.M))


def short_queue(config: dict[str, Any], _folder: Path) -> None:
    config["tlsgate:queue"]["lifetime"] = "1d"


def reviewed(days_ago: int) -> Change:
    """A list in which one partner was to be confirmed again so many days ago."""

    def change(config: dict[str, Any], folder: Path) -> None:
        partners = Path(shutil.copytree(files.LAB / "partners", folder / "partners"))
        config["tlsgate:partners"] = str(partners)
        today = datetime.now(UTC).date()
        dates = {"agreed": today - timedelta(days=400), "review": today - timedelta(days=days_ago)}
        file = partners / "good.yaml"
        text = file.read_text()
        for key, day in dates.items():
            text, count = re.subn(rf"^{key}: .*$", f"{key}: {day}", text, flags=re.M)
            assert count == 1
        file.write_text(text)

    return change


ADVISORY = {("advisory", "images-pinned")}


def test_an_advisory_policy_tells_and_lets_through(tmp_path: Path) -> None:
    said = preview(tmp_path)
    assert said.code == 0, said.text
    assert told(said) == ADVISORY
    assert "debian:trixie-slim is not pinned" in said.text


def test_a_mandatory_policy_refuses(tmp_path: Path) -> None:
    said = preview(tmp_path, short_queue)
    assert said.code != 0
    assert told(said) == {*ADVISORY, ("mandatory", "queue-life")}
    assert "main.cf: held mail bounces after 1d. Set tlsgate:queue.lifetime to 2d" in said.text


def test_an_option_of_the_schema_changes_a_policy(tmp_path: Path) -> None:
    said = preview(tmp_path, short_queue, {"queue-life": {"minimumDays": 1}})
    assert (said.code, told(said)) == (0, ADVISORY), said.text


def test_a_value_that_the_schema_does_not_know_is_refused(tmp_path: Path) -> None:
    said = preview(tmp_path, None, {"queue-life": {"minimumDays": "two"}})
    assert said.code != 0
    assert "minimumDays" in said.text


@pytest.mark.parametrize(
    ("days", "more"),
    [
        (30, {("advisory", "partner-review-due")}),
        (61, {("advisory", "partner-review-due"), ("mandatory", "partner-review-overdue")}),
    ],
)
def test_a_review_date_is_told_first_and_refused_later(
    tmp_path: Path, days: int, more: set[tuple[str, str]]
) -> None:
    said = preview(tmp_path, reviewed(days))
    assert told(said) == ADVISORY | more, said.text
    assert (said.code == 0) == (days == 30)
