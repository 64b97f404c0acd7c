"""A CA and a DNS server that are functions, and the code that orders on top of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests.unit.acme.acme_pki import NOW, Root
from tlsgate.acme.ca import Ca
from tlsgate.acme.config import Config, HttpTokens, Wanted
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.issue import Issuer
from tlsgate.acme.keys import Key
from tlsgate.acme.paths import Paths
from tlsgate.acme.probe import Probe
from tlsgate.acme.renewals import Renewals
from tlsgate.acme.request import Issued, Request
from tlsgate.acme.roll import Roller
from tlsgate.acme.store import Generation, Meta, Store
from tlsgate.acme.switch import Switch
from tlsgate.acme.tlsa import Tlsa

MX = Wanted("mx1.corp.example", "mx", ("mx1.corp.example",), ("_25._tcp.mx1.corp.example",))
STS = Wanted("policy-1", "policy", ("mta-sts.corp.example",), ())


def settings(*wanted: Wanted, directory: str = "https://ca.example/dir") -> Config:
    """A configuration of these certificates."""
    return Config(
        ca=Ca(directory),
        roots_file=None,
        challenge=HttpTokens(Path("/challenge")),
        tlsa=None,
        certificates=wanted or (MX,),
        look_seconds=60,
    )


@dataclass
class Parts:
    """What the world does, and what was asked of it."""

    root: Path
    ca: Root = field(default_factory=Root)
    now: datetime = NOW
    fault: Exception | None = None
    publish_fault: AcmeFault | None = None
    orders: list[tuple[str, ...]] = field(default_factory=list)
    published: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    sign: Callable[[Sequence[str], Key], bytes] | None = None

    @property
    def paths(self) -> Paths:
        """Volumes below `root`."""
        return Paths(
            self.root / "config/agent.json",
            self.root / "acme",
            self.root / "keys",
            self.root / "heartbeat",
        )

    def issuer(self, config: Config | None = None) -> Issuer:
        """As the program builds it."""
        self.paths.state.mkdir(exist_ok=True)
        return Issuer(
            config or settings(),
            self.paths,
            roots=[self.ca.certificate],
            obtain=self._obtain,
            renewals=Renewals(self.paths.renewals, self._suggestion, self._clock),
            roller=Roller(
                config or settings(), self.paths, Records(self), self._revoke, self._clock
            ),
            switch=Switch(Servers()),
            clock=self._clock,
        )

    def store(self, wanted: Wanted = MX) -> Store:
        """A certificate's directory."""
        return Store(self.paths.certificate(wanted.volume, wanted.name))

    def served(self, wanted: Wanted = MX) -> Generation:
        """What is in service."""
        current = self.store(wanted).current()
        assert current is not None
        return current

    def _obtain(self, request: Request) -> Issued:
        self.orders.append(request.names)
        if self.fault is not None:
            raise self.fault
        chain = (self.sign or self._sign)(request.names, request.key)
        return Issued(chain, Meta("https://ca.example/dir", None))

    def _sign(self, names: Sequence[str], key: Key) -> bytes:
        return self.ca.sign(names, key, now=self.now)

    def _clock(self) -> datetime:
        return self.now

    def _suggestion(self, _directory: str, _identifier: str) -> None:
        return None

    def _revoke(self, generation: Generation) -> None:
        self.revoked.append(generation.id)


class Records(Tlsa):
    """TLSA records in a list instead of a zone."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def publish(self, owners: Sequence[str], keys: Sequence[str]) -> None:
        """Notes it."""
        if self._parts.publish_fault is not None:
            raise self._parts.publish_fault
        self._parts.published += [(tuple(owners), key) for key in keys]

    def spread(self, _owners: Sequence[str]) -> datetime:
        """At once: there is no cache."""
        return self._parts.now


class Servers:
    """No server runs: nobody can be asked what is shown."""

    def answer(self, _probe: Probe, _name: str) -> bool:
        """Whether there is a server to look at."""
        return False

    def fault(self, _probe: Probe, _name: str, _chain: bytes) -> str | None:
        """Why the chain is not shown."""
        return None
