"""Volume: its name is its id; a volume that is already there is taken over, as by the engine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import docker.errors

from toolchain.offline.docker_plugin.container_config import labels_map
from toolchain.offline.docker_plugin.failures import PluginError, explain
from toolchain.offline.docker_plugin.resource import Resource
from toolchain.offline.docker_plugin.resources import VOLUME

COMPUTED: Final = ("driver", "mountpoint", "name")
_IN_USE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.25


def observed(inspection: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `GET /volumes/{name}` says, as output properties."""
    return {
        **inputs,
        "name": inspection["Name"],
        "driver": inspection["Driver"],
        "mountpoint": inspection["Mountpoint"],
    }


class Volumes(Resource):
    """The Volume resource."""

    type = "docker:index/volume:Volume"
    table = VOLUME
    computed = COMPUTED

    def create(self, inputs: Mapping[str, Any], timeout: float) -> tuple[str, dict[str, Any]]:
        """Make the volume. Return its name and outputs."""
        del timeout
        try:
            made = self._engine.client.create_volume(
                name=inputs["name"],
                driver=inputs.get("driver"),
                driver_opts=inputs.get("driverOpts"),
                labels=labels_map(inputs.get("labels")),
            )
        except docker.errors.APIError as error:
            raise PluginError(
                f"Unable to create volume {inputs['name']}: {explain(error, self._engine.host)}"
            ) from error
        return str(made["Name"]), observed(made, inputs)

    def read(
        self, identity: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return the live outputs and inputs, or None where the volume is gone."""
        try:
            found = self._engine.client.inspect_volume(identity)
        except docker.errors.NotFound:
            return None
        return {**outputs, **observed(found, inputs)}, dict(inputs)

    def update(
        self, identity: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Record `inputs`: nothing of a volume changes in place."""
        del identity
        return {**outputs, **inputs}

    def delete(self, identity: str, outputs: Mapping[str, Any], timeout: float) -> None:
        """Remove the volume, waiting up to `timeout` seconds for its last container to go."""
        del outputs
        client = self._engine.client
        deadline = time.monotonic() + (timeout or _IN_USE_SECONDS)
        while True:
            try:
                client.remove_volume(identity)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if "volume is in use" not in str(error.explanation):
                    raise
                if time.monotonic() > deadline:
                    raise PluginError(
                        f"Volume {identity} is still used by {self._users(identity)}. Remove "
                        "them, then repeat."
                    ) from error
            else:
                return
            time.sleep(_POLL_SECONDS)

    def _users(self, identity: str) -> str:
        users = self._engine.client.containers(all=True, filters={"volume": identity})
        return ", ".join(sorted(u["Names"][0].lstrip("/") for u in users)) or "a container"
