"""A CA and a DNS server that are functions, and the code that orders on top of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests.unit.acme.acme_pki import NOW, Root
from tlsgate.acme.certificate import Meta
from tlsgate.acme.config.agent_json import Config, HttpTokens, Probe, WantedCertificate
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.gateway.generations import CertificateGeneration, CertificateStore
from tlsgate.acme.gateway.install import Installer
from tlsgate.acme.gateway.tls_probe import Servers
from tlsgate.acme.keys import Key
from tlsgate.acme.orders.authorities import CertificateAuthorities
from tlsgate.acme.orders.request import Issued, Request
from tlsgate.acme.renewal.renewal_info import RenewalInfo
from tlsgate.acme.renewal.renewer import Renewer
from tlsgate.acme.rollover.roller import Roller
from tlsgate.acme.rollover.tlsa_records import Tlsa
from tlsgate.acme.state.paths import Paths

MX = WantedCertificate(
    "mx1.corp.example", "mx", ("mx1.corp.example",), ("_25._tcp.mx1.corp.example",)
)
STS = WantedCertificate("policy-1", "policy", ("mta-sts.corp.example",), ())


def settings(*wanted: WantedCertificate, directory: str = "https://ca.example/dir") -> Config:
    """A configuration of these certificates."""
    return Config(
        directory=directory,
        challenge=HttpTokens(Path("/challenge")),
        certificates=wanted or (MX,),
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

    def renewer(self, config: Config | None = None) -> Renewer:
        """As the program builds it."""
        self.paths.state.mkdir(exist_ok=True)
        cas = MemoryAuthorities(self)
        return Renewer(
            config or settings(),
            self.paths,
            roots=[self.ca.certificate],
            cas=cas,
            renewals=RenewalInfo(self.paths.renewals, self._clock),
            roller=Roller(config or settings(), self.paths, Records(self), cas, self._clock),
            installer=Installer(NoServers()),
            clock=self._clock,
        )

    def store(self, wanted: WantedCertificate = MX) -> CertificateStore:
        """A certificate's directory."""
        return CertificateStore(self.paths.certificate(wanted.volume, wanted.name))

    def served(self, wanted: WantedCertificate = MX) -> CertificateGeneration:
        """What is in service."""
        current = self.store(wanted).current()
        assert current is not None
        return current

    def obtain(self, request: Request) -> Issued:
        self.orders.append(request.names)
        if self.fault is not None:
            raise self.fault
        chain = (self.sign or self._sign)(request.names, request.key)
        return Issued(chain, Meta("https://ca.example/dir", None))

    def _sign(self, names: Sequence[str], key: Key) -> bytes:
        return self.ca.sign(names, key, now=self.now)

    def _clock(self) -> datetime:
        return self.now


class MemoryAuthorities(CertificateAuthorities):
    """One CA that is a function, without renewal information."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def obtain(self, _directory: str, request: Request) -> Issued:
        """As the CA issues."""
        return self._parts.obtain(request)

    def suggestion(self, _directory: str, _identifier: str) -> None:
        """There is none."""

    def update_contacts(self) -> None:
        """There is no account."""

    def revoke(self, generation: CertificateGeneration) -> None:
        """Notes it."""
        self._parts.revoked.append(generation.id)


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


class NoServers(Servers):
    """No server runs: nobody can be asked what is shown."""

    def __init__(self) -> None:
        pass

    def answer(self, _probe: Probe, _name: str) -> bool:
        """Whether there is a server to look at."""
        return False

    def fault(self, _probe: Probe, _name: str, _chain: bytes) -> str | None:
        """Why the chain is not shown."""
        return None
