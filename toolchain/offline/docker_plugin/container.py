"""Container: made, watched until it runs (or is healthy, or has ended), read, changed, removed.

Lifecycle as in the real plugin; where it leaves a half-made container behind, this one removes it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

import docker.errors

from toolchain.offline.docker_plugin import uploads
from toolchain.offline.docker_plugin.container_config import (
    create_body,
    drifted,
    observed,
    update_body,
)
from toolchain.offline.docker_plugin.engine import Engine
from toolchain.offline.docker_plugin.failures import InitFailedError, PluginError, explain
from toolchain.offline.docker_plugin.properties import Change, Failure
from toolchain.offline.docker_plugin.resource import Resource
from toolchain.offline.docker_plugin.resources import CONTAINER

COMPUTED: Final = (
    "bridge", "command", "containerLogs", "entrypoints", "exitCode", "hostname", "init",
    "ipcMode", "logDriver", "name", "networkDatas", "ports", "runtime", "securityOpts",
    "shmSize", "stopSignal",
)  # fmt: skip
FAILED_MARK: Final = "__notReady"
_LOG_LINES: Final = 20
_EARLY_EXIT_SECONDS: Final = 0.1
_POLL_SECONDS: Final = 0.2
_LIVE_UPDATES: Final = frozenset(
    {"restart", "maxRetryCount", "cpuShares", "memory", "cpuSet", "memorySwap"}
)


class Containers(Resource):
    """The Container resource."""

    type = "docker:index/container:Container"
    table = CONTAINER
    computed = COMPUTED

    def __init__(self, engine: Engine, cancelled: threading.Event) -> None:
        super().__init__(engine)
        self._cancelled = cancelled

    def check(self, inputs: Mapping[str, Any]) -> list[Failure]:
        """Return what only the whole of the inputs shows to be wrong."""
        return uploads.check_uploads(inputs.get("uploads"))

    def create(self, inputs: Mapping[str, Any], timeout: float) -> tuple[str, dict[str, Any]]:
        """Make the container, start it, wait as asked. Return its id and outputs."""
        del timeout  # waitTimeout says how long a container may take
        client = self._engine.client
        archive = uploads.archive(inputs["uploads"]) if inputs.get("uploads") else None
        identity = self._make(inputs)
        try:
            self._connect(identity, inputs)
            if archive:
                client.put_archive(identity, "/", archive)
            if inputs.get("start", True):
                client.start(identity)
        except Exception as error:
            self._discard(identity)
            if isinstance(error, docker.errors.APIError):
                raise PluginError(
                    f"Unable to start container {inputs['name']}: "
                    f"{explain(error, self._engine.host)}"
                ) from error
            raise
        logs: dict[str, Any] = {}
        if inputs.get("start", True):
            if inputs.get("wait"):
                self._await_healthy(identity, inputs)
            if inputs.get("attach"):
                logs = self._await_end(identity, inputs)
        return identity, {**self._settled(identity, inputs), **logs}

    def _make(self, inputs: Mapping[str, Any]) -> str:
        body = create_body(inputs)
        try:
            made = self._engine.post("/containers/create", body, name=inputs["name"])
        except docker.errors.ImageNotFound as error:
            raise PluginError(
                f"Unable to create container {inputs['name']}: no image {inputs['image']} on the "
                f"engine. Build or pull it with a RemoteImage and pass its image_id."
            ) from error
        except docker.errors.APIError as error:
            raise PluginError(
                f"Unable to create container {inputs['name']}: {explain(error, self._engine.host)}"
            ) from error
        return str(made["Id"])

    def _connect(self, identity: str, inputs: Mapping[str, Any]) -> None:
        networks = inputs.get("networksAdvanced") or []
        if not networks:
            return
        client = self._engine.client
        try:
            client.disconnect_container_from_network(identity, "bridge")
        except docker.errors.APIError as error:
            if "is not connected" not in str(error.explanation):
                raise
        for network in networks:
            client.connect_container_to_network(
                identity,
                network["name"],
                ipv4_address=network.get("ipv4Address"),
                ipv6_address=network.get("ipv6Address"),
                aliases=network.get("aliases"),
            )

    def _await_healthy(self, identity: str, inputs: Mapping[str, Any]) -> None:
        seconds = inputs.get("waitTimeout", 60)
        deadline = time.monotonic() + seconds
        while True:
            found = self._engine.client.inspect_container(identity)
            state = found["State"]
            health = state.get("Health")
            if health is None and found["Config"].get("Healthcheck") is None:
                reason = "it has wait, but no health check to wait for: give it a healthcheck"
            elif health is not None and health["Status"] == "healthy":
                return
            elif not state["Running"] and not state.get("Restarting"):
                reason = f"it ended with exit code {state['ExitCode']} before it was healthy"
            elif time.monotonic() > deadline:
                reason = f"it was not healthy after {seconds} s" + _last_probe(health)
            elif self._cancelled.wait(_POLL_SECONDS):
                reason = "the wait for its health was cancelled"
            else:
                continue
            self._not_ready(identity, inputs, reason)

    def _await_end(self, identity: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        client = self._engine.client
        while client.inspect_container(identity)["State"]["Running"]:
            # A wait of bounded length, so that a cancelled run does not hang here.
            try:
                client.wait(identity, timeout=2)
            except Exception as error:
                if not _is_timeout(error):
                    raise
            if self._cancelled.is_set():
                self._not_ready(identity, inputs, "the wait for its end was cancelled")
        return {"containerLogs": self._logs(identity)} if inputs.get("logs") else {}

    def _not_ready(self, identity: str, inputs: Mapping[str, Any], reason: str) -> None:
        raise InitFailedError(
            f"Container {inputs['name']} is not ready: {reason}. {self._log_tail(identity)}",
            identity,
            {**inputs, FAILED_MARK: True},
        )

    def _settled(self, identity: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs of the new container, or fail if it ended although it must run."""
        must_run = inputs.get("mustRun", True)
        if must_run and inputs.get("start", True) and not inputs.get("wait"):
            time.sleep(_EARLY_EXIT_SECONDS)
        try:
            found = self._engine.client.inspect_container(identity)
        except docker.errors.NotFound:
            if inputs.get("rm") and not must_run:
                return dict(inputs)
            raise PluginError(f"Container {inputs['name']} ended and is gone.") from None
        if must_run and not found["State"]["Running"]:
            code = found["State"]["ExitCode"]
            tail = self._log_tail(identity)
            self._discard(identity)
            raise PluginError(
                f"Container {inputs['name']} ended at once with exit code {code} although it must "
                f"run; it was removed. Fix its command, or set must_run=False. {tail}"
            )
        return {**inputs, **observed(found, inputs)}

    def read(
        self, identity: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return the live outputs and inputs, or None where the container is gone.

        One that must run and does not is removed and reported as gone, so that the next `up`
        makes it again, as the real plugin does.
        """
        try:
            found = self._engine.client.inspect_container(identity)
        except docker.errors.NotFound:
            return None
        if inputs.get("mustRun", True) and not found["State"]["Running"]:
            self._discard(identity)
            return None
        changed = drifted(found, {"name": outputs.get("name"), **inputs})
        live = {**outputs, **observed(found, inputs), **changed}
        if found["State"]["Running"]:
            live.pop("exitCode", None)
        return live, {**inputs, **changed}

    def update(
        self, identity: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Bring limits and restart policy to the running container; record the rest."""
        changed = {key for key in _LIVE_UPDATES if outputs.get(key) != inputs.get(key)}
        client = self._engine.client
        if changed:
            self._engine.post(f"/containers/{identity}/update", update_body(inputs))
        logs = {key: outputs[key] for key in ("containerLogs",) if key in outputs}
        found = client.inspect_container(identity)
        return {**inputs, **observed(found, inputs), **logs}

    def delete(self, identity: str, outputs: Mapping[str, Any], timeout: float) -> None:
        """Stop the container with grace where asked, and remove it."""
        del timeout
        if outputs.get("rm"):
            return  # the engine removes it when it ends; the real plugin leaves it running
        grace = outputs.get("destroyGraceSeconds", 0)
        client = self._engine.client
        try:
            if grace > 0 and not outputs.get("attach"):
                client.stop(identity, timeout=grace)
        except docker.errors.NotFound:
            return
        self._discard(identity, volumes=outputs.get("removeVolumes", True))

    def _discard(self, identity: str, *, volumes: bool = True) -> None:
        client = self._engine.client
        try:
            client.remove_container(identity, v=volumes, force=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if "already in progress" not in str(error.explanation):
                raise
            self._await_removal(identity)

    def _await_removal(self, identity: str) -> None:
        try:
            self._engine.client.wait(identity, condition="removed", timeout=30)
        except docker.errors.NotFound:
            return

    def _logs(self, identity: str, tail: int | Literal["all"] = "all") -> str:
        raw = self._engine.client.logs(identity, stdout=True, stderr=True, tail=tail)
        return bytes(raw).decode(errors="replace")

    def _log_tail(self, identity: str) -> str:
        try:
            text = self._logs(identity, _LOG_LINES).rstrip()
        except docker.errors.APIError as error:
            return f"Its log cannot be read: {error.explanation}"
        if not text:
            return "Its log is empty."
        return "The end of its log:\n" + "\n".join(f"  {line}" for line in text.splitlines())

    def forced_replacement(self, outputs: Mapping[str, Any]) -> list[Change]:
        """Return the change that replaces a container which was made but never became ready."""
        return [Change(FAILED_MARK, "delete", replace=True)] if outputs.get(FAILED_MARK) else []


def _last_probe(health: Mapping[str, Any] | None) -> str:
    log = (health or {}).get("Log") or []
    if not log:
        return "; its health check has not run yet"
    last = log[-1]
    output = json.dumps(str(last.get("Output", "")).strip()[-300:], ensure_ascii=False)
    return f"; its last health check exited with {last.get('ExitCode')} and said {output}"


def _is_timeout(error: BaseException) -> bool:
    """Return whether docker-py's wait timed out: requests and urllib3 say so in several ways."""
    return "timed out" in str(error).lower()
