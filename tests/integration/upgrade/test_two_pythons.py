"""A state that the oldest Python and Pulumi wrote is understood by the newest of both.

Pulumi keeps each dynamic provider in the state, pickled (tests/unit/components/
test_provider_names.py: by its name alone), and unpickles it to refresh, update and destroy.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from tests.integration.dns.knot_server import ZONES, Knot
from tests.integration.edge.edge_lab import build
from tests.integration.upgrade import pythons
from tests.integration.upgrade.providers_project import ProvidersProject
from tests.integration.upgrade.recorded_stack import RECORDED
from tlsgate.dns.records import Record
from tlsgate.dns.updates import live

pytestmark = pytest.mark.integration


@dataclass(frozen=True, slots=True)
class Pythons:
    """The folders with the programs of each environment."""

    oldest: Path
    newest: Path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pythons:
    return Pythons(pythons.oldest(tmp_path_factory.mktemp("python") / "oldest"), pythons.newest())


@pytest.fixture
def project(
    tmp_path: Path, client: docker.DockerClient, knot: Knot, pair: Pythons
) -> Iterator[ProvidersProject]:
    """A stack that the oldest environment has deployed, with the word `first`."""
    run = f"tg-upgrade-{secrets.token_hex(4)}"
    made = ProvidersProject(tmp_path / "project", run, build(client, "policy-host"), client, knot)
    try:
        made.lay_out()
        made.give("first")
        made.pulumi(pair.oldest, "stack", "init")
        made.pulumi(pair.oldest, "up", "--yes", "--skip-preview")
        assert made.outputs(pair.oldest)["by"] == list(pythons.oldest_versions())
        assert words(made) == ["first"] * 4
        yield made
    finally:
        made.remove()


def words(project: ProvidersProject) -> list[str]:
    """Return the word in the files, the job, the delivery and the records."""
    (record,) = live(project.knot.server(), ZONES, [text_record(project)]) or [None]
    return [
        project.held("files", "word"),
        project.held("data", "word"),
        project.held("config", "current/nginx.conf").split()[1],
        record.values[0].strip('"') if record else "",
    ]


def text_record(project: ProvidersProject) -> Record:
    return Record(f"{project.run}.corp.example", "TXT", 300, ("first",))


def test_refresh_update_and_destroy(project: ProvidersProject, pair: Pythons) -> None:
    quiet = ("--yes", "--skip-preview")
    project.pulumi(pair.newest, "refresh", *quiet, "--expect-no-changes")
    project.pulumi(pair.newest, "up", *quiet, "--expect-no-changes")
    assert project.outputs(pair.newest)["by"] == list(pythons.newest_versions())

    # The provider in the old state finds a manual change, and undoes it.
    project.change("files", "word", "drift")
    project.change("data", "word", "drift")
    assert "2 updated" in project.pulumi(pair.newest, "refresh", *quiet)
    assert "2 updated" in project.pulumi(pair.newest, "up", *quiet)
    assert words(project) == ["first"] * 4

    project.give("second")
    assert "4 updated" in project.pulumi(pair.newest, "up", *quiet)
    assert words(project) == ["second"] * 4
    assert project.outputs(pair.newest)["job"] == "second"
    project.pulumi(pair.newest, "refresh", *quiet, "--expect-no-changes")

    project.pulumi(pair.newest, "destroy", *quiet)
    assert words(project)[1::2] == ["deleted", ""]


def test_destroy_at_once_under_recorded_names(project: ProvidersProject, pair: Pythons) -> None:
    """With a state in which the providers have the names of the recorded stack."""
    state = project.state(pair.oldest)
    rename(state)
    project.pulumi(pair.newest, "stack", "import", stdin=json.dumps(state))
    project.pulumi(pair.newest, "refresh", "--yes", "--skip-preview", "--expect-no-changes")
    project.pulumi(pair.newest, "destroy", "--yes", "--skip-preview")
    assert words(project)[1::2] == ["deleted", ""]


def rename(state: dict[str, dict[str, list[dict[str, dict[str, str]]]]]) -> None:
    """Give each provider its name in the recorded stack."""
    recorded = json.loads((RECORDED / "state.json").read_text())["deployment"]["resources"]
    names = {one["type"]: one["inputs"].get("__provider") for one in recorded if "inputs" in one}
    renamed = [
        one for one in state["deployment"]["resources"] if "__provider" in one.get("inputs", {})
    ]
    assert len(renamed) == 4
    for resource in renamed:
        for part in ("inputs", "outputs"):
            resource[part]["__provider"] = names[str(resource["type"])]
