"""The checks of both forges: the same make targets as people run, on the Pythons that we name."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.unit.ci.workflow_files import ROOT, WORKFLOWS, workflow

GITHUB = workflow(ROOT / ".github/workflows/ci.yml")
GITLAB = workflow(ROOT / ".gitlab/checks.gitlab-ci.yml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FEWEST_MINUTES = 5


def github_jobs() -> dict[str, list[str]]:
    """The commands of each job that checks, without those that fetch logs after a failure."""
    return {
        name: [step["run"] for step in job["steps"] if "run" in step and step.get("if") is None]
        for name, job in GITHUB["jobs"].items()
    }


def gitlab_jobs() -> dict[str, list[str]]:
    return {
        name: job["script"]
        for name, job in GITLAB.items()
        if not name.startswith(".") and isinstance(job, dict)
    }


def gitlab_setting(name: str, key: str) -> Any:
    """The value of a job, or of the nearest job that it extends."""
    job = GITLAB[name]
    return job[key] if key in job else gitlab_setting(job["extends"], key)


def test_both_forges_run_the_same_commands_in_the_same_jobs() -> None:
    assert github_jobs() == gitlab_jobs()
    assert list(github_jobs()) == ["lint", "release-files", "unit", "integration", "e2e"]


def test_the_commands_are_make_targets_that_people_are_told_of() -> None:
    commands = [command for commands in github_jobs().values() for command in commands]
    targets = [command.removeprefix("make ") for command in commands if command.startswith("make")]
    listed = re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.M)
    assert set(targets) <= set(listed)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert [target for target in targets if f"`make {target}`" not in text] == []
    (other,) = [command for command in commands if not command.startswith("make")]
    assert other.startswith("python3 -m pip install --quiet --require-hashes -r ")
    assert (ROOT / other.rpartition(" ")[2]).is_file()


def test_all_tests_are_run_by_some_job() -> None:
    recipes = (ROOT / "Makefile").read_text()
    in_jobs = re.findall(r"^test-[a-z0-9]+:.*\n\t.* -m pytest (.*)$", recipes, re.M)
    words = [word for line in in_jobs for word in line.split()]
    run = {word for word in words if word.startswith("tests/")}
    assert run == {f"tests/{path.name}" for path in (ROOT / "tests").iterdir() if holds_tests(path)}


def holds_tests(path: Any) -> bool:
    return any(path.rglob("test_*.py"))


def test_unit_tests_run_on_every_python_that_the_package_names() -> None:
    named = [
        name.rpartition(" ")[2]
        for name in PROJECT["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", name)
    ]
    assert named[0] == PROJECT["requires-python"].removeprefix(">=")
    unit = GITHUB["jobs"]["unit"]
    assert unit["strategy"]["matrix"]["python"] == named
    (setup,) = [step for step in unit["steps"] if "setup-python@" in step.get("uses", "")]
    assert setup["with"]["python-version"] == "${{ matrix.python }}"
    assert GITLAB["unit"]["parallel"]["matrix"] == [{"PYTHON_MINOR": named}]
    assert GITLAB["unit"]["image"] == "python:${PYTHON_MINOR}-trixie"


def test_checks_may_only_read_and_see_no_secret() -> None:
    assert GITHUB["permissions"] == {"contents": "read"}
    assert set(GITHUB["on"]) == {"push", "pull_request", "workflow_call"}
    assert "secrets." not in (ROOT / ".github/workflows/ci.yml").read_text()
    for job in GITHUB["jobs"].values():
        assert "permissions" not in job
        (checkout,) = [step for step in job["steps"] if "checkout@" in step.get("uses", "")]
        assert checkout["with"] == {"persist-credentials": "false"}


def minutes(text: str) -> int:
    number, unit = text.split()
    assert unit == "minutes"
    return int(number)


def test_every_job_ends_and_both_forges_wait_as_long() -> None:
    for name, job in GITHUB["jobs"].items():
        limit = int(job["timeout-minutes"])
        assert limit >= FEWEST_MINUTES
        assert minutes(gitlab_setting(name, "timeout")) == limit


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_workflow_names_its_rights_and_its_time(path: Any) -> None:
    found = workflow(path)
    assert "permissions" in found
    for job in found["jobs"].values():
        assert "uses" in job or int(job["timeout-minutes"]) >= FEWEST_MINUTES


def test_failed_tests_leave_their_logs() -> None:
    for name in ("unit", "integration", "e2e"):
        job = GITHUB["jobs"][name]
        collect, upload = [step for step in job["steps"] if step.get("if") == "failure()"]
        assert collect["run"] == "ci/collect_logs.sh logs"
        assert upload["with"]["path"] == "logs"
        assert gitlab_setting(name, "artifacts")["paths"] == ["logs"]
        assert "ci/collect_logs.sh logs" in gitlab_setting(name, "after_script")[0]


def test_gitlab_runs_the_checks_and_the_partner_report() -> None:
    root = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())
    assert [entry["local"] for entry in root["include"]] == [
        ".gitlab/checks.gitlab-ci.yml",
        ".gitlab/partners.gitlab-ci.yml",
    ]
