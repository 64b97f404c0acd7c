"""The wheel in an empty environment: its command, and the README's program at a preview.

tests/e2e/test_wheel_program.py deploys that program.
"""

from __future__ import annotations

import json
import re
import shutil
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
    (network,) = [one for one in made if one["type"] == "docker:index/network:Network"]
    (addresses,) = network["inputs"]["ipamConfigs"]
    assert addresses["ipRange"] == "172.31.40.128/25"
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


def test_a_program_that_changes_its_folder_builds_beside_itself(
    tmp_path: Path, installed: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    mine = tmp_path / "mine"
    mine.mkdir()
    changes = f"import os\nos.chdir({str(elsewhere)!r})\nnet ="
    program = readme_program().replace('partners="partners"', f'partners="{mine}/partners"')
    project = Project.new(mine, installed, program.replace("net =", changes))
    project.pulumi("stack", "init", "dev")
    assert "RemoteImage" in project.pulumi("preview", "--json")
    assert (mine / ".tlsgate/images/agent/Dockerfile").is_file()
    assert not list(elsewhere.iterdir())


def test_the_policies_of_the_wheel_pass_the_readmes_program(project: Project) -> None:
    run(
        "uv",
        "pip",
        "install",
        "--python",
        project.installed / "python",
        "pulumi-policy",
        cwd=project.folder,
    )
    folder = run(
        project.installed / "python",
        "-c",
        "import tlsgate_pulumi as t; print(t.__path__[0])",
        cwd=project.folder,
        PYTHONPATH="",
    ).strip()
    shutil.copytree(f"{folder}/policies", project.folder / "policies")
    (project.folder / ".venv").symlink_to(project.installed.parent)
    project.pulumi("stack", "init", "dev")
    levels = "policies/demo.json"  # the base of the images is a tag
    said = project.pulumi("preview", "--policy-pack", "policies", "--policy-pack-config", levels)
    assert "[advisory]" in said
    assert "images-pinned" in said


def test_providers_of_the_old_package_are_found_as_the_guide_says(project: Project) -> None:
    guide = (REPOSITORY / "docs/kit.md").read_text("utf-8")
    (text,) = re.findall(r"```\n(import tlsgate_pulumi\n.*?)```", guide, re.DOTALL)
    (project.folder / "components").mkdir()
    (project.folder / "components/__init__.py").write_text(text)
    run(
        project.installed / "python",
        "-c",
        "from components.delivery import DeliveryProvider;"
        "from components.dns import DnsRecordsProvider;"
        "from components.job import JobProvider;"
        "from components.volume_files import VolumeFilesProvider",
        cwd=project.folder,
        PYTHONPATH="",
    )


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
