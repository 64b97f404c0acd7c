"""Runs the Pulumi CLI on the lab's and the gateway's stack, also after an interrupted run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound

from lab import files

UP_SECONDS = 900


class LabError(Exception):
    """The lab cannot continue; the message gives the reason and what to do."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack, its project's folder, and the label of its Docker objects.

    `policies`: the options of `up` that name its policy pack.
    """

    directory: Path
    project: str
    name: str
    label: str
    policies: tuple[str, ...] = ()


LAB = Stack(files.LAB, "tlsgate-lab", "lab", "tlsgate.lab=lab")
GATEWAY = Stack(
    files.REPOSITORY,
    "tlsgate",
    "demo",
    "tlsgate.stack=demo",
    ("--policy-pack", "policies", "--policy-pack-config", "policies/demo.json"),
)


def environment() -> dict[str, str]:
    """The caller's environment, with the project's own Pulumi state if none is set."""
    state = files.REPOSITORY / ".state"
    return {
        "PULUMI_HOME": str(state / "pulumi"),
        "PULUMI_BACKEND_URL": f"file://{files.folder(state / 'backend')}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        **os.environ,
    }


def pulumi(stack: Stack, *arguments: str, stdin: str | None = None) -> str:
    """Run a command in the stack's project and return its output, which is also in the LabError."""
    try:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=stack.directory,
            env=environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise LabError("no `pulumi` on PATH: run `make setup` and `. .state/env.sh`") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"`pulumi {arguments[0]}` did not end within {UP_SECONDS} s") from None
    if done.returncode != 0:
        raise LabError(f"`pulumi {' '.join(arguments)}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def up(stack: Stack, client: docker.DockerClient) -> str:
    """Deploy a stack, whatever state an earlier run left it in; return Pulumi's output."""
    pulumi(stack, "stack", "select", "--create", stack.name)
    _unlock(stack)
    deployment = json.loads(pulumi(stack, "stack", "export"))
    if deployment["deployment"].get("pending_operations"):
        _forget_pending(stack, deployment, client)
    elif not _ids(deployment):
        _refuse_strangers(stack, client)
    refresh = [] if _all_run(deployment, client) else ["--refresh"]
    quiet = ("--yes", "--skip-preview", "--suppress-outputs")
    return pulumi(stack, "up", *quiet, *stack.policies, *refresh)


def down(stack: Stack) -> None:
    """Remove everything that a stack created."""
    pulumi(stack, "stack", "select", "--create", stack.name)
    _unlock(stack)
    pulumi(stack, "destroy", "--yes", "--skip-preview", "--suppress-outputs")


def _unlock(stack: Stack) -> None:
    """Remove the lock of a process that no longer runs; raise LabError if it still runs."""
    backend = environment()["PULUMI_BACKEND_URL"].removeprefix("file://")
    for lock in Path(backend).glob(f".pulumi/locks/**/{stack.project}/{stack.name}/*.json"):
        holder = int(json.loads(lock.read_text())["pid"])
        if Path(f"/proc/{holder}").exists():
            raise LabError(f"stack {stack.name} is being changed by process {holder}: wait for it")
        pulumi(stack, "cancel", "--yes", "--stack", stack.name)
        return


def _forget_pending(stack: Stack, exported: dict[str, Any], client: docker.DockerClient) -> None:
    """Remove what an interrupted run created but did not record; it can then be created again."""
    known = set(_ids(exported))
    for container in client.containers.list(all=True, filters={"label": stack.label}):
        if container.id not in known:
            container.remove(force=True, v=True)
    for network in client.networks.list(filters={"label": stack.label}):
        if network.id not in known:
            network.remove()
    exported["deployment"]["pending_operations"] = []
    pulumi(stack, "stack", "import", stdin=json.dumps(exported))


def _refuse_strangers(stack: Stack, client: docker.DockerClient) -> None:
    """Raise LabError if the containers that run are not in this clone's Pulumi state."""
    found = client.containers.list(all=True, filters={"label": stack.label})
    if found:
        raise LabError(
            f"{found[0].name} and {len(found) - 1} more containers exist, but the Pulumi state"
            f" in {environment()['PULUMI_BACKEND_URL']} does not know them: another clone's,"
            " or left from a state that was deleted. Run `make clean`, there or here"
        )


def _all_run(exported: Mapping[str, Any], client: docker.DockerClient) -> bool:
    """Whether everything in the state exists and runs; otherwise Pulumi must refresh first."""
    resources = exported["deployment"].get("resources") or []
    containers = [r["id"] for r in resources if r["type"] == "docker:index/container:Container"]
    networks = [r["id"] for r in resources if r["type"] == "docker:index/network:Network"]
    try:
        for identity in networks:
            client.networks.get(identity)
        return all(client.containers.get(one).status == "running" for one in containers)
    except NotFound:
        return False


def _ids(exported: Mapping[str, Any]) -> Sequence[str]:
    resources = exported["deployment"].get("resources") or []
    return [resource["id"] for resource in resources if "id" in resource]


def changes(said: str) -> str:
    """The summary that Pulumi printed, such as `21 changes. 7 unchanged`."""
    summary = said.partition("Resources:")[2]
    found = re.search(r"\d+ changes.*", summary) or re.search(r"\d+ \w+", summary)
    return found[0].strip() if found else "done"
