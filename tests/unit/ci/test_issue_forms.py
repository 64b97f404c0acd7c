"""The issue forms: GitHub takes only what is well-formed, and GitLab's templates ask the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.ci.workflow_files import ROOT

FORMS = sorted(
    path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"
)
KINDS = {"markdown", "textarea", "input", "dropdown"}


def form(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def questions(path: Path) -> list[dict[str, Any]]:
    return [part for part in form(path)["body"] if part["type"] != "markdown"]


def test_there_is_a_form_for_each_kind_of_issue() -> None:
    assert [path.stem for path in FORMS] == ["bug", "feature", "partner"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_is_what_github_takes(path: Path) -> None:
    found = form(path)
    assert set(found) == {"name", "description", "labels", "body"}
    assert {part["type"] for part in found["body"]} <= KINDS
    asked = questions(path)
    assert len({part["id"] for part in asked}) == len(asked)
    for part in asked:
        assert part["attributes"]["label"]
        assert ("options" in part["attributes"]) == (part["type"] == "dropdown")
    assert any(part.get("validations", {}).get("required") for part in asked)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_gitlab_asks_the_same_questions(path: Path) -> None:
    text = (ROOT / f".gitlab/issue_templates/{path.stem.capitalize()}.md").read_text("utf-8")
    asked = [part["attributes"]["label"] for part in questions(path)]
    assert re.findall(r"^\*\*(.+?)\*\*", text, re.M) == asked
    assert [f"~{label}" for label in form(path)["labels"]] == re.findall(
        r"^/label (.*)$", text, re.M
    )
