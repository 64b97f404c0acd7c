"""Job: a container that is run to its end; if it fails, `up` fails with its log.

A `docker.Container` that ended with an error is recorded as created and would never run again (D4).
A job that failed is not recorded, so the next `up` runs it again. The last line of its standard
output is JSON; it becomes the output `result`. `pulumi refresh` runs `read_command`, if there is
one, and shows a different `result` as drift; then the next `up` runs the job again. If the result
is a JSON object, keys that the read command does not print are not compared. `pulumi destroy` runs
`delete_command`, if there is one, before the volumes are deleted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import docker
import pulumi
from pulumi.dynamic import (
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from tlsgate_pulumi import engine
from tlsgate_pulumi.docker_engine import Address
from tlsgate_pulumi.dynamic import Props, Provider, changed_keys, check_engine, difference

INPUTS = (
    "name",
    "image",
    "command",
    "read_command",
    "delete_command",
    "mounts",
    "network",
    "dns",
    "user",
    "capabilities",
    "files",
    "labels",
    "timeout",
    "triggers",
    "engine",
)


@dataclass(frozen=True)
class JobArgs:
    """What to run.

    `volumes`: path → name; read-only, except those in `writable`. `files` are copied to /incoming.
    `triggers` have only one effect: a change runs the job again. `timeout`: seconds.
    `engine`: see `docker_engine.py`.
    """

    name: str
    image: pulumi.Input[str]
    command: Sequence[str]
    labels: Mapping[str, str]
    read_command: Sequence[str] | None = None
    delete_command: Sequence[str] | None = None
    volumes: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    writable: frozenset[str] = frozenset()
    network: pulumi.Input[str] | None = None
    dns: Sequence[str] = ()
    user: str | None = None
    capabilities: Sequence[str] = ()
    files: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    timeout: int = 120
    triggers: Mapping[str, Any] = field(default_factory=dict)
    engine: pulumi.Input[Address | None] = None


def parse_result(name: str, output: str) -> Any:
    """Return the JSON value on the last line of a job's output."""
    lines = output.strip().splitlines()
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError):
        raise engine.DeploymentError(f"{name} ended without its result line:\n{output}") from None


def run_from(props: Props, command: Sequence[str]) -> engine.Run:
    """Return the run for a job's inputs."""
    return engine.Run(
        name=props["name"],
        image=props["image"],
        command=command,
        mounts=[engine.VolumeMount(**mount) for mount in props["mounts"]],
        network=props.get("network"),
        dns=props["dns"],
        user=props.get("user"),
        capabilities=props["capabilities"],
        files={name: text.encode() for name, text in props["files"].items()},
        labels=props["labels"],
        timeout=int(props["timeout"]),
    )


def _volumes_exist(client: docker.DockerClient, props: Props) -> bool:
    return all(engine.volume_exists(client, mount["volume"]) for mount in props["mounts"])


class JobProvider(Provider):
    """Runs the job on create and update; reads its result on refresh."""

    def check(self, _olds: Props, news: Props) -> CheckResult:
        """Refuse an engine that is not fit."""
        return check_engine(news)

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Run again if an input changed, or if refresh found a result that differs."""
        changed = changed_keys(_olds, _news, INPUTS)
        if _olds.get("result") != _olds.get("settled"):
            changed.append("result")
        return difference(changed)

    def create(self, props: Props) -> CreateResult:
        """Run the job."""
        return CreateResult(props["name"], self._run(props))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        """Run the job again."""
        return UpdateResult(self._run(_news))

    def read(self, id_: str, props: Props) -> ReadResult:
        """Read the result again; if a volume is missing, the job counts as deleted."""
        if not props.get("read_command"):
            return ReadResult(id_, props)
        client = engine.connect(props.get("engine"))
        if not _volumes_exist(client, props):
            return ReadResult("", {})
        output = engine.run_to_end(client, run_from(props, props["read_command"]))
        seen = parse_result(props["name"], output)
        if isinstance(seen, dict) and isinstance(props.get("result"), dict):
            # Keys that only the job itself prints keep their values, and are never drift.
            seen = {**props["result"], **seen}
        return ReadResult(id_, {**props, "result": seen})

    def delete(self, _id: str, _props: Props) -> None:
        """Undo what the job did outside its volumes; that is only possible while they exist."""
        client = engine.connect(_props.get("engine"))
        if _props.get("delete_command") and _volumes_exist(client, _props):
            engine.run_to_end(client, run_from(_props, _props["delete_command"]))

    def _run(self, props: Props) -> Props:
        client = engine.connect(props.get("engine"))
        output = engine.run_to_end(client, run_from(props, props["command"]))
        result = parse_result(props["name"], output)
        return {**props, "result": result, "settled": result}


class Job(Resource, module="tlsgate", name="Job"):
    """A container that is run to its end.

    Outputs: `result`, the JSON value on the last line of its standard output.
    """

    result: pulumi.Output[Any]

    def __init__(
        self, name: str, args: JobArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        props = {
            "name": args.name,
            "image": args.image,
            "command": list(args.command),
            "read_command": list(args.read_command) if args.read_command else None,
            "delete_command": list(args.delete_command) if args.delete_command else None,
            "mounts": [
                {"volume": volume, "target": path, "read_only": path not in args.writable}
                for path, volume in args.volumes.items()
            ],
            "network": args.network,
            "dns": list(args.dns),
            "user": args.user,
            "capabilities": list(args.capabilities),
            "files": dict(args.files),
            "labels": dict(args.labels),
            "timeout": args.timeout,
            "triggers": dict(args.triggers),
            "engine": args.engine,
            "result": None,
            "settled": None,
        }
        super().__init__(JobProvider(), name, props, opts)
