"""Delivery: gives a running server a new generation of its configuration, without a restart (D4).

A job container of the server's own image builds and checks the generation on the configuration
volume and switches one symlink. The watcher in the server's container notices that and reloads the
server. Then `up` asks the server whether the generation is in force. `refresh` compares the live
files with the delivered ones, so it shows changes made by hand, and the next `up` reverts them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import docker
import pulumi
from docker.errors import NotFound
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from tlsgate.generation.in_force import LACKS_CERTIFICATE
from tlsgate.generation.manifest import generation_id
from tlsgate.generation.requirements import NGINX
from tlsgate.partners.format import LIST_FILE
from tlsgate_pulumi import engine
from tlsgate_pulumi.change_guard import check_change
from tlsgate_pulumi.docker_engine import Address
from tlsgate_pulumi.dynamic import Props, Provider, changed_keys, check_engine, difference
from tlsgate_pulumi.outputs import apply_to

CONFIG = "/config"
COMMAND = ["python3", "-m", "tlsgate.generation"]
AWAIT_SECONDS = 60


@dataclass(frozen=True)
class DeliveryArgs:
    """What is delivered, and to which server.

    `kind`: postfix or nginx. `files`: name → content, without secrets; the mapping may be an output
    of another resource. `engine`: see `docker_engine.py`. `server`: the name of the container that
    uses the generation. It may start later. If nginx lacks certificates for the generation, the
    previous one stays in force until they exist. `accept_weakening`: the digest of the only change
    of the partner list that may weaken more than the change guard allows.
    """

    kind: str
    volume: pulumi.Input[str]
    image: pulumi.Input[str]
    server: str
    user: str
    files: Mapping[str, str] | pulumi.Output[Mapping[str, str]]
    labels: Mapping[str, str]
    accept_weakening: str = ""
    engine: pulumi.Input[Address | None] = None


class DeliveryProvider(Provider):
    """Installs a generation; if the server runs, waits until the generation is in force there."""

    def check(self, _olds: Props, news: Props) -> CheckResult:
        """Refuse a list that weakens too much, in a preview and before `up`."""
        checked = check_engine(news)
        if checked.failures:
            return checked
        refused = check_change(_olds, news, f"{CONFIG}/current/{LIST_FILE}")
        return CheckResult(news, [CheckFailure("", refused)] if refused else [])

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Deliver again if the generation, the volume or the image changed, or after drift."""
        changed = changed_keys(_olds, _news, ("volume", "generation", "image", "server", "engine"))
        if _olds.get("live") != _olds.get("delivered"):
            changed.append("live")
        return difference(changed, replaces=("volume",))

    def create(self, props: Props) -> CreateResult:
        """Deliver."""
        return CreateResult(props["volume"], self._deliver(props))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        """Deliver."""
        return UpdateResult(self._deliver(_news))

    def read(self, id_: str, props: Props) -> ReadResult:
        """Return the digest of the live files."""
        client = engine.connect(props.get("engine"))
        if not engine.volume_exists(client, props["volume"]):
            return ReadResult("", {})
        output = engine.run_to_end(client, self._run(props, [*COMMAND, "show"], {}))
        return ReadResult(id_, {**props, "live": json.loads(output)["live"]})

    def _deliver(self, props: Props) -> Props:
        client = engine.connect(props.get("engine"))
        install = [*COMMAND, "install", "--kind", props["kind"], "--from", engine.INCOMING]
        files = {name: text.encode() for name, text in props["files"].items()}
        run = self._run(props, [*install, "--expect", props["generation"]], files)
        live = json.loads(engine.run_to_end(client, run))["live"]
        self._await(client, props)
        return {**props, "live": live, "delivered": live}

    def _await(self, client: docker.DockerClient, props: Props) -> None:
        """Wait until a running server has the generation in force; raise the watcher's reason."""
        try:
            server = client.containers.get(props["server"])
        except NotFound:
            return
        if server.status != "running":
            return
        command = [*COMMAND, "await", props["generation"], "--timeout", str(AWAIT_SECONDS)]
        code, output = server.exec_run(command)
        if code == LACKS_CERTIFICATE and props["kind"] == NGINX:
            # A domain was added: the policy host already answers http-01 for it. Its certificate
            # is issued next, and then the watcher activates the generation.
            return
        if code != 0:
            text = output.decode(errors="replace") if isinstance(output, bytes) else ""
            raise engine.DeploymentError(
                f"{props['server']} did not accept the new configuration: {text.strip()}\n"
                "The previous configuration stays in force. Fix the problem and run `up` again"
            )

    def _run(self, props: Props, command: list[str], files: Mapping[str, bytes]) -> engine.Run:
        return engine.Run(
            name=f"{props['server']}-delivery",
            image=props["image"],
            command=command,
            mounts=[engine.VolumeMount(props["volume"], CONFIG)],
            user=props["user"],
            files=files,
            labels=props["labels"],
        )


def _generation(files: Mapping[str, str]) -> str:
    return generation_id({file: text.encode() for file, text in files.items()})


class Delivery(Resource, module="tlsgate", name="Delivery"):
    """A generation in force.

    Outputs: `generation`, the id of its source files; `live`, the digest of the live files.
    """

    generation: pulumi.Output[str]
    live: pulumi.Output[str]

    def __init__(
        self, name: str, args: DeliveryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        props: dict[str, Any] = {
            "kind": args.kind,
            "volume": args.volume,
            "image": args.image,
            "server": args.server,
            "user": args.user,
            "files": apply_to(args.files, dict),
            "labels": dict(args.labels),
            "accept_weakening": args.accept_weakening,
            "generation": apply_to(args.files, _generation),
            "engine": args.engine,
            "live": None,
            "delivered": None,
        }
        super().__init__(DeliveryProvider(), name, props, opts)
