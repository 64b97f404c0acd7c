"""A second gateway in the same lab, which tests may break and destroy.

It serves a separate subdomain of the organisation, and uses the upper half of the lab's network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from lab import plan
from tests.e2e import records
from tests.e2e.deployment import Deployment, config_file, demo_config, forget, write_config

STACK = "test-spare"
ZONE = "corp.example"
DOMAIN = f"test.{ZONE}"
HOST = f"mx1.{DOMAIN}"
SMTP, INTERNAL = ("127.0.0.1", 10125), ("127.0.0.1", 12625)
ADDRESSES = {"gateway": "172.31.26.131", "policy-host": "172.31.26.132"}
ROLES_KEPT = ("acme", "mx-keys", "policy-keys", "policy-state", "spool")
KEPT = {f"tlsgate-{STACK}-{role}" for role in ROLES_KEPT}
"""Volumes of keys, mail and cached policies, which `pulumi destroy` keeps."""

Config = dict[str, Any]
Change = Callable[[Config], object]


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Everything that exists of the stack: on the engine, in DNS and in the Pulumi state."""

    containers: frozenset[str]
    networks: frozenset[str]
    volumes: frozenset[str]
    records: frozenset[str]
    resources: frozenset[str]
    """Kinds and names in the Pulumi state."""


@dataclass(frozen=True, slots=True)
class Spare:
    """The stack and its environment."""

    client: docker.DockerClient
    deployment: Deployment

    def configure(self, change: Change = lambda _config: None) -> None:
        """Write the stack's config: a correct one, with a change."""
        config = demo_config()
        config.pop("encryptionsalt", None)
        values = config["config"]
        values["tlsgate:domains"] = [DOMAIN]
        values["tlsgate:gateways"] = [{"name": HOST, "addresses": [ADDRESSES["gateway"]]}]
        values["tlsgate:mtaSts"]["addresses"] = [ADDRESSES["policy-host"]]
        values["tlsgate:network"] = {"existing": plan.NETWORK, "subnet": "172.31.26.128/25"}
        values["tlsgate:ports"] = {
            "smtp": ":".join(map(str, SMTP)),
            "internal": ":".join(map(str, INTERNAL)),
            "https": "none",
            "http": "none",
        }
        # The lab's internal server has no mailbox of this domain, and sends as its own.
        values["tlsgate:internal"] |= {"recipients": "any", "senders": [ZONE]}
        change(values)
        write_config(config_file(STACK), config)

    def with_variables(self, **variables: str) -> Deployment:
        """The same stack, in another environment."""
        return Deployment(STACK, variables=variables)

    def left(self) -> Leftovers:
        """Return everything that exists of the stack."""
        found = {
            kind: frozenset(names) for kind, names in self.deployment.resources(self.client).items()
        }
        published = {line for line in records.zone_lines(ZONE) if is_ours(line)}
        return Leftovers(**found, records=frozenset(published), resources=self.deployment.known())


def is_ours(line: str) -> bool:
    """Whether a record of the zone is this stack's: its name is in the stack's domain."""
    name = line.partition(" ")[0]
    return name == "test" or name.endswith((".test", ".blocked"))


@contextmanager
def spare_stack(client: docker.DockerClient) -> Iterator[Spare]:
    """The stack, not deployed yet; it is destroyed at the end, with its keys and mail."""
    spare = Spare(client, Deployment(STACK))
    remove(spare)
    Path(config_file(STACK)).write_text("config: {}\n")
    created = spare.deployment.run("stack", "init")
    assert created.code == 0, created.text
    try:
        yield spare
    finally:
        remove(spare)


def remove(spare: Spare) -> None:
    """Remove the stack, also what an interrupted run created but did not record."""
    forget(spare.deployment)
    label: dict[str, str | list[str] | bool] = {"label": f"tlsgate.stack={STACK}"}
    for container in spare.client.containers.list(all=True, filters=label):
        container.remove(force=True, v=True)
    for volume in spare.client.volumes.list(filters=label):
        volume.remove()
    left = {line.partition(" ")[0] for line in records.zone_lines(ZONE) if is_ours(line)}
    records.remove(ZONE, left)
