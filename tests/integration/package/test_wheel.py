"""The wheel in an empty environment: its command, and the README's program at the Pulumi CLI."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.partners.partner_files import record

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[3]
PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command and return its output; fail the test if it failed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and its extra, and nothing of this checkout."""
    for program in ("uv", "pulumi"):
        if shutil.which(program) is None:
            pytest.fail(f"no `{program}` on PATH: run `make setup` and use its environment")
    folder = tmp_path_factory.mktemp("wheel")
    run("uv", "build", "--wheel", "--out-dir", folder, REPOSITORY, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    # --seed: Pulumi's language host asks pip which packages there are.
    run("uv", "venv", "--seed", "--python", sys.executable, folder / "env", cwd=folder)
    python = folder / "env/bin/python"
    run("uv", "pip", "install", "--python", python, f"{wheel}[pulumi]", cwd=folder)
    return folder / "env/bin"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The README's program in an empty project, with one partner."""
    (text,) = PROGRAM.findall((REPOSITORY / "README.md").read_text("utf-8"))
    (tmp_path / "__main__.py").write_text(text)
    (tmp_path / "Pulumi.yaml").write_text("name: mine\nruntime: python\n")
    (tmp_path / "partners").mkdir()
    (tmp_path / "partners/acme.yaml").write_text(record())
    (tmp_path / "state").mkdir()
    return tmp_path


def build_ca() -> str:
    """The CA bundle that set-up copied into the checkout, if there is one."""
    variable = os.environ.get("TLSGATE_BUILD_CA")
    bundle = REPOSITORY / variable if variable else None
    return str(bundle) if bundle and bundle.is_file() else ""


def pulumi(installed: Path, project: Path, *arguments: str) -> str:
    return run(
        "pulumi",
        *arguments,
        "--non-interactive",
        cwd=project,
        PATH=f"{installed}:{os.environ['PATH']}",
        PYTHONPATH="",
        PULUMI_BACKEND_URL=f"file://{project}/state",
        PULUMI_CONFIG_PASSPHRASE="x",
        TLSGATE_BUILD_CA=build_ca(),
        PULUMI_SKIP_UPDATE_CHECK="1",
        PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION="true",
    )


def test_the_command_is_there(installed: Path, project: Path) -> None:
    said = run(installed / "tlsgate", "partners", "check", "partners", cwd=project)
    assert "1 partner" in said


def test_the_readmes_program_is_short() -> None:
    (text,) = PROGRAM.findall((REPOSITORY / "README.md").read_text("utf-8"))
    body = [line for line in text.splitlines() if line and not line.startswith("import ")]
    assert len(body) <= 13


def test_the_readmes_program_previews_a_whole_gateway(installed: Path, project: Path) -> None:
    pulumi(installed, project, "stack", "init", "dev")
    planned = json.loads(pulumi(installed, project, "preview", "--json"))
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
    assert (project / ".tlsgate/images/agent/Dockerfile").is_file()


def test_nothing_is_read_from_the_checkout(installed: Path, project: Path) -> None:
    where = run(
        installed / "python",
        "-c",
        "import tlsgate, tlsgate_pulumi; print(tlsgate.__file__, tlsgate_pulumi.__file__)",
        cwd=project,
        PYTHONPATH="",
    )
    assert str(REPOSITORY) not in where
    assert where.count("site-packages") == 2
