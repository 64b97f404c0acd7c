"""Network: everything about it is fixed when it is made, so every change replaces it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import docker.errors

from toolchain.offline.docker_plugin.container_config import labels_map
from toolchain.offline.docker_plugin.failures import PluginError, explain
from toolchain.offline.docker_plugin.resource import Resource
from toolchain.offline.docker_plugin.resources import NETWORK

COMPUTED: Final = ("driver", "internal", "ipamConfigs", "name", "options", "scope")
_IN_USE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.25


def create_body(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request body of `POST /networks/create` for `inputs`."""
    body: dict[str, Any] = {
        "Name": inputs["name"],
        # The engine allows two networks of one name; the real plugin never asks for that.
        "CheckDuplicate": True,
        "Driver": inputs.get("driver") or "bridge",
        "Internal": inputs.get("internal", False),
        "Attachable": inputs.get("attachable", False),
        "EnableIPv6": inputs.get("ipv6", False),
        "Labels": labels_map(inputs.get("labels")),
        "Options": inputs.get("options") or {},
    }
    if configs := inputs.get("ipamConfigs"):
        body["IPAM"] = {
            "Driver": inputs.get("ipamDriver") or "default",
            "Config": [_ipam_config(config) for config in configs],
        }
    return body


def _ipam_config(config: Mapping[str, Any]) -> dict[str, Any]:
    fields = {
        "Subnet": config.get("subnet"),
        "IPRange": config.get("ipRange"),
        "Gateway": config.get("gateway"),
        "AuxiliaryAddresses": config.get("auxAddress"),
    }
    return {key: value for key, value in fields.items() if value}


def observed(inspection: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `GET /networks/{id}` says, as output properties."""
    configs = (inspection.get("IPAM") or {}).get("Config") or []
    return {
        **inputs,
        "name": inspection["Name"],
        "driver": inspection["Driver"],
        "internal": inspection["Internal"],
        "options": inspection.get("Options") or {},
        "scope": inspection["Scope"],
        "ipamConfigs": inputs.get("ipamConfigs")
        or [
            {"subnet": config.get("Subnet", ""), "gateway": config.get("Gateway", "")}
            for config in configs
        ],
    }


class Networks(Resource):
    """The Network resource."""

    type = "docker:index/network:Network"
    table = NETWORK
    computed = COMPUTED

    def create(self, inputs: Mapping[str, Any], timeout: float) -> tuple[str, dict[str, Any]]:
        """Make the network. Return its id and outputs."""
        del timeout
        client = self._engine.client
        try:
            made = self._engine.post("/networks/create", create_body(inputs))
        except docker.errors.APIError as error:
            raise PluginError(
                f"Unable to create network {inputs['name']}: {explain(error, self._engine.host)}"
            ) from error
        identity = str(made["Id"])
        return identity, observed(client.inspect_network(identity), inputs)

    def read(
        self, identity: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return the live outputs and inputs, or None where the network is gone."""
        try:
            found = self._engine.client.inspect_network(identity)
        except docker.errors.NotFound:
            return None
        return {**outputs, **observed(found, inputs)}, dict(inputs)

    def update(
        self, identity: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Record `inputs`: nothing of a network changes in place."""
        del identity
        return {**outputs, **inputs}

    def delete(self, identity: str, outputs: Mapping[str, Any], timeout: float) -> None:
        """Remove the network, waiting up to `timeout` seconds for its last container to go."""
        client = self._engine.client
        deadline = time.monotonic() + (timeout or _IN_USE_SECONDS)
        while True:
            try:
                client.remove_network(identity)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if "has active endpoints" not in str(error.explanation):
                    raise
                if time.monotonic() > deadline:
                    raise PluginError(
                        f"Network {outputs.get('name')} is still used by "
                        f"{self._users(identity)}. Remove or disconnect them, then repeat."
                    ) from error
            else:
                return
            time.sleep(_POLL_SECONDS)

    def _users(self, identity: str) -> str:
        containers = self._engine.client.inspect_network(identity).get("Containers") or {}
        return ", ".join(sorted(c["Name"] for c in containers.values())) or "a container"
