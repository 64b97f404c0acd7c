"""agent.json, the agent's configuration: the records that `pulumi up` writes and the agent reads.

What is not of its type, and files that do not exist, are found by `tlsgate.acme.config.typed_json`;
what does not fit together, here. Secrets are named by their files only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from tlsgate.acme.certificate import Meta
from tlsgate.acme.config.ca import Ca, CaTurns, Fallback
from tlsgate.acme.config.limits import Limits
from tlsgate.acme.config.typed_json import Text, load_json, problem
from tlsgate.problems import ProblemsError
from tlsgate.record import Record

ROTATE_DAYS = 90
MAXIMAL_NAMES = 100
"""What Let's Encrypt's default profile allows; other profiles allow fewer and say so."""

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
_NAME_REMEDY = "Write it in lower case, in its ASCII form, without a final dot"
HostName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]*[a-z0-9]\Z",
        extra={"wrong": "is not a host name", "remedy": _NAME_REMEDY},
    ),
]
Owner = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,62})?\.)+[a-z0-9-]*[a-z0-9]\Z",
        extra={"wrong": "is not a host name", "remedy": _NAME_REMEDY},
    ),
]
FolderName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A[a-z0-9][a-z0-9.-]{0,252}\Z",
        extra={"wrong": "cannot name a directory", "remedy": "Use a-z, 0-9, . and -"},
    ),
]


class DnsUpdates(Record, frozen=True, kw_only=True):
    """Where the agent's DNS updates go (RFC 2136) and the key that signs them (RFC 8945)."""

    server: Text
    port: Port = 53
    zones: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    tsig_key_file: Path
    ttl: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 60


class Dns01(DnsUpdates, frozen=True, tag_field="type", tag="dns-01"):
    """Challenges are answered in DNS."""


class HttpTokens(Record, frozen=True, tag_field="type", tag="http-01"):
    """Challenges are answered from the folder that the policy host serves at `/`."""

    directory: Path


class Probe(Record, frozen=True):
    """Where a certificate is served."""

    host: Text
    port: Port = 443
    starttls: bool = False

    def __str__(self) -> str:
        kind = "STARTTLS" if self.starttls else "TLS"
        return f"{self.host} port {self.port} ({kind})"


class WantedCertificate(Record, frozen=True):
    """One certificate. `volume`, `name`: where it is kept. `tlsa`: the owners that name its key.
    `probe`: where its server shows it.
    """

    name: FolderName
    volume: FolderName
    names: Annotated[tuple[HostName, ...], msgspec.Meta(min_length=1, max_length=MAXIMAL_NAMES)]
    tlsa: tuple[Owner, ...] = ()
    probe: Probe | None = None

    @property
    def id(self) -> str:
        """Names it on the state volume."""
        return f"{self.volume}/{self.name}"


class Config(Ca, frozen=True, kw_only=True):
    """What agent.json says; its first keys are those of the first CA.

    `fallback`: the second CA. `roots_file`: roots that an issued chain may lead to, besides the
    system's. `limits`: of each CA's account. `rotate_days`: how old a key may get, 0 for any age.
    `metrics_port`: None for no metrics. `webhook_file`: holds the URL for alerts.
    """

    fallback: Fallback | None = None
    roots_file: Path | None = None
    limits: Limits = Limits()
    challenge: Dns01 | HttpTokens
    tlsa: DnsUpdates | None = None
    rotate_days: Annotated[int, msgspec.Meta(ge=0, le=3650)] = ROTATE_DAYS
    metrics_port: Port | None = None
    webhook_file: Path | None = None
    look_seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 60
    certificates: Annotated[tuple[WantedCertificate, ...], msgspec.Meta(min_length=1)]

    @property
    def issuers(self) -> tuple[Meta, ...]:
        """What a certificate's issuer may be."""
        return tuple(Meta(ca.directory, ca.profile) for ca in self.cas)

    @property
    def turns(self) -> CaTurns:
        """Which CA is asked when."""
        directories = tuple(ca.directory for ca in self.cas)
        return CaTurns(directories, self.fallback.after if self.fallback else 1)

    @property
    def cas(self) -> tuple[Ca, ...]:
        """The first CA, then the fallback, if there is one."""
        return (self, self.fallback) if self.fallback else (self,)


def load(path: Path) -> Config:
    """Reads agent.json. Raises ProblemsError with everything that is wrong."""
    config = load_json(path, Config)
    found = [problem(path, *one) for one in _contradictions(config)]
    if found:
        raise ProblemsError(found)
    return config


def _contradictions(config: Config) -> Iterator[tuple[str, str, str]]:
    """Key, message and remedy of values that do not go together."""
    if config.fallback is not None and config.fallback.directory == config.directory:
        message = f"{config.directory} is the first CA already"
        yield "fallback.directory", message, "Name another CA, or leave `fallback` out"
    yield from _duplicates("certificates", [wanted.id for wanted in config.certificates])
    for number, wanted in enumerate(config.certificates):
        yield from _duplicates(f"certificates[{number}].names", wanted.names)
        yield from _duplicates(f"certificates[{number}].tlsa", wanted.tlsa)


def _duplicates(key: str, values: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for value in sorted({value for value in values if values.count(value) > 1}):
        yield key, f"{value} appears twice", "List it once"
