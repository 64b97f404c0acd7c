"""Runs the Pulumi CLI on a gateway's stack as a user does, and returns its output.

A test stack's config is `Pulumi.<stack>.yaml` in the project's folder, as a user's would be; git
ignores those whose name starts with `test`, and `make clean` removes what such stacks created.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from ruamel.yaml import YAML

from lab import files
from lab.commands import environment

SECONDS = 400
DEMO = "demo"
LABEL = "tlsgate.stack"


@dataclass(frozen=True, slots=True)
class PulumiResult:
    """The exit code of a command and its output."""

    code: int
    text: str

    @property
    def changes(self) -> str:
        """The summary of resources, such as `35 unchanged`, on one line."""
        found = re.search(r"Resources:\n(.*?)(\n\n|$)", self.text, re.S)
        return " ".join(found[1].split()) if found else ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A stack. `options`: for every command, such as another config file."""

    stack: str = DEMO
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self, *command: str) -> PulumiResult:
        """Run `pulumi` with these arguments on the stack."""
        done = subprocess.run(
            ["pulumi", *command, "--stack", self.stack, "--non-interactive"],
            cwd=files.REPOSITORY,
            env={**environment(), **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return PulumiResult(done.returncode, done.stdout)

    def up(self) -> PulumiResult:
        """`pulumi up`."""
        return self.run("up", "--yes", "--skip-preview", "--suppress-outputs", *self.options)

    def up_with_preview(self) -> PulumiResult:
        """`pulumi up` as a user runs it: it stops if the preview fails."""
        return self.run("up", "--yes", "--suppress-outputs", *self.options)

    def preview(self) -> PulumiResult:
        """`pulumi preview`."""
        return self.run("preview", "--diff", *self.options)

    def refresh(self) -> PulumiResult:
        """`pulumi refresh`, which changes the state alone."""
        return self.run("refresh", "--yes", "--skip-preview", "--suppress-outputs", *self.options)

    def destroy(self) -> PulumiResult:
        """`pulumi destroy`."""
        return self.run("destroy", "--yes", "--skip-preview", "--suppress-outputs", *self.options)

    def known(self) -> frozenset[str]:
        """The resources in the state: type and name."""
        exported = json.loads(self.run("stack", "export").text)
        found = exported["deployment"].get("resources") or []
        return frozenset(resource["urn"].partition("::tlsgate::")[2] for resource in found)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""
        return dict(json.loads(self.run("stack", "output", "--json").text))

    def resources(self, client: docker.DockerClient) -> dict[str, set[str]]:
        """Docker objects with the stack's label: kind → names."""
        label: dict[str, str | list[str] | bool] = {"label": f"{LABEL}={self.stack}"}
        return {
            kind: {str(one.name) for one in listed}
            for kind, listed in (
                ("containers", client.containers.list(all=True, filters=label)),
                ("networks", client.networks.list(filters=label)),
                ("volumes", client.volumes.list(filters=label)),
            )
        }


def demo_config() -> dict[str, Any]:
    """The demo's config as plain values, a copy to change."""
    text = (files.REPOSITORY / "Pulumi.demo.yaml").read_text()
    return copy.deepcopy(dict(YAML(typ="safe").load(text)))


def write_config(path: Path, config: Mapping[str, Any]) -> Path:
    """Write a stack's config file."""
    with path.open("w") as file:
        YAML(typ="safe").dump(dict(config), file)
    return path


def accept(file: Path, refused: PulumiResult) -> None:
    """Accept a change of the list: copy the value that the refusal names to the config file."""
    found = re.search(r"tlsgate:acceptWeakening ([0-9a-f]{64})", refused.text)
    assert found, refused.text
    config = dict(YAML(typ="safe").load(file.read_text()))
    config["config"]["tlsgate:acceptWeakening"] = found[1]
    write_config(file, config)


def config_file(stack: str) -> Path:
    """The path of the stack's config."""
    return files.REPOSITORY / f"Pulumi.{stack}.yaml"


def forget(deployment: Deployment) -> None:
    """Remove what this or an interrupted run left of a test's stack, except kept volumes."""
    deployment.run("cancel", "--yes")
    deployment.run("destroy", "--yes", "--skip-preview", "--suppress-outputs")
    deployment.run("stack", "rm", "--yes", "--force")
    config_file(deployment.stack).unlink(missing_ok=True)
