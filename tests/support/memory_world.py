"""The agent with a simulated clock, and CAs in memory that it reaches by their names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography.hazmat.primitives import serialization
from requests.adapters import BaseAdapter

from tests.support.memory_ca import MemoryCa
from tlsgate.acme.agent.assembly import renewer
from tlsgate.acme.agent.loop import Agent
from tlsgate.acme.config.agent_json import Config, load
from tlsgate.acme.process import Stop
from tlsgate.acme.renewal.renewer import Renewer
from tlsgate.acme.state.paths import Paths

START = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


@dataclass
class Time(Stop):
    """A simulated clock that moves only when somebody waits. `now`: UTC."""

    now: datetime = START

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def elapsed(self) -> float:
        """Seconds since some moment."""
        return (self.now - START).total_seconds()

    def pause(self, seconds: float) -> None:
        """Moves the clock instead of waiting."""
        self.now += timedelta(seconds=seconds)


class Router(BaseAdapter):
    """Sends a request to the CA of its host."""

    def __init__(self, cas: Sequence[MemoryCa]) -> None:
        super().__init__()
        self._cas = {urlsplit(ca.base).hostname: ca for ca in cas}

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Returns the CA's answer."""
        return self._cas[urlsplit(str(request.url)).hostname].send(request)

    def close(self) -> None:
        """There is nothing to close."""


class World:
    """Volumes below `root`, one CA `ca.example` and another one `other.example`."""

    def __init__(self, root: Path) -> None:
        self.time = Time()
        self.ca = MemoryCa("ca.example", self.time)
        self.other = MemoryCa("other.example", self.time)
        self.paths = Paths(
            root / "config/agent.json", root / "acme", root / "keys", root / "heartbeat"
        )
        self._build = partial(
            renewer, elapsed=self.time.elapsed, transport=Router([self.ca, self.other])
        )
        self._challenge = root / "challenge"
        for folder in (self.paths.config.parent, self.paths.state, self._challenge):
            folder.mkdir(parents=True, exist_ok=True)

    def configure(self, certificates: Sequence[Sequence[str]], **values: object) -> Config:
        """Writes agent.json for these sets of names; each certificate has the name of its first."""
        roots = self.paths.config.parent / "roots.pem"
        pems = [ca.root.public_bytes(serialization.Encoding.PEM) for ca in (self.ca, self.other)]
        roots.write_bytes(b"".join(pems))
        config = {
            "directory": self.ca.directory,
            "rotate_days": 3650,
            "roots_file": str(roots),
            "challenge": {"type": "http-01", "directory": str(self._challenge)},
            "certificates": [
                {"name": names[0], "volume": "policy", "names": list(names), "tlsa": []}
                for names in certificates
            ],
            **values,
        }
        self.paths.config.write_text(json.dumps(config))
        return load(self.paths.config)

    def renewer(self) -> Renewer:
        """A process that starts now and reads the volumes."""
        return self._build(load(self.paths.config), self.paths, self.time.pause, self.time)

    def agent(self) -> Agent:
        """A started agent."""
        return Agent(self.paths, self.time, self.time, self._build)
