"""The wheel in an empty environment: its command, and the README's program at a preview.

tests/e2e/test_wheel_program.py deploys that program.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.wheel import REPOSITORY, Project, install, readme_program, run

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def project(tmp_path: Path, installed: Path) -> Project:
    return Project.new(tmp_path, installed, readme_program())


def test_the_command_is_there(project: Project) -> None:
    said = run(project.installed / "tlsgate", "partners", "check", "partners", cwd=project.folder)
    assert "1 partner" in said


def test_the_readmes_program_is_short() -> None:
    lines = readme_program().splitlines()
    body = [line for line in lines if line and not line.startswith("import ")]
    assert len(body) <= 13


def test_the_readmes_program_previews_a_whole_gateway(project: Project) -> None:
    project.pulumi("stack", "init", "dev")
    planned = json.loads(project.pulumi("preview", "--json"))
    made = [step["newState"] for step in planned["steps"] if step["op"] == "create"]
    kinds = [one["type"] for one in made]
    assert kinds.count("docker:index/container:Container") == 6
    assert kinds.count("docker:index/remoteImage:RemoteImage") == 6
    assert kinds.count("docker:index/network:Network") == 1
    names = {one["inputs"]["name"] for one in made if one["type"].endswith(":Container")}
    assert names == {
        f"tlsgate-dev-mail-{role}"
        for role in ("agent", "gateway", "notices", "policy", "policy-host", "resolver")
    }
    contexts = {
        one["inputs"]["build"]["context"] for one in made if one["type"].endswith(":RemoteImage")
    }
    assert contexts == {".tlsgate"}
    assert (project.folder / ".tlsgate/images/agent/Dockerfile").is_file()


def test_nothing_is_read_from_the_checkout(project: Project) -> None:
    where = run(
        project.installed / "python",
        "-c",
        "import tlsgate, tlsgate_pulumi; print(tlsgate.__file__, tlsgate_pulumi.__file__)",
        cwd=project.folder,
        PYTHONPATH="",
    )
    assert str(REPOSITORY) not in where
    assert where.count("site-packages") == 2
