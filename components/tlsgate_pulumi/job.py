"""Job: a container run to its end; fails with its log, and runs again at the next `up`.

A `docker.Container` that ended with an error is recorded as created and would never run again
(D4); a job that failed is not recorded at all. Its last line of standard output is JSON, and
becomes the output `result`. With `read_command`, `pulumi refresh` runs that and shows a `result`
that differs from what the job left as drift, which the next `up` undoes by running the job again;
of a JSON object, the keys that the read command does not print are left out of that.
With `delete_command`, `pulumi destroy` runs that before the volumes go.
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

    `volumes`: path → name, read-only but for those in `writable`. `files` go to /incoming.
    `triggers` make the job run again when they change, and nothing else. `timeout`: seconds.
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
    """Build the run that a job's inputs describe."""
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
    """Runs the job at create and update; looks at what it left at refresh."""

    def check(self, _olds: Props, news: Props) -> CheckResult:
        """Refuse an engine that is not fit."""
        return check_engine(news)

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Run again when an input changed, or when refresh found another result than was left."""
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
        """Look at what the job left; without its volumes it is gone."""
        if not props.get("read_command"):
            return ReadResult(id_, props)
        client = engine.connect(props.get("engine"))
        if not _volumes_exist(client, props):
            return ReadResult("", {})
        output = engine.run_to_end(client, run_from(props, props["read_command"]))
        seen = parse_result(props["name"], output)
        if isinstance(seen, dict) and isinstance(props.get("result"), dict):
            # What only the job itself prints is as it was then, and never drift.
            seen = {**props["result"], **seen}
        return ReadResult(id_, {**props, "result": seen})

    def delete(self, _id: str, _props: Props) -> None:
        """Undo what the job made outside its volumes; without them there is nothing to go by."""
        client = engine.connect(_props.get("engine"))
        if _props.get("delete_command") and _volumes_exist(client, _props):
            engine.run_to_end(client, run_from(_props, _props["delete_command"]))

    def _run(self, props: Props) -> Props:
        client = engine.connect(props.get("engine"))
        output = engine.run_to_end(client, run_from(props, props["command"]))
        result = parse_result(props["name"], output)
        return {**props, "result": result, "settled": result}


class Job(Resource, module="tlsgate", name="Job"):
    """A container run to its end.

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
