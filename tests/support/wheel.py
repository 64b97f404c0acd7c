"""The wheel in an empty environment, and the README's program as a Pulumi project of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.unit.partners.partner_files import record

REPOSITORY = Path(__file__).parents[2]
PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)
SECONDS = 400


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command to its end and return its output; fail the test if the command fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(folder: Path) -> Path:
    """Build the wheel, install it with its extra into a new environment; the environment's bin."""
    for program in ("uv", "pulumi"):
        assert shutil.which(program), f"no `{program}` on PATH: run `make setup`, `. .state/env.sh`"
    run("uv", "build", "--wheel", "--out-dir", folder, REPOSITORY, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    # --seed: Pulumi's language host asks pip which packages there are.
    run("uv", "venv", "--seed", "--python", sys.executable, folder / "env", cwd=folder)
    python = folder / "env/bin/python"
    run("uv", "pip", "install", "--python", python, f"{wheel}[pulumi]", cwd=folder)
    return folder / "env/bin"


def readme_program() -> str:
    """Return the one Python program of the README."""
    (text,) = PROGRAM.findall((REPOSITORY / "README.md").read_text("utf-8"))
    return str(text)


@dataclass(frozen=True, slots=True)
class Project:
    """A Pulumi project outside this checkout, with a state of its own."""

    folder: Path
    installed: Path

    @classmethod
    def new(cls, folder: Path, installed: Path, program: str) -> Project:
        """Write the project: a program and one partner."""
        (folder / "__main__.py").write_text(program)
        (folder / "Pulumi.yaml").write_text("name: mine\nruntime: python\n")
        (folder / "partners").mkdir()
        (folder / "partners/acme.yaml").write_text(record())
        (folder / "state").mkdir()
        return cls(folder, installed)

    def pulumi(self, *arguments: str) -> str:
        """Run `pulumi` as the project's user would, and return its output."""
        return run(
            "pulumi",
            *arguments,
            "--non-interactive",
            cwd=self.folder,
            PATH=f"{self.installed}:{os.environ['PATH']}",
            PYTHONPATH="",
            PULUMI_BACKEND_URL=f"file://{self.folder}/state",
            PULUMI_CONFIG_PASSPHRASE="x",  # a state without secrets
            TLSGATE_BUILD_CA=_build_ca(),
            PULUMI_SKIP_UPDATE_CHECK="1",
            PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION="true",
        )


def _build_ca() -> str:
    """The CA bundle that set-up copied into the checkout, if there is one."""
    variable = os.environ.get("TLSGATE_BUILD_CA")
    bundle = REPOSITORY / variable if variable else None
    return str(bundle) if bundle and bundle.is_file() else ""
