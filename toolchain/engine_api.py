"""The Docker Engine API over its socket, as far as set-up and `make clean` need it.

https://docs.docker.com/reference/api/engine/version/v1.41/ - calls name that version, the oldest
that the project works with, or the oldest that a newer engine still takes. On the standard library,
since no environment exists yet.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from toolchain.versions import ENGINE_API_MINIMUM

DEFAULT_ADDRESS: Final = "unix:///var/run/docker.sock"
_TIMEOUT: Final = 60.0


class EngineError(Exception):
    """The engine answered with an error, or not at all. `status`: HTTP status, 0 for no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class AddressError(ValueError):
    """An engine address that is not one of `unix:///…` and `tcp://host:port`."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class EngineApi:
    """An engine by its address."""

    def __init__(self, address: str, timeout: float = _TIMEOUT) -> None:
        self.address = address
        self._timeout = timeout
        self._prefix = ""
        self._parts = urlsplit(address)
        unix = self._parts.scheme == "unix" and self._parts.path
        if not unix and not (self._parts.scheme == "tcp" and self._parts.hostname):
            raise AddressError(address)

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._parts.scheme == "unix":
            return _UnixConnection(self._parts.path, timeout)
        return http.client.HTTPConnection(
            self._parts.hostname or "", self._parts.port or 2375, timeout=timeout
        )

    def _call(
        self, method: str, path: str, body: Any = None, timeout: float | None = None
    ) -> http.client.HTTPResponse:
        if not self._prefix:
            self._prefix = f"/v{call_version(self.version())}"
        return self._send(method, self._prefix + path, body, timeout)

    def _send(
        self, method: str, path: str, body: Any = None, timeout: float | None = None
    ) -> http.client.HTTPResponse:
        connection = self._connection(timeout or self._timeout)
        headers = {"Connection": "close"}  # one connection a call: none is left open
        if body:
            headers["Content-Type"] = "application/x-tar"
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise EngineError(str(error) or type(error).__name__) from error
        if response.status >= 400:
            raise EngineError(_message(response.read()), response.status)
        return response

    def version(self) -> dict[str, Any]:
        """Return what the engine says about itself: `Version`, `ApiVersion` and more."""
        with self._send("GET", "/version", timeout=10) as response:
            return dict(json.load(response))

    def has_image(self, name: str) -> bool:
        """Return whether the engine has an image of this name."""
        try:
            self._call("GET", f"/images/{quote(name)}/json").close()
        except EngineError as error:
            if error.status == 404:
                return False
            raise
        return True

    def pull(self, name: str, timeout: float) -> None:
        """Pull `repository:tag`; raise EngineError when it fails or says nothing for `timeout`."""
        query = urlencode({"fromImage": name})
        with self._call("POST", f"/images/create?{query}", timeout=timeout) as response:
            _follow(response)

    def load_tree(self, archive: Path, name: str) -> None:
        """Make the image `repository:tag` of a file tree in a tar archive (`docker import`)."""
        repository, _, tag = name.rpartition(":")
        query = urlencode({"fromSrc": "-", "repo": repository, "tag": tag})
        path = f"/images/create?{query}"
        with archive.open("rb") as body, self._call("POST", path, body, 300) as response:
            _follow(response)

    def listing(self, kind: str, label: str) -> list[dict[str, Any]]:
        """Return the `containers` (all), `networks` or `volumes` with a label `key[=value]`."""
        query = urlencode({"all": "true", "filters": json.dumps({"label": [label]})})
        with self._call("GET", f"/{kind}{_LIST[kind]}?{query}") as response:
            read = json.load(response)
        return list((read["Volumes"] or []) if kind == "volumes" else read)

    def remove(self, kind: str, identity: str, options: Mapping[str, str]) -> None:
        """Remove one thing; that it is gone already is no error."""
        try:
            self._call("DELETE", f"/{kind}/{identity}?{urlencode(options)}").close()
        except EngineError as error:
            if error.status != 404:
                raise


def call_version(answered: Mapping[str, Any]) -> str:
    """Return the API version to name in calls, from what the engine says about itself."""
    minimum = str(answered.get("MinAPIVersion") or "0.0")
    numbers = tuple(int(part) for part in minimum.split("."))
    return minimum if numbers > ENGINE_API_MINIMUM else ".".join(map(str, ENGINE_API_MINIMUM))


_LIST: Final = {"containers": "/json", "networks": "", "volumes": ""}


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip()


def _follow(response: http.client.HTTPResponse) -> None:
    """Read a stream of progress; an error comes at its end, after the status 200."""
    for line in _lines(response):
        event = json.loads(line)
        if "error" in event:
            raise EngineError(str(event["error"]))


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        for line in response:
            if line.strip():
                yield line
    except (OSError, http.client.HTTPException) as error:
        raise EngineError(str(error) or "the answer broke off") from error
