"""The Docker engine: one docker-py client a thread, since requests' sessions are not thread-safe.

The engine's API (https://docs.docker.com/reference/api/engine/version/v1.41/) must be 1.41 or
later: older engines lack what the gateway's hardening needs. Calls name that version, or the oldest
that a newer engine still takes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any, Final

import docker
import docker.errors
import requests.exceptions

from toolchain.engine_api import call_version
from toolchain.offline.docker_plugin.failures import PluginError, explain
from toolchain.versions import ENGINE_API_MINIMUM

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
_TIMEOUT_SECONDS: Final = 120
_FOREIGN_SETTINGS: Final = ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


class Engine:
    """The engine at `host`; `client` is this thread's connection to it."""

    def __init__(self, host: str | None) -> None:
        self.host = host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        self._local = threading.local()
        self._version = ".".join(map(str, ENGINE_API_MINIMUM))

    @property
    def client(self) -> docker.APIClient:
        """This thread's client."""
        client: docker.APIClient | None = getattr(self._local, "client", None)
        if client is None:
            # A fixed version saves a request for it by every thread.
            client = docker.APIClient(
                base_url=self.host, version=self._version, timeout=_TIMEOUT_SECONDS
            )
            self._local.client = client
        return client

    def post(self, path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        """Send `body` as it is, without docker-py's own idea of it. Raises docker's APIError."""
        client: Any = self.client  # the methods are docker-py's own, but not in its types
        response = client._post_json(client._url(path), data=body, params=query)
        answer: dict[str, Any] = client._result(response, json=True)
        return answer

    def verify(self) -> None:
        """Raise PluginError unless an engine that is new enough answers; call it as it asks."""
        for name in _FOREIGN_SETTINGS:
            if os.environ.get(name):
                raise PluginError(
                    "lab stand-in for the Docker plugin does not implement the environment "
                    f"variable {name}; unset it, or use the real plugin"
                )
        if not self.host.startswith(("unix://", "tcp://", "http://")):
            raise PluginError(
                f"lab stand-in for the Docker plugin does not implement the host {self.host!r}; "
                "use unix:// or tcp://, or the real plugin"
            )
        try:
            answer = self.client.version(api_version=False)
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise PluginError(explain(error, self.host)) from error
        offered = str(answer.get("ApiVersion", "0"))
        if tuple(int(part) for part in offered.split(".")) < ENGINE_API_MINIMUM:
            raise PluginError(
                f"The Docker engine at {self.host} is too old: version {answer.get('Version')} "
                f"with API {offered}; 1.41 (engine 20.10) or later is needed. Upgrade it."
            )
        self.client.close()
        self._version, self._local = call_version(answer), threading.local()
