"""A CA, a DNS zone and a mail server that survive the agent's death, and a clock: for roll-overs.

The agent is the real one, on real files. Everything outside of it notes what happened when, so
that a test can say what a cache could have held at any moment.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.unit.acme.acme_pki import NOW, Root
from tlsgate.acme.agent.loop import Agent
from tlsgate.acme.agent.operator import Operator
from tlsgate.acme.agent.status import Status
from tlsgate.acme.certificate import Meta, facts
from tlsgate.acme.config.agent_json import Config, Probe, load
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.gateway.generations import CertificateGeneration, CertificateStore
from tlsgate.acme.gateway.install import Installer
from tlsgate.acme.gateway.tls_probe import Servers
from tlsgate.acme.orders.authorities import CertificateAuthorities
from tlsgate.acme.orders.request import Issued, Request
from tlsgate.acme.process import Stop
from tlsgate.acme.renewal.renewal_info import RenewalInfo
from tlsgate.acme.renewal.renewer import Renewer
from tlsgate.acme.rollover.roller import Roller
from tlsgate.acme.rollover.tlsa_records import PublishedRecords, Tlsa
from tlsgate.acme.state.paths import Paths
from tlsgate.dns.errors import DnsError

NAME = "mx1.corp.example"
OWNER = f"_25._tcp.{NAME}"
DIRECTORY = "https://ca.example/dir"
TTL = 20
FILE_STEPS: list[tuple[Any, str]] = [
    (os, "open"),
    (os, "fsync"),
    (Path, "mkdir"),
    (Path, "replace"),
    (Path, "symlink_to"),
    (Path, "unlink"),
    (shutil, "rmtree"),
]


class Killed(BaseException):
    """The process is gone."""


@dataclass
class World:
    """What is outside of the agent, below one folder."""

    root: Path
    rotate_days: int = 0
    ca: Root = field(default_factory=Root)
    now: datetime = NOW
    orders: int = 0
    revoked: list[str] = field(default_factory=list)
    ca_fault: AcmeFault | None = None
    dns_fault: DnsError | None = None
    deaf: bool = False
    """The server does not take up new certificates."""
    down: bool = False
    zone: tuple[str, ...] = ()
    zones: list[tuple[datetime, tuple[str, ...]]] = field(default_factory=list)
    shown: bytes = b""
    """The chain that the server shows."""
    keys: list[tuple[datetime, str]] = field(default_factory=list)
    left: int | None = None
    """Steps until the agent is killed; None: it lives."""

    def __post_init__(self) -> None:
        for folder in ("acme", "config"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.configure()

    def copy(self, root: Path) -> World:
        """The same, on its own."""
        shutil.copytree(self.root, root, symlinks=True)
        return replace(
            self,
            root=root,
            revoked=list(self.revoked),
            zones=list(self.zones),
            keys=list(self.keys),
        )

    def configure(self, **values: object) -> None:
        """Writes agent.json."""
        tsig = self.root / "config/agent.tsig"
        tsig.touch()
        server = {"server": "192.0.2.53", "zones": ["corp.example"], "tsig_key_file": str(tsig)}
        probe = {"host": "192.0.2.25", "port": 25, "starttls": True}
        config = {
            "directory": DIRECTORY,
            "challenge": {"type": "dns-01", **server},
            "tlsa": {**server, "ttl": TTL},
            "rotate_days": self.rotate_days,
            "certificates": [
                {"name": NAME, "volume": "mx", "names": [NAME], "tlsa": [OWNER], "probe": probe}
            ],
            **values,
        }
        self.paths.config.write_text(json.dumps(config))

    @property
    def paths(self) -> Paths:
        return Paths(
            self.root / "config/agent.json",
            self.root / "acme",
            self.root / "keys",
            self.root / "heartbeat",
        )

    @property
    def store(self) -> CertificateStore:
        return CertificateStore(self.paths.certificate("mx", NAME))

    @property
    def config(self) -> Config:
        return load(self.paths.config)

    def clock(self) -> datetime:
        return self.now

    def agent(self) -> Agent:
        """A new process on the same volumes."""
        return Agent(self.paths, self.clock, Stop(), self.build)

    def build(self, config: Config, paths: Paths, *_: object) -> Renewer:
        """As the program builds it, on this world."""
        tlsa = (
            Tlsa(self, config.tlsa.ttl, PublishedRecords(paths.tlsa), self.clock)
            if config.tlsa
            else None
        )
        cas = WorldAuthorities(self)
        return Renewer(
            config,
            paths,
            roots=[self.ca.certificate],
            cas=cas,
            renewals=RenewalInfo(paths.renewals, self.clock),
            roller=Roller(config, paths, tlsa, cas, self.clock),
            installer=Installer(WorldServers(self)),
            clock=self.clock,
        )

    def operator(self) -> Operator:
        return Operator(self.config, self.paths, self.clock)

    def status(self) -> dict[str, Any]:
        """Of the one certificate."""
        return Status(self.config, self.paths, self.clock).all()[0]

    def step_of_rollover(self) -> str | None:
        state = self.status()["rollover"]
        return state["step"] if state else None

    def look(self, seconds: float = 0) -> None:
        """One look of a new agent, after some time."""
        self.now += timedelta(seconds=seconds)
        self.agent().look()

    def served_key(self) -> str:
        current = self.store.current()
        assert current is not None
        return facts(current.chain).spki_sha256

    def settle(self, looks: int = 60, seconds: float = 21) -> None:
        """Looks until no roll-over is under way."""
        for _ in range(looks):
            self.look(seconds)
            if self.step_of_rollover() is None:
                return
        raise AssertionError(f"still {self.status()['rollover']}")

    # What the agent does to the world; each may be its last act.

    def obtain(self, request: Request) -> Issued:
        self._step()
        if self.ca_fault is not None:
            raise self.ca_fault
        self.orders += 1
        self._step()
        chain = self.ca.sign(request.names, request.key, now=self.now)
        return Issued(chain, Meta(DIRECTORY, None))

    def revoke(self, generation: CertificateGeneration) -> None:
        self._step()
        if self.ca_fault is not None:
            raise self.ca_fault
        self.revoked.append(facts(generation.chain).serial)

    def read(self, _name: str, _rtype: str) -> tuple[str, ...]:
        return self.zone

    def set_tlsa(self, _name: str, values: Sequence[str], _ttl: int) -> None:
        self._step()
        if self.dns_fault is not None:
            raise self.dns_fault
        if tuple(values) != self.zone:
            self.zone = tuple(values)
            self.zones.append((self.now, self.zone))

    def wait_visible(self, _name: str, _rtype: str, value: str, _timeout: float) -> None:
        self._step()
        assert value in self.zone

    def add_text(self, *_: object) -> None:
        raise AssertionError("nothing is proven here")

    remove_text = add_text

    def answer(self, _probe: Probe, _name: str) -> bool:
        self._step()
        self.take_up()
        return not self.down

    def fault(self, _probe: Probe, _name: str, chain: bytes) -> str | None:
        self._step()
        self.take_up()
        return None if self.shown == chain else "the server shows another certificate"

    def take_up(self) -> None:
        """The server's watcher looks, and shows what is there, if it is whole."""
        link = self.paths.certificate("mx", NAME) / "current"
        if self.deaf or self.down or not (link / "key.pem").exists():
            return
        chain = (link / "fullchain.pem").read_bytes()
        leaf = x509.load_pem_x509_certificate(chain)
        key = (link / "key.pem").read_bytes()
        assert CertificateGeneration(link.resolve(), chain, Meta("", None)).key().public_key() == (
            leaf.public_key()
        ), key[:0]
        self.shown = chain
        spki = facts(chain).spki_sha256
        if not self.keys or self.keys[-1][1] != spki:
            self.keys.append((self.now, spki))

    def assert_no_peer_was_locked_out(self) -> None:
        """At every moment the served key was in every set that a cache could still hold."""
        changes = [(at, "zone", index) for index, (at, _) in enumerate(self.zones)]
        changes += [(at, "key", index) for index, (at, _) in enumerate(self.keys)]
        for at, what, index in changes:
            served = self.keys[index][1] if what == "key" else self._served_at(at)
            sets = [self.zones[index][1]] if what == "zone" else self._cached_at(at)
            for values in sets:
                if served is not None:
                    assert f"3 1 1 {served}" in values, (at, what)

    def _served_at(self, at: datetime) -> str | None:
        found = [key for since, key in self.keys if since <= at]
        return found[-1] if found else None

    def _cached_at(self, at: datetime) -> Iterator[tuple[str, ...]]:
        """The sets that stood at some moment of the last TTL."""
        for index, (since, values) in enumerate(self.zones):
            end = self.zones[index + 1][0] if index + 1 < len(self.zones) else None
            if since <= at and (end is None or end > at - timedelta(seconds=TTL)):
                yield values

    def _step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    @contextmanager
    def killed_after(self, steps: int) -> Iterator[None]:
        """Inside, the agent does that many things; then nothing happens any more."""
        self.left = steps
        try:
            with pytest.MonkeyPatch.context() as patch:
                for owner, name in FILE_STEPS:
                    patch.setattr(owner, name, self._mortal(getattr(owner, name)))
                yield
        except Killed:
            pass
        finally:
            self.left = None

    def _mortal(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            self._step()
            return operation(*args, **kwargs)

        return step


class WorldAuthorities(CertificateAuthorities):
    """The world's CA."""

    def __init__(self, world: World) -> None:
        self._world = world

    def obtain(self, _directory: str, request: Request) -> Issued:
        return self._world.obtain(request)

    def suggestion(self, _directory: str, _identifier: str) -> None:
        return None

    def update_contacts(self) -> None:
        pass

    def revoke(self, generation: CertificateGeneration) -> None:
        self._world.revoke(generation)


class WorldServers(Servers):
    """The world's mail server."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, probe: Probe, name: str) -> bool:
        return self._world.answer(probe, name)

    def fault(self, probe: Probe, name: str, chain: bytes) -> str | None:
        return self._world.fault(probe, name, chain)


def raising(fault: Exception) -> Any:
    """A stand-in for any act that fails so."""

    def act(*_: object) -> None:
        raise fault

    return act
