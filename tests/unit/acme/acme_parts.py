"""A CA and a DNS server that are functions, and the code that orders on top of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests.unit.acme.acme_pki import NOW, Root
from tlsgate.acme.config import Config, HttpTokens, Wanted
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.issue import Issuer
from tlsgate.acme.keys import Key
from tlsgate.acme.paths import Paths
from tlsgate.acme.request import Issued, Request
from tlsgate.acme.store import Generation, Meta, Store

MX = Wanted("mx1.corp.example", "mx", ("mx1.corp.example",), ("_25._tcp.mx1.corp.example",))
STS = Wanted("policy-1", "policy", ("mta-sts.corp.example",), ())


def settings(*wanted: Wanted, directory: str = "https://ca.example/dir") -> Config:
    """A configuration of these certificates."""
    return Config(
        directory=directory,
        contact=(),
        profile=None,
        ca_file=None,
        roots_file=None,
        eab=None,
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
            publish=self._publish,
            clock=lambda: self.now,
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

    def _publish(self, owners: Sequence[str], spki_sha256: str) -> None:
        if self.publish_fault is not None:
            raise self.publish_fault
        self.published.append((tuple(owners), spki_sha256))
