"""A tiny Pulumi project on the real engine, with the stand-in or with the real Docker plugin.

The real plugin is searched for in PULUMI_HOME. Both runs have a separate home, state and project
under tmp_path.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from toolchain.offline.docker_plugin import OVERRIDE_VARIABLE
from toolchain.offline.docker_plugin.__main__ import installed_plugin

REPOSITORY = Path(__file__).parents[3]
LABEL = "tlsgate.dev=docker-plugin"
REAL = installed_plugin(Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi"))
WRAPPER = """#!/bin/sh
PYTHONPATH={repository} exec {python} -P -m toolchain.offline.docker_plugin "$@"
"""
HEADER = """
import pulumi
import pulumi_docker as docker
RUN = {run!r}
LABELS = [docker.ContainerLabelArgs(label="tlsgate.dev", value="docker-plugin")]
IMAGE = "debian:trixie-slim"
"""


@dataclass(frozen=True, slots=True)
class PluginRun:
    """The output of a Pulumi CLI run and whether it succeeded."""

    ok: bool
    text: str


@dataclass(slots=True)
class Project:
    """A Pulumi project in `directory`; all its Docker objects have names that start with `run`."""

    directory: Path
    run: str
    environment: dict[str, str]
    client: docker.APIClient
    is_stand_in: bool

    def program(self, text: str) -> None:
        """Replace the program. It sees `RUN`, `LABELS`, `IMAGE`, `pulumi` and `docker`."""
        body = HEADER.format(run=self.run) + textwrap.dedent(text)
        (self.directory / "__main__.py").write_text(body)

    def pulumi(self, *arguments: str) -> PluginRun:
        """Run the CLI, for at most two minutes."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return PluginRun(done.returncode == 0, done.stdout + done.stderr)

    def up(self) -> str:
        """Deploy without a preview and return the output; fail the test if it failed."""
        outcome = self.pulumi("up", "--yes", "--skip-preview")
        assert outcome.ok, outcome.text
        return outcome.text

    def failing_up(self) -> str:
        """Deploy, which must fail, and return the output."""
        outcome = self.pulumi("up", "--yes", "--skip-preview")
        assert not outcome.ok, outcome.text
        return outcome.text

    def state(self) -> str:
        """The whole state as it is stored."""
        (file,) = (self.directory / "state").rglob("stacks/**/dev.json")
        return file.read_text()

    def inspect(self, name: str) -> dict[str, Any]:
        """The engine's view of the container `RUN-name`."""
        found: dict[str, Any] = self.client.inspect_container(f"{self.run}-{name}")
        return found

    def left(self) -> list[str]:
        """Names of all Docker objects of this run."""
        names = [c["Names"][0].lstrip("/") for c in self.client.containers(all=True)]
        names += [n["Name"] for n in self.client.networks()]
        names += [v["Name"] for v in self.client.volumes()["Volumes"] or []]
        names += [tag for image in self.client.images() for tag in image["RepoTags"] or []]
        return sorted(name for name in names if name.startswith(self.run))


def open_project(tmp_path: Path, *, is_stand_in: bool) -> Iterator[Project]:
    """Yield an empty project with a stack `dev`; remove what it leaves on the engine."""
    if shutil.which("pulumi") is None:
        pytest.fail("no `pulumi` on PATH: run `make setup` and use its environment")
    run = f"tg-plugin-{secrets.token_hex(3)}"
    directory = tmp_path / "project"
    (directory / "state").mkdir(parents=True)
    (directory / "Pulumi.yaml").write_text(
        f"name: plugin\nruntime: python\nbackend: {{url: 'file://{directory}/state'}}\n"
    )
    client = docker.APIClient(base_url=os.environ.get("DOCKER_HOST"), version="auto")
    variables = environment(tmp_path, is_stand_in=is_stand_in)
    made = Project(directory, run, variables, client, is_stand_in)
    try:
        outcome = made.pulumi("stack", "init", "dev")
        assert outcome.ok, outcome.text
        yield made
    finally:
        _remove(client, run)
        client.close()


def environment(tmp_path: Path, *, is_stand_in: bool) -> dict[str, str]:
    """Return the variables for the CLI in `tmp_path`/project, with one of the plugins."""
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{bin_directory}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        # Set by the environment that `make setup` writes, it would win over the project's own.
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/project/state",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    if is_stand_in:
        wrapper = bin_directory / "pulumi-resource-docker"
        wrapper.write_text(WRAPPER.format(repository=REPOSITORY, python=sys.executable))
        wrapper.chmod(0o755)
        environment |= {"PULUMI_HOME": str(tmp_path / "home"), OVERRIDE_VARIABLE: "stand-in"}
    else:
        environment["PULUMI_IGNORE_AMBIENT_PLUGINS"] = "true"
    return environment


def _remove(client: docker.APIClient, run: str) -> None:
    for container in client.containers(all=True):
        if container["Names"][0].lstrip("/").startswith(run):
            client.remove_container(container["Id"], force=True, v=True)
    for network in client.networks():
        if network["Name"].startswith(run):
            client.remove_network(network["Id"])
    for volume in client.volumes()["Volumes"] or []:
        if volume["Name"].startswith(run):
            client.remove_volume(volume["Name"], force=True)
    for image in client.images():
        for tag in image["RepoTags"] or []:
            if tag.startswith(run):
                client.remove_image(tag, force=True)
