"""What the server asks of each of the four resources, and what is the same for most of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from toolchain.offline.docker_plugin.engine import Engine
from toolchain.offline.docker_plugin.properties import Change, Failure, Table


class Resource(ABC):
    """One resource type on one engine. Its methods are called from several threads.

    Properties are plain dicts with the names of the wire. All but `check` see known values only.
    """

    type: ClassVar[str]
    table: ClassVar[Table]
    computed: ClassVar[tuple[str, ...]]
    """Outputs that are known only once the resource is there."""
    autonamed: ClassVar[bool] = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def check(self, inputs: Mapping[str, Any]) -> list[Failure]:
        """Return what is wrong with `inputs` beyond what the table says of each."""
        del inputs
        return []

    def forced_replacement(self, outputs: Mapping[str, Any]) -> list[Change]:
        """Return a change that replaces the resource whatever its inputs, or nothing."""
        del outputs
        return []

    @abstractmethod
    def create(self, inputs: Mapping[str, Any], timeout: float) -> tuple[str, dict[str, Any]]:
        """Make the resource. Return its id and outputs.

        `timeout` is the program's custom timeout in seconds, 0 for none. Raises PluginError
        (nothing is left) or InitFailedError (it is there, but not ready).
        """

    @abstractmethod
    def read(
        self, identity: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return the live outputs and inputs, or None where the resource is gone."""

    @abstractmethod
    def update(
        self, identity: str, outputs: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Bring what can change in place to the resource. Return its outputs."""

    @abstractmethod
    def delete(self, identity: str, outputs: Mapping[str, Any], timeout: float) -> None:
        """Remove the resource; one that is gone already is no error."""
