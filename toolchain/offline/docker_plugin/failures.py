"""The errors that a request can end with, each with a text that a user can act upon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import docker.errors
import requests.exceptions


class PluginError(Exception):
    """A request that failed; nothing of it is left behind."""


class InitFailedError(Exception):
    """A resource that exists but did not become ready.

    The engine records it with its `id` and `properties`, so that the next `up` replaces it and
    `destroy` removes it.
    """

    def __init__(self, message: str, resource_id: str, properties: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.resource_id = resource_id
        self.properties = dict(properties)


def explain(error: Exception, host: str) -> str:
    """Return what docker-py's `error` means, in one readable line.

    `host` is the address of the engine that was asked.
    """
    if isinstance(error, docker.errors.APIError):
        text = str(error.explanation or error).strip()
        return text + _hint(text)
    if isinstance(error, requests.exceptions.Timeout):
        return f"The Docker engine at {host} did not answer in time. Look at its log, then repeat."
    if isinstance(error, requests.exceptions.ConnectionError | docker.errors.DockerException):
        return (
            f"No Docker engine at {host}: {_innermost(error)}. Start it, or set DOCKER_HOST or "
            "`pulumi config set docker:host` to the address of one that runs."
        )
    return f"{type(error).__name__}: {error}"


_HINTS = {
    "port is already allocated": "Stop what holds the port or publish another one; where the "
    "replaced container itself holds it, set delete_before_replace.",
    "address already in use": "Stop the process that holds the port or publish another one.",
    "is already in use by container": "Remove that container or choose another name; where a "
    "replacement is under way, set delete_before_replace.",
    "marked read-only": "The engine copies nothing into a read-only root: upload to a path on a "
    "mounted volume, or bring the content another way.",
    "update the memoryswap": "Set memory_swap beside memory.",
    "overlaps with other one": "Another network has these addresses: remove it or choose others.",
}


def _hint(text: str) -> str:
    for needle, hint in _HINTS.items():
        if needle in text:
            return f". {hint}"
    return ""


def _innermost(error: BaseException) -> str:
    """Return the cause at the bottom: docker-py wraps an OSError four layers deep."""
    seen: BaseException = error
    while (deeper := _deeper(seen)) is not None:
        seen = deeper
    return getattr(seen, "strerror", None) or str(seen)


def _deeper(error: BaseException) -> BaseException | None:
    for candidate in (*error.args, getattr(error, "reason", None), error.__cause__):
        if isinstance(candidate, BaseException) and candidate is not error:
            return candidate
        if isinstance(candidate, tuple):
            for part in candidate:
                if isinstance(part, BaseException):
                    return part
    return None
